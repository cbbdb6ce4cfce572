"""What mutants.py changes, which changes it tries and what it says of them, on sources made up here."""

import json
import os
import pathlib
import subprocess
import tempfile
import unittest

import cases
import mutants
from mutate import KINDS, Mutant, MutantError, mutants_of, with_all

CALL = """check(cublasGemmStridedBatchedEx_64(handle, op_b, op_a, columns, rows, depth, &one, b,
      kType, f(b)[-1], stride_b, a, kType, lda, stride_a, &zero,
      to, kType, columns, rows * columns, count, kCompute, kDefault));
"""


def made(text, kind=None):
    """(line, what, the changed line) of each mutant."""
    return [(m.number, m.what, m.becomes) for m in mutants_of("cuda/a.cu", text) if kind in (None, m.kind)]


def mutant(file="cuda/a.cu", kind="comparison", number=1, line="a < b", becomes="a <= b"):
    return Mutant(file, kind, "< to <=", ((0, 1, "x"),), number, line, becomes)


class Generation(unittest.TestCase):
    def test_comparisons(self):
        for old, new in (("<", "<="), ("<=", "<"), (">", ">="), (">=", ">"), ("==", "!=")):
            self.assertEqual(made(f"\n  if (a {old} b) return;\n"), [(2, f"{old} to {new}", f"if (a {new} b) return;")])

    def test_each_comparison_of_a_line_by_itself(self):
        becomes = [b for _, _, b in made("for (k = 0; k < 8 && b + k < n; ++k)")]
        self.assertEqual(becomes, ["for (k = 0; k <= 8 && b + k < n; ++k)", "for (k = 0; k < 8 && b + k <= n; ++k)"])

    def test_a_comparison_at_the_end_of_a_line(self):
        self.assertEqual(made("x = a <\n    b;"), [(1, "< to <=", "x = a <=")])

    def test_what_is_no_comparison(self):
        for text in (
            "#include <vector>\n#if a < b\n",
            "template <class T> struct A;",
            "std::vector<int> x = a->b << 2 >> 1;",
            "static_assert(a < b);",
            "constexpr bool k = a < b;",
            "if constexpr (a == b) return;",
            "// a < b\n/* a\n < b */",
            'say("a < b");',
            "c = ' < ';",
            "x = 1'000 != y && a != b;",
        ):
            self.assertEqual(made(text), [], text)

    def test_code_behind_a_comment_keeps_its_place(self):
        self.assertEqual(made('/* "< */ a < "<"; // it\'s\nb > c'), [(1, "< to <=", '/* "< */ a <= "<"; // it\'s'), (2, "> to >=", "b >= c")])

    def test_barriers(self):
        text = "if (a)\n  __syncthreads();\n// __syncthreads();\n"
        self.assertEqual(made(text), [(2, "__syncthreads() removed", ";")])

    def test_extents(self):
        found = made(CALL, "extent")
        self.assertIn((2, "f(b)[-1] and stride_b swapped", "kType, stride_b, f(b)[-1], a, kType, lda, stride_a, &zero,"), found)
        self.assertIn((2, "stride_a to depth", "kType, f(b)[-1], stride_b, a, kType, lda, depth, &zero,"), found)
        self.assertIn((3, "columns and rows * columns swapped", "to, kType, rows * columns, columns, count, kCompute, kDefault));"), found)
        self.assertNotIn("columns to columns", [what for _, what, _ in found])
        self.assertEqual(len(found), 3 * (1 + 2 * 3) - 1)

    def test_a_product_that_is_not_known(self):
        with self.assertRaisesRegex(MutantError, "PLACES in tools/mutate.py must say where the extents of cublasDgemm stand"):
            made("cublasDgemm(handle, a);")

    def test_scales(self):
        self.assertEqual([what for _, what, _ in made(CALL, "scale")], ["&one to &zero", "&zero to &one"])

    def test_a_swap_over_two_lines(self):
        text = CALL.replace("f(b)[-1], stride_b", "f(b)[-1],\n  stride_b")
        swap = mutants_of("cuda/a.cpp", text)[1]
        self.assertEqual(swap.apply(text), CALL.replace("f(b)[-1], stride_b", "stride_b,\n  f(b)[-1]"))

    def test_this_tree_has_mutants_of_each_kind(self):
        found = mutants.all_mutants(cases.ROOT)
        for kind, least in zip(KINDS, (3, 100, 10, 2)):
            self.assertGreaterEqual(sum(m.kind == kind for m in found), least, kind)
        for file, kind in (("cuda/matmul.cpp", "extent"), ("cuda/matmul.cpp", "scale"), ("cuda/conv2d.cpp", "scale")):
            self.assertIn((file, kind), {(m.file, m.kind) for m in found})


class Choice(unittest.TestCase):
    MUTANTS = [mutant(f"cuda/{file}.cu", kind, number) for file in "abc" for kind in KINDS for number in range(1, 6)]

    def test_names(self):
        self.assertEqual(mutants.chosen(self.MUTANTS, []), self.MUTANTS)
        for names, count in ((["barrier"], 15), (["a"], 20), (["a.cu", "cuda/b.cu"], 40), (["a.cu:2"], 4), (["a", "extent"], 30)):
            self.assertEqual(len(mutants.chosen(self.MUTANTS, names)), count, names)
        with self.assertRaisesRegex(MutantError, "no mutant has this kind, file or line: d x.cu"):
            mutants.chosen(self.MUTANTS, ["a", "x.cu", "d"])

    def test_a_sample_is_spread_over_files_and_kinds(self):
        for seed in "123":
            found = mutants.sample(self.MUTANTS, 12, seed)
            self.assertEqual({(m.file, m.kind) for m in found}, {(m.file, m.kind) for m in self.MUTANTS})
            self.assertEqual({m.file for m in mutants.sample(self.MUTANTS, 3, seed)}, {m.file for m in self.MUTANTS})

    def test_a_sample_depends_on_its_seed_alone(self):
        self.assertEqual(mutants.sample(self.MUTANTS, 9, "a"), mutants.sample(self.MUTANTS, 9, "a"))
        self.assertNotEqual(mutants.sample(self.MUTANTS, 9, "a"), mutants.sample(self.MUTANTS, 9, "b"))
        self.assertEqual(mutants.sample(self.MUTANTS, 100, "a"), self.MUTANTS)


class Equivalent(unittest.TestCase):
    ENTRY = {"file": "cuda/a.cu", "kind": "comparison", "line": "a < b", "becomes": "a <= b", "reason": "a is never b"}

    def test_an_entry_follows_its_line(self):
        reasons = mutants.read_equivalent(json.dumps([self.ENTRY]))
        self.assertEqual(reasons[mutant(number=7).key()], "a is never b")
        self.assertEqual(mutants.unknown_equivalents(reasons, [mutant(number=7)]), [])
        self.assertEqual(len(mutants.unknown_equivalents(reasons, [mutant(line="a < c")])), 1)

    def test_entries_that_are_wrong(self):
        for entries, complaint in (
            ([{**self.ENTRY, "reason": ""}], "must have file, kind, line, becomes and reason"),
            ([{"file": "cuda/a.cu"}], "must have file, kind, line, becomes and reason"),
            ([self.ENTRY, self.ENTRY], "stands in the table twice"),
        ):
            with self.assertRaisesRegex(MutantError, complaint):
                mutants.read_equivalent(json.dumps(entries))

    def test_every_entry_of_this_tree_is_a_mutant(self):
        reasons = mutants.read_equivalent(mutants.EQUIVALENT.read_text(encoding="utf-8"))
        self.assertEqual(mutants.unknown_equivalents(reasons, mutants.all_mutants(cases.ROOT)), [])


class Verdicts(unittest.TestCase):
    def test_verdicts(self):
        for status, expected in ((0, "survived"), (1, "killed"), (-6, "killed"), (mutants.HUNG, "killed: hangs")):
            self.assertEqual(mutants.verdict(status), expected)

    def report(self, verdict, reasons):
        lines, well = mutants.report([mutants.Outcome(mutant(), verdict, 1.0)], reasons)
        return " ".join(lines), well

    def test_report(self):
        reasons = {mutant().key(): "a is never b"}
        for verdict, known, well, part in (
            ("killed", {}, True, "1 mutants: 1 killed, 0 survived"),
            ("survived", {}, False, "a <= b"),
            ("survived", reasons, True, "(equivalent: a is never b)"),
            ("killed", reasons, False, "IS IN THE TABLE OF EQUIVALENT ONES"),
        ):
            with self.subTest(verdict=verdict, known=bool(known)):
                text, good = self.report(verdict, known)
                self.assertEqual(good, well)
                self.assertIn(part, text)
        self.assertFalse(mutants.report([], {})[1])


PROGRAM = """#include <cstdio>
#include <string>
void __syncthreads() { std::puts("barrier"); }
constexpr int kLeast = 3 < 4 ? 3 : 4;
int call(const int* alpha, int lda, long stride, const int* beta) {
  return std::printf("gemm %d %d %ld %d\\n", *alpha, lda, stride, *beta);
}
#define cublasGemmStridedBatchedEx_64(h, a, b, m, n, k, alpha, x, xt, ldx, sx, y, yt, ldy, sy, beta, z, zt, ldz, sz) call(alpha, ldx, sx, beta)
int main() {
  const int one = 1, zero = 0;
  __syncthreads();
  std::string name = "b";
  if (name == "b" && kLeast + 1 <= 5 - 1) std::puts("compared");
  cublasGemmStridedBatchedEx_64(0, 0, 0, 2, 3, 4, &one, 0, 0, 5, 6, 0, 0, 7, 8, &zero, 0, 0, 9, 10);
}
"""


class Together(unittest.TestCase):
    def test_all_mutants_of_a_source_compile_together_and_one_is_awake(self):
        every = mutants_of("a.cpp", PROGRAM)
        self.assertEqual({m.kind for m in every}, set(KINDS))
        with tempfile.TemporaryDirectory() as folder:
            build = pathlib.Path(folder)

            def compiled(name, text):
                (build / f"{name}.cpp").write_text(text)
                subprocess.run(["c++", "-std=c++20", "-Wall", "-Wextra", "-Werror", "-Wno-unused", "-o", build / name, build / f"{name}.cpp"], check=True)
                return build / name

            def printed(program, number=0):
                environment = {**os.environ, "RETRACE_MUTANT": str(number)}
                return subprocess.run(program, env=environment, capture_output=True, text=True, check=True).stdout

            numbered = list(enumerate(every, 1))
            together = compiled("together", with_all(PROGRAM, numbered, cases.ROOT / mutants.HEADER))
            self.assertEqual(printed(together), printed(compiled("alone", PROGRAM)))
            for kind in KINDS:
                number, one = next((n, m) for n, m in numbered if m.kind == kind)
                self.assertEqual(printed(together, number), printed(compiled(kind, one.apply(PROGRAM))), one.what)
                self.assertNotEqual(printed(together, number), printed(together), one.what)


class Trial(unittest.TestCase):
    def test_a_mutant_is_woken_and_run_with_a_limit(self):
        seen = []

        class FakeWorkshop:
            build = pathlib.Path("build")

            def run(self, command, seconds, variables):
                seen.append((command, seconds, variables))
                return 1

        self.assertEqual(mutants.try_mutant(FakeWorkshop(), 7, mutant(), 9).verdict, "killed")
        self.assertEqual(seen, [(["build/tests/cuda/cuda_tests", "--abort"], 9, {"RETRACE_MUTANT": "7"})])


cases.main("project-mutants")
