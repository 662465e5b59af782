"""What happens to the weights of a network in training, beyond what gradients do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from ..nn import Group, Network


class Method:
    """Plain training: the dense baseline. A system overrides what it does otherwise.

    The order of calls: `attach` once, when the network holds its initial weights or those of a checkpoint, and after
    `load_state_dict` where there is one; for each update `before_update`, for each of its batches `penalty`, with all
    gradients there (averaged over ranks, not yet clipped) `before_step`, and `after_step`. `settled` whenever weights
    are saved.
    """

    def attach(self, network: Network, steps: int, average_from: int | None = None) -> None:
        """Prepare the network for a run of `steps` updates.

        The mean of the weights after some of them, update `average_from` the first, is what the run leaves behind;
        none: the last weights. What a weight of 0 does to a mean is for the method to avoid.
        """

    def trained(self) -> list[nn.Parameter]:
        """Parameters of the method itself; DDP averages their gradients, and they are no part of what is saved."""
        return []

    def groups(self) -> list[Group]:
        """Those parameters with their rate and limit."""
        return []

    def before_update(self, update: int, optimizer: Optimizer) -> bool:
        """Called before the first batch of an update, `update` of them done; true where `trained` has changed."""
        return False

    def penalty(self) -> dict[str, Tensor]:
        """By name what is added to the losses of a batch."""
        return {}

    def before_step(self, update: int, optimizer: Optimizer) -> None:
        """Called with the gradients of update number `update`, counted from 1."""

    def after_step(self, optimizer: Optimizer) -> None:
        """Called when the optimiser has made its step."""

    def figures(self) -> dict[str, float]:
        """What is logged beside the losses after an update: sparsity, temperature, undecided weights."""
        return {}

    def remarks(self) -> list[str]:
        """What people should be told after an update, a line each; next to never anything."""
        return []

    def settled(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """`weights`, the network's state or an average of states, as they are saved: removed weights are 0."""
        return dict(weights)

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint must hold, as tensors and plain values."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take the state of a checkpoint."""
