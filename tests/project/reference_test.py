"""tools/check_reference.py finds the names that a reference lacks; each public header stands on one page of it."""

import pathlib
import re
import tempfile
import unittest
import zlib

import cases
import check_includes
import check_reference

XML = """<doxygen>
<compounddef kind="class" prot="public"><compoundname>retrace::Kernel&lt; void(Args...)&gt;</compoundname>
  <sectiondef><memberdef kind="function" prot="public"><name>install</name></memberdef>
  <memberdef kind="function" prot="public"><name>operator()</name></memberdef>
  <memberdef kind="function" prot="protected"><name>enter</name></memberdef>
  <memberdef kind="variable" prot="private"><name>functions_</name></memberdef></sectiondef></compounddef>
<compounddef kind="struct" prot="private"><compoundname>retrace::Kernel::Hidden</compoundname></compounddef>
<compounddef kind="namespace"><compoundname>retrace</compoundname>
  <sectiondef><memberdef kind="enum" prot="public"><name>Sign</name><enumvalue><name>plus</name></enumvalue></memberdef>
  </sectiondef></compounddef>
<compounddef kind="class" prot="public"><compoundname>retrace::detail::RecordedOp</compoundname></compounddef>
</doxygen>"""
PUBLIC = {"retrace::Kernel", "retrace::Kernel::install", "retrace::Kernel::operator()", "retrace::Kernel::enter",
          "retrace::Sign", "retrace::Sign::plus"}


def inventory(*names):
    lines = [f"{name} cpp:function 1 page.html#$ -" for name in names] + ["page std:doc -1 page.html A page"]
    return b"# Sphinx inventory version 2\n# Project: x\n# Version:\n# zlib\n" + zlib.compress("\n".join(lines).encode())


def is_detail(header):
    """Whether all that a header declares is in the namespace `detail`, which the reference leaves out."""
    namespaces = re.findall(r"^namespace (\S+) \{", (cases.ROOT / header).read_text(), re.M)
    return namespaces != [] and set(namespaces) == {"retrace::detail"}


class Reference(unittest.TestCase):
    def test_public_names(self):
        with tempfile.TemporaryDirectory() as folder:
            (pathlib.Path(folder) / "a.xml").write_text(XML)
            self.assertEqual(check_reference.public_names(pathlib.Path(folder)), PUBLIC)

    def test_documented_names(self):
        names = check_reference.documented_names(inventory("retrace::Kernel<void(Args...)>::operator()", "retrace::operator<<", "a b"))
        self.assertEqual(names, {"retrace::Kernel::operator()", "retrace::operator<<", "ab"})

    def test_each_row_of_the_differences_has_a_test(self):
        rows = re.findall(r"^\| ([^|]+) \|", (cases.ROOT / "docs" / "reference" / "pytorch.md").read_text(), re.M)
        test = (cases.ROOT / "tests" / "nn" / "pytorch_differences_test.cpp").read_text()
        self.assertEqual(rows, re.findall(r'^TEST_CASE\("differs from PyTorch: ([^"]*)"', test, re.M))
        measured = (cases.ROOT / "tests" / "golden" / "differences.py").read_text()
        self.assertEqual(rows, re.findall(r'^    "([^"]*)": ', measured, re.M))

    def test_no_sentence_of_a_comment_becomes_a_list(self):
        """A line that begins with a number and a dot, or with + or *, is an entry of a list in Markdown. Ours begin with -."""
        for header in check_includes.public_headers(cases.ROOT):
            lines = re.findall(r"^ */// (?:\d+\.|[+*]) .*", (cases.ROOT / header).read_text(), re.M)
            self.assertEqual(lines, [], header)

    def test_each_operation_has_a_row_of_errors(self):
        """tests/autograd/op_errors_test.cpp has a row for each function of autograd/ops/*.h that returns a Var, Vars or a Tensor."""
        declared = set()
        for header in (cases.ROOT / "autograd" / "ops").glob("*.h"):
            if header.relative_to(cases.ROOT).as_posix() in check_includes.public_headers(cases.ROOT):
                declared |= set(re.findall(r"^(?:Var|Vars|Tensor) (\w+)\(", header.read_text(), re.M))
        rows = set(re.findall(r'(?:binary\(|unary\(|\{)"(\w+)",', (cases.ROOT / "tests" / "autograd" / "op_errors_test.cpp").read_text()))
        self.assertEqual(declared - {"conv2d_onto"} - rows, set())

    def test_each_public_header_is_on_one_page(self):
        shown = []
        for page in (cases.ROOT / "docs" / "reference").glob("*.md"):
            shown += re.findall(r"^```\{doxygenfile\} (\S+)$", page.read_text(), re.M)
        self.assertEqual(sorted(shown), sorted(header for header in check_includes.public_headers(cases.ROOT) if not is_detail(header)))


cases.main("reference")
