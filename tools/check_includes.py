#!/usr/bin/env python3
"""Checks who includes whom.

    core -> autograd -> nn -> revnet     autograd -> report     core -> cuda
    cli, examples, docs, benchmarks, tests see all of these; nothing sees them but benchmarks, which see cli. retrace.h includes the public
    headers, itself or through others, except those that say "// Not in retrace.h: why" in their first lines.

Every include of ours is <retrace/folder/file.h>. A public header, one that gets installed, includes only standard
headers and other public ones. A header is internal when it lies in core/cpu/ or says "// Internal:" in its
first lines. docs/design/layers.md has the reasons.

Usage: check_includes.py [--public-headers] [ROOT]
"""

import argparse
import pathlib
import re
import sys

LAYERS = {  # folder of the library -> folders that it may include
    "core": {"core"},
    "autograd": {"core", "autograd"},
    "nn": {"core", "autograd", "nn"},
    "revnet": {"core", "autograd", "nn", "revnet"},
    "report": {"core", "autograd", "report"},
    "cuda": {"core", "cuda"},
}
WHOLE = "retrace.h"  # at the root, for users: all of retrace
OUTSIDE = ("cli", "examples", "docs", "benchmarks", "tests")  # each sees the library and itself; tests see all, benchmarks cli

LIBRARIES = {  # other people's headers -> where the library may include them
    r"(unsupported/)?Eigen/": ("core/",),
    r"fmt/": ("core/format.h",),
    r"omp\.h$": ("core/",),
    r"nlohmann/": ("nn/", "report/"),
    r"zlib\.h$": ("nn/",),
    r"(CLI|catch2)/": (),
}

SUFFIXES = {".h", ".cpp", ".cu", ".cuh"}
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^">]+)[">]')
STANDARD = re.compile(r"^[a-z0-9_]+$")
INTERNAL_MARK = "// Internal:"
LEFT_OUT_MARK = "// Not in retrace.h: "


def sources(root, folder):
    """The source files of one folder, in a fixed order."""
    return sorted(p for p in (root / folder).rglob("*") if p.suffix in SUFFIXES and p.is_file())


def is_marked(path, mark):
    """Whether one of the first lines has the mark."""
    with path.open(encoding="utf-8") as file:
        return any(mark in line for _, line in zip(range(5), file))


def is_internal(path, root):
    """Whether a header of the library stays inside it."""
    return path.relative_to(root).as_posix().startswith("core/cpu/") or is_marked(path, INTERNAL_MARK)


def public_headers(root):
    """Paths, relative to root, of the headers that get installed."""
    whole = [WHOLE] if (root / WHOLE).is_file() else []
    return whole + [
        path.relative_to(root).as_posix()
        for folder in LAYERS
        for path in sources(root, folder)
        if path.suffix == ".h" and not is_internal(path, root)
    ]


def allowed_folders(folder):
    if folder in LAYERS:
        return LAYERS[folder]
    if folder == WHOLE:
        return set(LAYERS) - {"cuda"}
    if folder == "tests":
        return {WHOLE, *LAYERS, *OUTSIDE}
    return {WHOLE, *LAYERS, folder} | ({"cli"} if folder == "benchmarks" else set())


def check_ours(file, target, public, root):
    """What is wrong with `#include <retrace/target>` in `file`, or None."""
    if not (root / target).is_file():
        return f"there is no {target}"
    folder, target_folder = file.split("/")[0], target.split("/")[0]
    if target_folder not in allowed_folders(folder):
        return f"{folder} must not know {target_folder}"
    if file in public and target not in public:
        return f"{file} is installed and {target} is not"
    if folder == "examples" and target_folder in LAYERS and target not in public:
        return f"examples use what a user has, and {target} is not installed"
    return None


def check_include(file, bracket, target, public, root):
    """What is wrong with one include in `file`, or None."""
    folder = file.split("/")[0]
    if bracket == '"':
        if folder == "tests":
            return None
        return f'write <retrace/...>, not "{target}"'
    if target.startswith("retrace/"):
        return check_ours(file, target.removeprefix("retrace/"), public, root)
    if folder in LAYERS or folder == WHOLE:
        if file in public and not STANDARD.match(target):
            return f"{file} is installed and may include standard headers only, not <{target}>"
        for pattern, places in LIBRARIES.items():
            if re.match(pattern, target) and not file.startswith(places):
                return f"<{target}> may be included in {' and '.join(places) or 'no folder of the library'} only"
    return None


def included_by(file, root, seen):
    """Adds to `seen` our headers that `file` includes, itself or through others."""
    for line in (root / file).read_text(encoding="utf-8").splitlines():
        include = INCLUDE.match(line)
        target = include[2].removeprefix("retrace/") if include else ""
        if target not in seen and (root / target).is_file():
            seen.add(target)
            included_by(target, root, seen)


def check_whole(root):
    """Complaints about public headers that retrace.h includes or leaves out, against what they say."""
    seen = {WHOLE}
    included_by(WHOLE, root, seen)
    return [f"{file}:1: neither in {WHOLE} nor does it say why not" if file not in seen else f"{file}:1: {WHOLE} includes it after all"
            for file in public_headers(root) if (file in seen) == is_marked(root / file, LEFT_OUT_MARK)]


def check(root):
    """Returns (number of files read, list of complaints)."""
    public = set(public_headers(root))
    paths = [path for folder in (*LAYERS, *OUTSIDE) for path in sources(root, folder)]
    paths += [root / WHOLE] if WHOLE in public else []
    complaints = []
    for path in paths:
        file = path.relative_to(root).as_posix()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            include = INCLUDE.match(line)
            if include is None:
                continue
            complaint = check_include(file, include[1], include[2], public, root)
            if complaint is not None:
                complaints.append(f"{file}:{number}: {complaint}")
    return len(paths), complaints


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--public-headers", action="store_true", help="list the headers that get installed, and stop")
    parser.add_argument("root", nargs="?", default=pathlib.Path(__file__).resolve().parent.parent, type=pathlib.Path)
    options = parser.parse_args()
    if options.public_headers:
        print("\n".join(public_headers(options.root)))
        return 0
    count, complaints = check(options.root)
    if (options.root / WHOLE).is_file():
        complaints += check_whole(options.root)
    print("\n".join(complaints), end="\n" if complaints else "")
    print(f"{count} files read, {len(complaints)} includes against the layers")
    return 1 if complaints or count == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
