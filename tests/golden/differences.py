#!/usr/bin/env python3
"""Checks the column "PyTorch" of docs/reference/pytorch.md: what PyTorch does in each row of that table.

    python differences.py

Needs torch (`pip install torch`); uses the CPU. Prints PyTorch's version and each row that has changed.
"""

import sys
import warnings

import torch
import torch.nn.functional as F
from torch import tensor

ONE = torch.ones(1)
HALVES = (torch.bfloat16, torch.float16)


def fails(call):
    """Whether a call throws."""
    try:
        call()
    except (RuntimeError, ValueError, NotImplementedError):
        return True
    return False


def clamp_gradient(low, high):
    """The gradient of clamp at -1, 0, 0.5, 1 and 2."""
    x = tensor([-1, 0, 0.5, 1, 2], requires_grad=True)
    torch.clamp(x, low, high).sum().backward()
    return x.grad.tolist()


def reduced_floats():
    """Whether norms, losses, softmax, embeddings, random numbers and an optimizer take bf16 and f16."""
    for dtype in HALVES:
        x, labels = torch.rand(4, 6).to(dtype), tensor([0, 1, 2, 3])
        parameter = torch.nn.Parameter(x.clone())
        parameter.grad = x.clone()
        torch.optim.SGD([parameter], lr=0.1).step()
        results = [F.layer_norm(x, (6,)), F.group_norm(x, 2), F.batch_norm(x, None, None, training=True), F.softmax(x, -1),
                   F.cross_entropy(x, labels), F.mse_loss(x, 0 * x), F.embedding(labels, x), torch.rand(2, dtype=dtype)]
        if any(result.dtype != dtype for result in results):
            return False
    return True


def mixed_types():
    f64, bf16, f16 = ONE.double(), ONE.bfloat16(), ONE.half()
    wider = [ONE + f64, torch.cat([ONE, f64]), F.mse_loss(ONE, f64)]
    products = [lambda: torch.ones(1, 1) @ torch.ones(1, 1).double(), lambda: F.linear(ONE, torch.ones(1, 1).double()),
                lambda: F.conv2d(torch.ones(1, 1, 1, 1), torch.ones(1, 1, 1, 1).double())]
    return all(y.dtype == torch.float64 for y in wider) and (bf16 + f16).dtype == torch.float32 and all(map(fails, products))


def integers():
    x = tensor([1, 2])
    return (x + x).tolist() == [2, 4] and x.sum() == 3 and x.argmax() == 1 and fails(x.mean) and fails(lambda: F.softmax(x, -1))


def broadcasts_with_a_warning(loss):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        return loss(torch.ones(3, 1), torch.ones(3), reduction="none").shape == (3, 3) and len(caught) == 1


def cross_entropies():
    zeros = torch.zeros
    return not any(map(fails, [
        lambda: F.cross_entropy(zeros(3), tensor(1)),
        lambda: F.cross_entropy(zeros(2, 3, 4), zeros(2, 4).long()),
        lambda: F.cross_entropy(zeros(2, 3), torch.full((2, 3), 1 / 3)),
        lambda: F.cross_entropy(zeros(2, 3), zeros(2, dtype=torch.uint8)),
    ]))


def momentum_of_none():
    norm = torch.nn.BatchNorm1d(1, momentum=None)
    for batch in ([[1.0], [3.0]], [[5.0], [7.0]]):
        norm(tensor(batch))
    return norm.running_mean.item() == 4 and not fails(lambda: torch.nn.BatchNorm1d(1, momentum=2)(tensor([[1.0], [3.0]])))


def second_gradient():
    x = tensor([2.0], requires_grad=True)
    (dx,) = torch.autograd.grad(x**3, x, create_graph=True)
    return torch.autograd.grad(dx, x)[0].item() == 12


def nan_pixels():
    """Whether each channel has 9 NaNs, with oneDNN and without."""
    x, w = torch.rand(1, 16, 24, 24), torch.rand(16, 16, 3, 3)
    x[0, 0, 12, 12] = float("nan")
    for enabled in (True, False):
        with torch.backends.mkldnn.flags(enabled=enabled):
            if F.conv2d(x, w, padding=1).isnan().sum() != 16 * 9:
                return False
    return True


def infinite_norm():
    parameter = torch.nn.Parameter(torch.ones(2))
    parameter.grad = tensor([1.0, float("inf")])
    refused = fails(lambda: torch.nn.utils.clip_grad_norm_([parameter], 1, error_if_nonfinite=True))
    torch.nn.utils.clip_grad_norm_([parameter], 1)
    return refused and parameter.grad[0] == 0 and parameter.grad[1].isnan()


X = torch.arange(6.0).reshape(2, 3)
FIVE = torch.arange(5)
IMAGE = torch.ones(1, 4, 4)
# For each row of the table, in its order: whether PyTorch does what its column says.
ROWS = {
    "an operation of tensors gives a Var": lambda: isinstance(X + X, torch.Tensor),
    "no norms, losses, softmax and embeddings of bf16 and f16": reduced_floats,
    "types do not mix": mixed_types,
    "integers are for labels and indices": integers,
    "no empty tensors": lambda: torch.arange(0).numel() == 0 and FIVE[1:1].numel() == 0,
    "at most 8 dimensions": lambda: (torch.ones([1] * 65) + 1).dim() == 65 and fails(lambda: torch.ones([1] * 65).sum(0)),
    "copies in the place of strided views": lambda: all(
        view.untyped_storage().data_ptr() == X.untyped_storage().data_ptr() for view in (X.permute(1, 0), X.transpose(0, 1), X[:, 1:])),
    "slices lie inside": lambda: FIVE[-2:].tolist() == [3, 4] and FIVE[3:99].tolist() == [3, 4],
    "split counts parts": lambda: [len(part) for part in (*FIVE.split(2), *FIVE.chunk(2))] == [2, 2, 1, 3, 2],
    "concatenate takes one rank": lambda: torch.cat([X, torch.empty(0)]).shape == (2, 3),
    "clamp passes the gradient at its bounds": lambda: (
        clamp_gradient(0, 1) == [0, 0, 1, 0, 0] and clamp_gradient(0, None) == [0, 0, 1, 1, 1]
        and clamp_gradient(tensor(0.0), tensor(1.0)) == [0, 0.5, 1, 0.5, 0]),
    "clamp's bounds are in order": lambda: torch.clamp(X, 2, 1).unique().tolist() == [1],
    "reductions name their dimensions": lambda: X.sum(dim=[]) == 15,
    "argmax takes the last dimension": lambda: X.argmax() == 5,
    "losses of two tensors take one shape": lambda: all(map(broadcasts_with_a_warning, (F.mse_loss, F.l1_loss))),
    "cross entropy takes rows and labels": cross_entropies,
    "images have a batch": lambda: not any(map(fails, [
        lambda: F.conv2d(IMAGE, torch.ones(1, 1, 1, 1)), lambda: F.max_pool2d(IMAGE, 2), lambda: F.avg_pool2d(IMAGE, 2),
        lambda: F.adaptive_avg_pool2d(IMAGE, 1)])),
    "batch norm takes two and four dimensions": lambda: not any(
        fails(lambda: F.batch_norm(torch.rand(4, 3, *rest), None, None, training=True)) for rest in ((), (2,), (2, 2), (2, 2, 2))),
    "batch norm's momentum is a number": momentum_of_none,
    "embedding's indices are i64": lambda: not fails(lambda: F.embedding(tensor([0], dtype=torch.int32), X)),
    "a linear layer's weight is a matrix": lambda: F.linear(X, torch.ones(3)).shape == (2,),
    "a gradient is a tensor": second_gradient,
    "a NaN spreads further in large 3 x 3 convolutions": nan_pixels,
    "an infinite norm makes all gradients NaN": infinite_norm,
}


def main():
    wrong = [name for name, holds in ROWS.items() if not holds()]
    print(f"PyTorch {torch.__version__}: {len(ROWS) - len(wrong)} of {len(ROWS)} rows hold")
    print("".join(f"differs from the table: {name}\n" for name in wrong), end="")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
