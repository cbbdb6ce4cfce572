"""The table of parity rows: tests/parity/rows/*.json and the names of the cases beside it.

A row is `{"row": "P12", "promise": "...", "differs": false, "test": "parity_tests" or "cli", "break": {...}}`; its break
is one source change that must turn the row's test red: `{"name": "...", "file": "...", "find": "...", "replace": "..."}`.
"""

import ast
import dataclasses
import json
import re

NUMBERS = [*range(1, 15), *range(20, 37), *range(40, 44), *range(50, 60)]
PROMISED = [f"P{number:02}" for number in NUMBERS]
TESTS = ("parity_tests", "cli")
PROGRAMS = {"parity_tests": "tests/parity/parity_tests", "cli": "cli/retrace"}


class TableError(Exception):
    """The table is not as it must be; the text is a sentence for whoever wrote it."""


@dataclasses.dataclass
class Break:
    name: str
    file: str
    find: str
    replace: str


@dataclasses.dataclass
class Row:
    row: str
    promise: str
    differs: bool
    test: str
    change: Break


def read_row(entry, source):
    """One entry of a table file, checked."""
    try:
        change = Break(**entry["break"])
        row = Row(entry["row"], entry["promise"], entry["differs"], entry["test"], change)
    except (KeyError, TypeError) as error:
        raise TableError(f"{source}: a row must have row, promise, differs, test and break: {error} in {entry}") from None
    if row.row not in PROMISED:
        raise TableError(f"{source}: there is no row {row.row}")
    if row.test not in TESTS:
        raise TableError(f"{source}: {row.row}: test must be one of {', '.join(TESTS)}, got {row.test}")
    if change.find == change.replace:
        raise TableError(f"{source}: {row.row}: the break changes nothing")
    return row


def read_rows(folder):
    """All rows of folder/rows/*.json, by number."""
    rows = {}
    for path in sorted((folder / "rows").glob("*.json")):
        try:
            entries = json.loads(path.read_text(encoding="utf-8"))
        except json.JSONDecodeError as error:
            raise TableError(f"{path.name}: {error}") from None
        for entry in entries:
            row = read_row(entry, path.name)
            if row.row in rows:
                raise TableError(f"{path.name}: {row.row} stands in the table twice")
            rows[row.row] = row
    return [rows[name] for name in sorted(rows)]


def chosen(rows, names):
    """The rows of these names, or all of them."""
    unknown = sorted(set(names) - {row.row for row in rows})
    if unknown:
        raise TableError(f"no such row in the table: {' '.join(unknown)}")
    return [row for row in rows if not names or row.row in names]


def cpp_cases(text):
    """The names of all TEST_CASEs of a source."""
    parts = re.findall(r'TEST_CASE\(\s*((?:"(?:[^"\\]|\\.)*"\s*)+)', text)
    return ["".join(re.findall(r'"((?:[^"\\]|\\.)*)"', literals)) for literals in parts]


def python_cases(text):
    """`[P56] test_name` for each test of each class that is named like a row."""
    classes = [node for node in ast.parse(text).body if isinstance(node, ast.ClassDef)]
    return [
        f"[{c.name}] {f.name}"
        for c in classes
        for f in c.body
        if isinstance(f, ast.FunctionDef) and f.name.startswith("test_")
    ]


def names_by_row(folder):
    """For each row, the names of its cases as the sources have them."""
    names = [name for path in sorted(folder.glob("*_test.cpp")) for name in cpp_cases(path.read_text(encoding="utf-8"))]
    cli = folder / "cli_test.py"
    if cli.is_file():
        names += python_cases(cli.read_text(encoding="utf-8"))
    by_row = {}
    for name in names:
        match = re.match(r"\[(P\d\d)\] (.*)", name, re.DOTALL)
        if match:
            by_row.setdefault(match[1], []).append(match[2])
    return by_row
