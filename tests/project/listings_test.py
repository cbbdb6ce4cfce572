"""tools/check_listings.py: the code in this tree's documents is the code that is compiled and run; links lead somewhere."""

import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

import cases
import check_listings

SOURCE = """// A file.
int main() {
  // [first]
  int x = 1;
    // [inner]
    int y = 2;
    // [/inner]
  // [/first]
  // [first]
  return x;
  // [/first]
}

/// dx = dy
Var same(const Var& x) {
  return record(x, [](int) {
    return 1;
  });
}

Var declared(const Var& x,
             int y);
const auto rows = {
    {.name = "a",
     .value = 1},
    {.name = "b"},
};
"""


def fence(mark, text, language="cpp"):
    return f"{mark}```{language}\n{text}```\n"


class Listings(unittest.TestCase):
    def complaints(self, page, name="docs/page.md"):
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            for path, text in ((name, page), ("a.cpp", SOURCE)):
                (root / path).parent.mkdir(parents=True, exist_ok=True)
                (root / path).write_text(text)
            return check_listings.check(root)[1]

    def assert_equals(self, mark, text):
        self.assertEqual(self.complaints(fence(f"<!-- {mark} -->\n", text)), [])
        self.assertEqual(len(self.complaints(fence(f"<!-- {mark} -->\n", text + "int z;\n"))), 1)

    def test_this_tree(self):
        count, complaints = check_listings.check(cases.ROOT)
        self.assertEqual(complaints, [])
        self.assertGreater(count, 2)

    def test_every_file_of_listings_is_shown(self):
        text = "".join((cases.ROOT / page).read_text() for page in check_listings.pages(cases.ROOT))
        for path in sorted((cases.ROOT / "docs" / "listings").glob("*.cpp")):
            self.assertTrue(f"listings/{path.name}" in text, path.name)

    def test_a_whole_file(self):
        self.assert_equals("listing: a.cpp", SOURCE)

    def test_a_region_is_its_parts_without_their_indentation_and_marks(self):
        self.assert_equals("listing: a.cpp first", "int x = 1;\n  int y = 2;\n\nreturn x;\n")
        self.assert_equals("listing: a.cpp inner", "int y = 2;\n")

    def test_a_definition(self):
        self.assert_equals(
            "source: a.cpp /// dx = dy",
            "/// dx = dy\nVar same(const Var& x) {\n  return record(x, [](int) {\n    return 1;\n  });\n}\n",
        )
        self.assert_equals("source: a.cpp Var declared(const Var& x,", "Var declared(const Var& x,\n             int y);\n")
        self.assert_equals("source: a.cpp int x = 1;", "int x = 1;\n")
        self.assert_equals('source: a.cpp {.name = "a",', '{.name = "a",\n .value = 1},\n')

    def test_blocks_in_lists_are_indented(self):
        page = "1. First:\n\n   <!-- listing: a.cpp inner -->\n   ```cpp\n   int y = 2;\n   ```\n"
        self.assertEqual(self.complaints(page), [])
        self.assertEqual(len(self.complaints(page.replace("2;", "3;"))), 1)

    def test_write_puts_the_files_text_into_the_page(self):
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            (root / "docs").mkdir()
            (root / "a.cpp").write_text(SOURCE)
            page = "<!-- listing: a.cpp inner -->\n```cpp\n{}```\n\n   <!-- output: echo 1; echo 2 -->\n   ```text\n   {}```\n"
            (root / "docs" / "page.md").write_text(page.format("old\n", "1\n   ...\n   "))
            check_listings.rewrite(root, None)
            self.assertEqual((root / "docs" / "page.md").read_text(), page.format("int y = 2;\n", "1\n   ...\n   "))
            check_listings.rewrite(root, root)
            self.assertEqual((root / "docs" / "page.md").read_text(), page.format("int y = 2;\n", "1\n   ...\n   "))
            (root / "docs" / "page.md").write_text(page.format("", ""))
            check_listings.rewrite(root, root)
            self.assertEqual((root / "docs" / "page.md").read_text(), page.format("int y = 2;\n", "1\n   2\n   "))

    def test_what_is_not_there(self):
        for mark, complaint in (
            ("listing: b.cpp first", "docs/page.md:2: there is no file b.cpp"),
            ("listing: a.cpp second", "docs/page.md:2: a.cpp has no region [second]"),
            ("source: a.cpp Var", "docs/page.md:2: a.cpp has no or several lines that begin with `Var`"),
            ("source: a.cpp int w;", "docs/page.md:2: a.cpp has no or several lines that begin with `int w;`"),
        ):
            self.assertEqual(self.complaints(fence(f"<!-- {mark} -->\n", "int x;\n")), [complaint])

    def test_code_needs_a_mark_directly_in_front(self):
        for language in check_listings.CODE:
            expected = [f"docs/page.md:3: this {language} needs a mark that says where it comes from"]
            self.assertEqual(self.complaints(fence("<!-- listing: a.cpp -->\n\n", SOURCE, language)), expected)
        self.assertEqual(self.complaints(fence("<!-- not run: it needs a GPU -->\n", "int x;\n")), [])
        self.assertEqual(self.complaints(fence("", "ls\n", "sh")), [])
        self.assertEqual(len(self.complaints(fence("", "int x;\n"), "README.md")), 1)

    def test_a_region_that_is_not_closed(self):
        for text in ("// [r]\nint x;\n", "// [/r]\nint x;\n// [r]\n", "// [r]\n// [r]\nint x;\n// [/r]\n"):
            self.assertIsNone(check_listings.region(text, "r"))


class Outputs(unittest.TestCase):
    def complaints(self, page):
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            (root / "docs").mkdir()
            (root / "docs" / "page.md").write_text(page)
            (root / "run").write_text("#!/bin/sh\necho '  test [X]  runs the tests'\n")
            (root / "run").chmod(0o755)
            (root / "objects" / "cli").mkdir(parents=True)
            program = root / "objects" / "cli" / "retrace"
            program.write_text("#!/bin/sh\n[ $1 = train ] || [ $1 = bench -a $2 = memory ] || exit 2\necho ' -o,--out DIR  --steps N'\n")
            program.chmod(0o755)
            return check_listings.check_outputs(root, root / "objects")[1]

    def test_output_is_what_the_command_prints(self):
        mark = "<!-- output: echo one; echo two 2.5 ms; echo three -->\n"
        for shown in ("one\ntwo 2.5 ms\nthree\n", "one\ntwo ... ms\nthree\n", "...\nthree\n", "one\n...\n"):
            self.assertEqual(self.complaints(fence(mark, shown, "text")), [], shown)
        for shown in ("one\nthree\n", "one\ntwo 2x5 ms\nthree\n", "one\ntwo ...\n", "...\ntwo\n"):
            self.assertEqual(len(self.complaints(fence(mark, shown, "text"))), 1, shown)

    def test_a_command_that_fails(self):
        self.assertEqual(len(self.complaints(fence("<!-- output: echo one; false -->\n", "one\n", "text"))), 1)
        self.assertEqual(self.complaints(fence("<!-- slow output: false -->\n", "one\n", "text")), [])

    def test_commands_write_elsewhere_and_see_the_tree(self):
        self.assertEqual(self.complaints(fence("<!-- output: touch out; ls -d build docs out -->\n", "build\ndocs\nout\n", "text")), [])

    def test_numbers_are_among_those_printed(self):
        mark = "<!-- numbers: echo 293.5 MiB, 1,024 bytes and -3 -->\n"
        self.assertEqual(self.complaints(mark + "| a | 293.5 |\n| b | 1,024 of -3 `--steps 7` |\n\n77\n"), [])
        self.assertEqual(len(self.complaints(mark + "| a | 293 |\n")), 1)
        self.assertEqual(self.complaints("<!-- numbers with no_such_flag: false -->\n| 293 |\n"), [])
        self.assertEqual(self.complaints("<!-- numbers with build/no/file: false -->\n| 293 |\n"), [])
        self.assertEqual(len(self.complaints("<!-- numbers with build/cli/retrace: false -->\n| 293 |\n")), 1)

    def test_rows_are_among_those_printed(self):
        mark = "<!-- rows: echo '| a | 1 |'; echo '| b | 2 |' -->\n"
        self.assertEqual(self.complaints(mark + "| b | 2 |\n\n| a | 2 |\n"), [])
        self.assertEqual(len(self.complaints(mark + "| a | 2 |\n")), 1)
        self.assertEqual(self.complaints(mark.replace("rows", "rows with build/no/file") + "| a | 2 |\n"), [])

    def test_shell_lines_name_what_there_is(self):
        self.assertEqual(self.complaints(fence("", "./run test x  # all\nretrace train --out x \\\n    --steps 3\n\nls -z\n", "sh")), [])
        for line in ("./run tests", "build/cli/retrace trail --out x", "retrace train --step 3", "retrace bench memories"):
            self.assertEqual(len(self.complaints(fence("", line + "\n", "sh"))), 1, line)


class Pages(unittest.TestCase):
    def test_a_page_begins_with_what_its_reader_can_do_at_its_end(self):
        for page in check_listings.pages(cases.ROOT):
            if page.startswith("docs/"):
                first = (cases.ROOT / page).read_text().split("\n\n")[1]
                self.assertRegex(first, r"^(After|At the end of) this (page|chapter|book) you ", page)

    def test_a_design_page_has_one_picture(self):
        for page in (cases.ROOT / "docs" / "design").glob("*.md"):
            self.assertEqual(re.findall(r"!\[[^\]]+\]\((.*?)\)", page.read_text()), [f"../pictures/{page.stem}.svg"])

    def test_pictures_are_as_drawn(self):
        with tempfile.TemporaryDirectory() as folder:
            script = cases.ROOT / "docs" / "pictures" / "draw.py"
            subprocess.run([sys.executable, script, folder], check=True)
            drawn = sorted(pathlib.Path(folder).glob("*.svg"))
            pages = {path.stem for path in (cases.ROOT / "docs" / "design").glob("*.md")}
            self.assertEqual({picture.stem for picture in drawn}, pages | {"drift"})
            for picture in drawn:
                self.assertEqual(picture.read_text(), (script.parent / picture.name).read_text(), picture.name)


class Links(unittest.TestCase):
    def test_links_lead_somewhere(self):
        for page in check_listings.pages(cases.ROOT):
            prose = re.sub(r"```.*?```", "", (cases.ROOT / page).read_text(), flags=re.S)
            for target in re.findall(r"\]\((?!https?:)([^)#]+)", prose):
                self.assertTrue(((cases.ROOT / page).parent / target).exists(), f"{page}: {target}")


cases.main("listings")
