"""What the documents show of the programs' output, and the numbers that they name a command for, is what the programs print.

Usage: outputs_test.py BUILD_FOLDER
"""

import pathlib
import sys
import unittest

import cases
import check_listings


class Outputs(unittest.TestCase):
    def test_this_tree(self):
        count, complaints = check_listings.check_outputs(cases.ROOT, pathlib.Path(sys.argv[1]).resolve())
        self.assertEqual(complaints, [], "\n".join(complaints))
        self.assertGreater(count, 10)


cases.main("outputs")
