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


class Reference(unittest.TestCase):
    def test_public_names(self):
        with tempfile.TemporaryDirectory() as folder:
            (pathlib.Path(folder) / "a.xml").write_text(XML)
            self.assertEqual(check_reference.public_names(pathlib.Path(folder)), PUBLIC)

    def test_documented_names(self):
        names = check_reference.documented_names(inventory("retrace::Kernel<void(Args...)>::operator()", "retrace::operator<<", "a b"))
        self.assertEqual(names, {"retrace::Kernel::operator()", "retrace::operator<<", "ab"})

    def test_each_public_header_is_on_one_page(self):
        shown = []
        for page in (cases.ROOT / "docs" / "reference").glob("*.md"):
            shown += re.findall(r"^```\{doxygenfile\} (\S+)$", page.read_text(), re.M)
        self.assertEqual(sorted(shown), sorted(check_includes.public_headers(cases.ROOT)))


cases.main("reference")
