#!/usr/bin/env python3
"""The code of the README, and of the page for users of MemCNN, is compiled and run; links lead somewhere."""
import pathlib
import re
import textwrap
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]


class Readme(unittest.TestCase):
    def test_code_is_the_examples(self):
        wrapper, report = re.findall(r"```cpp\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
        for listing, name in ((wrapper.split("\n\n", 1)[1], "wrapper"), (report, "memory_report")):
            example = (ROOT / "examples" / f"{name}.cpp").read_text().split("// [readme]\n")[1]
            self.assertEqual(listing.strip(), textwrap.dedent(example.rstrip(" ")).strip())

    def test_code_of_the_page_for_users_of_memcnn_is_tested(self):
        listing = re.search(r"```cpp\n(.*?)```", (ROOT / "docs" / "from-memcnn.md").read_text(), re.S).group(1)
        source = ROOT / "tests" / "parity" / "minimal_example_test.cpp"
        self.assertEqual(listing, source.read_text().split("// [from-memcnn]\n")[1])

    def test_links_lead_somewhere(self):
        for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]:
            prose = re.sub(r"```.*?```", "", page.read_text(), flags=re.S)
            for target in re.findall(r"\]\((?!https?:)([^)#]+)", prose):
                self.assertTrue((page.parent / target).exists(), f"{page.name}: {target}")


if __name__ == "__main__":
    unittest.main()
