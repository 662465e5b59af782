"""What all methods with a binary mask share: removed weights are zero, and stay so whatever the training loop does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor
from torch.optim import Optimizer

from ..nn import Network
from .masks import Masks, emptied, hold, sparsity
from .method import Method


class Masked(Method):
    """Holds `self.masks`; which weights they remove first is `first_masks`, and a subclass may `replace` them later.

    A removed weight is zero by three means: its gradient is, before gradients are clipped; it and its moments are made
    zero after every step of the optimiser; and in every state that is saved.
    """

    network: Network

    def __init__(self) -> None:
        self.masks: Masks = {}
        self._counted: Masks | None = None  # what `_figures` and `_emptied` are about
        self._figures: dict[str, float] = {}
        self._emptied: list[str] = []
        self._said = False

    def first_masks(self, network: Network, steps: int) -> Masks:
        """The masks that a run of `steps` updates begins with, from the weights that it holds; none: all stay."""
        return {}

    def attach(self, network: Network, steps: int, average_from: int | None = None) -> None:
        """Choose the first masks and make removed weights zero; masks that came with a checkpoint stay."""
        self.network = network
        if not self.masks:
            self.masks = self.first_masks(network, steps)
        self.replace(self.masks)

    def replace(self, masks: Mapping[str, Tensor], optimizer: Optimizer | None = None) -> None:
        """Take other masks, on the device of their weights, and hold them at once."""
        self.masks = {name: mask.to(self.network.get_parameter(name).device) for name, mask in masks.items()}
        hold(self.network, self.masks, optimizer)

    def before_step(self, update: int, optimizer: Optimizer) -> None:
        """Take the gradients of removed weights away."""
        for name, mask in self.masks.items():
            gradient = self.network.get_parameter(name).grad
            if gradient is not None:
                gradient.masked_fill_(~mask, 0)

    def after_step(self, optimizer: Optimizer) -> None:
        """Hold the masks."""
        hold(self.network, self.masks, optimizer)

    def state_dict(self) -> dict[str, Any]:
        """The masks."""
        return {"masks": dict(self.masks)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """The masks of a checkpoint; they move to their weights when the method is attached."""
        self.masks = dict(state["masks"])

    def figures(self) -> dict[str, float]:
        """The fraction of removed weights, of all and of each part; layers without a weight, where there are any."""
        self._count()
        return self._figures | ({"empty_layers": len(self._emptied)} if self._emptied else {})

    def remarks(self) -> list[str]:
        """The first time that layers have no weight left, which ones: a network may be blind behind them."""
        self._count()
        if self._said or not self._emptied:
            return []
        self._said = True
        return [
            f"{len(self._emptied)} of {len(self.masks)} layers have no weight left, {self._emptied[0]} first: only"
            " their biases pass. metrics.csv counts them (empty_layers). If the loss stays where it is, lower"
            " method.sparsity"
        ]

    def _count(self) -> None:
        if self._counted is not self.masks:
            self._counted, self._figures, self._emptied = self.masks, sparsity(self.masks), emptied(self.masks)

    def settled(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """`weights` with removed ones zero."""
        return dict(weights) | {
            name: weights[name].masked_fill(~mask.to(weights[name].device), 0) for name, mask in self.masks.items()
        }
