"""What the documents show of the programs' output, and the numbers that they name a command for, is what the programs print.

Usage: outputs_test.py BUILD_FOLDER
"""

import pathlib
import re
import subprocess
import sys
import unittest

import cases
import check_listings

BUILD = pathlib.Path(sys.argv[1]).resolve()


class Outputs(unittest.TestCase):
    def test_this_tree(self):
        count, complaints = check_listings.check_outputs(cases.ROOT, BUILD)
        self.assertEqual(complaints, [], "\n".join(complaints))
        self.assertGreater(count, 10)

    def test_the_numbers_of_the_pictures(self):
        for name in ("bytes_over_a_step", "drift"):
            done = subprocess.run(BUILD / "docs" / "listings" / name, stdout=subprocess.PIPE, text=True, check=True)
            self.assertEqual(done.stdout, (cases.ROOT / "docs" / "pictures" / f"{name}.txt").read_text())

    def test_every_command_of_the_program_has_its_text(self):
        page = (cases.ROOT / "docs" / "reference" / "commands.md").read_text()

        def subcommands(*words):
            done = subprocess.run([BUILD / "cli" / "retrace", *words, "--help"], stdout=subprocess.PIPE, text=True, check=True)
            _, _, listed = done.stdout.partition("\nSubcommands:\n")
            return re.findall(r"^  ([a-z]+) ", listed, re.M)

        found = []
        for name in subcommands():
            found += [f"{name} {inner}" for inner in subcommands(name)] or [name]
        self.assertGreater(len(found), 7)
        for name in found:
            self.assertIn(f"<!-- output: build/cli/retrace {name} --help -->", page)


cases.main("outputs")
