"""What nvcc made of the kernels: no PTX has a trap.

Device code that reads what is on the host alone (an array that is constexpr, but not of the device) is no error with
--expt-relaxed-constexpr, and no warning: nvcc puts a trap in its place, and the kernel ends the context of the GPU.

Usage: ptx_test.py BUILD_FOLDER [NVCC ARGUMENTS...]; without nvcc all cases are skipped.
"""

import pathlib
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "project"))
import cases  # noqa: E402

KEPT = pathlib.Path(sys.argv[1]) / "cuda" / "kept"
COMPILE = sys.argv[2:]

READS_THE_HOST = """
constexpr int kTable[2] = {1, 2};
constexpr int read(int i) { return kTable[i % 2]; }
__global__ void reads_the_host(int* y) { y[0] = read(y[0]); }
"""


def traps(ptx):
    """The kernels of a text of PTX that have a trap."""
    kernel, found = "", []
    for line in ptx.splitlines():
        if ".entry" in line:
            kernel = line.split(".entry")[1].strip(" (")
        elif line.strip() == "trap;" and kernel not in found:
            found.append(kernel)
    return found


@unittest.skipUnless(COMPILE, "needs nvcc and GPUs to compile for")
class Ptx(unittest.TestCase):
    def test_no_kernel_has_a_trap(self):
        for source in sorted((cases.ROOT / "cuda").glob("*.cu")):
            kept = list(KEPT.glob(f"{source.stem}*.ptx"))
            with self.subTest(source.name):
                self.assertTrue(kept, "the build keeps its PTX")
            for file in kept:
                with self.subTest(file.name):
                    text = file.read_text(encoding="utf-8")
                    self.assertIn(".entry", text)
                    self.assertEqual(traps(text), [])

    def test_an_array_of_the_host_becomes_a_trap(self):
        with tempfile.TemporaryDirectory() as folder:
            source = pathlib.Path(folder) / "reads.cu"
            source.write_text(READS_THE_HOST, encoding="utf-8")
            ptx = source.with_suffix(".ptx")
            subprocess.run([*COMPILE, "-ptx", "-o", ptx, source], check=True)
            (kernel,) = traps(ptx.read_text(encoding="utf-8"))
            self.assertIn("reads_the_host", kernel)


cases.main("cuda-ptx")
