"""The copy of the tree in which breaks are made."""

import pathlib
import subprocess
import tempfile
import unittest

import cases
import parity_break
import workshop
from parity_table import Break, Row


class FakeWorkshop(workshop.Workshop):
    """Compiles nothing; what a compiler would have seen stands in `seen`."""

    def __init__(self, root, folder):
        super().__init__(root, folder)
        self.seen = []

    def compile(self, targets):
        self.seen.append((self.source / "a.cpp").read_text())
        return ""

    def run(self, command, seconds):
        return 1


class Copy(unittest.TestCase):
    def setUp(self):
        folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.tree, self.folder = folder / "tree", folder / "copy"
        self.tree.mkdir()
        for file, text in (("a.cpp", "half = a / 2;"), ("new.cpp", "b"), ("junk.o", "c"), (".gitignore", "*.o\n")):
            (self.tree / file).write_text(text)
        subprocess.run(["git", "init", "-q", str(self.tree)], check=True)
        subprocess.run(["git", "-C", str(self.tree), "add", "a.cpp"], check=True)

    def test_a_break_touches_the_copy_alone_and_is_reverted(self):
        shop = FakeWorkshop(self.tree, self.folder)
        self.assertEqual(sorted(p.name for p in shop.source.iterdir()), [".gitignore", "a.cpp", "new.cpp"])
        row = Row("P12", "halves", False, "parity_tests", Break("thirds", "a.cpp", "/ 2", "/ 3"))
        self.assertEqual(parity_break.break_row(shop, row, before=0).verdict, "red")
        self.assertEqual(shop.seen, ["half = a / 3;"])
        for folder in (self.tree, shop.source):
            self.assertEqual((folder / "a.cpp").read_text(), "half = a / 2;")

    def test_a_change_is_reverted_when_something_fails(self):
        shop = FakeWorkshop(self.tree, self.folder)
        with self.assertRaises(KeyboardInterrupt), shop.changed("a.cpp", str.upper):
            self.assertEqual((shop.source / "a.cpp").read_text(), "HALF = A / 2;")
            raise KeyboardInterrupt
        self.assertEqual((shop.source / "a.cpp").read_text(), "half = a / 2;")
        with self.assertRaisesRegex(workshop.WorkshopError, "there is no file b.cpp to break"), shop.changed("b.cpp", str.upper):
            pass

    def test_a_copy_follows_the_tree(self):
        source = FakeWorkshop(self.tree, self.folder).source
        (self.tree / "new.cpp").unlink()
        (source / "a.cpp").write_text("left broken by a run that was killed")
        FakeWorkshop(self.tree, self.folder)
        self.assertEqual((source / "a.cpp").read_text(), "half = a / 2;")
        self.assertFalse((source / "new.cpp").exists())
        written = (source / "a.cpp").stat().st_mtime_ns
        FakeWorkshop(self.tree, self.folder)
        self.assertEqual((source / "a.cpp").stat().st_mtime_ns, written)

    def test_a_folder_without_git(self):
        with tempfile.TemporaryDirectory() as name, self.assertRaisesRegex(workshop.WorkshopError, "and git says: fatal"):
            workshop.copy_tree(pathlib.Path(name), pathlib.Path(name, "copy"))


class Commands(unittest.TestCase):
    def test_a_test_that_hangs(self):
        with tempfile.TemporaryDirectory() as name:
            subprocess.run(["git", "init", "-q", name], check=True)
            shop = workshop.Workshop(pathlib.Path(name), pathlib.Path(name, "build-copy"))
            self.assertEqual(shop.run(["sh", "-c", "exit 3"], 60), 3)
            self.assertEqual(shop.run(["sleep", "60"], 0.1), workshop.HUNG)


cases.main("project-workshop")
