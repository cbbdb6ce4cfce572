#!/usr/bin/env python3
"""Draws the pictures of the design pages and chapter 5's, as SVG files beside this script.

Each picture brings its own ground and follows the reader's choice of light or dark. The two streams have the same four
colours in all of them (Okabe and Ito's, which the colour-blind tell apart): x1 dark blue, x2 orange, y1 light blue,
y2 red. `bytes_over_a_step.txt` and `drift.txt` are what the programs of these names in build/docs/listings/ print.

Usage: draw.py [FOLDER]
"""

import math
import pathlib
import sys
from xml.sax.saxutils import escape

STREAMS = {"x1": ("#0072b2", "#ffffff"), "x2": ("#e69f00", "#000000"), "y1": ("#56b4e9", "#000000"), "y2": ("#d55e00", "#ffffff")}
OTHERS = {"green": ("#009e73", "#ffffff"), "pink": ("#cc79a7", "#000000"), "grey": ("#8b949e", "#000000")}  # for all else
COLOURS = {**STREAMS, **OTHERS}
STYLE = (
    """
  .ground { fill: #ffffff; }
  text { font: 14px system-ui, -apple-system, "Segoe UI", Helvetica, Arial, sans-serif; fill: #1f2328; }
  .small { font-size: 12px; }
  .quiet { fill: #59636e; }
  .code { font-family: ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; font-size: 13px; }
  .head { font-weight: 600; }
  .box { fill: #f3f4f6; stroke: #6e7781; stroke-width: 1.25; }
  .gone { fill: none; stroke: #6e7781; stroke-dasharray: 4 4; }
  .line { fill: none; stroke: #6e7781; stroke-width: 1.5; }
  .rule { stroke: #6e7781; stroke-width: 0.5; }
  .tip { fill: #6e7781; }
  @media (prefers-color-scheme: dark) {
    .ground { fill: #1c1f24; }
    text { fill: #e6e8eb; }
    .quiet { fill: #a2abb5; }
    .box { fill: #2b3038; stroke: #8b949e; }
    .gone, .line { stroke: #8b949e; }
    .tip { fill: #8b949e; }
  }
"""
    + "".join(
        f"  .{name}, .box.{name} {{ fill: {fill}; stroke: {fill}; }}\n  text.on-{name} {{ fill: {ink}; }}\n"
        f"  .line.{name} {{ fill: none; stroke: {fill}; stroke-width: 2.5; }}\n"
        for name, (fill, ink) in COLOURS.items()
    )
)
HERE = pathlib.Path(__file__).resolve().parent


class Picture:
    """Boxes, lines and texts; y grows downwards, units are pixels."""

    def __init__(self, width, height, title):
        self.size, self.title, self.parts = (width, height), title, []

    def add(self, part):
        self.parts.append(part)

    def text(self, x, y, text, kind="", anchor="middle"):
        self.add(f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}" class="{kind}">{escape(text)}</text>')

    def box(self, x, y, width, height, text="", kind="", sub=""):
        shape = "gone" if kind == "gone" else f"box {kind}".strip()
        self.add(f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="5" class="{shape}"/>')
        ink = f"on-{kind}" if kind in COLOURS else ("quiet" if kind == "gone" else "")
        middle = y + height / 2 + 5
        if text:
            self.text(x + width / 2, middle - (9 if sub else 0), text, ink)
        if sub:
            self.text(x + width / 2, middle + 9, sub, f"small {ink or 'quiet'}")

    def line(self, *points, kind="", tip=True, dashed=False):
        """A line through points; with a tip, its last part is horizontal or vertical and ends in an arrow."""
        (x0, y0), (x1, y1) = points[-2], points[-1]
        length = max(((x1 - x0) ** 2 + (y1 - y0) ** 2) ** 0.5, 1)
        dx, dy = (x1 - x0) / length, (y1 - y0) / length
        ends = [*points[:-1], (x1 - 7 * dx, y1 - 7 * dy) if tip else (x1, y1)]
        path = " ".join(f"{x:g},{y:g}" for x, y in ends)
        dashes = ' stroke-dasharray="7 5"' if dashed else ""
        self.add(f'<polyline points="{path}" class="line {kind}"{dashes}/>')
        if tip:
            corners = [(x1, y1), (x1 - 9 * dx - 4.5 * dy, y1 - 9 * dy + 4.5 * dx), (x1 - 9 * dx + 4.5 * dy, y1 - 9 * dy - 4.5 * dx)]
            self.add(f'<polygon points="{" ".join(f"{x:.4g},{y:.4g}" for x, y in corners)}" class="{kind or "tip"}"/>')

    def rule(self, left, right, y, number):
        """A line of a plot's grid, and what it stands for."""
        self.add(f'<line x1="{left}" y1="{y:g}" x2="{right}" y2="{y:g}" class="rule"/>')
        self.text(left - 8, y + 4, number, "small quiet", "end")

    def svg(self):
        width, height = self.size
        head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img">'
        ground = f'<rect width="{width}" height="{height}" rx="8" class="ground"/>'
        return "\n".join([head, f"<title>{escape(self.title)}</title>", f"<style>{STYLE}</style>", ground, *self.parts, "</svg>"]) + "\n"


def layers():
    p = Picture(720, 336, "The folders, and who may include whom")
    for i, (name, what) in enumerate([("core", "tensors, bytes, kernels"), ("autograd", "the tape, operations"), ("nn", "modules, data"), ("revnet", "inverses, couplings")]):
        p.box(20 + 176 * i, 30, 150, 54, name, sub=what)
        if i:
            p.line((20 + 176 * i - 26, 57), (20 + 176 * i, 57))
    p.box(20, 124, 150, 54, "cuda", sub="the same kernels")
    p.line((95, 84), (95, 124))
    p.box(196, 124, 150, 54, "report", sub="a step, shown")
    p.line((271, 84), (271, 124))
    p.line((623, 84), (623, 218))
    p.box(196, 218, 502, 54, "cli, examples, docs, benchmarks, tests", sub="see everything; nothing sees them, but benchmarks see cli")
    p.line((95, 178), (95, 245), (196, 245))
    p.line((271, 178), (271, 218))
    p.text(360, 305, "A to B: B may include A, and what A may include. Nothing points back.", "quiet")
    p.text(360, 325, "tools/check_includes.py reads every #include", "small quiet")
    return p


def words():
    p = Picture(720, 300, "Tensors, storage, variables, and the tape")
    p.text(20, 30, "tensors share storage", "head", "start")
    p.box(20, 48, 110, 44, "tensor", sub="[2, 8]")
    p.box(20, 106, 110, 44, "tensor", sub="[1, 8], a slice")
    p.box(200, 66, 160, 66, "storage", sub="bytes, content number")
    p.line((130, 70), (165, 70), (165, 88), (200, 88))
    p.line((130, 128), (165, 128), (165, 110), (200, 110))
    p.text(20, 186, "a variable is a tensor with a place on a tape", "head", "start")
    p.box(20, 204, 110, 44, "variable", sub="tensor + place")
    for i, (name, saved) in enumerate([("conv2d", "saves x, w"), ("relu", "saves a mask"), ("sum", "saves nothing")]):
        p.box(200 + 130 * i, 204, 110, 44, name, sub=saved)
        if i:
            p.line((180 + 130 * i, 226), (200 + 130 * i, 226), tip=False)
    p.box(190, 194, 390, 64, kind="gone")
    p.text(385, 280, "tape: nodes in the order in which they ran; each has a hook, which computes dx from dy", "small quiet")
    p.line((130, 226), (190, 226))
    p.text(420, 30, "backward runs from the back", "head", "start")
    p.line((690, 80), (420, 80))
    p.text(555, 72, "dy comes in, dx goes out", "small")
    p.text(420, 112, "replay: to compute again what forward did", "small quiet", "start")
    p.text(420, 132, "rewind: inverse and backward in one go", "small quiet", "start")
    return p


def tape():
    p = Picture(720, 300, "A tape grows in forward and is eaten from the back")
    nodes = [("conv2d", 60), ("relu", 12), ("linear", 40), ("loss", 16)]
    rows = [("forward", 4, None), ("backward 1", 3, 3), ("backward 2", 2, 2), ("backward 3", 1, 1)]
    for r, (label, left, runs) in enumerate(rows):
        y = 30 + 62 * r
        p.text(20, y + 24, label, "head" if r == 0 else "", "start")
        for i, (name, saved) in enumerate(nodes):
            x = 120 + 116 * i
            if i < left:
                p.box(x, y, 96, 38, name)
                p.add(f'<rect x="{x}" y="{y + 42}" width="{saved}" height="6" class="green"/>')
            else:
                p.box(x, y, 96, 38, "runs" if i == runs else "", "gone")
            if i and i < left and r == 0:
                p.line((x - 20, y + 19), (x, y + 19))
            if i == runs:
                p.line((x, y + 19), (x - 20, y + 19))
        kept = sum(saved for _, saved in nodes[:left])
        p.add(f'<rect x="600" y="{y + 12}" width="{kept * 0.7:g}" height="14" class="green"/>')
    p.text(706, 24, "bytes that the tape keeps", "small quiet", "end")
    p.text(360, 288, "The bar below a node is what it saved. A node is dropped as soon as its derivative has run.", "small quiet")
    return p


def dispatch():
    p = Picture(720, 240, "A kernel has one function for each kind of device")
    p.box(20, 80, 160, 60, "kernel::tanh(x, y)", sub="called by an operation")
    p.line((180, 110), (230, 110))
    p.box(230, 60, 210, 100)
    p.text(335, 50, "Kernel<void(x, y)>", "code")
    p.box(242, 72, 186, 34, "cpu: &tanh_cpu")
    p.box(242, 114, 186, 34, "cuda: &mapped<Tanh>")
    p.line((428, 89), (500, 89))
    p.line((428, 131), (500, 131))
    p.text(510, 86, "core/cpu/elementwise.cpp", "code", "start")
    p.text(510, 103, "given when the program is linked", "small quiet", "start")
    p.text(510, 130, "cuda/elementwise.cu", "code", "start")
    p.text(510, 147, "given by cuda::device(0)", "small quiet", "start")
    p.text(360, 200, "x's device chooses; all tensors must be there, and there must be a function for it.", "quiet")
    p.text(360, 220, "The caller has allocated y: a kernel allocates no result.", "small quiet")
    return p


def memory():
    p = Picture(720, 330, "Bytes over a training step, under each policy")
    runs = {}
    for line in (HERE / "bytes_over_a_step.txt").read_text(encoding="utf-8").splitlines():
        name, forward, *numbers = line.split()
        runs[name] = (int(forward), [int(n) for n in numbers])
    top = max(max(numbers) for _, numbers in runs.values())
    left, right, base, height = 70, 540, 270, 220
    middle = (left + right) / 2

    def place(i, forward, count):
        """Forward takes the left half and backward the right one, whatever their number of events."""
        return left + (middle - left) * i / forward if i <= forward else middle + (right - middle) * (i - forward) / (count - forward)

    for kib in range(0, top // 1024 + 1, 64):
        y = base - height * kib * 1024 / top
        p.rule(left, right, y, f"{kib}")
    p.text(left - 8, 36, "KiB", "small quiet", "end")
    p.line((middle, 40), (middle, base), tip=False)
    p.text((left + middle) / 2, base + 24, "forward", "quiet")
    p.text((middle + right) / 2, base + 24, "backward", "quiet")
    for (name, (forward, numbers)), kind in zip(runs.items(), ("pink", "grey", "green")):
        points, before = [(left, base)], base
        for i, alive in enumerate(numbers, 1):
            x, y = place(i, forward, len(numbers)), base - height * alive / top
            points += [(x, before), (x, y)]
            before = y
        p.line(*points, kind=kind, tip=False)
        peak = max(numbers)
        y = base - height * numbers[forward - 1] / top
        p.add(f'<circle cx="{middle}" cy="{y:g}" r="4" class="{kind}"/>')
        at = {"stored": 60, "checkpoint": 140, "reversible": 220}[name]
        p.add(f'<rect x="562" y="{at - 11}" width="12" height="12" class="{kind}"/>')
        p.text(580, at, name, "", "start")
        p.text(580, at + 17, f"{numbers[forward - 1] / 1024:.0f} after forward", "small quiet", "start")
        p.text(580, at + 33, f"{peak / 1024:.0f} at the peak", "small quiet", "start")
    p.text(340, 318, "Eight couplings of 2 x 32 channels, 64 samples, f32: build/docs/listings/bytes_over_a_step", "small quiet")
    return p


def drift():
    p = Picture(720, 340, "The error of a rebuilt input, by depth, for additive and affine couplings in f32 and f64")
    _, *rows = (line.split() for line in (HERE / "drift.txt").read_text(encoding="utf-8").splitlines())
    depths = [int(row[0]) for row in rows]
    left, right, top, base = 70, 560, 40, 272
    lowest, highest = -17, 0

    def at(depth, power):
        return (left + (right - left) * math.log(depth / depths[0]) / math.log(depths[-1] / depths[0]),
                base - (base - top) * (power - lowest) / (highest - lowest))

    for power in range(-16, 1, 4):
        _, y = at(1, power)
        p.rule(left, right, y, f"1e{power:+03d}")
    for depth in depths:
        p.text(at(depth, lowest)[0], base + 20, f"{depth}", "small quiet")
    lines = (("additive, f32", "green", False), ("additive, f64", "green", True), ("affine, f32", "pink", False), ("affine, f64", "pink", True))
    for i, (name, kind, dashed) in enumerate(lines):
        points = [at(depth, round(math.log10(float(row[1 + i])))) for depth, row in zip(depths, rows)]
        # where two lines meet, the later one is seen beside the earlier one
        points = [(x, y - 2 * (i // 2)) for x, y in points]
        p.line(*points, kind=kind, tip=False, dashed=dashed)
        for x, y in points:
            p.add(f'<circle cx="{x:g}" cy="{y:g}" r="3.5" class="{kind}"/>')
        p.text(right + 14, points[-1][1] + 5, name, "", "start")
    p.text((left + right) / 2, base + 40, "couplings in one run", "quiet")
    p.text(left - 50, 24, "largest error, as a part of the largest |x|", "small quiet", "start")
    p.text(340, 328, "Means over 20 chains: build/docs/listings/drift", "small quiet")
    return p


def coupling(p, x, y, backward):
    """One coupling: forward downwards, or backward upwards."""
    p.box(x, y, 70, 34, "x1", "x1")
    p.box(x + 210, y, 70, 34, "x2", "x2")
    p.box(x, y + 200, 70, 34, "y1", "y1")
    p.box(x + 210, y + 200, 70, 34, "y2", "y2")
    p.box(x + 110, y + 52, 60, 34, "F")
    p.box(x + 110, y + 132, 60, 34, "G")
    sign = "-" if backward else "+"
    for cx, cy in ((x + 35, y + 69), (x + 245, y + 149)):
        p.add(f'<circle cx="{cx}" cy="{cy}" r="12" class="box"/>')
        p.text(cx, cy + 5, sign)
    if backward:
        p.line((x + 35, y + 200), (x + 35, y + 81), kind="y1")
        p.line((x + 35, y + 57), (x + 35, y + 34), kind="x1")
        p.line((x + 245, y + 200), (x + 245, y + 161), kind="y2")
        p.line((x + 245, y + 137), (x + 245, y + 34), kind="x2")
    else:
        p.line((x + 35, y + 34), (x + 35, y + 57), kind="x1")
        p.line((x + 35, y + 81), (x + 35, y + 200), kind="y1")
        p.line((x + 245, y + 34), (x + 245, y + 137), kind="x2")
        p.line((x + 245, y + 161), (x + 245, y + 200), kind="y2")
    p.line((x + 245, y + 69), (x + 170, y + 69), kind="x2")
    p.line((x + 110, y + 69), (x + 47, y + 69))
    p.line((x + 35, y + 149), (x + 110, y + 149), kind="y1")
    p.line((x + 170, y + 149), (x + 233, y + 149))


def reversibility():
    p = Picture(720, 360, "A coupling forward, and back from its outputs")
    p.text(180, 30, "forward", "head")
    coupling(p, 40, 50, backward=False)
    p.text(110, 310, "y1 = x1 + F(x2)", "code")
    p.text(260, 310, "y2 = x2 + G(y1)", "code")
    p.text(540, 30, "back", "head")
    coupling(p, 400, 50, backward=True)
    p.text(470, 310, "x2 = y2 - G(y1)", "code")
    p.text(620, 310, "x1 = y1 - F(x2)", "code")
    p.text(360, 340, "y1 takes the place of x1, and y2 that of x2. On the way back, what rebuilds is also what is differentiated.", "small quiet")
    return p


def precision():
    p = Picture(720, 274, "The bits of f32, bf16 and f16")
    for row, (name, parts) in enumerate([("f32", [1, 8, 23]), ("bf16", [1, 8, 7]), ("f16", [1, 5, 10])]):
        y, x = 40 + 64 * row, 90
        p.text(74, y + 21, name, "head", "end")
        for count, kind, what in zip(parts, ("grey", "pink", "green"), ("sign", "exponent", "fraction")):
            for _ in range(count):
                p.add(f'<rect x="{x:g}" y="{y}" width="16" height="30" class="{kind}"/>')
                x += 18
            p.text(x - 9 * count - 1, y + 46, f"{what} {count}" if count > 1 else "1", "small quiet")
    p.line((90 + 18 * 16 + 9, 72), (90 + 18 * 16 + 9, 104))
    p.text(90 + 18 * 16 + 24, 122, "rounds once, to the nearest; back it is exact", "small quiet", "start")
    p.text(360, 238, "bf16 has the range of f32 and 8 bits of precision; f16 goes from 6e-8 to 65504 with 11.", "small quiet")
    p.text(360, 258, "Both are read, computed with in f32, and rounded when they are written.", "small quiet")
    return p


def grid(p, x, y, rows, columns, size, kind):
    for r in range(rows):
        for c in range(columns):
            p.add(f'<rect x="{x + c * size:g}" y="{y + r * size:g}" width="{size - 2}" height="{size - 2}" class="{kind}"/>')


def convolution():
    p = Picture(720, 250, "A tile of Winograd's F(4 x 4, 3 x 3)")
    p.text(90, 30, "6 x 6 pixels", "quiet")
    grid(p, 36, 42, 6, 6, 18, "green")
    p.text(90, 178, "3 x 3 filter", "quiet")
    grid(p, 63, 188, 3, 3, 18, "pink")
    p.line((150, 78), (240, 78))
    p.text(195, 70, "transform", "small quiet")
    p.line((124, 214), (195, 214), (195, 114), (240, 114))
    p.text(210, 214, "transform", "small quiet", "start")
    p.text(300, 30, "36 products", "quiet")
    grid(p, 246, 42, 6, 6, 18, "grey")
    p.line((362, 96), (450, 96))
    p.text(406, 88, "transform", "small quiet")
    p.text(502, 30, "4 x 4 outputs", "quiet")
    grid(p, 466, 60, 4, 4, 18, "green")
    p.text(560, 176, "directly: 16 outputs of 9 products = 144", "")
    p.text(560, 200, "Products count per pair of channels,", "small quiet")
    p.text(560, 218, "transforms per channel: it wins from 8 on.", "small quiet")
    return p


def fusion():
    p = Picture(720, 240, "Batch norm and ReLU: two passes over memory, or one")
    for y, label in ((30, "two operations"), (140, "batch_norm_relu")):
        p.text(20, y + 6, label, "head", "start")
    y = 54
    p.box(20, y, 90, 40, "x")
    p.box(170, y, 110, 40, "batch norm")
    p.box(340, y, 90, 40, "z", "pink")
    p.box(490, y, 70, 40, "ReLU")
    p.box(620, y, 80, 40, "y, mask")
    for a, b, what in ((110, 170, "read"), (280, 340, "write"), (430, 490, "read"), (560, 620, "write")):
        p.line((a, y + 20), (b, y + 20))
        p.text((a + b) / 2 - 3, y + 12, what, "small quiet")
    y = 164
    p.box(20, y, 90, 40, "x")
    p.box(170, y, 390, 40, "batch norm, and at once the ReLU")
    p.box(620, y, 80, 40, "y, mask")
    for a, b, what in ((110, 170, "read"), (560, 620, "write")):
        p.line((a, y + 20), (b, y + 20))
        p.text((a + b) / 2 - 3, y + 12, what, "small quiet")
    p.text(360, 228, "z, as large as x, never exists. The bits of y and of the mask are the same.", "small quiet")
    return p


def cuda():
    p = Picture(720, 250, "Each CUDA source is compiled twice")
    p.box(20, 90, 150, 60, "cuda/pool.cu", sub="launch(kernel, ...)")
    p.line((170, 105), (210, 105), (210, 60), (250, 60))
    p.line((170, 135), (210, 135), (210, 180), (250, 180))
    p.box(250, 34, 130, 52, "nvcc", sub="cuBLAS, cuDNN")
    p.box(250, 154, 130, 52, "C++ compiler", sub="tests/cuda/host")
    p.line((380, 60), (440, 60))
    p.line((380, 180), (440, 180))
    p.box(440, 34, 260, 52, "kernels for GPUs", sub="installed by cuda::device(0)")
    p.box(440, 154, 260, 52, "tests on the CPU", sub="threads in both orders, memory guarded")
    p.text(570, 124, "one source: what the tests read is what runs", "small quiet")
    p.text(360, 236, "The host layer gives the words of CUDA C++ a meaning; mutants show that the tests see mistakes.", "small quiet")
    return p


def bridge():
    p = Picture(720, 240, "Two programs, compared from file to file")
    p.box(20, 50, 170, 44, "weights.safetensors")
    p.box(20, 130, 170, 44, "batch.safetensors")
    p.box(270, 40, 150, 60, "retrace step", sub="f64, each policy")
    p.box(270, 126, 150, 60, "PyTorch", sub="MemCNN's model")
    for y in (70, 156):
        p.line((230, y), (270, y))
    p.line((190, 72), (230, 72), (230, 156), tip=False)
    p.line((190, 152), (230, 152), tip=False)
    p.line((230, 72), (230, 70), tip=False)
    p.line((420, 70), (480, 70), (480, 104), (500, 104))
    p.line((420, 156), (480, 156), (480, 122), (500, 122))
    p.box(500, 84, 206, 60, "compare_steps.py", sub="losses, logits, gradients, weights")
    p.text(360, 222, "Names are translated at this border and nowhere else; neither program calls the other.", "small quiet")
    return p


def untrusted_files():
    p = Picture(720, 200, "A file from elsewhere is checked before anything is built from it")
    steps = [("file", "a regular one"), ("read_file", "does not wait"), ("reader", "each length checked"), ("sizes", "file and network"), ("network", "built last")]
    for i, (name, what) in enumerate(steps):
        p.box(16 + 140 * i, 40, 128, 50, name, sub=what)
        if i:
            p.line((4 + 140 * i, 65), (16 + 140 * i, 65))
        if 0 < i < 4:
            p.line((80 + 140 * i, 90), (80 + 140 * i, 130))
    p.box(156, 130, 408, 44, "Error", "gone", sub="one printable line, whatever the names in the file are")
    return p


def random_programs():
    p = Picture(720, 220, "A random program runs twice, and both runs must agree")
    p.box(16, 84, 100, 50, "seed", sub="printed")
    p.box(146, 84, 130, 50, "program", sub="a graph, as data")
    p.line((116, 109), (146, 109))
    p.box(330, 30, 150, 50, "as written", sub="activations come back")
    p.box(330, 138, 150, 50, "stored", sub="nothing is released")
    p.line((276, 109), (303, 109), (303, 55), (330, 55))
    p.line((303, 109), (303, 163), (330, 163))
    p.line((480, 55), (508, 55), (508, 102), (534, 102))
    p.line((480, 163), (508, 163), (508, 116), (534, 116))
    p.box(534, 84, 170, 50, "compare", sub="or shrink, and print")
    p.text(360, 212, "Values, buffers and random numbers bit for bit; gradients up to rounding, and against differences.", "small quiet")
    return p


def dependencies():
    p = Picture(720, 270, "Which folder uses which library")
    rows = [("core", [("Eigen", "core/cpu: matrix products"), ("OpenMP", "core/cpu: vectors"), ("{fmt}", "core/format.h: messages")]),
            ("nn", [("nlohmann-json", "headers of weights"), ("zlib", "data sets")]),
            ("cuda", [("CUDA, cuBLAS, cuDNN", "where they are installed")]),
            ("cli, tests", [("CLI11", "options"), ("Catch2", "tests")])]
    for r, (folder, libraries) in enumerate(rows):
        y = 20 + 54 * r
        p.box(20, y, 110, 44, folder)
        for i, (name, what) in enumerate(libraries):
            p.box(160 + 184 * i, y, 174, 44, name, sub=what)
        p.line((160, y + 22), (130, y + 22))
    p.text(360, 254, "No public header includes any of them: a program that uses retrace is compiled with none.", "small quiet")
    return p


def non_goals():
    p = Picture(720, 210, "What is here, what is not yet, and what will not be")
    for i, (head, kind, lines) in enumerate([
        ("here", "", ["contiguous tensors", "first derivatives", "reversible networks", "exact bytes", "CPU, and kernels for GPUs"]),
        ("not here yet", "gone", ["a library for GPUs to install", "planning for a byte budget", "watching rebuilt errors", "streams in fixed point", ""]),
        ("not meant to be", "gone", ["strided views", "empty tensors", "second derivatives", "graph compilation", "distributed training"])]):
        x = 20 + 232 * i
        p.text(x + 108, 30, head, "head")
        p.box(x, 44, 216, 146, kind=kind)
        for j, text in enumerate(lines):
            p.text(x + 108, 72 + 26 * j, text, "" if kind == "" else "quiet")
    return p


PICTURES = [layers, words, tape, dispatch, memory, reversibility, precision, convolution, fusion, cuda, bridge, untrusted_files, random_programs, dependencies, non_goals, drift]


def main():
    folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else HERE
    for draw in PICTURES:
        (folder / f"{draw.__name__.replace('_', '-')}.svg").write_text(draw().svg(), encoding="utf-8")


if __name__ == "__main__":
    main()
