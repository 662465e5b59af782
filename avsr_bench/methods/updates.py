"""When the masks of dynamic sparse training change, by how much, and which weights go and come. Pure functions.

Weights go by magnitude, and none of the published programs of SET, RigL, GraNet and Chase forbids that a weight which
goes comes back in the same update.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from ..records import Refused, rng_for
from .masks import Masks, keep_largest, kept


@dataclass(frozen=True, slots=True)
class Window:
    """The optimiser steps, counted from 1, in which masks change.

    Every so many from `start` on, then `stop` itself, where schedules arrive, then every so many from there to `end`.
    Two changes are never less than `every` apart: what has grown needs the time. `end` is `stop`, or, for those that
    exchange weights on, the first step that counts in what the run leaves behind. In it nothing is exchanged: a new
    weight is zero there.
    """

    start: int
    stop: int
    every: int
    end: int

    def due(self, step: int) -> bool:
        """Whether masks change in this step."""
        if step < self.stop:
            return self.start <= step <= self.stop - self.every and (step - self.start) % self.every == 0
        return step == self.stop or (step < self.end and (step - self.stop) % self.every == 0)

    def due_soon(self, step: int, steps: int) -> bool:
        """Whether masks change in this step or in one of the next, `steps` of them together."""
        return any(self.due(step + ahead) for ahead in range(steps))

    def progress(self, step: int) -> float:
        """How far schedules are: 0 until `start`, 1 from `stop` on."""
        return min(max((step - self.start) / (self.stop - self.start), 0.0), 1.0)


def window(steps: int, start: float, stop: float, every: int, end: int | None = None) -> Window:
    """The window of a run of `steps`, of which start and stop are fractions; refused where no update lies in it."""
    first, last = round(start * steps), round(stop * steps)
    if last - first < every:
        raise Refused(
            f"masks would never change: method.every={every}, but of the run's {steps} steps only "
            f"{max(last - first, 0)} lie between method.start and method.stop. Train longer, or set method.every lower"
        )
    return Window(first, last, every, last if end is None else end)


def cubic(first: float, last: float, progress: float) -> float:
    """From one value to another, fast at first: the schedule of gradual pruning (Zhu & Gupta, arXiv 1710.01878)."""
    return last + (first - last) * (1 - progress) ** 3


def cosine(first: float, last: float, progress: float) -> float:
    """From one value to another along half a cosine, slow at both ends."""
    return last + (first - last) * (1 + math.cos(math.pi * progress)) / 2


def prune(weights: Mapping[str, Tensor], masks: Masks, keep: int) -> Masks:
    """The `keep` largest of the weights that are left, over all layers together. What is gone stays gone."""
    return keep_largest(_sizes(weights), min(keep, kept(masks)), masks)


def grow(scores: Mapping[str, Tensor], masks: Masks, count: int, within: Masks | None = None) -> Masks:
    """`masks` and those `count` others that score highest over all layers together, as far as `within` has so many."""
    free = {name: ~mask if within is None else within[name] & ~mask for name, mask in masks.items()}
    grown = keep_largest(scores, min(count, kept(free)), free)
    return {name: mask | grown[name] for name, mask in masks.items()}


def rewire(weights: Mapping[str, Tensor], masks: Masks, scores: Mapping[str, Tensor], share: float) -> Masks:
    """In each layer a fraction of its weights, the smallest, makes way for as many others, those that score highest.

    One that goes and comes back at once was never away: it keeps its value, as in RigL.
    """
    new: Masks = {}
    for name, mask in masks.items():
        layer = {name: mask}
        count = int(share * kept(layer))  # rounded down, as in RigL
        left = prune({name: weights[name]}, layer, kept(layer) - count)
        new |= grow({name: scores[name]}, left, count)
    return new


def strength(gradients: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """How much the loss would change with each weight: what growth by gradient goes by."""
    return _sizes(gradients)


def chance(masks: Masks, seed: int, step: int) -> dict[str, Tensor]:
    """Random scores for the update after a step, the same on every rank: drawn from (seed, step, layer) on its device.

    A processor and a GPU draw different ones. For 246 M weights drawing on the processor would cost a second an update.
    """
    scores: dict[str, Tensor] = {}
    for name, mask in masks.items():
        source = torch.Generator(mask.device)
        source.manual_seed(int(rng_for(seed, "grow", str(step), name).integers(2**63)))
        scores[name] = torch.rand(mask.shape, generator=source, device=mask.device)
    return scores


def _sizes(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().abs() for name, tensor in tensors.items()}
