#!/usr/bin/env python3
"""Checks that the text of every error occurs in a test.

An error is a call of fail<E>(op, "text with {}", ...). Its text counts as tested when the longest piece between its
placeholders stands in a file below tests/.

Usage: check_errors.py [ROOT]
"""

import argparse
import pathlib
import re
import sys

from check_includes import LAYERS, sources

FOLDERS = (*LAYERS, "cli")
LITERALS = r'((?:"(?:\\.|[^"\\\n])*"\s*)+)'
CALL = re.compile(r"\bfail(?:_with_table)?<[^<>]*>\(\s*(?:[^,;]*?,\s*){1,2}?" + LITERALS)
LITERAL = re.compile(r'"((?:\\.|[^"\\\n])*)"')
PLACEHOLDER = re.compile(r"(?<!\{)\{[^{}]*\}(?!\})")
SEAM = re.compile(r'"\s*\n\s*f?"')  # between the parts of one literal

# What no test can bring about, and why.
UNTESTED = {
    "{} must not shrink while it is read": "another program would have to cut the file at the right moment",
}


def errors_in(text):
    """(place, text) of each error."""
    return [(m.start(), "".join(LITERAL.findall(m[1]))) for m in CALL.finditer(text)]


def longest_piece(error):
    pieces = (piece.strip().replace("{{", "{").replace("}}", "}") for piece in PLACEHOLDER.split(error))
    return max(pieces, key=len)


def check(root):
    """Returns (the number of errors, complaints as lines)."""
    tests = "\n".join(SEAM.sub("", path.read_text(encoding="utf-8"))
                      for path in sorted((root / "tests").rglob("*")) if path.suffix in (".cpp", ".h", ".py"))
    count, complaints = 0, []
    for folder in FOLDERS:
        for path in sources(root, folder):
            source = path.read_text(encoding="utf-8")
            for place, error in errors_in(source):
                count += 1
                if longest_piece(error) not in tests and error not in UNTESTED:
                    line = source.count("\n", 0, place) + 1
                    complaints.append(f"{path.relative_to(root)}:{line}: no test has this text: {error}")
    return count, complaints


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("root", nargs="?", default=pathlib.Path(__file__).resolve().parent.parent, type=pathlib.Path)
    count, complaints = check(parser.parse_args().root)
    print("\n".join(complaints) or f"each of {count} errors has a test with its text")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
