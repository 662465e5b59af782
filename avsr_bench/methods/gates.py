"""Soft masks: a learned number behind every prunable weight, and how far it lets the weight into the network.

The gate of a weight is `scale * sigmoid(temperature * (phi - threshold))`; the paper's threshold is 0. Layers compute
with gated weights; in every state that is saved the network has its own weights, under their plain names.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import Function

from ..nn import prunable
from ..records import rng_for
from .masks import Masks
from .weight_override import override_weight, restore_weight

SAMPLE = 10**6  # gates among which a quantile is looked for


class Gated(Function):
    """weight * gate; keeps weight and phi, which are there anyway, and computes the gate again in the backward pass."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, phi: Tensor, temperature: float, threshold: float, scale: float) -> Tensor:
        """The weights that the layer computes with."""
        ctx.save_for_backward(weight, phi)
        ctx.temperature, ctx.threshold, ctx.scale = temperature, threshold, scale
        # Nothing in place here: torch 2.11's compiler then loses the gradients without a word.
        return torch.sigmoid(temperature * (phi - threshold)) * weight * scale

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        """Of the weight: gradient * gate. Of phi: gradient * weight * scale * temperature * sigmoid * (1 - sigmoid)."""
        weight, phi = ctx.saved_tensors
        (gradient,) = gradients
        sigmoid = torch.sigmoid(ctx.temperature * (phi - ctx.threshold))
        of_phi = (1 - sigmoid).mul_(sigmoid).mul_(gradient).mul_(weight).mul_(ctx.scale * ctx.temperature)
        return sigmoid.mul_(gradient).mul_(ctx.scale), of_phi, None, None, None


class Open(Function):
    """The sum of gates, without keeping them."""

    @staticmethod
    def forward(ctx: Any, phi: Tensor, temperature: float, threshold: float, scale: float) -> Tensor:
        """How many weights' worth is open."""
        ctx.save_for_backward(phi)
        ctx.temperature, ctx.threshold, ctx.scale = temperature, threshold, scale
        return torch.sigmoid(temperature * (phi - threshold)).sum() * scale

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        """Scale * temperature * sigmoid * (1 - sigmoid)."""
        (phi,) = ctx.saved_tensors
        sigmoid = torch.sigmoid(ctx.temperature * (phi - ctx.threshold))
        return (1 - sigmoid).mul_(sigmoid).mul_(gradients[0] * ctx.scale * ctx.temperature), None, None, None


class Gates:
    """The gates of a network. `phi` is theirs, not the network's: its parameters and state are what they were."""

    def __init__(self, initial: float, temperature: float, scale: float, spread: float = 0.0, seed: int = 0) -> None:
        self.initial, self.temperature, self.scale = initial, temperature, scale
        self.spread, self.seed = spread, seed  # phi begins uniform within initial +- spread, drawn for each layer
        self.threshold = 0.0  # a gate is shut where its phi ends below it
        self.phi: dict[str, nn.Parameter] = {}
        self._layers: list[nn.Module] = []

    def put_before(self, network: nn.Module) -> None:
        """Let every prunable weight pass its gate from now on."""
        for name, weight in prunable(network).items():
            if name not in self.phi:
                drawn = rng_for(self.seed, "phi", name).uniform(-self.spread, self.spread, tuple(weight.shape))
                self.phi[name] = nn.Parameter(self.initial + torch.from_numpy(drawn).to(weight))
            layer = network.get_submodule(name.removesuffix(".weight"))
            override_weight(layer, partial(self._passed, name))
            self._layers.append(layer)

    def _passed(self, name: str, weight: Tensor) -> Tensor:
        return Gated.apply(weight, self.phi[name], self.temperature, self.threshold, self.scale)

    def take_away(self) -> None:
        """Let the weights be themselves again, and forget phi."""
        for layer in self._layers:
            restore_weight(layer)
        self._layers, self.phi = [], {}

    def masks(self) -> Masks:
        """The gates that are more open than shut, but for the scale."""
        return {name: phi.detach() > self.threshold for name, phi in self.phi.items()}

    def place_threshold(self, sparsity: float) -> None:
        """Let this fraction of gates lie below the threshold; found from a million of them where there are more."""
        total = sum(phi.numel() for phi in self.phi.values())
        some = [phi.detach().flatten()[:: max(1, total // SAMPLE)] for phi in self.phi.values()]
        self.threshold = float(torch.quantile(torch.cat(some).float(), sparsity))

    def undecided(self) -> float:
        """The fraction of gates that stand between 1.8 and 98.2 %: 4 or less between them and 0 in the exponent."""
        bound = 4 / self.temperature
        near = [((phi.detach() - self.threshold).abs() < bound).sum() for phi in self.phi.values()]
        return int(torch.stack(near).sum()) / sum(phi.numel() for phi in self.phi.values())

    def sum_of_phi(self) -> Tensor:
        """The penalty as the paper prints it: unbounded below, and the same push on every gate."""
        return torch.stack([phi.sum() for phi in self.phi.values()]).sum()

    def sum_of_gates(self) -> Tensor:
        """The penalty of Continuous Sparsification: no push on a gate that has decided."""
        return torch.stack(
            [Open.apply(phi, self.temperature, self.threshold, self.scale) for phi in self.phi.values()]
        ).sum()
