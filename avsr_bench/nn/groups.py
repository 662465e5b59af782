"""Groups of parameters: what is stepped together in training, each with a rate and a limit of its own."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn


@dataclass(frozen=True, slots=True)
class Group:
    """Parameters whose gradients are clipped together. What is none is as the run's settings say."""

    name: str
    parameters: tuple[nn.Parameter, ...]
    lr: float | None = None  # at its highest
    weight_decay: float | None = None
    clip: float | None = None  # greatest norm of the gradient; 0: none
    scheduled: bool = True  # the rate rises and falls with the run's; else it stays as it is
