"""The mean of the weights at some moments near the end of a run, which is what a run leaves behind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn


def moments(steps: int, snapshots: int, fraction: float) -> set[int]:
    """After which updates of a run snapshots are taken: the last, and others evenly before it."""
    apart = fraction * steps / snapshots
    return {max(round(steps - k * apart), 1) for k in range(snapshots)}


class Average:
    """Adds weights up at evenly spaced updates of the last stretch; one copy of them in memory, however many.

    BatchNorm's running figures are averaged like weights, as in the published recipe; its counters are the last.
    """

    def __init__(self, steps: int, snapshots: int, fraction: float) -> None:
        self.moments = moments(steps, snapshots, fraction)
        self.sum: dict[str, Tensor] = {}
        self.count = 0

    def add(self, update: int, network: nn.Module) -> None:
        """Add the weights after an update, counted from 1, where it is one of the moments."""
        if update not in self.moments:
            return
        for name, tensor in network.state_dict().items():
            if name in self.sum and tensor.is_floating_point():
                self.sum[name] += tensor.detach()
            else:
                self.sum[name] = tensor.detach().clone()
        self.count += 1

    def weights(self) -> dict[str, Tensor]:
        """The mean."""
        return {
            name: tensor / self.count if tensor.is_floating_point() else tensor for name, tensor in self.sum.items()
        }

    def state_dict(self) -> dict[str, Any]:
        """The sum so far."""
        return {"sum": self.sum, "count": self.count}

    def load_state_dict(self, state: Mapping[str, Any], device: torch.device) -> None:
        """The sum of a checkpoint."""
        self.sum = {name: tensor.to(device) for name, tensor in state["sum"].items()}
        self.count = state["count"]
