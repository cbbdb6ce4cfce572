#!/usr/bin/env python3
"""Trains one network in retrace and in PyTorch, from the same weights and on the same batches, and compares the losses.

    python benchmarks/learning_curve.py --data FOLDER_WITH_CIFAR10 [--steps 100] [--work out/curve]

PyTorch trains MemCNN's model with its wrappers disabled; retrace runs `retrace step` with the policies stored and
reversible. In f64 the first losses must be PyTorch's up to rounding. In f32 two correct runs part after a few steps
(tests/golden/README.md says why), so there the yardstick is how far PyTorch's own runs part when only the number of
threads or the layout in memory differs. Prints a table and the verdicts; exit status 1 when one does not hold.

Needs torch, memcnn, numpy and safetensors. --work keeps the inputs and each finished run, which is not repeated: an
interrupted comparison goes on where it stopped.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import time

import numpy as np
import torch
from safetensors.numpy import load_file, save_file

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "golden"))
from golden_file import versions  # noqa: E402
from networks import network  # noqa: E402

RATE, MOMENTUM, WEIGHT_DECAY = 0.1, 0.9, 2e-4
POLICIES = ("stored", "reversible")
F64_TOLERANCE, F64_STEPS = 1e-8, 20
F32_TOLERANCE, F32_STEPS = 1e-4, 3
LAST = 20  # the steps at the end whose mean is compared


def say(text):
    print(text, file=sys.stderr, flush=True)


# The inputs: files that both sides read.


def read_cifar10(folder):
    """All training images, f32 [N, 3, 32, 32] with mean 0 and deviation 1 in each channel, and labels [N]."""
    parts = [np.fromfile(folder / f"data_batch_{i}.bin", np.uint8).reshape(-1, 3073) for i in range(1, 6)]
    records = np.concatenate(parts)
    pixels = records[:, 1:].reshape(-1, 3, 32, 32).astype(np.float32)
    mean, deviation = (f(pixels, axis=(0, 2, 3), dtype=np.float64, keepdims=True) for f in (np.mean, np.std))
    return ((pixels - mean) / deviation).astype(np.float32), records[:, 0].astype(np.int64)


def write_inputs(options):
    """The weights and the batches, written once."""
    weights, batches = options.work / "weights.safetensors", options.work / "batches.safetensors"
    if not weights.exists():
        torch.manual_seed(options.seed)
        state = {name: tensor.numpy() for name, tensor in network(options.network).state_dict().items()}
        save_file(state, weights)
    if not batches.exists():
        images, labels = read_cifar10(options.data)
        order = np.random.default_rng(options.seed).permutation(len(labels))
        chosen = np.resize(order, (options.steps, options.batch))
        save_file({"images": images[chosen], "labels": labels[chosen]}, batches)
    return weights, batches


# The runs: each returns its losses.


def run_pytorch(options, dtype, steps, threads, channels_last=False):
    weights, batches = (load_file(path) for path in write_inputs(options))
    torch.set_num_threads(threads)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    model = network(options.network)
    model.load_state_dict({name: torch.from_numpy(np.array(tensor)) for name, tensor in weights.items()})
    model.to(dtype).to(memory_format=layout)
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE, momentum=MOMENTUM, weight_decay=WEIGHT_DECAY)
    losses = []
    for step in range(steps):
        images = torch.from_numpy(batches["images"][step]).to(dtype).contiguous(memory_format=layout)
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(images), torch.from_numpy(batches["labels"][step]))
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        if (step + 1) % 10 == 0:
            say(f"  step {step + 1} of {steps}: loss {loss.item():.4f}")
    return losses


def run_retrace(options, dtype, steps, policy):
    weights, batches = write_inputs(options)
    out = options.work / "step.safetensors"
    command = [options.retrace, "step", "--network", options.network, "--names", "memcnn", "--weights", weights]
    command += ["--batch", batches, "--steps", steps, "--policy", policy, "--dtype", dtype]
    command += ["--optimizer", "sgd", "--lr", RATE, "--momentum", MOMENTUM, "--weight-decay", WEIGHT_DECAY]
    command += ["--threads", options.threads, "--out", out]
    subprocess.run([str(part) for part in command], check=True, stdout=subprocess.DEVNULL)
    losses = load_file(out)["loss"].astype(np.float64).tolist()
    out.unlink()
    return losses


def runs_of(options):
    """Name -> function, in the order of the table's columns."""
    f64 = min(F64_STEPS, options.steps)
    runs = {
        "PyTorch f32": lambda: run_pytorch(options, torch.float32, options.steps, options.threads),
        "PyTorch f32, 1 thread": lambda: run_pytorch(options, torch.float32, options.steps, 1),
        "PyTorch f32, channels-last": lambda: run_pytorch(options, torch.float32, options.steps, options.threads, True),
    }
    for policy in POLICIES:
        runs[f"retrace f32 {policy}"] = lambda p=policy: run_retrace(options, "f32", options.steps, p)
    runs["PyTorch f64"] = lambda: run_pytorch(options, torch.float64, f64, options.threads)
    for policy in POLICIES:
        runs[f"retrace f64 {policy}"] = lambda p=policy: run_retrace(options, "f64", f64, p)
    return runs


def all_losses(options):
    """Does the runs that --work has not."""
    kept = options.work / "losses.json"
    settings = {name: getattr(options, name) for name in ("network", "steps", "batch", "threads", "seed")}
    known = json.loads(kept.read_text()) if kept.exists() else {"settings": settings, "losses": {}}
    if known["settings"] != settings:
        raise SystemExit(f"learning_curve: {options.work} holds runs with other settings: {known['settings']}")
    for name, run in runs_of(options).items():
        if name in known["losses"] or (options.only and not name.startswith(options.only)):
            continue
        say(name)
        start = time.monotonic()
        known["losses"][name] = run()
        say(f"  {len(known['losses'][name])} steps in {time.monotonic() - start:.0f} s")
        kept.write_text(json.dumps(known))
    return {name: np.array(known["losses"][name]) for name in runs_of(options) if name in known["losses"]}


# The verdicts.


def relative(a, b, steps):
    """The largest relative distance of the first losses."""
    return float(np.max(np.abs(a[:steps] - b[:steps]) / np.abs(b[:steps])))


def verdicts(losses):
    """(text, holds) of each promise."""
    found = []
    pytorch = [values for name, values in losses.items() if name.startswith("PyTorch f32")]
    ends = [float(np.mean(values[-LAST:])) for values in pytorch]
    own = max(relative(values, losses["PyTorch f32"], F32_STEPS) for values in pytorch)
    spread, middle = max(ends) - min(ends), float(np.mean(ends))
    for policy in POLICIES:
        ours, theirs = losses[f"retrace f64 {policy}"], losses["PyTorch f64"]
        error = relative(ours, theirs, F64_STEPS)
        text = f"f64 {policy}: the first {min(F64_STEPS, len(ours))} losses are within {error:.1e} of PyTorch's"
        found.append((f"{text} (at most {F64_TOLERANCE:.0e})", error <= F64_TOLERANCE))
        ours = losses[f"retrace f32 {policy}"]
        error = relative(ours, losses["PyTorch f32"], F32_STEPS)
        text = f"f32 {policy}: the first {F32_STEPS} losses are within {error:.1e} of PyTorch's"
        text += f" (at most {F32_TOLERANCE:.0e}; PyTorch's other f32 runs: {own:.1e})"
        found.append((text, error <= F32_TOLERANCE))
        end = float(np.mean(ours[-LAST:]))
        text = f"f32 {policy}: the mean of the last {LAST} losses, {end:.4f}, is {abs(end - middle):.4f} from the mean of"
        text += f" PyTorch's three runs, {middle:.4f} (at most {2 * spread:.4f}, twice their spread)"
        found.append((text, abs(end - middle) <= 2 * spread))
    return found


def cell(name, values, step):
    if step > len(values):
        return ""
    return f"{values[step - 1]:.{11 if 'f64' in name else 6}f}"


def table(losses):
    """The first five steps and every tenth, as a table in Markdown."""
    count = max(len(values) for values in losses.values())
    lines = ["| step | " + " | ".join(losses) + " |", "|---|" + "---|" * len(losses)]
    for step in (s for s in range(1, count + 1) if s <= 5 or s % 10 == 0):
        lines.append(f"| {step} | " + " | ".join(cell(name, values, step) for name, values in losses.items()) + " |")
    return "\n".join(lines)


WIDTH, HEIGHT, LEFT, BOTTOM = 720, 400, 50, 40
COLOURS = {"retrace f32 stored": "#0b6e4f", "retrace f32 reversible": "#c8553d"}


def draw(losses):
    """The f32 curves as SVG: PyTorch's runs in grey, retrace's in colour."""
    curves = {name: values for name, values in losses.items() if "f32" in name}
    top = max(float(values.max()) for values in curves.values())
    count = max(len(values) for values in curves.values())

    def x(step):
        return LEFT + (WIDTH - LEFT - 10) * step / max(count - 1, 1)

    def y(loss):
        return HEIGHT - BOTTOM - (HEIGHT - BOTTOM - 10) * loss / top

    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">']
    parts.append(f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>')
    for loss in np.arange(0, top, 0.5):
        parts.append(f'<path d="M{LEFT} {y(loss):.1f}H{WIDTH - 10}" stroke="#ddd"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y(loss) + 4:.1f}" text-anchor="end">{loss:.1f}</text>')
    for step in range(0, count, max(count // 10, 1)):
        parts.append(f'<text x="{x(step):.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{step + 1}</text>')
    for position, (name, values) in enumerate(curves.items()):
        colour = COLOURS.get(name, "#999")
        points = " ".join(f"{x(step):.1f},{y(loss):.1f}" for step, loss in enumerate(values))
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
        parts.append(f'<text x="{WIDTH - 16}" y="{HEIGHT - BOTTOM - 90 + 16 * position}" text-anchor="end" fill="{colour}">{name}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=pathlib.Path, required=True, help="folder with CIFAR-10's data_batch_*.bin")
    parser.add_argument("--work", type=pathlib.Path, default=ROOT / "out" / "learning_curve", help="folder for files")
    parser.add_argument("--retrace", type=pathlib.Path, default=ROOT / "build" / "cli" / "retrace")
    parser.add_argument("--network", default="revnet38")
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--batch", type=int, default=100)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--only", help="do only the runs whose name begins so, and stop")
    parser.add_argument("--svg", type=pathlib.Path, help="draw the f32 curves into this file")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    losses = all_losses(options)
    if options.only:
        return 0
    print(f"{options.network}, batch {options.batch}, {options.threads} threads; "
          + ", ".join(f"{name} {version}" for name, version in versions().items()) + "\n")  # fmt: skip
    print(table(losses) + "\n")
    results = verdicts(losses)
    for text, holds in results:
        print(f"- {'holds' if holds else 'DOES NOT HOLD'}: {text}")
    if options.svg:
        options.svg.write_text(draw(losses))
    return 0 if all(holds for _, holds in results) else 1


if __name__ == "__main__":
    sys.exit(main())
