"""Breaks retrace once for each parity row, in a copy of the tree, and sees whether the row's test turns red."""

import dataclasses
import sys
import time

from parity_table import PROGRAMS, TableError
from workshop import Workshop, say

NOTHING_RAN = 4  # tests/support/run.cpp
SKIPPED = 77
GOOD = "red"
OPTIONS = ["-Dexamples=disabled", "-Dbenchmarks=disabled"]
TIME_LIMIT = 900  # a test that hangs is red


def broken_text(text, change):
    """`text` with the change applied."""
    count = text.count(change.find)
    if count != 1:
        raise TableError(f"{change.file}: the text of the break '{change.name}' must occur once, and occurs {count} times")
    return text.replace(change.find, change.replace)


def programs(rows):
    """What the rows' tests run."""
    return sorted({PROGRAMS[row.test] for row in rows})


def test(workshop, row):
    """The exit status of the row's test."""
    program = workshop.build / PROGRAMS[row.test]
    command = [str(program), f"[{row.row}]"]
    if row.test == "cli":
        command = [sys.executable, str(workshop.source / "tests" / "parity" / "cli_test.py"), str(program), row.row]
    return workshop.run(command, TIME_LIMIT)


def verdict(before, complaints, after):
    """What became of a row: its test's exit status before the break, the compiler's complaints, and the status after."""
    if before != 0:
        return "NOT GREEN BEFORE"
    if complaints:
        return "DOES NOT BUILD"
    if after == 0:
        return "STILL GREEN"
    return "NO CASE RAN" if after in (NOTHING_RAN, SKIPPED) else GOOD


@dataclasses.dataclass
class Outcome:
    row: object
    verdict: str
    seconds: float


def break_row(workshop, row, before):
    """Breaks, compiles, tests, and makes the source whole again."""
    start = time.monotonic()
    with workshop.changed(row.change.file, lambda text: broken_text(text, row.change)):
        complaints = workshop.compile(programs([row]))
        after = None if complaints else test(workshop, row)
    if complaints:
        say(complaints[-4000:])
    return Outcome(row, verdict(before, complaints, after), time.monotonic() - start)


def report(outcomes):
    """Returns (the lines to print, whether every test turned red)."""
    lines = [f"{o.row.row}  {o.verdict:<16} {o.row.change.name} ({o.row.change.file})" for o in outcomes]
    red = sum(o.verdict == GOOD for o in outcomes)
    lines.append(f"{red} of {len(outcomes)} tests turned red when what they guard was broken")
    return lines, red == len(outcomes) and red > 0


def run(rows, root, folder):
    """`./run parity --break [ROWS]`. Returns the exit status."""
    say("parity: building a copy of the tree in build-break/")
    workshop = Workshop(root, folder)
    workshop.set_up(OPTIONS)
    workshop.compile_whole(programs(rows))
    before = {row.row: test(workshop, row) for row in rows}
    outcomes = []
    for number, row in enumerate(rows, 1):
        outcome = break_row(workshop, row, before[row.row])
        outcomes.append(outcome)
        say(f"[{number}/{len(rows)}] {row.row}: {row.change.name}: {outcome.verdict} ({outcome.seconds:.0f} s)")
    lines, well = report(outcomes)
    print("\n".join(lines))
    return 0 if well else 1
