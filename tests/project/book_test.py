"""The book's pages in a browser, as wide as a phone and as several desktops: nothing is cut, empty or a dead link.

Usage: book_test.py FOLDER, where `./run docs` has put the pages.
"""

import pathlib
import sys
import tempfile
import unittest
import urllib.parse

import browser
import cases

BOOK = pathlib.Path(sys.argv[1])
WIDTHS = (390, 1200, 1280)

# Returns what is wrong with how the page looks at its width.
LOOKS = """
const width = document.documentElement.clientWidth, article = document.querySelector("article"), wrong = [];
const named = e => `<${e.localName}> "${(e.alt || e.textContent).trim().slice(0, 40)}"`;
const inside = e => e.getBoundingClientRect().left >= 0 && e.getBoundingClientRect().right <= width + 0.5;
const overflow = e => getComputedStyle(e).overflowX;
const box = e => e === article ? null : ["auto", "scroll"].includes(overflow(e)) ? e : box(e.parentElement);

if (document.documentElement.scrollWidth > width) wrong.push("the page scrolls sideways");
for (const e of article.querySelectorAll("*:not(pre *)")) {
  if (e.localName === "img") {
    if (!e.complete || e.naturalWidth === 0) wrong.push(`${named(e)} is not there`);
    if (!inside(e)) wrong.push(`${named(e)} is not visible in its whole width`);
  } else if (!(inside(e) && (e.localName !== "pre" || e.scrollWidth <= e.clientWidth)) && !(box(e) && inside(box(e)))) {
    wrong.push(`${named(e)} is wider than the page and does not scroll`);
  } else if (["hidden", "clip"].includes(overflow(e)) && e.scrollWidth > e.clientWidth) {
    wrong.push(`${named(e)} is cut`);
  }
}
const size = tag => Math.max(...[...article.querySelectorAll(tag)].map(e => parseFloat(getComputedStyle(e).fontSize)));
for (const [larger, smaller, ratio] of [["h1", "h2", 1.3], ["h2", "h3", 1.2]])
  if (size(smaller) > 0 && size(larger) / size(smaller) < ratio) wrong.push(`<${larger}> and <${smaller}> look alike`);
return wrong;
"""

# Returns what is wrong with the page's contents.
CONTENTS = """
const wrong = [];
for (const section of document.querySelectorAll("article section")) {
  const rest = section.cloneNode(true);
  const titles = [...rest.querySelectorAll("h1, h2, h3, h4, h5, h6")].map(e => {
    e.remove();
    return e.firstChild.textContent.trim();
  });
  for (const link of rest.querySelectorAll("a")) if (titles.includes(link.textContent.trim())) link.remove();
  if (!rest.textContent.trim() && !rest.querySelector("img")) wrong.push(`the section "${titles[0]}" is empty`);
}
if (!document.querySelector("article section")) wrong.push("the page is empty");
const footer = document.querySelector("footer")?.innerText ?? "";
if (/(copyright|©)[^a-z0-9]*$/im.test(footer)) wrong.push("the footer has an empty copyright");
return wrong;
"""

TARGETS = """
return [[...document.querySelectorAll("a[href]")].map(e => e.href), [...document.querySelectorAll("[id]")].map(e => e.id)];
"""

# A page with each fault once, and one without.
FAULTY = """<!doctype html><meta name=viewport content="width=device-width">
<article style="overflow-x: hidden"><section><h1 style="font-size: 20px">Title</h1>
<p style="width: 900px">wide</p><pre style="max-width: 300px">{long}</pre><p style="overflow: hidden; white-space: nowrap">{long}</p>
<p style="overflow-x: auto"><img alt="picture" width=620 src="data:image/svg+xml,{picture}"></p><img alt="lost" src="lost.svg">
<section><h2 style="font-size: 20px">a.h</h2><p><a href="faulty.html">a.h</a></p></section>
<p><a href="gone.html">a page</a> <a href="sound.html#gone">an anchor</a></p></section></article><footer>Copyright ©<br>Made</footer>"""
SOUND = """<!doctype html><meta name=viewport content="width=device-width"><article><section><h1 id=title>Title</h1><h2>Part</h2>
<p><img alt="picture" style="max-width: 100%" src="data:image/svg+xml,{picture}"></p><pre style="overflow-x: auto">{long}</pre>
<p><a href="#title">up</a> <a href="faulty.html">down</a></p></section></article><footer>Copyright © 2026 A. Name</footer>"""
SVG = urllib.parse.quote('<svg xmlns="http://www.w3.org/2000/svg" width="620" height="10"></svg>')
OF_FAULTY = [
    '390 px: <p> "wide" is wider than the page and does not scroll',
    f'390 px: <pre> "{"long " * 8}" is wider than the page and does not scroll',
    f'390 px: <p> "{"long " * 8}" is cut',
    '390 px: <img> "picture" is not visible in its whole width',
    '390 px: <img> "lost" is not there',
    "390 px: <h1> and <h2> look alike",
    *(f"{width} px: {text}" for width in WIDTHS[1:] for text in (f'<pre> "{"long " * 8}" is wider than the page and does not scroll',
                                                                 '<img> "lost" is not there', "<h1> and <h2> look alike")),
    'the section "a.h" is empty',
    "the footer has an empty copyright",
    "gone.html is no page of the book",
    "sound.html has no place #gone",
]


def stale(folder):
    """Whether a document is newer than the last run of `./run docs`, or there was none."""
    built = folder.parent / "xml" / "index.xml"
    sources = [path for path in (cases.ROOT / "docs").rglob("*") if path.is_file()]
    return not built.is_file() or max(path.stat().st_mtime for path in sources) > built.stat().st_mtime


def dead_links(folder, targets):
    """What is wrong with the links of the pages of `targets`: {page: (links, the page's places)}."""
    for page, (links, _) in targets.items():
        for link in sorted(set(links)):
            url = urllib.parse.urlparse(link)
            if url.scheme != "file":
                continue
            to = pathlib.Path(urllib.parse.unquote(url.path))
            name = to.relative_to(folder).as_posix() if to.is_relative_to(folder) else str(to)
            if not to.is_file():
                yield f"{page}: {name} is no page of the book"
            elif url.fragment and name in targets and urllib.parse.unquote(url.fragment) not in targets[name][1]:
                yield f"{page}: {name} has no place #{url.fragment}"


@unittest.skipIf(browser.MISSING, browser.NEEDS)
class Book(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(cls.enterClassContext(tempfile.TemporaryDirectory(ignore_cleanup_errors=True)))
        cls.browser = browser.start(cls.folder / "profile")
        cls.addClassCleanup(cls.browser.quit)

    def complaints(self, folder, pages):
        """What is wrong with some pages of a folder."""
        wrong, targets = [], {}
        for page in pages:
            name = page.relative_to(folder).as_posix()
            browser.resize(self.browser, WIDTHS[0])
            self.browser.get(page.as_uri())
            for width in WIDTHS:
                browser.resize(self.browser, width)
                wrong += [f"{name}: {width} px: {text}" for text in self.browser.execute_script(LOOKS)]
            wrong += [f"{name}: {text}" for text in self.browser.execute_script(CONTENTS)]
            targets[name] = self.browser.execute_script(TARGETS)
        return wrong + list(dead_links(folder, targets))

    @unittest.skipIf(stale(BOOK), "needs the book as the documents are now: ./run docs builds it")
    def test_pages(self):
        # what the page of the search shows depends on the query
        pages = [page for page in sorted(BOOK.rglob("*.html")) if "_static" not in page.parts and page.name != "search.html"]
        self.assertGreater(len(pages), 40)
        wrong = self.complaints(BOOK, pages)
        if wrong:
            self.fail("\n".join(wrong))

    def test_each_fault_is_noticed(self):
        for name, text in (("faulty", FAULTY), ("sound", SOUND)):
            (self.folder / f"{name}.html").write_text(text.format(picture=SVG, long="long " * 25), encoding="utf-8")
        pages = [self.folder / "faulty.html", self.folder / "sound.html"]
        self.assertEqual(self.complaints(self.folder, pages), [f"faulty.html: {text}" for text in OF_FAULTY])


cases.main("book")
