"""The mutants of a CUDA source: small changes, each of which a test should notice.

barrier     a __syncthreads() is removed
comparison  < becomes <=, > becomes >=, == becomes !=, and the other way round
extent      a leading dimension or stride of cuBLAS's matrices is another one, or swapped with its neighbour
scale       an alpha or beta of cuBLAS or cuDNN is 0 instead of 1, or 1 instead of 0

A source can hold all of its mutants at once (`with_all`), so that they are compiled together: tools/mutant_switch.h.
"""

import dataclasses
import re

KINDS = ("barrier", "comparison", "extent", "scale")

NO_CODE = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:[^"\\\n]|\\.)*"|(?<!\w)\'(?:[^\'\\\n]|\\.)+\'|^[ \t]*#[^\n]*', re.DOTALL | re.MULTILINE)
AT_COMPILE_TIME = re.compile(r"\b(?:static_assert|constexpr|consteval|concept|requires|template)\b")
BARRIER = re.compile(r"__syncthreads\(\);")
COMPARISON = re.compile(r"(?<=\s)(?:<=|>=|==|<|>)(?=\s)")  # where clang-format leaves spaces, no template begins or ends
OTHER = {"<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!="}
SCALE = re.compile(r"&(?:one|zero)\b")
GEMM = re.compile(r"\bcublas\w*[Gg]emm\w*\(")
# Of a call's arguments: the extents of the product, and the pairs of a matrix's leading dimension and stride.
PLACES = {"cublasGemmStridedBatchedEx_64": ((3, 4, 5), ((9, 10), (13, 14), (18, 19)))}


class MutantError(Exception):
    """The text is a sentence for whoever wrote the source or asked for mutants."""


@dataclasses.dataclass(frozen=True)
class Mutant:
    file: str
    kind: str
    what: str
    edits: tuple  # of (begin, end, text), from the front
    number: int  # of the line where the first one is
    line: str  # that line, without its indent
    becomes: str

    def apply(self, text):
        """The source with the change."""
        for begin, end, new in reversed(self.edits):
            text = text[:begin] + new + text[end:]
        return text

    def key(self):
        """What stays when lines move."""
        return self.file, self.kind, self.line, self.becomes

    def __str__(self):
        return f"{self.file}:{self.number}: {self.what}"


def code_of(text):
    """The text with spaces for comments, strings and preprocessor lines, so that places stay."""
    return NO_CODE.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), text)


def line_of(text, place):
    begin = text.rfind("\n", 0, place) + 1
    end = text.find("\n", place)
    return text[begin : len(text) if end < 0 else end]


def arguments(code, begin):
    """The (begin, end) of each argument of a call whose parenthesis was opened in front of `begin`."""
    found, depth, start = [], 0, begin
    for place in range(begin, len(code)):
        letter = code[place]
        if depth == 0 and letter in ",)":
            lead = len(code[start:place]) - len(code[start:place].lstrip())
            found.append((start + lead, start + len(code[start:place].rstrip())))
            start = place + 1
            if letter == ")":
                return found
        depth += (letter in "([{") - (letter in ")]}")
    raise MutantError("a call has no end")


def comparisons(code):
    for match in COMPARISON.finditer(code):
        if not AT_COMPILE_TIME.search(line_of(code, match.start())):
            new = OTHER[match[0]]
            yield f"{match[0]} to {new}", [(*match.span(), new)]


def extents(code):
    for call in GEMM.finditer(code):
        name = call[0][:-1]
        if name not in PLACES:
            raise MutantError(f"PLACES in tools/mutate.py must say where the extents of {name} stand")
        places = arguments(code, call.end())
        sizes, pairs = PLACES[name]
        for pair in pairs:
            first, second = (places[i] for i in pair)
            one, other = code[slice(*first)], code[slice(*second)]
            yield f"{one} and {other} swapped", [(*first, other), (*second, one)]
            for place in (first, second):
                for new in dict.fromkeys(code[slice(*places[i])] for i in sizes):
                    yield f"{code[slice(*place)]} to {new}", [(*place, new)]


def mutants_of(file, text):
    """All mutants of one source, from the front."""
    code = code_of(text)
    found = [("barrier", "__syncthreads() removed", [(*m.span(), ";")]) for m in BARRIER.finditer(code)]
    found += [("comparison", *change) for change in comparisons(code)]
    found += [("extent", *change) for change in extents(code)]
    for m in SCALE.finditer(code):
        new = "&zero" if m[0] == "&one" else "&one"
        found.append(("scale", f"{m[0]} to {new}", [(*m.span(), new)]))
    mutants = []
    for kind, what, edits in sorted(found, key=lambda change: change[2][0][0]):
        mutant = Mutant(file, kind, what, tuple(edits), 0, "", "")
        place = edits[0][0]
        changed = mutant.apply(text)
        if changed != text:
            lines = (line_of(text, place).strip(), line_of(changed, place).strip())
            mutants.append(dataclasses.replace(mutant, number=text.count("\n", 0, place) + 1, line=lines[0], becomes=lines[1]))
    return mutants


def switch(kind, old, changes):
    """C++ for `old` in which each (number, new) of `changes` takes its place while that mutant is awake."""
    if kind == "comparison":
        ((number, _),) = changes  # which is other than `old` says, the header knows
        return f"{old} retrace_mutant::Mark<{number}>{{}} {old}"
    if kind == "barrier":
        ((number, _),) = changes
        return f"static_cast<void>(retrace_mutant::awake == {number} || (__syncthreads(), true));"
    choices = "".join(f"retrace_mutant::awake == {number} ? ({new}) : " for number, new in changes)
    return f"({choices}({old}))"


def with_all(text, mutants, header):
    """The source with these (number, mutant) in it, asleep unless RETRACE_MUTANT is the number; it includes `header`."""
    places = {}
    for number, mutant in mutants:
        for begin, end, new in mutant.edits:
            places.setdefault((begin, end), (mutant.kind, []))[1].append((number, new))
    for (begin, end), (kind, changes) in sorted(places.items(), reverse=True):
        text = text[:begin] + switch(kind, text[begin:end], changes) + text[end:]
    return f'#include "{header}"\n{text}'
