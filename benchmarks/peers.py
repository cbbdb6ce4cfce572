#!/usr/bin/env python3
"""Training steps and kernels of PyTorch and MemCNN beside retrace's, on this machine and in turn.

    python3 benchmarks/peers.py [--build build] [--networks resnet32,revnet38] [--rounds 3] [--compile]
    python3 benchmarks/peers.py --kernels [--filter "3x3"]

In each round every variant of PyTorch does its steps, then build/benchmarks/training those of retrace, so that all meet the
same machine; the tables have medians. The first steps of each, with them torch.compile's compilation, are not counted.
Prints Markdown. Needs torch, memcnn and numpy, and a machine that does nothing else: PyTorch's threads spin while they wait,
and lose whole time slices to other programs (OMP_WAIT_POLICY=passive makes them sleep; retrace's always do).
"""

import argparse
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys
import time

import torch
from torch.nn.functional import batch_norm, conv2d, relu

import peers_models

ROOT = pathlib.Path(__file__).resolve().parent.parent
STORING = ("eager", "eager, channels-last", "torch.compile", "torch.compile, channels-last")
COMPILED = ("resnet32", "revnet38")  # a deeper one takes too long to compile; its gain there is that of these


def say(text):
    print(text, file=sys.stderr, flush=True)


def seconds_of(run):
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def program_json(options, program, *arguments):
    """What a program of benchmarks/ prints with --json."""
    command = [options.build / "benchmarks" / program, "--json", "--threads", str(options.threads), *arguments]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def conditions(options):
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True).stdout.strip()
    models = re.findall(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text())
    return (f"torch {torch.__version__}, f32, {options.threads} threads of {models[0] if models else 'an unknown processor'}, "
            f"retrace {commit or 'of no commit'}, medians of {options.rounds} rounds, load {os.getloadavg()[0]:.1f} before")


def print_row(*cells):
    print(f"| {' | '.join(cells)} |", flush=True)


# Training steps.


def retrace_steps(options, name):
    """Label -> seconds of a step, one policy after the other in turns."""
    rows = program_json(options, "training", "--networks", name, "--batch", str(options.batch), "--steps",
                        str(options.retrace_steps))
    return {f"retrace, {row['policy']}": row["step_seconds"] for row in rows}


def times_of(options, name):
    """Label -> median seconds of a step."""
    variants = peers_models.variants_of(name, options.batch, options.compile and name in COMPILED)
    for label, step in variants.items():
        say(f"  {name}, {label}: first step")
        step()
        step()
    times = {label: [] for label in variants}
    for number in range(options.rounds):
        say(f"  {name}: round {number + 1} of {options.rounds}")
        for label, step in variants.items():
            times[label] += [seconds_of(step) for _ in range(options.steps)]
        for label, seconds in retrace_steps(options, name).items():
            times.setdefault(label, []).append(seconds)
    return {label: statistics.median(seconds) for label, seconds in times.items()}


def with_estimates(name, times, gains):
    """Adds what torch.compile would take where it was not run: its gain for the smaller network of the family."""
    family = name.rstrip("0123456789")
    for eager in ("eager", "eager, channels-last"):
        compiled = eager.replace("eager", "torch.compile")
        if compiled in times:
            gains[family, compiled] = times[compiled] / times[eager]
        elif (family, compiled) in gains:
            times[f"{compiled} (estimated)"] = gains[family, compiled] * times[eager]
    return times


def compare_training(options):
    print(f"batch {options.batch} of [3, 32, 32]; {conditions(options)}\n")
    print("| network | | ms a step | of PyTorch's fastest that stores | of MemCNN |\n|---|---|--:|--:|--:|", flush=True)
    gains = {}
    for name in options.networks.split(","):
        times = with_estimates(name, times_of(options, name), gains)
        fastest = min(seconds for label, seconds in times.items() if label.removesuffix(" (estimated)") in STORING)
        for label, seconds in times.items():
            of_memcnn = f"{seconds / times['MemCNN']:.2f}" if "MemCNN" in times else ""
            print_row(name, label, f"{1e3 * seconds:.0f}", f"{seconds / fastest:.2f}", of_memcnn)


# Kernels.


def convolution(match):
    """The runs of a case of build/benchmarks/kernels in both layouts: label -> function."""
    kernel, stride, channels, filters, size = (int(match[k] or 1) for k in ("kernel", "stride", "c", "o", "size"))
    x, w = torch.randn(100, channels, size, size), torch.randn(filters, channels, kernel, kernel)
    dy = torch.randn_like(conv2d(x, w, stride=stride, padding=kernel // 2))
    mask = {"data": [True, False, False], "weight": [False, True, False]}.get(match["direction"])

    def run_in(layout):
        tensors = [t.contiguous(memory_format=layout) for t in (dy, x, w)]
        if mask is None:
            return lambda: conv2d(tensors[1], tensors[2], stride=stride, padding=kernel // 2)
        return lambda: torch.ops.aten.convolution_backward(*tensors, None, [stride] * 2, [kernel // 2] * 2, [1, 1], False,
                                                           [0, 0], 1, mask)

    return {"NCHW": run_in(torch.contiguous_format), "channels-last": run_in(torch.channels_last)}


def norm_and_relu(match):
    shape = [int(extent) for extent in match["shape"].split("x")]

    def run_in(layout):
        x, dy = (torch.randn(shape).contiguous(memory_format=layout) for _ in range(2))
        gamma, beta, mean, variance = (torch.ones(shape[1]) for _ in range(4))
        backward = match["direction"] == "backward"
        inputs = [t.requires_grad_(backward) for t in (x, gamma, beta)]

        def forward():
            return relu(batch_norm(x, mean, variance, gamma, beta, training=True), inplace=True)

        if not backward:
            return forward
        y = forward()
        return lambda: torch.autograd.grad(y, inputs, dy, retain_graph=True)

    return {"NCHW": run_in(torch.contiguous_format), "channels-last": run_in(torch.channels_last)}


PEERS = {  # cases of build/benchmarks/kernels, and how PyTorch runs the same
    re.compile(r"conv2d (?P<kernel>\d)x\d( stride (?P<stride>\d))? (?P<c>\d+)->(?P<o>\d+)@(?P<size>\d+) "
               r"(?P<direction>forward|data|weight)"): convolution,
    re.compile(r"batch_norm \+ relu (?P<direction>forward|backward) (?P<shape>[\dx]+)"): norm_and_relu,
}


def runs_of(case):
    found = [make(match) for pattern, make in PEERS.items() if (match := pattern.fullmatch(case))]
    return found[0] if found else None


def median_within(run, budget):
    run()
    times = []
    while len(times) < 3 or sum(times) < budget:
        times.append(seconds_of(run))
    return statistics.median(times)


def compare_kernels(options):
    print(f"batch 100; {conditions(options)}\n\n| case | retrace, ms | NCHW, ms | channels-last, ms | retrace, GFLOP/s | "
          "times PyTorch's better layout | of the peak |\n|---|--:|--:|--:|--:|--:|--:|", flush=True)
    budget = str(options.seconds)
    for row in program_json(options, "kernels", "--seconds", "0", "--filter", options.filter):
        case = row["case"]
        runs = runs_of(case)
        if runs is None:
            continue
        times, ours = {label: [] for label in runs}, []
        for _ in range(options.rounds):
            found = program_json(options, "kernels", "--seconds", budget, "--filter", case)
            ours.append(next(r for r in found if r["case"] == case))
            for label, run in runs.items():
                times[label].append(median_within(run, options.seconds))
        middle = sorted(ours, key=lambda r: r["seconds"])[len(ours) // 2]
        theirs = {label: statistics.median(seconds) for label, seconds in times.items()}
        print_row(case, *(f"{1e3 * seconds:.3f}" for seconds in (middle["seconds"], *theirs.values())),
                  f"{middle['gflops']:.0f}", f"{min(theirs.values()) / middle['seconds']:.2f}",
                  f"{middle['percent_of_peak']:.0f} %")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build", help="Meson's folder")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--networks", default="resnet32,resnet110,revnet38,revnet110")
    parser.add_argument("--batch", type=int, default=100)
    parser.add_argument("--steps", type=int, default=2, help="of each of PyTorch's variants in a round")
    parser.add_argument("--retrace-steps", type=int, default=3, help="of each policy in a round, whose median counts")
    parser.add_argument("--compile", action="store_true", help=f"torch.compile, too, for {' and '.join(COMPILED)}")
    parser.add_argument("--kernels", action="store_true", help="compare kernels instead")
    parser.add_argument("--filter", default="", help="only kernels whose name contains this")
    parser.add_argument("--seconds", type=float, default=0.1, help="for each kernel in a round")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    (compare_kernels if options.kernels else compare_training)(options)


if __name__ == "__main__":
    main()
