"""What documents tell their reader to type compiles: the examples in the comments of public headers, and the listings of a chapter.

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
import check_listings

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


def compiles(program, *flags):
    """What the compiler says of a program: nothing, or its errors."""
    with tempfile.TemporaryDirectory() as folder:
        source = pathlib.Path(folder) / "program.cpp"
        source.write_text(program, encoding="utf-8")
        done = subprocess.run([*COMPILER, "-std=c++20", *flags, "-fsyntax-only", f"-I{INCLUDE}", source],
                              capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stderr + textwrap.indent(program, "  ")


def typed(page, file, blocks):
    """What a reader writes who types the blocks of a page in their order, as (`#include` lines, a namespace with the rest).

    Pages leave out the lines `#include` and `using namespace`. Blocks from within `main` come last, in one function.
    """
    text = (cases.ROOT / file).read_text(encoding="utf-8")
    main = text.partition("\nint main() {\n")[2]
    outside, inside = re.findall(r"^using namespace .*$", text, re.M), []
    for block in blocks:
        name = block.source.partition(" ")[2]
        (inside if check_listings.region(main, name) else outside).append(block.text)
    code = "\n".join([*outside, "void typed_into_main() {", *inside, "}"])
    include = re.compile(r"^#include .*\n", re.M)
    name = re.sub(r"\W", "_", f"{page} {file}")
    return include.findall(text), f'namespace page_{name} {{\n#line 1 "{page}, {file}"\n{include.sub("", code)}\n}}\n'


def program_of(pages):
    """One program of what the reader of (page, file, blocks) types."""
    includes, namespaces = zip(*[typed(*page) for page in pages])
    return "".join(sorted({line for lines in includes for line in lines})) + "".join(namespaces)


def chapters(root):
    """(page, file, blocks): for each chapter of the tutorial, the listings that it shows of a program, in their order."""
    for page in sorted((root / "docs" / "tutorial").glob("[0-9]*.md")):
        shown = {}
        for block in check_listings.blocks(page.name, page.read_text(encoding="utf-8")):
            if block.kind == "listing":
                shown.setdefault(block.source.partition(" ")[0], []).append(block)
        for file, blocks in shown.items():
            yield page.name, file, blocks


class DocExamples(unittest.TestCase):
    def test_chapters_show_what_their_listings_use(self):
        shown = list(chapters(cases.ROOT))
        self.assertEqual({page[0] for page, _, _ in shown}, set("123457"))  # chapter 6 shows the library's own sources
        self.assertEqual(compiles(program_of(shown)), "")

    def test_a_definition_that_is_not_shown_is_noticed(self):
        """Without the block that defines Streams, chapter 3 does not compile."""
        page, file, blocks = next(shown for shown in chapters(cases.ROOT) if shown[0].startswith("3-"))
        kept = [block for block in blocks if "struct Streams" not in block.text]
        self.assertEqual(len(kept), len(blocks) - 1)
        self.assertRegex(compiles(program_of([(page, file, kept)])), "3-forgetting-activations.md.*Streams")

    def test_examples_compile(self):
        shown = {header: examples(header) for header in check_includes.public_headers(cases.ROOT)}
        self.assertEqual({header for header, blocks in shown.items() if blocks}, set(AROUND))
        program = "#include <retrace/retrace.h>\n"
        for number, (header, (before, after)) in enumerate(AROUND.items()):
            for code in shown[header]:
                program += f"namespace retrace::example{number} {{  // {header}\n{before}\n{code}\n{after}\n}}\n"
        self.assertEqual(compiles(program, "-Wall", "-Wextra", "-Werror"), "")


cases.main("doc-examples")
