"""A network that follows another as the moving average of its weights, and teaches it (arXiv 1703.01780)."""

from __future__ import annotations

import copy
import math
from typing import TypeVar

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

Followed = TypeVar("Followed", bound=nn.Module)


def follower(network: Followed) -> Followed:
    """A copy that begins as the network is and takes no gradient."""
    return copy.deepcopy(network).requires_grad_(False)


def ready(network: nn.Module) -> None:
    """Let a follower answer without dropout; batch norms use the figures of the batch, as USR's teacher does."""
    network.eval()
    for module in network.modules():
        if isinstance(module, _BatchNorm):
            module.train()


def decay(first: float, progress: float) -> float:
    """How much of itself the average keeps: a cosine from `first` to 1 as training goes from 0 to 1.

    >>> [round(decay(0.9, progress), 3) for progress in (0, 0.5, 1)]
    [0.9, 0.95, 1.0]
    """
    return 1 - (1 - first) * (1 + math.cos(math.pi * progress)) / 2


@torch.no_grad()
def follow(average: nn.Module, network: nn.Module, kept: float) -> None:
    """`average` becomes kept * average + (1 - kept) * network; running figures of batch norms are its own."""
    own, theirs = ([each.detach() for each in of.parameters()] for of in (average, network))
    torch._foreach_lerp_(own, theirs, 1 - kept)
