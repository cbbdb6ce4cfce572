"""Rows that are promises of the program: `class P56(program.Case)` has row P56's cases.

Usage: cli_test.py PROGRAM ROW
"""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "cli"))
import program  # noqa: E402

program.cases.main("parity", only=sys.argv[2])
