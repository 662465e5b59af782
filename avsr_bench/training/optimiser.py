"""The optimiser of a run: groups of parameters, each with its rate, decay and limit, stepped together."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.optim import AdamW

from ..nn import Group
from .recipe import TrainSettings

# The blocks whose gradient norms are logged: a front-end, a Conformer or decoder block, and what is not in one.
BLOCK = re.compile(
    r"(encoders\.\w+\.frontend|frontends\.\w+|(?:encoders\.\w+\.|decoder\.)?blocks\.\d+|decoder|fusion|ctc|\w+)"
)
# The paper's Figure 1 shows this one alone: the first feed-forward layer of the encoder.
FIRST = re.compile(r"(encoders\.\w+\.)?blocks\.0\.feed_forward(_in)?\.expand\.")


def make_optimizer(groups: Sequence[Group], settings: TrainSettings) -> AdamW:
    """AdamW; what a group leaves open is as the settings say."""
    return AdamW(
        [
            {
                "params": list(group.parameters),
                "name": group.name,
                "highest": settings.lr if group.lr is None else group.lr,
                "weight_decay": settings.weight_decay if group.weight_decay is None else group.weight_decay,
                "clip": settings.clip if group.clip is None else group.clip,
                "scheduled": group.scheduled,
            }
            for group in groups
        ],
        lr=settings.lr,
        betas=settings.betas,
        fused=True,
    )


def set_rates(optimizer: AdamW, fraction: float) -> None:
    """The rate of every group in an update whose rate is a fraction of the highest."""
    for group in optimizer.param_groups:
        group["lr"] = group["highest"] * (fraction if group["scheduled"] else 1.0)


def clip(optimizer: AdamW) -> None:
    """Scale the gradients of each group down to its limit; 0 is none."""
    for group in optimizer.param_groups:
        if group["clip"]:
            nn.utils.clip_grad_norm_(group["params"], group["clip"], foreach=True)


def rate(step: int, steps: int, warmup: float) -> float:
    """The learning rate of update number `step` of `steps`, as a fraction of its highest.

    >>> [round(rate(step, 10, 0.2), 2) for step in range(10)]
    [0.5, 1.0, 1.0, 0.96, 0.85, 0.69, 0.5, 0.31, 0.15, 0.04]
    """
    rising = max(round(warmup * steps), 1) if warmup else 0
    if step < rising:
        return (step + 1) / rising
    return (1 + math.cos(math.pi * (step - rising) / max(steps - rising, 1))) / 2


@torch.no_grad()
def gradient_norms(network: nn.Module) -> dict[str, Tensor]:
    """The L2 norm of the gradient of every block, and of the encoder's first feed-forward layer."""
    found: dict[str, list[Tensor]] = {}
    for name, parameter in network.named_parameters():
        if parameter.grad is None:
            continue
        block = BLOCK.match(name)
        assert block is not None
        found.setdefault(f"grad/{block[1]}", []).append(parameter.grad)
        if FIRST.match(name):
            found.setdefault("grad/first", []).append(parameter.grad)
    return {name: nn.utils.get_total_norm(gradients, foreach=True) for name, gradients in found.items()}
