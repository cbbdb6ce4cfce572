"""tools/check_derivatives.py accepts this tree and refuses each way to hide memory in a derivative."""

import pathlib
import tempfile
import unittest

import cases
import check_derivatives

OP = """
Var scale(const Var& x, double factor%(parameters)s) {
  Tensor y = like(x.value());
  %(before)s
  kernel::scale_shift(x.value(), factor, 0, y);
  return record("scale", {x, x}, y, /*save=*/{y}, [%(captures)s](const Tensor& dy, Saved, const Wants& w) -> Tensors {
    Tensor dx = like(dy, Tag::gradient);
    for_each(w, [&](int i) { dx = dys[i]; });
    return {dx};
  });
}
"""


def complaints_of(captures, before="", parameters=""):
    count, complaints = check_derivatives.check_text(
        OP % {"captures": captures, "before": before, "parameters": parameters}
    )
    assert count == 1, f"{count} derivatives found in a text with one"
    return [text for _, text in complaints]


class Derivatives(unittest.TestCase):
    def test_this_tree(self):
        count, complaints = check_derivatives.check(cases.ROOT)
        self.assertEqual(complaints, [])
        self.assertGreater(count, 0)

    def test_numbers_are_accepted(self):
        self.assertEqual(complaints_of(""), [])
        self.assertEqual(complaints_of("factor, shape = x.shape()"), [])
        self.assertEqual(complaints_of("factor", before='const char* text = "[&]";'), [])
        self.assertEqual(complaints_of("n = rows * columns"), [])

    def test_references_are_refused(self):
        for captures in ("&", "&x", "factor, &x", "&y = x", "&, factor"):
            self.assertEqual(len(complaints_of(captures)), 1, captures)

    def test_defaults_and_objects_are_refused(self):
        for captures in ("=", "this", "*this", "=, this"):
            self.assertGreaterEqual(len(complaints_of(captures)), 1, captures)

    def test_pointers_are_refused(self):
        for captures in ("p = &y", "p = y.data<float>()", "p = owner.get()", "v = y.values<float>()", "r = std::ref(y)"):
            self.assertEqual(len(complaints_of(captures)), 1, captures)
        self.assertEqual(len(complaints_of("p", before="const float* p = y.data<float>();")), 1)
        self.assertEqual(len(complaints_of("s", before="std::span<const float> s = y.values<float>();")), 1)
        self.assertEqual(len(complaints_of("p", parameters=", Tensor* p")), 1)

    def test_a_pointer_of_another_function_is_not_meant(self):
        text = "void f(float* factor) {\n}\n" + OP % {"captures": "factor", "before": "", "parameters": ""}
        self.assertEqual(check_derivatives.check_text(text), (1, []))

    def test_a_derivative_outside_of_record_is_found(self):
        text = "auto derivative = [&y](const Tensor& dy, Saved saved, const Wants&) -> Tensors { return {dy}; };"
        self.assertEqual(len(check_derivatives.check_text(text)[1]), 1)
        text = 'return record("f", {x}, y, {}, [&](auto&&...) -> Tensors { return {}; });'
        self.assertEqual(len(check_derivatives.check_text(text)[1]), 1)
        text = "struct Hidden { Tensors operator()(const Tensor& dy, Saved saved, const Wants&) const; };"
        self.assertEqual(len(check_derivatives.check_text(text)[1]), 1)

    def test_complaints_name_file_and_line(self):
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            (root / "autograd" / "ops").mkdir(parents=True)
            (root / "autograd" / "ops" / "scale.cpp").write_text(OP % {"captures": "&x", "before": "", "parameters": ""})
            _, complaints = check_derivatives.check(root)
        self.assertEqual(len(complaints), 1)
        self.assertRegex(complaints[0], r"^autograd/ops/scale\.cpp:6: &x is a reference")


cases.main("project-derivatives")
