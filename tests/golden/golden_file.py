"""One file of golden values: tensors under CASE/KIND/NAME, and where each case's values come from.

Kinds: `in` (inputs, and `dy`, the gradient that arrives at the output), `param` and `buffer` (of a module, before),
`out`, `grad` (of inputs and parameters), `after` (buffers afterwards), `trained` (parameters after a step), `expect`
(anything else).

Inputs and parameters are f32 numbers, stored as f64, so that a run in f32 starts from the same ones.
"""

import importlib.metadata
import platform
import zlib

import numpy as np
import torch
from safetensors.numpy import save_file

TORCH = "PyTorch"


def versions():
    found = {name: importlib.metadata.version(name) for name in ("torch", "memcnn", "numpy", "safetensors")}
    return found | {"python": platform.python_version()}


def draw(key, *shape, low=-1.0, high=1.0):
    """Random f32 numbers in [low, high) as an f64 tensor, a function of the key alone."""
    generator = torch.Generator().manual_seed(zlib.crc32(key.encode()))
    return (torch.rand(shape, generator=generator, dtype=torch.float32) * (high - low) + low).double()


def randomise(key, module, scale=0.5):
    """Gives each parameter values of its own: scales of norms near 1, the others in [-scale, scale)."""
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            is_scale = name.split(".")[-1] == "weight" and parameter.dim() == 1
            parameter.copy_(draw(f"{key} {name}", *parameter.shape, low=-scale, high=scale) + (1.0 if is_scale else 0.0))
            parameter.copy_(parameter.float())  # a sum of two f32 numbers need not be one
    return module


class GoldenFile:
    def __init__(self):
        self.tensors = {}
        self.metadata = versions()

    def put(self, case, kind, values):
        """Adds tensors by name. Adding one again must not change it."""
        for name, value in values.items():
            array = value.detach().numpy() if isinstance(value, torch.Tensor) else np.asarray(value)
            if array.dtype != np.int64:
                array = array.astype(np.float64)
            assert np.isfinite(array).all(), f"{case}/{kind}/{name} is not finite"
            assert f"{case}/{kind}/{name}" not in self.tensors, f"{case}/{kind}/{name} is there twice"
            self.tensors[f"{case}/{kind}/{name}"] = np.ascontiguousarray(array).copy().reshape(array.shape)

    def source(self, case, text=TORCH):
        self.metadata[f"source of {case}"] = text

    def save(self, path):
        save_file(self.tensors, path, self.metadata)
        path.chmod(0o644)
