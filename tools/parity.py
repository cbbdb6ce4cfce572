#!/usr/bin/env python3
"""The parity rows: what MemCNN promises (tests/parity/rows/*.json), and whether it holds here.

Usage: parity.py list                 what Meson needs to know: a line for each source, table and row
       parity.py show [ROWS]          runs the rows' tests in build/ and prints the table
       parity.py break [ROWS]         breaks what each row guards in a copy, build-break/, and sees its test turn red
"""

import argparse
import json
import pathlib
import subprocess
import sys

import parity_break
from parity_table import PROMISED, TableError, chosen, names_by_row, read_rows
from report import read_test
from workshop import WorkshopError

ROOT = pathlib.Path(__file__).resolve().parent.parent


def meson_list(folder):
    """What tests/parity/meson.build reads at configure time."""
    lines = [f"source {path.name}" for path in sorted(folder.glob("*_test.cpp"))]
    lines += [f"table rows/{path.name}" for path in sorted((folder / "rows").glob("*.json"))]
    return lines + [f"row {row.row} {row.test}" for row in read_rows(folder)]


def result_of(suite, names):
    """The word for the outcome of a row's Meson test (None: Meson has none)."""
    if suite is None or not names:
        return "NO TEST"
    if suite.failed or suite.remark:
        return "FAILED"
    if suite.run + suite.skipped != len(names):
        return "MISCOUNTED"  # a case whose tag is not its row's, or one that is not compiled
    return "skipped" if suite.run == 0 else "holds"


def table(rows, names, suites, promised):
    """Returns (the lines to print, whether all is well)."""
    lines, results = [], []
    for row in rows:
        suite = suites.get(row.row)
        results.append(result_of(suite, names.get(row.row, [])))
        seconds = f"{suite.seconds:6.1f} s" if suite else ""
        lines.append(f"{row.row} {'D' if row.differs else ' '}  {results[-1]:<10} {seconds:>8}  {row.promise}")
        lines += [f"{'':26}- {name}" for name in names.get(row.row, [])]
    missing = [name for name in promised if name not in {row.row for row in rows}]
    lines += [f"{name}    NO ROW" for name in missing]
    held, skipped = results.count("holds"), results.count("skipped")
    bad = len(results) - held - skipped + len(missing)
    lines.append(f"{held} rows hold, {bad} do not, {skipped} skipped (D: differs from MemCNN on purpose)")
    return lines, bad == 0 and held > 0


def run_suite(build, rows):
    """Runs the rows' Meson tests; returns their counts by row."""
    log = build / "meson-logs" / "testlog.json"
    log.unlink(missing_ok=True)
    known = subprocess.run(["meson", "introspect", "--tests", str(build)], capture_output=True, text=True, check=True)
    known = {test["name"] for test in json.loads(known.stdout) if any(s.endswith("parity") for s in test["suite"])}
    wanted = [row.row for row in rows if row.row in known]
    if not wanted:
        return {}
    command = ["meson", "test", "-C", str(build), "--no-rebuild", "--print-errorlogs", *wanted]
    subprocess.run(command, check=False, stdout=sys.stderr)
    entries = log.read_text(encoding="utf-8").splitlines() if log.is_file() else []
    return {suite.name: suite for suite in map(read_test, map(json.loads, entries))}


def show(folder, build, wanted):
    """`./run parity [ROWS]`."""
    rows = chosen(read_rows(folder), wanted)
    lines, well = table(rows, names_by_row(folder), run_suite(build, rows), [] if wanted else PROMISED)
    print("\n".join(lines))
    return 0 if well else 1


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("command", choices=("list", "show", "break"))
    parser.add_argument("rows", nargs="*", metavar="ROW", help="P01 P02 ...; all of them without")
    options = parser.parse_args()
    folder = ROOT / "tests" / "parity"
    try:
        if options.command == "list":
            print("\n".join(meson_list(folder)))
            return 0
        if options.command == "show":
            return show(folder, ROOT / "build", options.rows)
        return parity_break.run(chosen(read_rows(folder), options.rows), ROOT, ROOT / "build-break")
    except (TableError, WorkshopError) as error:
        print(f"parity: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
