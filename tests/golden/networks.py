"""The six networks: logits, losses of three steps of SGD, and two numbers of each gradient, weight and buffer, in f64.

Weights and images are a formula of hash_values.py, so only results are stored. The two numbers of a tensor are its norm
and its product with a hash vector: the norm alone would not notice a sign or an order. MemCNN's wrappers are switched off:
with them its revnets do not train on this PyTorch, and compute a wrong gradient where they do.
"""

import json
import pathlib

import memcnn
import numpy as np
import torch
from memcnn.models import resnet

from hash_values import hash_labels, hash_values, hash_weight

BATCH, CLASSES, STEPS = 2, 10, 3
NAMES = ("resnet32", "resnet110", "resnet164", "revnet38", "revnet110", "revnet164")


def recipe(name):
    """MemCNN's own options of a network: each recipe adds to its base."""
    recipes = json.loads((pathlib.Path(memcnn.__file__).parent / "config" / "experiments.json").read_text())
    options = recipes[name]["model_params"]
    base = recipes[name].get("base")
    return recipe(base) | options if base else options


def network(name, classes=CLASSES, blocks=None):
    """MemCNN's network without its wrappers; `blocks` of each stage in place of its own."""
    options = dict(recipe(name)) | ({"layers": blocks} if blocks else {})
    block = getattr(resnet, options.pop("block").rsplit(".", 1)[-1])
    model = resnet.ResNet(block, num_classes=classes, **options)
    for module in model.modules():
        if isinstance(module, memcnn.InvertibleModuleWrapper):
            module.disable = True
    return model


def characters(tensors):
    """[n, 2]: each tensor's norm, and its product with the hash vector of its name; in the order of the names."""
    rows = []
    for name, tensor in sorted(tensors):
        values = tensor.detach().numpy()
        rows.append([np.linalg.norm(values), np.vdot(values, hash_values(f"probe {name}", values.shape))])
    return {"characters": np.array(rows)}


def add(golden, name):
    golden.source(name, "MemCNN's network with its wrappers disabled")
    model = network(name).double()
    with torch.no_grad():
        for parameter_name, parameter in model.named_parameters():
            parameter.copy_(torch.from_numpy(hash_weight(parameter_name, tuple(parameter.shape))))
    images = torch.from_numpy(hash_values("images", (BATCH, 3, 32, 32)) * 2.0)
    labels = torch.from_numpy(hash_labels("labels", BATCH, CLASSES))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=2e-4)
    losses = []
    for step in range(STEPS):
        optimizer.zero_grad()
        logits = model(images)
        loss = torch.nn.functional.cross_entropy(logits, labels)
        loss.backward()
        losses.append(loss.item())
        if step == 0:
            golden.put(name, "out", {"logits": logits})
            golden.put(name, "grad", characters([(n, p.grad) for n, p in model.named_parameters()]))
        optimizer.step()
    golden.put(name, "out", {"losses": np.array(losses)})
    golden.put(name, "trained", characters(model.named_parameters()))
    golden.put(name, "after", characters((n, b) for n, b in model.named_buffers() if b.is_floating_point()))


def make(golden):
    for name in NAMES:
        add(golden, name)
