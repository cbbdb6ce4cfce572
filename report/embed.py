#!/usr/bin/env python3
"""Puts the style and the script of the report's page into it, and the page into a C++ source.

Usage: embed.py PAGE.html PAGE.css PAGE.js OUT.cpp
"""

import pathlib
import sys

LITERAL = 8000  # characters; compilers must take 65536
HEAD = """#include <retrace/report/page.h>

#include <string_view>

namespace retrace {

std::string detail::page_template() {
  constexpr std::string_view kParts[] = {
"""
TAIL = """  };
  std::string page;
  for (const std::string_view part : kParts) page += part;
  return page;
}

}  // namespace retrace
"""


def main():
    html, css, js = (pathlib.Path(name).read_text(encoding="utf-8") for name in sys.argv[1:4])
    for place, text in (("@STYLE@", css), ("@SCRIPT@", js)):
        if html.count(place) != 1 or "</s" in text or ')~~"' in text:
            sys.exit(f"embed.py: the page must have one {place}, and its text neither an end of itself nor of a literal")
        html = html.replace(place, text.rstrip("\n"))
    parts = [html[at:at + LITERAL] for at in range(0, len(html), LITERAL)]
    source = HEAD + "".join(f'R"~~({part})~~",\n' for part in parts) + TAIL
    pathlib.Path(sys.argv[4]).write_text(source, encoding="utf-8")


main()
