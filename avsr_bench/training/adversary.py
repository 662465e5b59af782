"""Adversarial training: discriminators, wrapped apart from the network, with a backward pass and a step of their own.

An update of the network asks them what they take its sound for, and leaves them as they are (`nn.persuaded`); then they
learn from what it made. In HiFi-GAN (arXiv 2010.05646) they learn first; so the network goes through once a batch.
"""

from __future__ import annotations

from typing import Any

from lightning_fabric import Fabric
from torch import Tensor

from ..nn import Contest, Discriminators, Group
from ..objectives import Objective
from .machine import in_precision
from .optimiser import clip, make_optimizer, set_rates
from .recipe import TrainSettings


class Adversary:
    """What learns against the network of an objective; nothing where it has no discriminators."""

    def __init__(self, objective: Objective, settings: TrainSettings, fabric: Fabric) -> None:
        self.objective, self.settings, self.fabric = objective, settings, fabric
        self.discriminators: Discriminators | None = None
        if opponent := objective.opponent():
            self.discriminators, lr = opponent
            self.model = fabric.setup_module(Contest(self.discriminators))
            own = Group("discriminators", tuple(self.discriminators.parameters()), lr=lr)
            self.optimizer = make_optimizer([own], settings)

    def backward(self, last: bool) -> dict[str, Tensor]:
        """Learn from what the network made of a batch, the `last` of an update or not; their loss."""
        if self.discriminators is None:
            return {}
        with self.fabric.no_backward_sync(self.model, enabled=not last):
            with in_precision(self.fabric.device, self.settings.precision == "bf16"):
                loss: Tensor = self.model(*self.objective.contest)
            self.fabric.backward(loss / self.settings.accumulate)
        return {"discriminators": loss.detach()}

    def step(self, fraction: float) -> None:
        """Take the step, at a fraction of the highest rate."""
        if self.discriminators is not None:
            set_rates(self.optimizer, fraction)
            clip(self.optimizer)
            self.optimizer.step()
            self.optimizer.zero_grad()

    def state_dict(self) -> dict[str, Any]:
        """The discriminators and their moments."""
        if self.discriminators is None:
            return {}
        return {"weights": self.discriminators.state_dict(), "optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Those of a checkpoint."""
        if self.discriminators is not None:
            self.discriminators.load_state_dict(state["weights"])
            self.optimizer.load_state_dict(state["optimizer"])
