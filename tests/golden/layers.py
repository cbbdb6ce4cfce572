"""Layers and losses one by one: outputs, gradients for a given dy, and buffers afterwards."""

import torch
from torch import nn
from torch.nn import functional as f

from golden_file import draw, randomise


def add_module(golden, case, module, x, training=True):
    """One forward and one backward of a module; x is a tensor, of integers for an embedding."""
    randomise(case, module.double()).train(training)
    golden.source(case)
    golden.put(case, "in", {"x": x})
    golden.put(case, "param", dict(module.named_parameters()))
    golden.put(case, "buffer", dict(module.named_buffers()))
    if x.is_floating_point():
        x.requires_grad_()
    y = module(x)
    dy = draw(f"{case} dy", *y.shape)
    y.backward(dy)
    golden.put(case, "in", {"dy": dy})
    golden.put(case, "out", {"y": y})
    golden.put(case, "grad", {name: p.grad for name, p in module.named_parameters()})
    if x.grad is not None:
        golden.put(case, "grad", {"x": x.grad})
    golden.put(case, "after", dict(module.named_buffers()))


def add_loss(golden, case, loss, x, target, **options):
    """`options` that are tensors are inputs too."""
    golden.source(case)
    golden.put(case, "in", {"x": x, "target": target})
    golden.put(case, "in", {name: option for name, option in options.items() if isinstance(option, torch.Tensor)})
    x.requires_grad_()
    y = loss(x, target, **options)
    dy = draw(f"{case} dy", *y.shape)
    y.backward(dy)
    golden.put(case, "in", {"dy": dy})
    golden.put(case, "out", {"y": y})
    golden.put(case, "grad", {"x": x.grad})


def with_zeros(x):
    """Every third number is exactly 0: the kink of ReLU."""
    x.view(-1)[::3] = 0
    return x


def conv2d(golden):
    for name, (c_in, c_out, size), options in [
        ("3x3", (3, 4, (5, 6)), dict(kernel_size=3)),
        ("3x3 padding 1", (4, 4, (6, 6)), dict(kernel_size=3, padding=1, bias=False)),
        ("3x3 stride 2 padding 1", (4, 6, (7, 8)), dict(kernel_size=3, stride=2, padding=1, bias=False)),
        ("1x1 stride 2", (4, 6, (7, 6)), dict(kernel_size=1, stride=2)),
        ("3x3 dilation 2 padding 2", (3, 4, (7, 7)), dict(kernel_size=3, dilation=2, padding=2)),
        ("3x3 groups 2 padding 1", (4, 6, (5, 5)), dict(kernel_size=3, groups=2, padding=1)),
        ("3x3 depthwise", (4, 4, (5, 5)), dict(kernel_size=3, groups=4)),
        ("7x7 stride 2 padding 3", (3, 4, (9, 9)), dict(kernel_size=7, stride=2, padding=3, bias=False)),
        ("all options", (4, 6, (9, 8)),
         dict(kernel_size=(3, 2), stride=(2, 1), padding=(1, 2), dilation=(2, 3), groups=2)),
    ]:  # fmt: skip
        add_module(golden, f"conv2d {name}", nn.Conv2d(c_in, c_out, **options), draw(name, 2, c_in, *size))


def dense(golden):
    add_module(golden, "linear", nn.Linear(7, 5), draw("linear", 4, 7))
    add_module(golden, "linear without bias", nn.Linear(7, 5, bias=False), draw("linear without bias", 3, 7))
    add_module(golden, "linear of rank 3", nn.Linear(5, 3), draw("linear of rank 3", 2, 3, 5))
    indices = torch.tensor([[1, 0, 3], [3, 3, 5]])
    add_module(golden, "embedding", nn.Embedding(6, 4), indices)
    add_module(golden, "embedding padding_idx 3", nn.Embedding(6, 4, padding_idx=3), indices.clone())


def norms(golden):
    x = draw("batch norm", 3, 4, 3, 5, low=-2, high=3)
    for training in (True, False):
        for name, options in [("", {}), (" momentum 0.99 eps 0.001", dict(momentum=0.99, eps=1e-3))]:
            case = f"batch norm {'train' if training else 'eval'}{name}"
            norm = nn.BatchNorm2d(4, **options).double()
            norm.running_mean.copy_(draw(f"{case} mean", 4))
            norm.running_var.copy_(draw(f"{case} var", 4, low=0.5, high=2))
            norm.num_batches_tracked.fill_(7)
            add_module(golden, case, norm, x.clone(), training)
    add_module(golden, "layer norm", nn.LayerNorm(6), draw("layer norm", 4, 6, low=-2, high=3))
    add_module(golden, "layer norm of two dimensions", nn.LayerNorm([3, 4], eps=1e-3), draw("layer norm 2", 3, 2, 3, 4))
    add_module(golden, "layer norm without affine", nn.LayerNorm(6, elementwise_affine=False), draw("layer norm 3", 4, 6))
    add_module(golden, "group norm", nn.GroupNorm(2, 6), draw("group norm", 2, 6, 3, 4, low=-2, high=3))
    add_module(golden, "group norm without affine", nn.GroupNorm(3, 6, affine=False), draw("group norm 2", 2, 6, 2, 3))


def pools(golden):
    for name, module, size in [
        ("max pool 2", nn.MaxPool2d(2), (6, 7)),
        ("max pool 3 stride 2 padding 1", nn.MaxPool2d(3, stride=2, padding=1), (7, 8)),
        ("max pool 3x2 stride 1x2", nn.MaxPool2d((3, 2), stride=(1, 2), padding=(1, 0)), (5, 6)),
        ("avg pool 2", nn.AvgPool2d(2), (6, 7)),
        ("avg pool 3 stride 2 padding 1", nn.AvgPool2d(3, stride=2, padding=1), (7, 8)),
        ("adaptive avg pool 1", nn.AdaptiveAvgPool2d(1), (5, 4)),
        ("adaptive avg pool 3x2", nn.AdaptiveAvgPool2d((3, 2)), (7, 5)),
    ]:
        add_module(golden, name, module, draw(name, 2, 3, *size))


def activations(golden):
    for name, module in [
        ("relu", nn.ReLU()),
        ("leaky relu", nn.LeakyReLU()),
        ("leaky relu 0.2", nn.LeakyReLU(0.2)),
        ("tanh", nn.Tanh()),
        ("sigmoid", nn.Sigmoid()),
        ("gelu", nn.GELU()),
        ("gelu tanh", nn.GELU(approximate="tanh")),
        ("silu", nn.SiLU()),
        ("softmax", nn.Softmax(dim=1)),
        ("log softmax", nn.LogSoftmax(dim=1)),
    ]:
        add_module(golden, name, module, with_zeros(draw(name, 3, 5, 2, low=-4, high=4)))


def losses(golden):
    def logits(name):
        return draw(name, 4, 5, low=-3, high=3)

    entropy, labels = f.cross_entropy, torch.tensor([2, 0, 4, 1])
    weight = torch.tensor([0.5, 1.0, 2.0, 3.0, 0.25], dtype=torch.float64)
    add_loss(golden, "cross entropy", entropy, logits("cross entropy"), labels)
    for reduction in ("none", "sum"):
        add_loss(golden, f"cross entropy {reduction}", entropy, logits(f"ce {reduction}"), labels, reduction=reduction)
    add_loss(golden, "cross entropy weight", entropy, logits("ce weight"), labels, weight=weight)
    add_loss(golden, "cross entropy label smoothing 0.1", entropy, logits("smooth"), labels, label_smoothing=0.1)
    options = dict(weight=weight, ignore_index=4, label_smoothing=0.2)
    add_loss(golden, "cross entropy all options", entropy, logits("ce all"), labels, **options)

    for reduction in ("none", "mean", "sum"):
        target = draw(f"target {reduction}", 3, 4)
        add_loss(golden, f"mse {reduction}", f.mse_loss, draw(f"mse {reduction}", 3, 4), target, reduction=reduction)
        x = draw(f"l1 {reduction}", 3, 4)
        x[1] = target[1]  # the kink of |x - y|
        add_loss(golden, f"l1 {reduction}", f.l1_loss, x, target, reduction=reduction)

    target = draw("bce target", 3, 4, low=0)
    target[0] = torch.tensor([0.0, 1.0, 1.0, 0.0])
    bce, weight = f.binary_cross_entropy_with_logits, weight[:4].clone()
    each = draw("bce weight", 3, 4, low=0.5, high=2)
    add_loss(golden, "bce with logits", bce, draw("bce", 3, 4, low=-4, high=4), target)
    add_loss(golden, "bce with logits pos_weight", bce, draw("bce 2", 3, 4, low=-4, high=4), target, pos_weight=weight)
    options = dict(weight=each, pos_weight=weight, reduction="sum")
    add_loss(golden, "bce with logits all options", bce, draw("bce 3", 3, 4, low=-4, high=4), target, **options)


def make(golden):
    for family in (conv2d, dense, norms, pools, activations, losses):
        family(golden)
