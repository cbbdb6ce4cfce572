#!/usr/bin/env python3
"""Adds up the cases of a `meson test` run.

A test program prints `<suite>: N cases run, M skipped, K failed` at its end; a test that prints no such line is one
case, and a suite that ran none counts as a failed one. The last line of the report stands alone:
`N passed, N failed, N skipped`.

Exit status 1 when a case failed, a test ended badly, a suite ran no case, or more were skipped than --skips allows.

Usage: report.py [--skips N] TESTLOG.JSON
"""

import argparse
import dataclasses
import json
import pathlib
import re
import sys

COUNTS = re.compile(r"^([\w-]+): (\d+) cases run, (\d+) skipped, (\d+) failed$", re.MULTILINE)
GOOD_RESULTS = {"OK", "EXPECTEDFAIL", "SKIP"}


@dataclasses.dataclass
class Suite:
    name: str
    run: int
    skipped: int
    failed: int
    seconds: float
    remark: str = ""


def read_test(test):
    """The counts of one entry of Meson's log."""
    name = test["name"].split(" / ")[-1]
    result, seconds = test["result"], test["duration"]
    good = result in GOOD_RESULTS
    counts = COUNTS.findall(test.get("stdout") or "")
    if not counts:
        skipped = int(result == "SKIP")
        return Suite(name, 1 - skipped, skipped, int(not good), seconds, "" if good else f"ended with {result}")
    run, skipped, failed = (sum(int(count[i]) for count in counts) for i in (1, 2, 3))
    if run + skipped == 0:
        return Suite(name, 1, 0, 1, seconds, "ran no case")
    if not good and failed == 0:
        return Suite(name, run + 1, skipped, 1, seconds, f"ended with {result}")
    return Suite(name, run, skipped, failed, seconds)


def read_log(lines):
    """The counts of Meson's log. The rows of the suite `parity`, one Meson test each, are one line: those that passed."""
    suites, parity = [], Suite("parity", 0, 0, 0, 0.0)
    rows = 0
    for test in map(json.loads, lines):
        suite = read_test(test)
        if suite.remark or suite.failed or ":parity / " not in test["name"]:
            suites.append(suite)
            continue
        rows += 1
        for field in ("run", "skipped", "seconds"):
            setattr(parity, field, getattr(parity, field) + getattr(suite, field))
    if rows:
        parity.name = f"parity, {rows} rows"
        suites.append(parity)
    return suites


def report(suites, allowed_skips):
    """Returns (the lines to print, whether all is well)."""
    width = max([len("suite"), *(len(suite.name) for suite in suites)])
    lines = [f"{'suite':<{width}}  {'run':>6}  {'skipped':>7}  {'failed':>6}  {'seconds':>7}"]
    for s in suites:
        lines.append(f"{s.name:<{width}}  {s.run:>6}  {s.skipped:>7}  {s.failed:>6}  {s.seconds:>7.1f}  {s.remark}".rstrip())
    run, skipped, failed = (sum(getattr(s, field) for s in suites) for field in ("run", "skipped", "failed"))
    well = failed == 0 and bool(suites) and all(s.remark == "" for s in suites)
    if not suites:
        lines.append("no test was run")
    if allowed_skips is not None and skipped > allowed_skips:
        lines.append(f"{skipped} cases were skipped, and {allowed_skips} may be")
        well = False
    lines.append(f"{run - failed} passed, {failed} failed, {skipped} skipped")
    return lines, well


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--skips", type=int, metavar="N", help="fail when more cases than this were skipped")
    parser.add_argument("testlog", type=pathlib.Path, help="meson-logs/testlog.json of the build folder")
    options = parser.parse_args()
    lines = options.testlog.read_text(encoding="utf-8").splitlines() if options.testlog.is_file() else []
    text, well = report(read_log(lines), options.skips)
    print("\n".join(text))
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
