#!/usr/bin/env python3
"""Lists the public names that the book's reference lacks: none, or the book is not built.

What is public says Doxygen's XML of the installed headers: classes, their public and protected members, functions,
constants, enumerators and aliases, but nothing in a namespace `detail`. What the reference has says Sphinx's inventory.

Usage: check_reference.py XML_FOLDER OBJECTS_INV
"""

import argparse
import pathlib
import re
import sys
import xml.etree.ElementTree as ElementTree
import zlib

OUTSIDE = re.compile(r"\b(detail|std)\b")  # namespaces that are no part of the reference


def plain(name):
    """A name without template arguments: that of all specialisations."""
    name, operator, symbol = name.partition("operator")
    while "<" in name:
        name = re.sub(r"\s*<[^<>]*>", "", name)
    return (name + operator + symbol).replace(" ", "")


def names_of(compound):
    """The public names of one class, struct or namespace of Doxygen's, itself included."""
    scope = compound.findtext("compoundname")
    if compound.get("kind") != "namespace":
        yield plain(scope)
    for member in compound.iter("memberdef"):
        if member.get("prot") == "private" or member.get("kind") == "friend":
            continue
        name = f"{plain(scope)}::{plain(member.findtext('name'))}"
        yield name
        for value in member.findall("enumvalue"):
            yield f"{name}::{value.findtext('name')}"


def public_names(folder):
    """All public names, of every file that Doxygen has written."""
    names = set()
    for path in sorted(folder.glob("*.xml")):
        for compound in ElementTree.parse(path).getroot().findall("compounddef"):
            if compound.get("kind") in ("class", "struct", "namespace") and compound.get("prot") != "private":
                names.update(names_of(compound))
    return {name for name in names if not OUTSIDE.search(name)}


def documented_names(inventory):
    """The names of C++ in an inventory of Sphinx's (version 2)."""
    text = zlib.decompress(inventory.split(b"\n", 4)[4]).decode()
    entries = (re.match(r"(.+?) (\S+:\S+) -?\d+ ", line) for line in text.splitlines())
    return {plain(entry[1]) for entry in entries if entry and entry[2].startswith("cpp:")}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("xml", type=pathlib.Path)
    parser.add_argument("inventory", type=pathlib.Path)
    options = parser.parse_args()
    public = public_names(options.xml)
    missing = sorted(public - documented_names(options.inventory.read_bytes()))
    print("".join(f"the reference lacks {name}\n" for name in missing), end="")
    print(f"{len(public)} public names, {len(missing)} of them not in the reference")
    return 1 if missing or not public else 0


if __name__ == "__main__":
    sys.exit(main())
