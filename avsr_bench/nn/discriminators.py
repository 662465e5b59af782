"""Discriminators, which learn to tell a vocoder's sound from a voice: those of HiFi-GAN (arXiv 2010.05646).

Five look at the sound folded into rows of 2, 3, 5, 7 and 11 samples, three at the sound itself and at its means over 2
and 4 samples. They are there in training alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated

import torch
from annotated_types import Interval, MultipleOf
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm, weight_norm

PERIODS = (2, 3, 5, 7, 11)
SLOPE = 0.1

Judged = tuple[Tensor, list[Tensor]]  # what a discriminator says, about 1 where it hears a voice; and of every layer


@dataclass(frozen=True, slots=True)
class DiscriminatorSettings:
    """How wide they are: published are 32 channels in the first layer of those that fold, and four times as many."""

    channels: Annotated[int, Interval(ge=4, le=1024), MultipleOf(4)] = 32


class Discriminators(nn.Module):
    """All eight: B, N to what each of them says."""

    def __init__(self, settings: DiscriminatorSettings) -> None:
        super().__init__()
        folding = [Folding(period, settings.channels) for period in PERIODS]
        plain = [Plain(4 * settings.channels, normalise) for normalise in (spectral_norm, weight_norm, weight_norm)]
        self.folding, self.plain = nn.ModuleList(folding), nn.ModuleList(plain)

    def forward(self, sound: Tensor) -> list[Judged]:
        """What each says of the sound, and the outputs of its layers."""
        found: list[Judged] = [each(sound) for each in self.folding]
        x = sound[:, None]
        for number, each in enumerate(self.plain):
            x = F.avg_pool1d(x, 4, 2, padding=2) if number else x
            found.append(each(x))
        return found


class Folding(nn.Module):
    """Convolutions along every `period`th sample."""

    def __init__(self, period: int, first: int) -> None:
        super().__init__()
        self.period = period
        widths = (1, first, 4 * first, 16 * first, 32 * first, 32 * first)
        strides = (3, 3, 3, 3, 1)
        self.layers = nn.ModuleList(
            weight_norm(nn.Conv2d(inputs, outputs, (5, 1), (stride, 1), padding=(2, 0)))
            for (inputs, outputs), stride in zip(pairwise(widths), strides, strict=True)
        )
        self.leave = weight_norm(nn.Conv2d(widths[-1], 1, (3, 1), padding=(1, 0)))

    def forward(self, sound: Tensor) -> Judged:
        """B, N."""
        missing = -sound.shape[1] % self.period
        x = F.pad(sound[:, None], (0, missing), mode="reflect").unflatten(-1, (-1, self.period))
        return _through(x, self.layers, self.leave)


class Plain(nn.Module):
    """Wide grouped convolutions along all samples."""

    def __init__(self, first: int, normalise: Callable[[nn.Module], nn.Module]) -> None:
        super().__init__()
        widths = (1, first, first, 2 * first, 4 * first, 8 * first, 8 * first, 8 * first)
        kernels, strides, groups = (15, *[41] * 5, 5), (1, 2, 2, 4, 4, 1, 1), (1, 4, 16, 16, 16, 16, 1)
        shapes = zip(pairwise(widths), kernels, strides, groups, strict=True)
        self.layers = nn.ModuleList(
            normalise(nn.Conv1d(inputs, outputs, kernel, stride, kernel // 2, groups=among))
            for (inputs, outputs), kernel, stride, among in shapes
        )
        self.leave = normalise(nn.Conv1d(widths[-1], 1, 3, padding=1))

    def forward(self, x: Tensor) -> Judged:
        """B, 1, N."""
        return _through(x, self.layers, self.leave)


class Contest(nn.Module):
    """What discriminators learn from: each wants to say 1 of voices, and 0 of what a vocoder made (LSGAN)."""

    def __init__(self, discriminators: Discriminators) -> None:
        super().__init__()
        self.discriminators = discriminators

    def forward(self, made: Tensor, real: Tensor) -> Tensor:
        """The sum of their losses."""
        found = self.discriminators(torch.cat((made, real)))
        halves = (said.chunk(2) for said, _ in found)
        return _sum([of_made.square().mean() + (1 - of_real).square().mean() for of_made, of_real in halves])


def persuaded(discriminators: Discriminators, made: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
    """How far discriminators are from taking what was made for a voice, and how its features differ from the voice's.

    Gradients go to what was made, and none to the discriminators.
    """
    still = {name: parameter.detach() for name, parameter in discriminators.named_parameters()}
    found: list[Judged] = functional_call(discriminators, still, (torch.cat((made, real)),))
    halves = [layer.chunk(2) for _, layers in found for layer in layers]
    features = _sum([(of_made - of_real.detach()).abs().mean() for of_made, of_real in halves])
    return _sum([(1 - said.chunk(2)[0]).square().mean() for said, _ in found]), features


def _through(x: Tensor, layers: nn.ModuleList, leave: nn.Module) -> Judged:
    found = []
    for layer in layers:
        x = F.leaky_relu(layer(x), SLOPE)
        found.append(x)
    said: Tensor = leave(x)
    return said.flatten(1), [*found, said]


def _sum(losses: list[Tensor]) -> Tensor:
    return torch.stack(losses).sum()
