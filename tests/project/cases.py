"""What the Python tests share: where the tree is, and an end like that of the C++ test programs."""

import pathlib
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
EXIT_SKIPPED = 77  # as Meson reads it

sys.path.insert(0, str(ROOT / "tools"))
sys.dont_write_bytecode = True


def main(suite, only=None):
    """Runs the cases of the calling script and prints `<suite>: N cases run, M skipped, K failed`.

    `only` is the name of the one class to run.
    """
    chosen = [] if only is None else ["-k", f"*.{only}.*"]
    result = unittest.main(argv=[sys.argv[0], *chosen], verbosity=2, exit=False).result
    for case, reason in result.skipped:
        print(f"skipped: {case.id().split('.')[-1]}: {reason}")
    skipped, failed = len(result.skipped), len(result.failures) + len(result.errors)
    run = result.testsRun - skipped
    print(f"{suite}: {run} cases run, {skipped} skipped, {failed} failed")
    if failed or result.testsRun == 0:
        sys.exit(1)
    sys.exit(EXIT_SKIPPED if run == 0 else 0)
