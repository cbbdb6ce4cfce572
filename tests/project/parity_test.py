"""The table of parity rows, and the scripts that run it and break it, on tables made up here."""

import json
import pathlib
import tempfile
import unittest

import cases
import parity
import parity_break
import parity_table
from parity_table import Break, Row, TableError
from report import Suite

ENTRY = {
    "row": "P12",
    "promise": "halves",
    "differs": True,
    "test": "parity_tests",
    "break": {"name": "thirds", "file": "a.cpp", "find": "/ 2", "replace": "/ 3"},
}


def row(name="P12", differs=False, find="/ 2"):
    return Row(name, "halves", differs, "parity_tests", Break("thirds", "a.cpp", find, "/ 3"))


class Table(unittest.TestCase):
    def test_breaks_of_this_tree_fit_their_files(self):
        for entry in parity_table.read_rows(cases.ROOT / "tests" / "parity"):
            with self.subTest(row=entry.row):
                text = (cases.ROOT / entry.change.file).read_text(encoding="utf-8")
                self.assertNotEqual(parity_break.broken_text(text, entry.change), text)

    def test_every_promise_has_a_row(self):
        rows = [entry.row for entry in parity_table.read_rows(cases.ROOT / "tests" / "parity")]
        self.assertEqual(rows, parity_table.PROMISED)

    def test_a_row_stands_once(self):
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name, "rows")
            folder.mkdir()
            for file in ("a.json", "b.json"):
                (folder / file).write_text(json.dumps([ENTRY]))
            with self.assertRaisesRegex(TableError, "b.json: P12 stands in the table twice"):
                parity_table.read_rows(pathlib.Path(name))

    def test_every_case_of_this_tree_belongs_to_a_row(self):
        folder = cases.ROOT / "tests" / "parity"
        rows = {entry.row for entry in parity_table.read_rows(folder)}
        self.assertEqual(set(parity_table.names_by_row(folder)), rows)

    def test_entries(self):
        self.assertEqual(parity_table.read_row(ENTRY, "x.json"), row(differs=True))
        for bad, complaint in (
            ({"row": "P15"}, "there is no row P15"),
            ({"test": "nn"}, "test must be one of parity_tests, cli, got nn"),
            ({"break": {"name": "thirds"}}, "a row must have"),
            ({"break": {**ENTRY["break"], "replace": "/ 2"}}, "the break changes nothing"),
        ):
            with self.subTest(complaint=complaint), self.assertRaisesRegex(TableError, complaint):
                parity_table.read_row({**ENTRY, **bad}, "x.json")

    def test_names_of_cases(self):
        self.assertEqual(
            parity_table.cpp_cases('TEST_CASE("[P12] one \\"two\\"", "[P12]") {}\nTEST_CASE(\n    "[P13] a "\n    "b", "[P13]")'),
            ['[P12] one \\"two\\"', "[P13] a b"],
        )
        self.assertEqual(
            parity_table.python_cases("class P56(Case):\n  def test_log(self): pass\n  def helper(self): pass"),
            ["[P56] test_log"],
        )

    def test_choice(self):
        rows = [row("P12"), row("P13")]
        self.assertEqual(parity_table.chosen(rows, []), rows)
        self.assertEqual(parity_table.chosen(rows, ["P13"]), rows[1:])
        with self.assertRaisesRegex(TableError, "no such row in the table: P99"):
            parity_table.chosen(rows, ["P12", "P99"])


class Show(unittest.TestCase):
    def table(self, names, *suites, promised=("P12",)):
        lines, well = parity.table([row(differs=True)], names, {suite.name: suite for suite in suites}, promised)
        return lines[0].split()[2], lines, well

    def test_a_row_that_holds(self):
        word, lines, well = self.table({"P12": ["one", "two"]}, Suite("P12", 1, 1, 0, 0.25))
        self.assertTrue(well)
        self.assertEqual(lines[0].split(), ["P12", "D", "holds", "0.2", "s", "halves"])
        self.assertEqual([line.strip() for line in lines[1:3]], ["- one", "- two"])

    def test_rows_that_do_not(self):
        for names, suites, expected in (
            ({}, [Suite("P12", 1, 0, 0, 1)], "NO"),
            ({"P12": ["one"]}, [], "NO"),
            ({"P12": ["one"]}, [Suite("P12", 1, 0, 1, 1)], "FAILED"),
            ({"P12": ["one"]}, [Suite("P12", 1, 0, 0, 1, "ended with TIMEOUT")], "FAILED"),
            ({"P12": ["one"]}, [Suite("P12", 2, 0, 0, 1)], "MISCOUNTED"),
            ({"P12": ["one"]}, [Suite("P12", 0, 1, 0, 1)], "skipped"),
        ):
            with self.subTest(expected=expected, names=names):
                word, _, well = self.table(names, *suites)
                self.assertEqual((word, well), (expected, False))

    def test_a_promise_without_a_row(self):
        _, lines, well = self.table({"P12": ["one"]}, Suite("P12", 1, 0, 0, 1), promised=("P12", "P13"))
        self.assertFalse(well)
        self.assertIn("P13    NO ROW", lines)


class Breaks(unittest.TestCase):
    def test_the_text_must_occur_once(self):
        self.assertEqual(parity_break.broken_text("a / 2;", row().change), "a / 3;")
        for text, count in (("a", 0), ("a / 2 / 2", 2)):
            with self.assertRaisesRegex(TableError, f"must occur once, and occurs {count} times"):
                parity_break.broken_text(text, row().change)

    def test_verdicts(self):
        for before, complaints, after, expected in (
            (0, "", 1, "red"),
            (0, "", -11, "red"),
            (0, "", 0, "STILL GREEN"),
            (0, "", 4, "NO CASE RAN"),
            (0, "", 77, "NO CASE RAN"),
            (0, "error: x", None, "DOES NOT BUILD"),
            (1, "", 1, "NOT GREEN BEFORE"),
        ):
            self.assertEqual(parity_break.verdict(before, complaints, after), expected)

    def test_report(self):
        red, green = (parity_break.Outcome(row(), verdict, 1.0) for verdict in ("red", "STILL GREEN"))
        lines, well = parity_break.report([red])
        self.assertTrue(well)
        self.assertEqual(lines[-1], "1 of 1 tests turned red when what they guard was broken")
        lines, well = parity_break.report([red, green])
        self.assertFalse(well)
        self.assertIn("STILL GREEN", lines[1])
        self.assertFalse(parity_break.report([])[1])


cases.main("project-parity")
