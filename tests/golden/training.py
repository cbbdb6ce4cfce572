"""Optimizers over several steps of given gradients, and schedules of the learning rate."""

import numpy as np
import torch
from torch import optim

from golden_file import draw

STEPS = 6
RATE = 0.5


def add_optimizer(golden, case, make):
    """Two parameters; the second one has no gradient in the third step."""
    golden.source(case)
    parameters = {name: torch.nn.Parameter(draw(f"{case} {name}", *shape)) for name, shape in (("a", (2, 3)), ("b", (4,)))}
    golden.put(case, "param", parameters)
    optimizer = make(list(parameters.values()))
    for step in range(STEPS):
        for name, parameter in parameters.items():
            parameter.grad = None
            if (name, step) != ("b", 2):
                parameter.grad = draw(f"{case} {name} {step}", *parameter.shape)
                golden.put(case, "in", {f"{name}.{step}": parameter.grad})
        optimizer.step()
        golden.put(case, "out", {f"{name}.{step}": parameter.clone() for name, parameter in parameters.items()})
    for position, state in optimizer.state_dict()["state"].items():
        tensors = {name: value for name, value in state.items() if name != "step" and value is not None}
        golden.put(case, "after", {f"{name}.{position}": value for name, value in tensors.items()})


def optimizers(golden):
    for name, make in [
        ("sgd", lambda p: optim.SGD(p, lr=0.1)),
        ("sgd momentum", lambda p: optim.SGD(p, lr=0.1, momentum=0.9)),
        ("sgd momentum weight decay", lambda p: optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.1)),
        ("sgd dampening", lambda p: optim.SGD(p, lr=0.1, momentum=0.9, dampening=0.3, weight_decay=0.1)),
        ("sgd nesterov", lambda p: optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.1)),
        ("adam", lambda p: optim.Adam(p, lr=0.05)),
        ("adam options", lambda p: optim.Adam(p, lr=0.05, betas=(0.8, 0.95), eps=1e-3, weight_decay=0.1)),
        ("adamw", lambda p: optim.AdamW(p, lr=0.05)),
        ("adamw options", lambda p: optim.AdamW(p, lr=0.05, betas=(0.8, 0.95), eps=1e-3, weight_decay=0.1)),
        ("rmsprop", lambda p: optim.RMSprop(p, lr=0.05)),
        ("rmsprop momentum", lambda p: optim.RMSprop(p, lr=0.05, alpha=0.9, momentum=0.5, weight_decay=0.1)),
        ("rmsprop centered", lambda p: optim.RMSprop(p, lr=0.05, alpha=0.9, eps=1e-3, centered=True)),
        ("rmsprop all", lambda p: optim.RMSprop(p, lr=0.05, alpha=0.9, eps=1e-3, centered=True, momentum=0.5)),
    ]:
        add_optimizer(golden, name, make)


def add_schedule(golden, case, make, steps):
    golden.source(case)
    optimizer = optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=RATE)
    schedule = make(optimizer)
    rates = []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    golden.put(case, "expect", {"rates": np.array(rates)})


def warm_up(optimizer):
    """The rate rises from a fifth in four steps."""
    return optim.lr_scheduler.LinearLR(optimizer, start_factor=0.2, end_factor=1.0, total_iters=4)


def warm_up_cosine(optimizer):
    fall = optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=10, eta_min=0.05)
    return optim.lr_scheduler.SequentialLR(optimizer, [warm_up(optimizer), fall], milestones=[4])


def warm_up_multi_step(optimizer):
    """Both factors at once: the rate can fall while it rises."""
    fall = optim.lr_scheduler.MultiStepLR(optimizer, milestones=[2, 7], gamma=0.3)
    return optim.lr_scheduler.ChainedScheduler([warm_up(optimizer), fall])


def schedules(golden):
    rates = optim.lr_scheduler
    add_schedule(golden, "step", lambda o: rates.StepLR(o, step_size=3, gamma=0.3), 14)
    add_schedule(golden, "multi step", lambda o: rates.MultiStepLR(o, milestones=[2, 5, 5, 9], gamma=0.3), 14)
    add_schedule(golden, "multi step with warm-up", warm_up_multi_step, 14)
    add_schedule(golden, "cosine", lambda o: rates.CosineAnnealingLR(o, T_max=10, eta_min=0.05), 11)
    add_schedule(golden, "cosine with warm-up", warm_up_cosine, 15)
    add_schedule(golden, "linear", lambda o: rates.PolynomialLR(o, total_iters=10, power=1), 13)
