"""MemCNN's networks trained by PyTorch in the ways that people train them: what benchmarks/peers.py measures."""

import pathlib
import sys
import warnings

import memcnn
import torch
from memcnn.models.additive import AdditiveCoupling
from torch.nn.functional import cross_entropy
from torch.utils.checkpoint import checkpoint

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests" / "golden"))
from networks import NAMES, network  # noqa: E402, F401

RATE, MOMENTUM, WEIGHT_DECAY = 0.1, 0.9, 2e-4  # as retrace's programs measure with


class Checkpointed(torch.nn.Module):
    """Forgets what is inside of a block and computes it again on the way back."""

    def __init__(self, block):
        super().__init__()
        self.block = block

    def forward(self, x):
        return checkpoint(self.block, x, use_reentrant=False)


class FusedReversal(torch.autograd.Function):
    """A run of additive couplings of which only the last output is kept, as RevTorch does it: on the way back F and G run
    once each, for the value that rebuilds the input and for the gradient."""

    @staticmethod
    def forward(ctx, x, couplings):
        ctx.couplings = couplings
        x1, x2 = x.chunk(2, dim=1)
        for coupling in couplings:
            x1 = x1 + coupling.Fm(x2)
            x2 = x2 + coupling.Gm(x1)
        ctx.y = (x1, x2)
        return torch.cat((x1, x2), dim=1)

    @staticmethod
    def backward(ctx, dy):
        (y1, y2), (d1, d2) = ctx.y, dy.chunk(2, dim=1)
        del ctx.y
        for coupling in reversed(ctx.couplings):
            y2, d1 = FusedReversal.half_back(coupling.Gm, y1, y2, d2, d1)
            y1, d2 = FusedReversal.half_back(coupling.Fm, y2, y1, d1, d2)
        return torch.cat((d1, d2), dim=1), None

    @staticmethod
    def half_back(inner, fixed, changed, d_changed, d_fixed):
        """Of changed = x + inner(fixed): x, and the whole gradient of `fixed`."""
        leaf = fixed.detach().requires_grad_()
        with torch.enable_grad():
            shift = inner(leaf)
        shift.backward(d_changed)
        return changed - shift.detach(), d_fixed + leaf.grad


class FusedRun(torch.nn.Module):
    def __init__(self, couplings):
        super().__init__()
        self.couplings = torch.nn.ModuleList(couplings)

    def forward(self, x):
        return FusedReversal.apply(x, list(self.couplings))


def stages_of(model):
    return [name for name, _ in model.named_children() if name.startswith("layer")]


def with_checkpoints(model):
    for name in stages_of(model):
        setattr(model, name, torch.nn.Sequential(*(Checkpointed(block) for block in getattr(model, name))))
    return model


def with_fused_reversal(model):
    """Each stage's reversible blocks become one run; the block in front of them stays as it is."""
    for name in stages_of(model):
        ordinary, couplings = [], []
        for block in getattr(model, name):
            if hasattr(block, "revblock"):
                couplings.append(block.revblock._fn)
            else:
                ordinary.append(block)
        assert all(isinstance(c, AdditiveCoupling) for c in couplings)
        setattr(model, name, torch.nn.Sequential(*ordinary, FusedRun(couplings)))
    return model


SET = torch.Tensor.set_


def put_back(tensor, *source):
    """Tensor.set_, but for that call of MemCNN's. torch.compile has calls of its own."""
    if len(source) == 1 and isinstance(source[0], torch.Tensor):
        return tensor.data.copy_(source[0])
    return SET(tensor, *source)


def with_memcnn(model):
    """MemCNN's wrappers at work. It puts the inputs back with Tensor.set_, which autograd takes for a change of a tensor that
    it saved; since PyTorch 1.13 backward then stops. Copying into .data goes unnoticed, and is what makes it train here."""
    warnings.filterwarnings("ignore", message="TypedStorage is deprecated")
    warnings.filterwarnings("ignore", message=".*torch.cuda.amp.*", category=FutureWarning)
    torch.Tensor.set_ = put_back
    for module in model.modules():
        if isinstance(module, memcnn.InvertibleModuleWrapper):
            module.disable = False
    return model


def step_of(model, batch, layout=torch.contiguous_format, compiled=False):
    """A function that does one training step, always with the same images, and returns the loss."""
    torch.manual_seed(0)
    images = torch.randn(batch, 3, 32, 32).contiguous(memory_format=layout)
    labels = torch.randint(0, 10, (batch,))
    model = model.to(memory_format=layout).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE, momentum=MOMENTUM, weight_decay=WEIGHT_DECAY)
    run = torch.compile(model) if compiled else model

    def step():
        optimizer.zero_grad()
        loss = cross_entropy(run(images), labels)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def variants_of(name, batch, compiled):
    """Label -> step. The first ones store every activation."""
    last = torch.channels_last
    variants = {
        "eager": step_of(network(name), batch),
        "eager, channels-last": step_of(network(name), batch, last),
    }
    if compiled:
        variants["torch.compile"] = step_of(network(name), batch, compiled=True)
        variants["torch.compile, channels-last"] = step_of(network(name), batch, last, compiled=True)
    variants["torch.utils.checkpoint"] = step_of(with_checkpoints(network(name)), batch)
    if name.startswith("revnet"):
        variants["MemCNN"] = step_of(with_memcnn(network(name)), batch)
        variants["fused reversal"] = step_of(with_fused_reversal(network(name)), batch)
        variants["fused reversal, channels-last"] = step_of(with_fused_reversal(network(name)), batch, last)
    return variants
