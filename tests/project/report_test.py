"""tools/report.py adds up cases, and sees what went wrong without a failed case."""

import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

import cases


def entry(name, result, stdout, suite="unit"):
    return {"name": f"retrace:{suite} / {name}", "result": result, "stdout": stdout, "duration": 0.5}


class Report(unittest.TestCase):
    def report(self, entries, *options):
        """Returns (exit status, lines printed)."""
        with tempfile.TemporaryDirectory() as folder:
            log = pathlib.Path(folder) / "testlog.json"
            log.write_text("".join(json.dumps(e) + "\n" for e in entries))
            command = [sys.executable, str(cases.ROOT / "tools" / "report.py"), *options, str(log)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        self.assertEqual(done.stderr, "")
        return done.returncode, done.stdout.splitlines()

    def test_sums(self):
        status, lines = self.report(
            [
                entry("core", "OK", "noise\ncore: 7 cases run, 2 skipped, 0 failed\n"),
                entry("data", "SKIP", "skipped: a: b\ndata: 0 cases run, 3 skipped, 0 failed\n"),
                entry("plain", "OK", "no counts"),
            ]
        )
        self.assertEqual((status, lines[-1]), (0, "8 passed, 0 failed, 5 skipped"))
        self.assertEqual(lines[1].split(), ["core", "7", "2", "0", "0.5"])

    def test_failed_cases(self):
        status, lines = self.report([entry("core", "FAIL", "core: 7 cases run, 0 skipped, 2 failed\n")])
        self.assertEqual((status, lines[-1]), (1, "5 passed, 2 failed, 0 skipped"))

    def test_a_crash_is_a_failed_case(self):
        status, lines = self.report([entry("core", "ERROR", "Segmentation fault")])
        self.assertEqual((status, lines[-1]), (1, "0 passed, 1 failed, 0 skipped"))
        status, lines = self.report([entry("core", "TIMEOUT", "core: 7 cases run, 0 skipped, 0 failed\n")])
        self.assertEqual((status, lines[-1]), (1, "7 passed, 1 failed, 0 skipped"))

    def test_a_suite_without_cases(self):
        status, lines = self.report(
            [
                entry("core", "OK", "core: 0 cases run, 0 skipped, 0 failed\n"),
                entry("nn", "OK", "nn: 1 cases run, 0 skipped, 0 failed\n"),
            ]
        )
        self.assertEqual((status, lines[-1]), (1, "1 passed, 1 failed, 0 skipped"))
        self.assertIn("ran no case", lines[1])
        status, lines = self.report([entry("core", "FAIL", "core: 0 cases run, 0 skipped, 0 failed\n")])
        self.assertEqual((status, lines[-1]), (1, "0 passed, 1 failed, 0 skipped"))

    def test_too_many_skips(self):
        tests = [entry("core", "OK", "core: 7 cases run, 2 skipped, 0 failed\n")]
        self.assertEqual(self.report(tests, "--skips", "2")[0], 0)
        status, lines = self.report(tests, "--skips", "1")
        self.assertEqual((status, lines[-1]), (1, "7 passed, 0 failed, 2 skipped"))
        self.assertEqual(lines[-2], "2 cases were skipped, and 1 may be")

    def test_parity_rows_that_pass_are_one_line(self):
        good = [entry(name, "OK", "parity: 2 cases run, 1 skipped, 0 failed\n", "parity") for name in ("P01", "P02")]
        status, lines = self.report([entry("core", "OK", "core: 7 cases run, 0 skipped, 0 failed\n"), *good])
        self.assertEqual((status, lines[-1]), (0, "11 passed, 0 failed, 2 skipped"))
        self.assertEqual(lines[2].split(), ["parity,", "2", "rows", "4", "2", "0", "1.0"])
        self.assertEqual(len(lines), 4)
        bad = entry("P03", "FAIL", "parity: 1 cases run, 0 skipped, 1 failed\n", "parity")
        empty = entry("P04", "FAIL", "parity: 0 cases run, 0 skipped, 0 failed\n", "parity")
        status, lines = self.report([*good, bad, empty])
        self.assertEqual((status, lines[-1]), (1, "4 passed, 2 failed, 2 skipped"))
        self.assertEqual(lines[1].split(), ["P03", "1", "0", "1", "0.5"])
        self.assertEqual(lines[2].split()[0], "P04")

    def test_no_test_at_all(self):
        status, lines = self.report([])
        self.assertEqual((status, lines[-1]), (1, "0 passed, 0 failed, 0 skipped"))


cases.main("project-report")
