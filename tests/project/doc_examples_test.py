"""The examples in the comments of public headers compile against retrace.h.

Usage: doc_examples_test.py INCLUDE_FOLDER COMPILER...
"""

import pathlib
import re
import subprocess
import sys
import tempfile
import textwrap
import unittest

import cases
import check_includes

INCLUDE = pathlib.Path(sys.argv[1])
COMPILER = sys.argv[2:]
BLOCK = re.compile(r"^( *)/// ```cpp\n(.*?)^ *///(?: ```)$", re.M | re.S)

# What stands around the example of each header: the names that it uses.
AROUND = {
    "autograd/decisions.h": ("template <class Derivative>\n"
                             "Var relu_as(const Var& x, Tensor y, const Decision::Form& form, Derivative derivative) {", "}"),
    "core/range.h": ("void check() {", "}"),
    "nn/data/dataset.h": ("void draw(std::int64_t i, std::span<std::uint8_t> pixels);", ""),
    "nn/data/loader.h": ("void run(const std::filesystem::path& folder, void (*learn)(const Batch&)) {", "}"),
    "nn/grad_scaler.h": ("void step(Tape& tape, GradScaler& scaler, Optimizer& optimizer, const Var& loss) {", "}"),
    "nn/module.h": ("class MyLayer final : public Module {\nParameter weight_;\nBatchNorm2d norm_{2};\n", "};"),
    "report/recorder.h": ("void step(Tape& tape) {", "}"),
    "revnet/networks.h": ("const auto options =", ";"),
}


def examples(header):
    """The code blocks in the comments of a header."""
    text = (cases.ROOT / header).read_text(encoding="utf-8")
    return [re.sub(r"^ */// ?", "", match[2], flags=re.M) for match in BLOCK.finditer(text)]


class DocExamples(unittest.TestCase):
    def test_examples_compile(self):
        shown = {header: examples(header) for header in check_includes.public_headers(cases.ROOT)}
        self.assertEqual({header for header, blocks in shown.items() if blocks}, set(AROUND))
        program = "#include <retrace/retrace.h>\n"
        for number, (header, (before, after)) in enumerate(AROUND.items()):
            for code in shown[header]:
                program += f"namespace retrace::example{number} {{  // {header}\n{before}\n{code}\n{after}\n}}\n"
        with tempfile.TemporaryDirectory() as folder:
            source = pathlib.Path(folder) / "examples.cpp"
            source.write_text(program, encoding="utf-8")
            done = subprocess.run([*COMPILER, "-std=c++20", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", f"-I{INCLUDE}", source],
                                  capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr + textwrap.indent(program, "  "))


cases.main("doc-examples")
