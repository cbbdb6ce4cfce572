"""Couplings: outputs, inverses, gradients and weights after one step, through forward and through inverse.

The values are those of MemCNN's default implementation (-1), which records the formula. Each is compared with the
formula written out here, and with MemCNN's other implementations and its wrapper; what they do on this version of
PyTorch goes into the metadata. None of their results is stored: they must be equal, and where they are not, they are
wrong.
"""

import copy
import warnings

import memcnn
import torch
from torch import nn

from golden_file import draw, randomise

RATE = 0.1
EQUAL = 1e-12


class ScaleAndShift(nn.Module):
    """A function with two results, for an affine coupling without an adapter; its scale is between 0.5 and 2.5."""

    def __init__(self, channels):
        super().__init__()
        self.scale = nn.Conv2d(channels, channels, 3, padding=1)
        self.shift = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x):
        return 1.5 + torch.tanh(self.scale(x)), torch.tanh(self.shift(x))


def convolution(channels, out, norm=False):
    layers = [nn.BatchNorm2d(channels)] if norm else []
    return nn.Sequential(*layers, nn.Conv2d(channels, out, 3, padding=1), nn.Tanh())


# What F and G are for streams of so many channels, and the adapter; None for an additive coupling.
KINDS = {
    "additive": (lambda c: convolution(c, c), None),
    "additive with batch norm": (lambda c: convolution(c, c, norm=True), None),
    "affine naive": (lambda c: convolution(c, c), memcnn.AffineAdapterNaive),
    "affine sigmoid": (lambda c: convolution(c, 2 * c), memcnn.AffineAdapterSigmoid),
    "affine without adapter": (ScaleAndShift, None),
}


def couple(kind, split_dim, implementation=-1):
    channels = 2 if split_dim == 1 else 4
    make, adapter = KINDS[kind]
    F, G = (randomise(f"{kind} {split_dim} {name}", make(channels).double(), scale=0.4) for name in "FG")
    options = dict(implementation_fwd=implementation, implementation_bwd=implementation, split_dim=split_dim)
    if kind.startswith("additive"):
        return memcnn.AdditiveCoupling(F, G, **options)
    return memcnn.AffineCoupling(F, G, adapter=adapter, **options)


def formula(kind, coupling, inverse, x):
    a, b = torch.chunk(x, 2, dim=coupling.split_dim)
    F, G = coupling.Fm, coupling.Gm
    if kind.startswith("additive"):
        if inverse:
            b = b - G(a)
            return torch.cat([a - F(b), b], dim=coupling.split_dim)
        a = a + F(b)
        return torch.cat([a, b + G(a)], dim=coupling.split_dim)
    if inverse:
        s, t = G(a)
        b = (b - t) / s
        s, t = F(b)
        return torch.cat([(a - t) / s, b], dim=coupling.split_dim)
    s, t = F(b)
    a = s * a + t
    s, t = G(a)
    return torch.cat([a, s * b + t], dim=coupling.split_dim)


def train_once(coupling, function, x):
    """One step of SGD on the mean of the squared outputs; all there is to compare afterwards."""
    leaf = x.clone().requires_grad_()
    y = function(leaf * 1)  # the wrapper takes away its input's bytes, so it must not be the leaf
    y.square().mean().backward()
    found = {("out", "y"): y.detach().clone(), ("grad", "x"): leaf.grad.clone()}
    for name, parameter in coupling.named_parameters():
        found["grad", our_name(name)] = parameter.grad.clone()
    torch.optim.SGD(coupling.parameters(), lr=RATE).step()
    for name, parameter in coupling.named_parameters():
        found["trained", our_name(name)] = parameter.detach().clone()
    for name, buffer in coupling.named_buffers():
        found["after", our_name(name)] = buffer.clone()
    return found


def our_name(name):
    return name.replace("Fm.", "F.").replace("Gm.", "G.")


def worst(found, expected):
    """The tensor that is farthest from the expected one, and how far, in units of its norm; buffers aside."""
    return max(
        (float(torch.linalg.vector_norm(found[key] - value) / torch.linalg.vector_norm(value)), "/".join(key))
        for key, value in expected.items()
        if key[0] != "after"
    )


def verdict(run, expected):
    """What another way to the same result does."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            error, name = worst(run(), expected)
    except RuntimeError as problem:  # what MemCNN throws is a fact to record
        return f"fails ({str(problem).splitlines()[0][:60]}...)"
    return "equal" if error < EQUAL else f"wrong by {error:.1e} in {name}"


def add(golden, kind, split_dim, inverse):
    case = f"{kind} split_dim {split_dim} {'inverse' if inverse else 'forward'}"
    coupling = couple(kind, split_dim)
    x = draw(case, 2, 4, 5, 5) if split_dim != 2 else draw(case, 2, 4, 6, 5)
    golden.put(case, "in", {"x": x})
    for group, tensors in (("param", coupling.named_parameters()), ("buffer", coupling.named_buffers())):
        golden.put(case, group, {our_name(name): tensor for name, tensor in tensors})

    def run(coupling, wrap=lambda c: c):
        module = wrap(coupling)
        return train_once(coupling, module.inverse if inverse else module.forward, x)

    by_hand = copy.deepcopy(coupling)
    expected = run(coupling)
    error, name = worst(train_once(by_hand, lambda v: formula(kind, by_hand, inverse, v), x), expected)
    assert error < EQUAL, f"{case}: MemCNN's implementation -1 is {error} away from the formula in {name}"

    with torch.no_grad():  # a batch norm's statistics in the inverse are those of forward: not in training
        fresh = couple(kind, split_dim).eval()
        there = fresh.inverse(x) if inverse else fresh.forward(x)
        back = fresh.forward(there) if inverse else fresh.inverse(there)
    assert torch.linalg.vector_norm(back - x) < EQUAL * torch.linalg.vector_norm(x)

    wrapped = verdict(lambda: run(couple(kind, split_dim), memcnn.InvertibleModuleWrapper), expected)
    others = [verdict(lambda i=i: run(couple(kind, split_dim, i)), expected) for i in (0, 1)]
    golden.source(
        case,
        "MemCNN's implementation -1, equal to the formula with PyTorch's autograd. MemCNN's others: "
        f"implementation 0 {others[0]}; implementation 1 {others[1]}; wrapper {wrapped}",
    )
    for (group, name), value in expected.items():
        golden.put(case, group, {name: value})


def make(golden):
    for kind in KINDS:
        for split_dim in (0, 1, 2):
            for inverse in (False, True):
                add(golden, kind, split_dim, inverse)
