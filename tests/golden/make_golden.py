#!/usr/bin/env python3
"""Writes the golden values that golden_tests compares with: see README.md.

    python make_golden.py [FAMILY ...]

Needs torch, memcnn, numpy and safetensors (`pip install torch memcnn numpy safetensors`); uses the CPU.
"""

import argparse
import pathlib
import sys

import torch

import couplings
import layers
import networks
import training
from golden_file import GoldenFile

FAMILIES = {
    "layers": layers.make,
    "couplings": couplings.make,
    "optimizers": training.optimizers,
    "schedules": training.schedules,
    "networks": networks.make,
}
FOLDER = pathlib.Path(__file__).resolve().parent


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("families", nargs="*", metavar="FAMILY", help=f"of {', '.join(FAMILIES)} (default: all)")
    parser.add_argument("--out", type=pathlib.Path, default=FOLDER, help="folder to write to")
    arguments = parser.parse_args()
    unknown = set(arguments.families) - set(FAMILIES)
    if unknown:
        parser.error(f"there is no family {', '.join(sorted(unknown))}")
    torch.set_default_dtype(torch.float32)
    torch.use_deterministic_algorithms(True)
    for name in arguments.families or FAMILIES:
        golden = GoldenFile()
        FAMILIES[name](golden)
        path = arguments.out / f"{name}.safetensors"
        golden.save(path)
        print(f"{path.name}: {len(golden.tensors)} tensors, {path.stat().st_size} bytes", file=sys.stderr)


if __name__ == "__main__":
    main()
