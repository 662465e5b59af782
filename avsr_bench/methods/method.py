"""What a system does to a network beyond plain training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lightning.pytorch import Callback
from torch import Tensor

from ..nn import AVSR, Batch, Losses, LossSettings


class Method(Callback):
    """Plain training: the dense baseline. A system overrides what it does otherwise, and Lightning's own hooks.

    The order of calls: `attach` before the optimiser is made (the network holds its first weights by then), then
    `parameter_groups`, then Lightning's hooks and `loss` for every batch; `settled` whenever weights are saved. What a
    method must remember across a resumption it gives to Lightning's `state_dict`, as tensors and plain values.
    """

    def attach(self, network: AVSR, steps: int) -> None:
        """Prepare the network for a run of `steps` updates."""

    def parameter_groups(self, network: AVSR) -> list[dict[str, Any]]:
        """Groups for the optimiser beside the network's own; the learning rate in them follows the run's schedule."""
        return []

    def loss(self, network: AVSR, batch: Batch, settings: LossSettings) -> tuple[Losses, dict[str, Tensor]]:
        """The losses of a batch, and by name what is added to their total."""
        return network.loss(batch, settings), {}

    def figures(self) -> dict[str, float]:
        """What is logged beside the losses after an update: sparsity, temperature, undecided weights."""
        return {}

    def settled(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """`weights`, the network's state or an average of states, as they are saved: removed weights are 0."""
        return dict(weights)
