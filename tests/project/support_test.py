"""A test program must tell passed, failed, skipped and empty apart: in its last line and in its exit status."""

import subprocess
import sys
import unittest

import cases

PROGRAM = sys.argv[1]


class Support(unittest.TestCase):
    def run_cases(self, *tags):
        """Returns (exit status, all that was printed, the last line of standard output)."""
        done = subprocess.run([PROGRAM, *tags], capture_output=True, text=True, check=False)
        lines = done.stdout.splitlines()
        return done.returncode, done.stdout + done.stderr, lines[-1] if lines else ""

    def test_passed(self):
        status, _, line = self.run_cases("[.pass],[.stay]")
        self.assertEqual((status, line), (0, "support_cases: 2 cases run, 0 skipped, 0 failed"))

    def test_failed(self):
        status, _, line = self.run_cases("[.pass],[.fail],[.throw]")
        self.assertEqual(line, "support_cases: 3 cases run, 0 skipped, 2 failed")
        self.assertNotIn(status, (0, 77))

    def test_the_number_of_failures_is_no_exit_status(self):
        status, _, line = self.run_cases("[.often]")
        self.assertEqual((status, line), (1, "support_cases: 1 cases run, 0 skipped, 1 failed"))

    def test_skipped_beside_passed(self):
        status, text, line = self.run_cases("[.pass],[.skip]")
        self.assertEqual((status, line), (0, "support_cases: 1 cases run, 1 skipped, 0 failed"))
        self.assertIn("skipped: skips: needs a unicorn\n", text)

    def test_all_skipped(self):
        status, _, line = self.run_cases("[.skip]")
        self.assertEqual((status, line), (77, "support_cases: 0 cases run, 1 skipped, 0 failed"))

    def test_a_failure_is_never_hidden_by_a_skip(self):
        status, _, line = self.run_cases("[.mixed]")
        self.assertEqual(line, "support_cases: 1 cases run, 0 skipped, 1 failed")
        self.assertNotIn(status, (0, 77))

    def test_nothing_chosen(self):
        status, text, line = self.run_cases("[no such tag]")
        self.assertEqual(line, "support_cases: 0 cases run, 0 skipped, 0 failed")
        self.assertIn("no case was run", text)
        self.assertNotIn(status, (0, 77))

    def test_a_list_is_not_a_run(self):
        status, text, _ = self.run_cases("--list-tags", "[.pass]")
        self.assertNotIn("cases run", text)
        self.assertNotIn("no case was run", text)
        self.assertNotEqual(status, 4)


cases.main("project-support")
