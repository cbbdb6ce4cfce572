"""A copy of the tree in which the scripts that break retrace do so, compile it and run its tests.

The copy holds what git tracks and what it does not ignore; it is kept between runs, so that only what has changed is
compiled. The user's own files are only read.
"""

import contextlib
import os
import shutil
import subprocess
import sys

HUNG = -1  # no program's exit status


class WorkshopError(Exception):
    """There is nothing to break; the text is a sentence for who called."""


def say(text):
    print(text, file=sys.stderr, flush=True)


def write_if_other(path, content):
    """Leaves the file's time alone where nothing changes, so that nothing is compiled again."""
    if path.is_file() and path.read_bytes() == content:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def copy_tree(root, copy):
    """Makes `copy` hold the files of the work tree at `root` that git tracks or would, no others, and its own build/."""
    listing = ["git", "-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(listing, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise WorkshopError(f"a break is made in a copy of what git lists, and git says: {done.stderr.strip()}")
    names = {name for name in done.stdout.split("\0") if name and (root / name).is_file()}
    for name in names:
        write_if_other(copy / name, (root / name).read_bytes())
        shutil.copymode(root / name, copy / name)
    for path in copy.rglob("*"):
        name = path.relative_to(copy)
        if path.is_file() and str(name) not in names and name.parts[0] != "build" and "__pycache__" not in name.parts:
            path.unlink()


class Workshop:
    """The copy of the tree and its build folder."""

    def __init__(self, root, folder):
        self.source = folder / "source"
        self.build = self.source / "build"  # as in the user's tree: a compiler's cache knows the files again
        copy_tree(root, self.source)

    def set_up(self, options):
        """Configures; an existing folder configures itself anew when it is built."""
        if (self.build / "build.ninja").is_file():
            return
        done = subprocess.run(["meson", "setup", str(self.build), str(self.source), *options], check=False, capture_output=True, text=True)
        if done.returncode != 0:
            say(done.stdout)
            raise WorkshopError("the copy of the tree cannot be set up (Meson's own words are above)")

    def compile(self, targets):
        """Returns the compiler's complaints, empty when it built."""
        jobs = ["-j", os.environ["JOBS"]] if "JOBS" in os.environ else []
        command = ["ninja", "-C", str(self.build), *jobs, *targets]
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
        return "" if done.returncode == 0 else done.stdout + done.stderr

    def compile_whole(self, targets):
        """Builds the tree as it is."""
        complaints = self.compile(targets)
        if complaints:
            say(complaints[-4000:])
            raise WorkshopError("the tree does not build as it is (the compiler's words are above)")

    def run(self, command, seconds, variables=None):
        """The exit status of a test, HUNG after so many seconds."""
        environment = {**os.environ, **(variables or {})}
        try:
            return subprocess.run(command, capture_output=True, check=False, timeout=seconds, env=environment).returncode
        except subprocess.TimeoutExpired:
            return HUNG

    @contextlib.contextmanager
    def changed(self, file, change):
        """The file holds change(its text) inside; afterwards it is whole, and the next build compiles it again."""
        path = self.source / file
        if not path.is_file():
            raise WorkshopError(f"there is no file {file} to break")
        whole = path.read_text(encoding="utf-8")
        try:
            path.write_text(change(whole), encoding="utf-8")
            yield
        finally:
            path.write_text(whole, encoding="utf-8")
