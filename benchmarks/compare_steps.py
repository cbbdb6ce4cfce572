#!/usr/bin/env python3
"""The same training steps in MemCNN (PyTorch) and in `retrace step`, compared tensor by tensor.

    pip install -r benchmarks/requirements.txt
    python3 benchmarks/compare_steps.py build/cli/retrace [--networks revnet38,resnet32] [--batch 4] [--steps 3]

For each network MemCNN's model is made and its weights are written as safetensors under its own names; both sides then
train on the same batches, with all three policies.

f64: loss, logits, every gradient of the first step and every buffer and parameter after the last one must be within 1e-8
of PyTorch's. Errors are ||a - b|| / ||b||; that of a tensor which is zero in exact arithmetic is divided by the norm of
all tensors of its kind.

f32: loss, logits and the gradient, all parameters' taken as one vector, must be no further from PyTorch's f64 run than
three times what PyTorch's own f32 runs are: the furthest of three, which differ in threads, memory layout and library.
One vector and not each parameter, because two f32 runs differ in a few ReLUs whose inputs are close to 0, and each
such decision shifts the gradients of the layers in front of it alone. Exit status 1 when anything is out of tolerance.

MemCNN's wrappers are disabled, because they can't train these networks on PyTorch >= 1.13 (its version counter forbids
it). Not a test: it needs PyTorch.
"""

import argparse
import dataclasses
import pathlib
import subprocess
import sys
import tempfile

import torch
from safetensors.torch import load_file, save_file

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests" / "golden"))
from networks import NAMES, network  # noqa: E402

KINDS = ("loss", "logits", "grad.", "param.", "buffer.")
JUDGED_F32 = ("loss", "logits", "grad.")  # each as one vector
RATE, MOMENTUM, WEIGHT_DECAY = 0.1, 0.9, 2e-4
ALLOWED_F64 = 1e-8
TIMES_OWN_DISTANCE = 3
LEAST_ALLOWED_F32 = 1e-6  # a few roundings, where PyTorch's run happens to meet f64


@dataclasses.dataclass
class Network:
    name: str
    blocks: list | None  # of each stage, in place of the network's

    def model(self):
        return network(self.name, blocks=self.blocks)

    def arguments(self):
        blocks = ["--blocks", ",".join(map(str, self.blocks))] if self.blocks else []
        return ["--network", self.name, *blocks]


def train(net, weights, batches, dtype, layout=torch.contiguous_format):
    """What `retrace step` writes, computed by PyTorch."""
    model = net.model()
    model.load_state_dict(weights)
    model.to(dtype, memory_format=layout).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE, momentum=MOMENTUM, weight_decay=WEIGHT_DECAY)
    result, losses = {}, []
    for step, (images, labels) in enumerate(zip(batches["images"], batches["labels"])):
        optimizer.zero_grad()
        logits = model(images.to(dtype, memory_format=layout))
        loss = torch.nn.functional.cross_entropy(logits, labels)
        loss.backward()
        losses.append(loss.item())
        if step == 0:
            result["logits"] = logits.detach().clone()
            result.update({f"grad.{n}": p.grad.clone() for n, p in model.named_parameters()})
        optimizer.step()
    result["loss"] = torch.tensor(losses, dtype=torch.float64)
    result.update({f"param.{n}": p.detach().clone() for n, p in model.named_parameters()})
    result.update({f"buffer.{n}": b.clone() for n, b in model.named_buffers()})
    return result


def retrace(program, net, folder, steps, policy, dtype):
    out = folder / "out.safetensors"
    subprocess.run(
        [program, "step", *net.arguments(), "--names", "memcnn", "--weights", folder / "weights.safetensors", "--batch",
         folder / "batch.safetensors", "--steps", str(steps), "--policy", policy, "--optimizer", "sgd",
         "--lr", str(RATE), "--momentum", str(MOMENTUM), "--weight-decay", str(WEIGHT_DECAY), "--dtype", dtype,
         "--threads", "2", "--out", out], check=True, stdout=subprocess.DEVNULL)
    return load_file(out)


def kind_of(name):
    return next(kind for kind in KINDS if name.startswith(kind))


def norm_of_all(tensors, kind):
    return sum(t.double().norm() ** 2 for n, t in tensors.items() if kind_of(n) == kind).sqrt().item()


def errors(got, exact):
    """The error of each tensor, relative to its norm."""
    if {n: t.shape for n, t in got.items()} != {n: t.shape for n, t in exact.items()}:
        sys.exit(f"names or shapes differ, of {sorted(set(got) ^ set(exact))[:5]}")
    whole = {kind: norm_of_all(exact, kind) for kind in KINDS}
    result = {}
    for name, tensor in exact.items():
        norm, scale = tensor.double().norm().item(), whole[kind_of(name)]
        difference = (got[name].double() - tensor.double()).norm().item()
        result[name] = difference / (norm if norm > 1e-12 * scale else scale)
    return result


def largest(found):
    """The largest error of each kind."""
    return [max(e for n, e in found.items() if kind_of(n) == kind) for kind in KINDS]


def distances(got, exact):
    """Of loss, logits and all gradients, each taken as one vector."""
    difference = {n: got[n].double() - t.double() for n, t in exact.items()}
    return [norm_of_all(difference, kind) / norm_of_all(exact, kind) for kind in JUDGED_F32]


def print_row(*cells):
    texts = [cell if isinstance(cell, str) else f"{cell:.1e}" for cell in cells]
    print(f"| {' | '.join(texts)} |", flush=True)


def own_distances(net, weights, batches, exact):
    """The furthest of PyTorch's f32 runs from its f64 run."""
    found = []
    for threads, layout, library in ((2, torch.contiguous_format, True), (1, torch.channels_last, True),
                                     (1, torch.contiguous_format, False)):
        torch.set_num_threads(threads)
        with torch.backends.mkldnn.flags(enabled=library):
            found.append(distances(train(net, weights, batches, torch.float32, layout), exact))
        print_row(net.name, "PyTorch itself", "f32", *["" for _ in KINDS], *found[-1], "")
    torch.set_num_threads(2)
    return [max(column) for column in zip(*found)]


def compare(program, net, options, folder):
    torch.manual_seed(options.seed)
    weights = net.model().state_dict()
    shape = (options.steps, options.batch)
    batches = {"images": torch.randn(*shape, 3, options.size, options.size), "labels": torch.randint(0, 10, shape)}
    save_file({n: t.contiguous() for n, t in weights.items()}, folder / "weights.safetensors")
    save_file(batches, folder / "batch.safetensors")
    exact = train(net, weights, batches, torch.float64)
    own = own_distances(net, weights, batches, exact)
    passed = True
    for policy in ("stored", "checkpoint") + (("reversible",) if net.name.startswith("revnet") else ()):
        for dtype in ("f64", "f32"):
            got = retrace(program, net, folder, options.steps, policy, dtype)
            worst, far = largest(errors(got, exact)), distances(got, exact)
            if dtype == "f64":
                fits = all(error <= ALLOWED_F64 for error in worst)
            else:
                fits = all(d <= max(TIMES_OWN_DISTANCE * o, LEAST_ALLOWED_F32) for d, o in zip(far, own))
            print_row(net.name, policy, dtype, *worst, *far, "ok" if fits else "OUT OF TOLERANCE")
            passed = passed and fits
    return passed


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program", help="the retrace program")
    parser.add_argument("--networks", default=",".join(NAMES))
    parser.add_argument("--blocks", help="of each stage, in place of the networks': 1,2,1")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--size", type=int, default=32, help="height and width of the images")
    parser.add_argument("--steps", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    blocks = [int(b) for b in options.blocks.split(",")] if options.blocks else None
    torch.set_num_threads(2)
    print(f"PyTorch {torch.__version__}, batch {options.batch} of {options.size}x{options.size}, {options.steps} steps; "
          "the largest error of each kind, relative\n\n"
          "| network | policy | dtype | loss | logits | one gradient | one parameter | one buffer | all losses | all logits | "
          "all gradients | |\n|---|---|---|---|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        results = [compare(options.program, Network(name, blocks), options, pathlib.Path(folder))
                   for name in options.networks.split(",")]
    sys.exit(0 if all(results) else 1)


if __name__ == "__main__":
    main()
