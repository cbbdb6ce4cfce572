"""Programs outside of the tree use retrace each way that is promised: pkg-config, CMake, Meson, and as a subproject.

An installed copy is made of the build folder, in a place for which it was not configured: it must be relocatable.

Usage: consumer_test.py BUILD_FOLDER SANITIZER COMPILER...
"""

import concurrent.futures
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

import cases
import check_includes

BUILD = pathlib.Path(sys.argv[1])
SANITIZER = sys.argv[2]
COMPILER = sys.argv[3:]
CONSUMER = cases.ROOT / "tests" / "project" / "consumer"
CONSUMER_GPU = cases.ROOT / "tests" / "project" / "consumer_gpu"
PRINTED = """d tanh([0, 0.5, -1]) = tensor([1, 0.786448, 0.419974], f64)
x was released, and came back
a report was written
[reshape] 3 elements must stay as many, got [2,2] for [3]
"""

ON_A_GPU = r"on the GPU|\[cuda\] (retrace must have been built with CUDA|a driver|the machine must have a GPU).*"


def run(*command, cwd=None, env=None):
    """Runs a command, which must succeed, and returns what it printed."""
    command = [str(part) for part in command]
    done = subprocess.run(command, cwd=cwd, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode != 0:
        raise AssertionError(f"exit status {done.returncode} of {' '.join(command)}\n{done.stdout}")
    return done.stdout


@unittest.skipIf(SANITIZER != "none", f"needs a library without sanitizers, got {SANITIZER}")
class Consumer(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        run("meson", "install", "-C", BUILD, "--no-rebuild", "--quiet", "--destdir", cls.folder / "installed")
        (pc,) = (cls.folder / "installed").rglob("retrace.pc")
        cls.lib = pc.parent.parent
        (header,) = (cls.folder / "installed").rglob("retrace/core/tensor.h")
        cls.include = header.parent.parent.parent
        cls.env = {
            **os.environ,
            "CXX": " ".join(COMPILER),
            "PKG_CONFIG_PATH": str(pc.parent),
            "LD_LIBRARY_PATH": str(cls.lib),
            "CMAKE_PREFIX_PATH": str(cls.include.parent),
        }

    def copy_of(self, source):
        folder = self.folder / self.id() / source.name
        shutil.copytree(source, folder)
        return folder

    def copy_of_consumer(self):
        return self.copy_of(CONSUMER)

    def check_program(self, program, shared):
        self.assertEqual(run(program, env=self.env), PRINTED)
        self.assertEqual("libretrace.so" in run("ldd", program, env=self.env), shared)

    def test_installed_headers(self):
        public = check_includes.public_headers(cases.ROOT)
        installed = [p.relative_to(self.include / "retrace").as_posix() for p in self.include.rglob("*") if p.is_file()]
        self.assertEqual(sorted(installed), sorted(public), "meson setup --reconfigure reads the list of headers anew")

    def test_each_header_alone(self):
        def compile_header(header):
            flags = ["-std=c++20", "-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Werror", f"-I{self.include}"]
            main = self.folder / (header.replace("/", "_") + ".cpp")
            main.write_text(f"#include <retrace/{header}>\n")
            run(*COMPILER, *flags, "-fsyntax-only", main)

        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            list(pool.map(compile_header, check_includes.public_headers(cases.ROOT)))

    @unittest.skipUnless(shutil.which("make"), "needs make")
    def test_pkg_config_shared(self):
        folder = self.copy_of_consumer()
        run("make", cwd=folder, env=self.env)
        self.check_program(folder / "consumer", shared=True)

    @unittest.skipUnless(shutil.which("make"), "needs make")
    def test_pkg_config_static(self):
        folder = self.copy_of_consumer()
        run("make", "STATIC=1", cwd=folder, env=self.env)
        self.check_program(folder / "consumer", shared=False)

    def check_gpu_program(self, program):
        """Runs on a GPU, or says why not."""
        self.assertRegex(run(program, env=self.env), rf"\A({ON_A_GPU})\n\Z")

    def test_gpu_pkg_config(self):
        flags = run("pkg-config", "--cflags", "--libs", "retrace-cuda", env=self.env).split()
        program = self.folder / "gpu"
        run(*COMPILER, CONSUMER_GPU / "main.cpp", "-o", program, *flags, env=self.env)
        self.check_gpu_program(program)

    @unittest.skipUnless(shutil.which("cmake"), "needs cmake")
    def test_gpu_cmake(self):
        folder = self.copy_of(CONSUMER_GPU)
        for name, options in (("shared", []), ("static", ["-Dretrace_USE_STATIC_LIBS=ON"])):
            run("cmake", "-S", folder, "-B", folder / name, *options, env=self.env)
            run("cmake", "--build", folder / name, env=self.env)
            self.check_gpu_program(folder / name / "consumer")

    def test_gpu_meson(self):
        folder = self.copy_of(CONSUMER_GPU)
        run("meson", "setup", folder / "build", folder, env=self.env)
        run("ninja", "-C", folder / "build", env=self.env)
        self.check_gpu_program(folder / "build" / "consumer")

    @unittest.skipUnless(shutil.which("cmake"), "needs cmake")
    def test_cmake(self):
        folder = self.copy_of_consumer()
        for name, options, shared in (("shared", [], True), ("static", ["-Dretrace_USE_STATIC_LIBS=ON"], False)):
            run("cmake", "-S", folder, "-B", folder / name, *options, env=self.env)
            run("cmake", "--build", folder / name, env=self.env)
            self.check_program(folder / name / "consumer", shared)

    @unittest.skipUnless(shutil.which("cmake"), "needs cmake")
    def test_cmake_refuses_another_version(self):
        folder = self.copy_of_consumer()
        lists = folder / "CMakeLists.txt"
        for version in ("0.0", "0.1.999", "0.2", "1.0"):
            lists.write_text((CONSUMER / "CMakeLists.txt").read_text().replace("retrace 0.1 ", f"retrace {version} "))
            with self.assertRaisesRegex(AssertionError, "compatible with requested"):
                run("cmake", "-S", folder, "-B", folder / version, env=self.env)

    def test_meson(self):
        folder = self.copy_of_consumer()
        run("meson", "setup", folder / "build", folder, env=self.env)
        run("ninja", "-C", folder / "build", env=self.env)
        self.check_program(folder / "build" / "consumer", shared=True)

    def test_only_static_needs_no_further_flags(self):
        others = [f"-D{what}=disabled" for what in ("tests", "cli", "examples", "benchmarks")]
        run("meson", "setup", self.folder / "static", cases.ROOT, "-Ddefault_library=static", *others, env=self.env)
        pc = (self.folder / "static" / "meson-private" / "retrace.pc").read_text().splitlines()
        self.assertIn("Requires: fmt, zlib", pc)
        (libs,) = (line for line in pc if line.startswith("Libs: "))
        self.assertIn("-lretrace -fopenmp", libs)

    def subproject(self, folder):
        """A project in `folder` with retrace in its subprojects, and the environment that it is set up in."""
        (folder / "subprojects").mkdir(parents=True, exist_ok=True)
        for name in ("main.cpp", "meson.build"):
            if not (folder / name).exists() or (folder / name).read_bytes() != (CONSUMER / name).read_bytes():
                shutil.copyfile(CONSUMER / name, folder / name)
        link = folder / "subprojects" / "retrace"
        link.unlink(missing_ok=True)
        link.symlink_to(cases.ROOT)
        return {**os.environ, "CXX": self.env["CXX"]}  # nothing that leads to the installed copy

    def test_subproject(self):
        folder = BUILD / "tests" / "project" / "subproject"  # stays, so that only the first time takes long
        env = self.subproject(folder)
        build = folder / "debug"  # Meson's default, which is not retrace's
        if not (build / "build.ninja").exists():
            quicker = ("--unity=subprojects", "--unity-size=1000")
            run("meson", "setup", build, folder, "--force-fallback-for=retrace", *quicker, env=env)
        self.check_optimised(build)
        run("ninja", "-C", build, env=env)
        self.assertEqual(run(build / "consumer", env=env), PRINTED)

        targets = json.loads(run("meson", "introspect", "--targets", build))
        self.assertEqual([t["name"] for t in targets if t["type"] == "executable"], ["consumer"])
        commands = json.loads((build / "compile_commands.json").read_text())
        (command,) = (c["command"] for c in commands if c["file"].endswith("main.cpp"))
        for leak in ("EIGEN_", "-march", "-fopenmp", "fmt"):
            self.assertNotIn(leak, command)

    def check_optimised(self, build):
        """All of the library is compiled with -O3, and nothing by nvcc."""
        commands = json.loads((build / "compile_commands.json").read_text())
        sources = {c["file"]: c["command"].split() for c in commands if "subprojects/retrace/" in c["file"]}
        self.assertGreater(len(sources), 40)
        for file, command in sources.items():
            self.assertEqual([word for word in command if word.startswith("-O")][-1:], ["-O3"], file)
        self.assertNotIn("nvcc", (build / "build.ninja").read_text())

    def test_subproject_warns_where_it_is_slow(self):
        folder = self.folder / "slow"
        env = {**self.subproject(folder), "CXXFLAGS": "-O1"}
        said = run("meson", "setup", folder / "build", folder, "--force-fallback-for=retrace", env=env)
        self.assertIn("WARNING: retrace is compiled with -O1 of cpp_args, which makes its kernels slow", said)

    @unittest.skipUnless(shutil.which("cmake"), "needs cmake")
    def test_cmake_cannot_add_the_source(self):
        folder = self.folder / "added"
        folder.mkdir()
        (folder / "CMakeLists.txt").write_text(
            "cmake_minimum_required(VERSION 3.16)\nproject(user LANGUAGES CXX)\n"
            f"add_subdirectory({cases.ROOT} retrace)\n"
        )
        with self.assertRaisesRegex(AssertionError, r"retrace is built by Meson.*\n.*Install\s+it"):
            run("cmake", "-S", folder, "-B", folder / "build", env=self.env)


cases.main("project-consumer")
