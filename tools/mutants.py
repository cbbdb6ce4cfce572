#!/usr/bin/env python3
"""Changes the CUDA sources in small ways, in a copy, and sees whether their tests notice each change.

Usage: mutants.py [NAMES] [--all] [--list] [--seed TEXT]
Without --all: a sample of 20, spread over files and kinds, that changes with the commit. NAMES choose among the
mutants by kind (barrier comparison extent scale), file (pool pool.cu) or line (pool.cu:86).
A mutant that no test notices because it changes nothing stands, with the reason, in tools/equivalent_mutants.json; the
sample leaves it out. The copy is compiled once, with all mutants in it, of which the environment wakes one.
"""

import argparse
import collections
import concurrent.futures
import dataclasses
import json
import os
import pathlib
import random
import subprocess
import sys
import time

from mutate import KINDS, MutantError, mutants_of, with_all
from workshop import HUNG, Workshop, WorkshopError, say

ROOT = pathlib.Path(__file__).resolve().parent.parent
EQUIVALENT = pathlib.Path(__file__).resolve().parent / "equivalent_mutants.json"
TARGET = "tests/cuda/cuda_tests"
OPTIONS = ["-Dcli=disabled", "-Dexamples=disabled", "-Dbenchmarks=disabled", "-Dgpu=[]"]
SAMPLE = 20
KILLED, HANGS, SURVIVED = "killed", "killed: hangs", "survived"
HEADER = pathlib.Path("tools", "mutant_switch.h")


def all_mutants(root):
    """Those of every source of cuda/, by file and line."""
    paths = sorted(path for path in (root / "cuda").iterdir() if path.suffix in (".cpp", ".cu", ".h"))
    return [m for path in paths for m in mutants_of(path.relative_to(root).as_posix(), path.read_text(encoding="utf-8"))]


def names_of(mutant):
    """What chooses a mutant on the command line."""
    path = pathlib.PurePosixPath(mutant.file)
    return {mutant.kind, path.stem, path.name, str(path), f"{path.name}:{mutant.number}", f"{path}:{mutant.number}"}


def chosen(mutants, names):
    """The mutants that each have one of these names, or all of them."""
    known = {name for mutant in mutants for name in names_of(mutant)}
    unknown = sorted(set(names) - known - set(KINDS))
    if unknown:
        raise MutantError(f"no mutant has this kind, file or line: {' '.join(unknown)}")
    return [mutant for mutant in mutants if not names or not names_of(mutant).isdisjoint(names)]


def sample(mutants, size, seed):
    """`size` of them: from every file one, if there are enough, then a second one of another kind, and so on."""
    shuffled = list(mutants)
    random.Random(seed).shuffle(shuffled)
    for group in (lambda m: (m.file, m.kind), lambda m: m.file):
        seen = collections.Counter()
        ranks = []
        for mutant in shuffled:
            ranks.append(seen[group(mutant)])
            seen[group(mutant)] += 1
        order = sorted(range(len(shuffled)), key=ranks.__getitem__)
        shuffled = [shuffled[i] for i in order]
    kept = set(shuffled[:size])
    return [mutant for mutant in mutants if mutant in kept]


def read_equivalent(text):
    """The reasons by Mutant.key()."""
    reasons = {}
    for entry in json.loads(text):
        if sorted(entry) != ["becomes", "file", "kind", "line", "reason"] or not entry["reason"]:
            raise MutantError(f"an equivalent mutant must have file, kind, line, becomes and reason, got {entry}")
        key = (entry["file"], entry["kind"], entry["line"], entry["becomes"])
        if key in reasons:
            raise MutantError(f"an equivalent mutant stands in the table twice: {entry}")
        reasons[key] = entry["reason"]
    return reasons


def unknown_equivalents(reasons, mutants):
    """The keys of entries that are no mutant's, since the source has changed."""
    return sorted(set(reasons) - {mutant.key() for mutant in mutants})


@dataclasses.dataclass
class Outcome:
    mutant: object
    verdict: str
    seconds: float


def verdict(status):
    """What became of a mutant: the exit status of the tests."""
    if status == 0:
        return SURVIVED
    return HANGS if status == HUNG else KILLED


def report(outcomes, reasons):
    """Returns (the lines to print, whether the tests notice what they should)."""
    lines, well = [], len(outcomes) > 0
    for outcome in outcomes:
        survived, reason = outcome.verdict == SURVIVED, reasons.get(outcome.mutant.key())
        remark = ""
        if survived:
            remark = f"  (equivalent: {reason})" if reason else f": {outcome.mutant.becomes}"
        elif reason:
            remark = "  (IS IN THE TABLE OF EQUIVALENT ONES)"
        well = well and survived == (reason is not None)
        lines.append(f"{outcome.verdict:<14} {outcome.seconds:5.0f} s  {outcome.mutant}{remark}")
    counts = collections.Counter(outcome.verdict for outcome in outcomes)
    lines.append(f"{len(outcomes)} mutants: {counts[KILLED] + counts[HANGS]} killed, {counts[SURVIVED]} survived")
    return lines, well


def write_all(workshop, numbered):
    """Puts all (number, mutant) into the workshop's sources."""
    of_file = collections.defaultdict(list)
    for number, mutant in numbered:
        of_file[mutant.file].append((number, mutant))
    for file, its_own in of_file.items():
        path = workshop.source / file
        path.write_text(with_all(path.read_text(encoding="utf-8"), its_own, workshop.source / HEADER), encoding="utf-8")


def try_mutant(workshop, number, mutant, limit):
    """Tests it until the first failure."""
    start = time.monotonic()
    status = workshop.run([str(workshop.build / TARGET), "--abort"], limit, {"RETRACE_MUTANT": str(number)})
    return Outcome(mutant, verdict(status), time.monotonic() - start)


def run(every, wanted, reasons, folder):
    """Returns the exit status."""
    say("mutants: building a copy of the tree in build-mutants/")
    workshop = Workshop(ROOT, folder)
    workshop.set_up(OPTIONS)
    numbered = list(enumerate(every, 1))
    write_all(workshop, numbered)
    workshop.compile_whole([TARGET])
    start = time.monotonic()
    if workshop.run([str(workshop.build / TARGET)], 900) != 0:
        raise MutantError(f"{TARGET} does not pass as it is")
    limit = 60 + 5 * (time.monotonic() - start)  # a test that hangs has noticed; others may run beside it
    outcomes = []
    with concurrent.futures.ThreadPoolExecutor(int(os.environ.get("JOBS", os.cpu_count() or 1))) as pool:
        tries = [(number, mutant) for number, mutant in numbered if mutant in wanted]
        for outcome in pool.map(lambda one: try_mutant(workshop, *one, limit), tries):
            outcomes.append(outcome)
            say(f"[{len(outcomes)}/{len(wanted)}] {outcome.mutant}: {outcome.verdict} ({outcome.seconds:.0f} s)")
    lines, well = report(outcomes, reasons)
    print("\n".join(lines))
    return 0 if well else 1


def head(root):
    """The commit, which chooses the sample."""
    done = subprocess.run(["git", "-C", str(root), "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    return done.stdout.strip()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="kinds, files or lines; all of them without")
    parser.add_argument("--all", action="store_true", help=f"each mutant, not a sample of {SAMPLE}")
    parser.add_argument("--list", action="store_true", help="print the mutants and try none")
    parser.add_argument("--seed", help="what chooses the sample; the commit without")
    options = parser.parse_args()
    try:
        reasons = read_equivalent(EQUIVALENT.read_text(encoding="utf-8"))
        every = all_mutants(ROOT)
        mutants = chosen(every, options.names)
        if not options.all:
            mutants = [mutant for mutant in mutants if mutant.key() not in reasons]
            mutants = sample(mutants, SAMPLE, options.seed or head(ROOT))
        if options.list:
            print("\n".join(f"{mutant.kind:<10} {mutant}   {mutant.becomes}" for mutant in mutants))
            return 0
        return run(every, set(mutants), reasons, ROOT / "build-mutants")
    except (MutantError, WorkshopError) as error:
        print(f"mutants: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
