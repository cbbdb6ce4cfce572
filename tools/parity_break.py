"""Breaks retrace once for each parity row, in a copy of the tree, and sees whether the row's test turns red.

The copy holds what git tracks and what it does not ignore; it is kept between runs, so that only what has changed is
compiled. The user's own files are only read.
"""

import dataclasses
import os
import shutil
import subprocess
import sys
import time

from parity_table import PROGRAMS, TableError

NOTHING_RAN = 4  # tests/support/run.cpp
SKIPPED = 77
GOOD = "red"
OPTIONS = ["-Dexamples=disabled", "-Dbenchmarks=disabled"]


def broken_text(text, change):
    """`text` with the change applied."""
    count = text.count(change.find)
    if count != 1:
        raise TableError(f"{change.file}: the text of the break '{change.name}' must occur once, and occurs {count} times")
    return text.replace(change.find, change.replace)


def write_if_other(path, content):
    """Leaves the file's time alone where nothing changes, so that nothing is compiled again."""
    if path.is_file() and path.read_bytes() == content:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def copy_tree(root, copy):
    """Makes `copy` hold the files of the work tree at `root` that git tracks or would, no others, and its own build/."""
    listing = ["git", "-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(listing, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise TableError(f"a break is made in a copy of what git lists, and git says: {done.stderr.strip()}")
    names = {name for name in done.stdout.split("\0") if name and (root / name).is_file()}
    for name in names:
        write_if_other(copy / name, (root / name).read_bytes())
        shutil.copymode(root / name, copy / name)
    for path in copy.rglob("*"):
        name = path.relative_to(copy)
        if path.is_file() and str(name) not in names and name.parts[0] != "build" and "__pycache__" not in name.parts:
            path.unlink()


class Workshop:
    """The copy of the tree and its build folder."""

    def __init__(self, root, folder):
        self.source = folder / "source"
        self.build = self.source / "build"  # as in the user's tree: a compiler's cache knows the files again
        copy_tree(root, self.source)

    def set_up(self):
        """Configures; an existing folder configures itself anew when it is built."""
        if (self.build / "build.ninja").is_file():
            return
        done = subprocess.run(["meson", "setup", str(self.build), str(self.source), *OPTIONS], check=False, capture_output=True, text=True)
        if done.returncode != 0:
            say(done.stdout)
            raise TableError("the copy of the tree cannot be set up (Meson's own words are above)")

    def compile(self, tests):
        """Builds what these tests run; returns the compiler's complaints, empty when it built."""
        targets = sorted({PROGRAMS[test] for test in tests})
        jobs = ["-j", os.environ["JOBS"]] if "JOBS" in os.environ else []
        command = ["ninja", "-C", str(self.build), *jobs, *targets]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return "" if done.returncode == 0 else done.stdout + done.stderr

    def test(self, row):
        """The exit status of the row's test."""
        program = self.build / PROGRAMS[row.test]
        command = [str(program), f"[{row.row}]"]
        if row.test == "cli":
            command = [sys.executable, str(self.source / "tests" / "parity" / "cli_test.py"), str(program), row.row]
        try:
            done = subprocess.run(command, capture_output=True, check=False, timeout=900, env=quiet_threads())
        except subprocess.TimeoutExpired:
            return -1  # a test that hangs is red
        return done.returncode


def quiet_threads():
    """The environment of the tests (tests/meson.build)."""
    return {**os.environ, "OMP_WAIT_POLICY": "passive"}


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
    """Breaks, compiles, tests, and makes the source whole again; the next build compiles it with what comes next."""
    start = time.monotonic()
    path = workshop.source / row.change.file
    if not path.is_file():
        raise TableError(f"{row.row}: there is no file {row.change.file} to break")
    whole = path.read_text(encoding="utf-8")
    complaints, after = "", None
    try:
        path.write_text(broken_text(whole, row.change), encoding="utf-8")
        complaints = workshop.compile([row.test])
        if not complaints:
            after = workshop.test(row)
    finally:
        path.write_text(whole, encoding="utf-8")
    if complaints:
        say(complaints[-4000:])
    return Outcome(row, verdict(before, complaints, after), time.monotonic() - start)


def report(outcomes):
    """Returns (the lines to print, whether every test turned red)."""
    lines = [f"{o.row.row}  {o.verdict:<16} {o.row.change.name} ({o.row.change.file})" for o in outcomes]
    red = sum(o.verdict == GOOD for o in outcomes)
    lines.append(f"{red} of {len(outcomes)} tests turned red when what they guard was broken")
    return lines, red == len(outcomes) and red > 0


def say(text):
    print(text, file=sys.stderr, flush=True)


def run(rows, root, folder):
    """`./run parity --break [ROWS]`. Returns the exit status."""
    say("parity: building a copy of the tree in build-break/")
    workshop = Workshop(root, folder)
    workshop.set_up()
    complaints = workshop.compile([row.test for row in rows])
    if complaints:
        say(complaints[-4000:])
        raise TableError("the tree does not build as it is (the compiler's words are above)")
    before = {row.row: workshop.test(row) for row in rows}
    outcomes = []
    for number, row in enumerate(rows, 1):
        outcome = break_row(workshop, row, before[row.row])
        outcomes.append(outcome)
        say(f"[{number}/{len(rows)}] {row.row}: {row.change.name}: {outcome.verdict} ({outcome.seconds:.0f} s)")
    lines, well = report(outcomes)
    print("\n".join(lines))
    return 0 if well else 1
