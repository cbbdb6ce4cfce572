"""The script `run` on machines where something is missing: each gets a sentence that says what to do."""

import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

import cases

TOOLS = ("bash", "dirname", "cat", "env")  # what the script uses before it installs anything


class Run(unittest.TestCase):
    def setUp(self):
        self.bin = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        for tool in TOOLS:
            (self.bin / tool).symlink_to(shutil.which(tool))

    def fake(self, name, script):
        """Puts a program of that name on the PATH, beside TOOLS."""
        (self.bin / name).write_text(f"#!{shutil.which('bash')}\n{script}\n")
        (self.bin / name).chmod(0o755)

    def run_script(self, *arguments):
        """Returns (exit status, standard output, standard error)."""
        done = subprocess.run(
            [shutil.which("bash"), str(cases.ROOT / "run"), *arguments],
            env={**os.environ, "PATH": str(self.bin)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout, done.stderr

    def test_help(self):
        for arguments in ([], ["help"], ["-h"], ["--help"]):
            status, out, _ = self.run_script(*arguments)
            self.assertEqual(status, 0)
            for command in ("demo", "test", "parity", "build", "bench", "format", "tidy", "docs", "packages"):
                self.assertRegex(out, rf"(?m)^  {command}\b")

    def test_every_command_is_in_the_help(self):
        script = (cases.ROOT / "run").read_text(encoding="utf-8")
        commands = re.findall(r"^  (\w+)\) ", script[script.rindex("case $command in") :], re.MULTILINE)
        self.assertGreaterEqual(len(commands), 7)
        _, out, _ = self.run_script("--help")
        for command in commands:
            self.assertRegex(out, rf"(?m)^  {command}\b")

    def test_unknown_command(self):
        status, out, err = self.run_script("tset")
        self.assertEqual((status, out), (2, ""))
        self.assertIn("there is no command 'tset'", err)
        self.assertIn("Usage: ./run", err)

    def test_missing_packages_without_root_or_sudo(self):
        self.fake("dpkg-query", '[ "${!#}" != cmake ] && echo -n installed')
        self.fake("id", "echo 1000")
        status, _, err = self.run_script("packages")
        self.assertEqual(status, 1)
        self.assertIn("there is no sudo here", err)
        self.assertIn("run: apt-get install cmake\n", err)

    def test_sudo_that_cannot_ask(self):
        self.fake("dpkg-query", '[ "${!#}" != cmake ] && echo -n installed')
        self.fake("id", "echo 1000")
        self.fake("sudo", "exit 1")
        status, _, err = self.run_script("packages")
        self.assertEqual(status, 1)
        self.assertIn("there is no terminal to ask for it", err)
        self.assertIn("apt-get install cmake\n", err)

    def test_no_network(self):
        self.fake("dpkg-query", '[ "${!#}" != cmake ] && echo -n installed')
        self.fake("id", "echo 0")
        self.fake("apt-get", "echo 'could not resolve deb.debian.org' >&2; exit 100")
        status, _, err = self.run_script("packages")
        self.assertEqual(status, 1)
        self.assertIn("could not resolve deb.debian.org", err)
        self.assertIn("connected to the network", err)

    def test_only_missing_packages_are_installed_and_only_then_sudo_asked(self):
        self.fake("dpkg-query", '[ "${!#}" != cmake ] && echo -n installed')
        self.fake("id", "echo 1000")
        self.fake("sudo", 'echo "sudo $*" >&2')
        status, _, err = self.run_script("packages")
        self.assertEqual(status, 0)
        self.assertRegex(err, r"(?m)^sudo .*apt-get install .* cmake$")
        self.fake("dpkg-query", "echo -n installed")
        self.fake("sudo", "echo asked; exit 1")
        self.assertEqual(self.run_script("packages"), (0, "", ""))

    def test_sections_of_the_list(self):
        self.fake("dpkg-query", "")
        self.fake("id", "echo 0")
        self.fake("apt-get", 'echo "apt-get $*" >&2')
        _, _, run = self.run_script("packages")
        _, _, ci = self.run_script("packages", "ci")
        _, _, docs = self.run_script("packages", "docs")
        for package in ("g++", "meson", "libeigen3-dev", "catch2"):
            self.assertIn(f" {package}", run)
            self.assertIn(f" {package}", ci)
        self.assertNotIn("clang", run)
        self.assertIn(" clang", ci)
        self.assertNotIn("sphinx", ci)
        self.assertIn(" python3-sphinx", docs)

    def test_another_system(self):
        status, _, err = self.run_script("packages")
        self.assertEqual(status, 1)
        self.assertIn("this is not Debian, and there is no 'c++'", err)
        self.assertIn("packages.txt", err)


cases.main("project-run")
