#!/usr/bin/env python3
"""Lists the files that have grown long: headers beyond about 150 lines, sources beyond about 400. Never fails.

Usage: check_lengths.py [ROOT]
"""

import argparse
import pathlib

from check_includes import LAYERS, OUTSIDE, sources

LIMITS = {".h": 150, ".cuh": 150, ".cpp": 400, ".cu": 400}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("root", nargs="?", default=pathlib.Path(__file__).resolve().parent.parent, type=pathlib.Path)
    root = parser.parse_args().root
    long_files = []
    for folder in (*LAYERS, *OUTSIDE):
        for path in sources(root, folder):
            length = len(path.read_text(encoding="utf-8").splitlines())
            if length > LIMITS[path.suffix]:
                long_files.append(f"{length:>5} lines (about {LIMITS[path.suffix]} wanted)  {path.relative_to(root)}")
    print("\n".join(long_files) or "no file is longer than wanted")


if __name__ == "__main__":
    main()
