"""tools/check_includes.py accepts this tree and refuses each edge that is not in the picture."""

import pathlib
import subprocess
import sys
import tempfile
import unittest

import cases
import check_includes

GOOD = {
    "retrace.h": "#pragma once\n#include <retrace/report/recorder.h>\n#include <retrace/revnet/coupling.h>\n",
    "core/tensor.h": "#pragma once\n#include <cstdint>\n#include <vector>\n",
    "core/format.h": "#pragma once\n// Internal: why.\n#include <fmt/format.h>\n",
    "core/cpu/parallel.h": "#pragma once\n#include <omp.h>\n",
    "core/cpu/matmul.cpp": "#include <retrace/core/cpu/parallel.h>\n#include <Eigen/Core>\n",
    "autograd/tape.h": "#pragma once\n#include <retrace/core/tensor.h>\n",
    "autograd/tape.cpp": "#include <retrace/autograd/tape.h>\n#include <retrace/core/format.h>\n",
    "nn/module.h": "#include <retrace/autograd/tape.h>\n",
    "nn/weights.cpp": "#include <nlohmann/json.hpp>\n#include <zlib.h>\n#include <sys/stat.h>\n",
    "revnet/coupling.h": "#include <retrace/nn/module.h>\n",
    "report/recorder.h": "#include <retrace/autograd/tape.h>\n",
    "report/page_data.cpp": "#include <nlohmann/json.hpp>\n#include <retrace/report/recorder.h>\n",
    "cuda/device.h": "// Not in retrace.h: why.\n#include <retrace/core/tensor.h>\n",
    "cli/options.h": "#include <CLI/CLI.hpp>\n",
    "cli/main.cpp": "#include <retrace/cli/options.h>\n#include <retrace/cuda/device.h>\n#include <retrace/revnet/coupling.h>\n",
    "examples/one.cpp": "#include <retrace/retrace.h>\n#include <retrace/revnet/coupling.h>\n",
    "benchmarks/op.cpp": "#include <retrace/core/cpu/parallel.h>\n#include <retrace/cli/options.h>\n",
    "tests/support/catch.h": "#include <catch2/catch.hpp>\n",
    "tests/core/tensor_test.cpp": '#include "../support/catch.h"\n#include <retrace/core/format.h>\n',
}

BAD = [  # file, one line of it, part of the complaint
    ("core/a.cpp", "#include <retrace/autograd/tape.h>", "core must not know autograd"),
    ("core/a.h", "#include <retrace/nn/module.h>", "core must not know nn"),
    ("autograd/ops/a.cpp", "#include <retrace/nn/module.h>", "autograd must not know nn"),
    ("autograd/a.cpp", "#  include   <retrace/revnet/coupling.h>", "autograd must not know revnet"),
    ("nn/a.cpp", "#include <retrace/revnet/coupling.h>", "nn must not know revnet"),
    ("revnet/a.cpp", "#include <retrace/cuda/device.h>", "revnet must not know cuda"),
    ("core/a.cpp", "#include <retrace/cuda/device.h>", "core must not know cuda"),
    ("report/a.cpp", "#include <retrace/nn/module.h>", "report must not know nn"),
    ("autograd/a.cpp", "#include <retrace/report/recorder.h>", "autograd must not know report"),
    ("cuda/a.cu", "#include <retrace/autograd/tape.h>", "cuda must not know autograd"),
    ("nn/a.cpp", "#include <retrace/cli/options.h>", "nn must not know cli"),
    ("cli/a.cpp", "#include <retrace/benchmarks/op.cpp>", "cli must not know benchmarks"),
    ("examples/a.cpp", "#include <retrace/cli/options.h>", "examples must not know cli"),
    ("examples/a.cpp", "#include <retrace/core/format.h>", "core/format.h is not installed"),
    ("cli/a.cpp", "#include <retrace/tests/support/catch.h>", "cli must not know tests"),
    ("nn/a.cpp", "#include <retrace/retrace.h>", "nn must not know retrace.h"),
    ("retrace.h", "#include <retrace/cuda/device.h>", "retrace.h must not know cuda"),
    ("retrace.h", "#include <retrace/core/format.h>", "retrace.h is installed and core/format.h is not"),
    ("retrace.h", "#include <Eigen/Core>", "standard headers only, not <Eigen/Core>"),
    ("core/a.cpp", '#include "tensor.h"', "write <retrace/...>"),
    ("cli/a.cpp", '#include "options.h"', "write <retrace/...>"),
    ("core/a.cpp", "#include <retrace/core/Tensor.h>", "there is no core/Tensor.h"),
    ("core/a.cpp", "#include <retrace/tensor.h>", "there is no tensor.h"),
    ("core/a.h", "#include <retrace/core/format.h>", "core/a.h is installed and core/format.h is not"),
    ("autograd/a.h", "#include <retrace/core/cpu/parallel.h>", "core/cpu/parallel.h is not"),
    ("core/a.h", "#include <Eigen/Core>", "standard headers only, not <Eigen/Core>"),
    ("core/a.h", "#include <fmt/core.h>", "standard headers only, not <fmt/core.h>"),
    ("core/a.h", "#include <omp.h>", "standard headers only, not <omp.h>"),
    ("core/a.cpp", "#include <fmt/ostream.h>", "in core/format.h only"),
    ("nn/a.cpp", "#include <Eigen/Dense>", "in core/ only"),
    ("nn/a.cpp", "#include <omp.h>", "in core/ only"),
    ("core/a.cpp", "#include <nlohmann/json.hpp>", "in nn/ and report/ only"),
    ("revnet/a.cpp", "#include <CLI/CLI.hpp>", "in no folder of the library only"),
]


def write_tree(root, files):
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


class Includes(unittest.TestCase):
    def test_this_tree(self):
        count, complaints = check_includes.check(cases.ROOT)
        self.assertEqual(complaints, [])
        self.assertGreater(count, 0)
        self.assertEqual(check_includes.check_whole(cases.ROOT), [])

    def test_good_edges_are_accepted(self):
        with tempfile.TemporaryDirectory() as folder:
            write_tree(pathlib.Path(folder), GOOD)
            self.assertEqual(check_includes.check(pathlib.Path(folder)), (len(GOOD), []))
            self.assertEqual(check_includes.check_whole(pathlib.Path(folder)), [])

    def test_each_bad_edge_is_refused(self):
        for file, line, complaint in BAD:
            with self.subTest(file=file, line=line), tempfile.TemporaryDirectory() as folder:
                write_tree(pathlib.Path(folder), {**GOOD, file: "#pragma once\n" + line + "\n"})
                _, complaints = check_includes.check(pathlib.Path(folder))
                self.assertEqual(len(complaints), 1, complaints)
                self.assertTrue(complaints[0].startswith(f"{file}:2: "), complaints[0])
                self.assertIn(complaint, complaints[0])

    def test_each_public_header_is_in_retrace_h_or_says_why_not(self):
        for file, text, complaint in (("nn/data/a.h", "#pragma once\n", "neither in retrace.h nor does it say why not"),
                                      ("core/tensor.h", "// Not in retrace.h: why.\n", "retrace.h includes it after all")):
            with self.subTest(file=file), tempfile.TemporaryDirectory() as folder:
                write_tree(pathlib.Path(folder), {**GOOD, file: text})
                self.assertEqual(check_includes.check_whole(pathlib.Path(folder)), [f"{file}:1: {complaint}"])

    def test_internal_headers_are_not_public(self):
        with tempfile.TemporaryDirectory() as folder:
            write_tree(pathlib.Path(folder), GOOD)
            public = check_includes.public_headers(pathlib.Path(folder))
        self.assertEqual(public, ["retrace.h", "core/tensor.h", "autograd/tape.h", "nn/module.h", "revnet/coupling.h", "report/recorder.h", "cuda/device.h"])

    def test_exit_status(self):
        script = [sys.executable, str(cases.ROOT / "tools" / "check_includes.py")]
        with tempfile.TemporaryDirectory() as folder:
            write_tree(pathlib.Path(folder), GOOD)
            self.assertEqual(subprocess.run([*script, folder], capture_output=True, check=False).returncode, 0)
            write_tree(pathlib.Path(folder), {"core/a.cpp": "#include <retrace/nn/module.h>\n"})
            self.assertEqual(subprocess.run([*script, folder], capture_output=True, check=False).returncode, 1)
        with tempfile.TemporaryDirectory() as empty:
            self.assertEqual(subprocess.run([*script, empty], capture_output=True, check=False).returncode, 1)


cases.main("project-includes")
