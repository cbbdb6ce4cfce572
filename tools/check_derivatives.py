#!/usr/bin/env python3
"""Checks that no derivative holds memory behind the ledger's back.

What an op needs on its way back stands in record()'s save list, where it is counted, checked for changes and given
back after use. The compiler refuses a derivative that captures a Tensor by value (it must be trivially copyable); this
script refuses what the compiler cannot see: references, pointers, `this` and capture defaults. A derivative is a
lambda that takes `Saved`, or that stands among the arguments of record().

Usage: check_derivatives.py [ROOT]
"""

import argparse
import bisect
import pathlib
import re
import sys

FOLDERS = ("autograd", "nn", "revnet")
MACHINERY = {"autograd/record.h"}

NOISE = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|(?<![0-9a-fA-F])\'(?:\\.|[^\'\\\n])+\'', re.DOTALL)
INTRODUCER = re.compile(r"(?<![\w\])\[])(?<!operator)\s*\[(?!\[)")
RECORD = re.compile(r"(?<![\w.>:])record\s*\(")
FUNCTOR = re.compile(r"operator\s*\(\s*\)\s*\([^)]*\bSaved\b")
POINTS_INSIDE = re.compile(r"&|\.data\b|\.mutable_data\b|\.get\s*\(|\bc?ref\s*\(|\baddressof\b|\bspan\b|\bvalues\b")
CLOSING = {"(": ")", "[": "]", "{": "}"}


def blank_noise(text):
    """Comments and literals become spaces, so that places stay where they were."""
    return NOISE.sub(lambda m: re.sub(r"[^\n]", " ", m[0]), text)


def end_of_group(text, start):
    """The place of the bracket that closes the one at `start`."""
    stack = []
    for place in range(start, len(text)):
        c = text[place]
        if c in CLOSING:
            stack.append(CLOSING[c])
        elif stack and c == stack[-1]:
            stack.pop()
            if not stack:
                return place
    raise ValueError("a bracket is not closed")


def split_commas(text):
    """Cuts at the commas that are in no bracket."""
    parts, depth, begin = [], 0, 0
    for place, c in enumerate(text):
        depth += (c in "([{") - (c in ")]}")
        if c == "," and depth == 0:
            parts.append(text[begin:place].strip())
            begin = place + 1
    return [part for part in (*parts, text[begin:].strip()) if part]


def lambdas(text):
    """Yields (place, captures, parameters) of each lambda."""
    for match in INTRODUCER.finditer(text):
        start = match.end() - 1
        end = end_of_group(text, start)
        after = re.match(r"\s*(?:<[^>]*>\s*)?\(", text[end + 1 :])
        if after is None:
            continue
        open_paren = end + after.end()
        yield start, text[start + 1 : end], text[open_paren + 1 : end_of_group(text, open_paren)]


def arguments_of_record(text):
    """The places at which the arguments of calls of record() begin."""
    places = set()
    for match in RECORD.finditer(text):
        open_paren = match.end() - 1
        depth, begins = 0, True
        for place in range(open_paren + 1, end_of_group(text, open_paren)):
            c = text[place]
            if begins and not c.isspace():
                places.add(place)
                begins = False
            depth += (c in "([{") - (c in ")]}")
            begins = begins or (c == "," and depth == 0)
    return places


def declared_as_pointer(text, place, name):
    """Whether the function around `place` declares `name` as a pointer or a view."""
    function = text[max(text.rfind("\n}", 0, place), 0) : place]
    kinds = r"(?:\*|\bspan<[^;{}()]*>|\bstring_view|\breference_wrapper<[^;{}()]*>)"
    return re.search(kinds + r"\s*(?:const\s+)?" + re.escape(name) + r"\s*[=,;){]", function) is not None


def check_capture(capture, text, place):
    """What is wrong with one capture, or None."""
    if capture in ("&", "="):
        return f"[{capture}] captures whatever its body names; name each number that it needs"
    if re.fullmatch(r"\*?\s*this", capture):
        return f"{capture} drags a whole object along; capture the numbers that it needs"
    if capture.startswith("&"):
        return f"{capture} is a reference to what may be gone, or written, when backward runs; save a tensor instead"
    name, _, value = (part.strip() for part in capture.partition("="))
    if value and POINTS_INSIDE.search(value):
        return f"{capture} points into memory that nobody counts or keeps; save a tensor instead"
    if not value and declared_as_pointer(text, place, name):
        return f"{name} is a pointer or a view of memory that nobody counts or keeps; save a tensor instead"
    return None


def check_text(text):
    """Returns (number of derivatives, list of (line, complaint))."""
    text = blank_noise(text)
    lines = [m.start() for m in re.finditer("\n", text)]
    in_record = arguments_of_record(text)
    count, complaints = 0, []
    for place, captures, parameters in lambdas(text):
        if place not in in_record and not re.search(r"\bSaved\b", parameters):
            continue
        count += 1
        for capture in split_commas(captures):
            complaint = check_capture(capture, text, place)
            if complaint is not None:
                complaints.append((bisect.bisect(lines, place) + 1, complaint))
    for match in FUNCTOR.finditer(text):
        line = bisect.bisect(lines, match.start()) + 1
        complaints.append((line, "a derivative is a lambda, whose captures can be seen, not a class"))
    return count, complaints


def check(root):
    """Returns (number of derivatives, list of complaints)."""
    count, complaints = 0, []
    for folder in FOLDERS:
        for path in sorted(p for p in (root / folder).rglob("*") if p.suffix in {".h", ".cpp"}):
            file = path.relative_to(root).as_posix()
            if file in MACHINERY:
                continue
            found, bad = check_text(path.read_text(encoding="utf-8"))
            count += found
            complaints += [f"{file}:{line}: {complaint}" for line, complaint in bad]
    return count, complaints


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("root", nargs="?", default=pathlib.Path(__file__).resolve().parent.parent, type=pathlib.Path)
    count, complaints = check(parser.parse_args().root)
    print("\n".join(complaints), end="\n" if complaints else "")
    print(f"{count} derivatives read, {len(complaints)} captures against the rule")
    return 1 if complaints or count == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
