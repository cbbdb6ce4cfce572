#!/usr/bin/env python3
"""Compares the code and the output that documents show with the files and the programs that they come from.

A comment directly in front of a fenced block, which no reader sees, says where its text comes from:

    <!-- listing: FILE REGION -->   the lines of FILE between `// [REGION]` and `// [/REGION]` (`#` in Python, Meson,
                                    CMake), without their common indentation. A region that occurs several times is
                                    its parts, with an empty line between them. Without REGION: the whole file.
    <!-- source: FILE LINE -->      from the one line of FILE that begins so, indentation apart, to the end of the
                                    definition or statement that it begins (or that follows, if it is a comment)
    <!-- output: COMMAND -->        what the command prints
    <!-- slow output: COMMAND -->   the same of a command that takes more than a minute: not run by the tests
    <!-- numbers: COMMAND -->       in front of a table or a paragraph: each number in it, but in code, is one that the
                                    command prints
    <!-- numbers with FLAG: COMMAND -->  the same, on machines whose processor has that flag (as in /proc/cpuinfo)
    <!-- numbers with FILE: COMMAND -->  the same, where that file was built, which is below build/
    <!-- rows: COMMAND -->          in front of a table: each of its lines is one that the command prints; `with` as above
    <!-- not run: REASON -->        code that stands in no file

FILE and COMMAND are seen from the root of the repository; `build/` is the build folder. In output, `...` stands for
any text within a line, and on a line of its own for any lines. Code in C++, Python, CMake and Meson needs one of
these; shell lines are checked for the commands and options that they name.

Usage: check_listings.py [--outputs BUILD_FOLDER] [--write] [ROOT]
"""

import argparse
import functools
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import textwrap

CODE = {"cpp", "c++", "python", "cmake", "meson"}
FENCE = re.compile(r"^( *)(`{3,})(\S*)[^\n]*\n(.*?)^\1\2[ ]*$", re.M | re.S)
MARK = re.compile(r"<!-- (listing|source|output|slow output|not run): ([^\n]+?) -->\n\Z")
FIGURES = re.compile(r"^<!-- (numbers|rows)(?: with (\S+))?: ([^\n]*?) -->\n(.*?)(?:\n\n|\Z)", re.M | re.S)
NUMBER = re.compile(r"(?<![\w.])-?\d+(?:,\d{3})*(?:\.\d+)?(?:e[-+]?\d+)?(?![\w])")


class Block:
    """A fenced block of a page, and the mark in front of it."""

    def __init__(self, page, text, fence):
        mark = MARK.search(text, 0, fence.start())
        self.page, self.line = page, text.count("\n", 0, fence.start()) + 1
        self.indent, self.language, self.span = fence[1], fence[3], fence.span(4)
        self.text = textwrap.dedent(fence[4])
        self.kind, self.source = (mark[1], mark[2]) if mark else (None, "")

    def complaint(self, text):
        return f"{self.page}:{self.line}: {text}"


def pages(root):
    """The documents, relative to root."""
    found = [root / "README.md", root / "CONTRIBUTING.md", *sorted((root / "docs").rglob("*.md"))]
    return [path.relative_to(root).as_posix() for path in found if path.is_file()]


def blocks(page, text):
    """The fenced blocks of a page."""
    for fence in FENCE.finditer(text):
        yield Block(page, text, fence)


def region(text, name):
    """The parts of a text between the marks of a region; None where there is no such region."""
    parts, inside = [], None
    for line in text.splitlines(keepends=True):
        mark = re.fullmatch(r"\s*(?://|#) \[(/?)([\w-]+)\]\s*", line)
        if mark and mark[2] == name:
            if (inside is None) == (mark[1] == "/"):
                return None  # closed before it was opened, or opened twice
            if inside is not None:
                parts.append(textwrap.dedent("".join(inside)))
            inside = None if mark[1] else []
        elif inside is not None and not mark:
            inside.append(line)
    return "\n".join(parts) if parts and inside is None else None


def definition(text, first):
    """The statement, definition or element that begins with `first`; None unless one line begins so."""
    lines = text.splitlines(keepends=True)
    starts = [i for i, line in enumerate(lines) if line.lstrip().startswith(first)]
    if len(starts) != 1:
        return None
    depth = 0
    for end in range(starts[0], len(lines)):
        code = lines[end].split("//")[0].rstrip()
        depth += sum(code.count(open_) for open_ in "({[") - sum(code.count(close) for close in ")}]")
        if depth == 0 and code.endswith((";", "}", "},")):
            return textwrap.dedent("".join(lines[starts[0] : end + 1]))
    return None


def wanted(root, block):
    """What a listing must read, and what is wrong with its mark: one of the two is None."""
    file, _, name = block.source.partition(" ")
    if not (root / file).is_file():
        return None, f"there is no file {file}"
    text = (root / file).read_text(encoding="utf-8")
    if block.kind == "source":
        found = definition(text, name)
        return found, None if found is not None else f"{file} has no or several lines that begin with `{name}`"
    found = region(text, name) if name else text
    return found, None if found is not None else f"{file} has no region [{name}]"


def check_block(root, block):
    """What is wrong with one block, but for output; or None."""
    if block.kind in ("listing", "source"):
        text, wrong = wanted(root, block)
        if wrong is not None:
            return block.complaint(wrong)
        if text.strip("\n") != block.text.strip("\n"):
            return block.complaint(f"differs from {block.source}, which reads\n{text}")
        return None
    if block.language in CODE and block.kind != "not run":
        return block.complaint(f"this {block.language} needs a mark that says where it comes from")
    return None


def check(root):
    """Returns (number of marked blocks, list of complaints)."""
    found = [block for page in pages(root) for block in blocks(page, (root / page).read_text(encoding="utf-8"))]
    complaints = [complaint for block in found if (complaint := check_block(root, block))]
    return sum(block.kind is not None for block in found), complaints


def commands(text):
    """The command lines of a shell block, with continued lines joined and comments gone."""
    for line in re.sub(r"\\\n\s*", " ", text).splitlines():
        line = re.sub(r"(^|\s)#.*", "", line).strip()
        if line:
            yield line


def check_command(place, line):
    """What is wrong with a line that calls ./run or the program retrace: names that they do not know. Or None."""
    words = line.split()
    if words[0] == "./run":
        known = re.findall(r"^  ([a-z]+) ", place.run("./run help")[1], re.M)
        return None if len(words) == 1 or words[1] in known else f"./run has no command {words[1]}"
    if words[0] not in ("retrace", "build/cli/retrace"):
        return None
    names = [word for word in words[1:3] if re.fullmatch(r"[a-z]+", word)]
    call = ["build/cli/retrace", *names[: 2 if names[:1] == ["bench"] else 1]]
    status, text = place.run(" ".join([*call, "--help"]))
    if status != 0:
        return f"`{' '.join(call)}` is no command"
    options = set(re.findall(r"(?<![\w-])--?[a-z][\w-]*", text))
    unknown = [word for word in words if re.match(r"--?[a-z]", word) and word.split("=")[0] not in options]
    return f"`{' '.join(call)}` has no {' '.join(unknown)}" if unknown else None


def matches(shown, printed):
    """Whether output is what a page shows, where `...` stands for any text."""
    pattern = ""
    for line in shown.strip("\n").split("\n"):
        pattern += r"(?:.*\n)*?" if line.strip() == "..." else re.escape(line.rstrip()).replace(r"\.\.\.", ".*?") + r"[ ]*\n"
    return re.fullmatch(pattern, printed.strip("\n") + "\n") is not None


class Workplace:
    """A folder that looks like the root of the repository, with its build folder, and in which commands may write."""

    def __init__(self, path, root, build):
        self.path = pathlib.Path(path)
        for entry in root.iterdir():
            if entry.name != "out" and not entry.name.startswith("build"):
                (self.path / entry.name).symlink_to(entry)
        (self.path / "build").symlink_to(build)

    @functools.cache
    def run(self, command):
        """(exit status, output and errors) of a command; the same command runs once."""
        done = subprocess.run(command, shell=True, cwd=self.path, check=False, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        return done.returncode, done.stdout

    def has(self, condition):
        """Whether there is that file of the build folder, or the processor has that flag."""
        return (self.path / condition).is_file() if condition.startswith("build/") else condition in processor_flags()


def processor_flags():
    """What the first processor can do, as Linux names it."""
    try:
        return set(re.search(r"^flags\s*: (.*)$", pathlib.Path("/proc/cpuinfo").read_text(), re.M)[1].split())
    except (OSError, TypeError):
        return set()


def check_outputs(root, build):
    """Returns (number of commands, list of complaints): those in front of output and numbers, and in shell blocks."""
    with tempfile.TemporaryDirectory() as folder:
        return run_commands(Workplace(folder, root, build), root)


def run_commands(place, root):
    """What check_outputs returns, in a workplace."""
    count, complaints = 0, []
    for page in pages(root):
        text = (root / page).read_text(encoding="utf-8")
        for block in blocks(page, text):
            for line in commands(block.text) if block.language == "sh" else []:
                count += 1
                complaint = check_command(place, line)
                complaints += [block.complaint(complaint)] if complaint else []
            if block.kind == "output":
                count += 1
                status, printed = place.run(block.source)
                if status != 0 or not matches(block.text, printed):
                    complaints.append(block.complaint(f"`{block.source}` (exit status {status}) prints\n{printed}"))
        for mark in FIGURES.finditer(text):
            kind, condition, command, shown = mark.groups()
            if condition and not place.has(condition):
                continue
            count += 1
            status, printed = place.run(command)
            missing = (set(shown.splitlines()) - set(printed.splitlines()) if kind == "rows"
                       else set(NUMBER.findall(re.sub(r"`.*?`", "", shown))) - set(NUMBER.findall(printed)))
            if status != 0 or missing:
                line = text.count("\n", 0, mark.start()) + 1
                complaints.append(f"{page}:{line}: `{command}` (exit status {status}) does not print {sorted(missing)}:\n{printed}")
    return count, complaints


def rewrite(root, build):
    """Puts into the pages what the files read, and, with a build folder, what the commands print."""
    with tempfile.TemporaryDirectory() as folder:
        place = Workplace(folder, root, build) if build else None
        for page in pages(root):
            text = (root / page).read_text(encoding="utf-8")
            for block in reversed(list(blocks(page, text))):
                new = None
                if block.kind in ("listing", "source"):
                    new = wanted(root, block)[0]
                elif block.kind == "output" and place and not matches(block.text, printed := place.run(block.source)[1]):
                    new = printed
                if new is not None:
                    begin, end = block.span
                    text = text[:begin] + textwrap.indent(new.strip("\n") + "\n", block.indent) + text[end:]
            (root / page).write_text(text, encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--outputs", metavar="BUILD_FOLDER", type=pathlib.Path, help="run the commands, too")
    parser.add_argument("--write", action="store_true", help="first put into the pages what the files and commands say")
    parser.add_argument("root", nargs="?", default=pathlib.Path(__file__).resolve().parent.parent, type=pathlib.Path)
    options = parser.parse_args()
    if options.write:
        rewrite(options.root, options.outputs and options.outputs.resolve())
    count, complaints = check(options.root)
    print(f"{count} marked blocks")
    if options.outputs:
        count, more = check_outputs(options.root, options.outputs.resolve())
        complaints += more
        print(f"{count} commands run")
    print("\n".join(complaints), end="\n" if complaints else "")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
