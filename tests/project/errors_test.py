"""tools/check_errors.py: every error of this tree is tested, and one that is not is found."""

import pathlib
import tempfile
import unittest

import cases
import check_errors


class Errors(unittest.TestCase):
    def complaints(self, source, test):
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            for name, text in (("core/a.cpp", source), ("tests/core/a_test.cpp", test)):
                (root / name).parent.mkdir(parents=True)
                (root / name).write_text(text)
            return check_errors.check(root)

    def test_this_tree(self):
        count, complaints = check_errors.check(cases.ROOT)
        self.assertEqual(complaints, [])
        self.assertGreater(count, 200)

    def test_an_untested_error_is_found(self):
        source = 'void f() {\n  fail<ShapeError>("conv2d", "x must have {} "\n      "channels, got {}", a, b);\n}\n'
        self.assertEqual(self.complaints(source, '"[conv2d] x must have 3 channels, "\n      "got 4"'), (1, []))
        count, complaints = self.complaints(source, '"x must have"')
        self.assertEqual(count, 1)
        self.assertEqual(complaints, ["core/a.cpp:2: no test has this text: x must have {} channels, got {}"])

    def test_a_text_in_several_literals_and_with_braces(self):
        source = 'fail<A>(kName, "keep the tape with {{.retain = true}}");'
        self.assertEqual(self.complaints(source, '"[x] keep the tape "\n  "with {.retain = true}"'), (1, []))
        self.assertEqual(len(self.complaints(source, "nothing")[1]), 1)


cases.main("errors")
