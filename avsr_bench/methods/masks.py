"""Which weights stay: one boolean tensor a layer, and the ways to choose them. Pure functions on tensors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

import numpy as np
import torch
from torch import Size, Tensor, nn
from torch.optim import Optimizer

from ..records import rng_for

Masks = dict[str, Tensor]  # bool, by the plain name of a prunable weight: true where the weight stays
Scope = Literal["global", "layer"]

HALF = 16  # bits of a float32 that one histogram distinguishes


def kept(masks: Mapping[str, Tensor]) -> int:
    """How many weights stay."""
    counts = [mask.sum() for mask in masks.values()]
    return int(torch.stack(counts).sum()) if counts else 0


def size(masks: Mapping[str, Tensor]) -> int:
    """How many weights the masks decide about."""
    return sum(mask.numel() for mask in masks.values())


def density(masks: Mapping[str, Tensor]) -> float:
    """The fraction of weights that stay; 1 where there are none to decide about."""
    return kept(masks) / size(masks) if masks else 1.0


def emptied(masks: Mapping[str, Tensor]) -> list[str]:
    """The layers of which no weight stays, in the order of the network."""
    left = torch.stack([mask.any() for mask in masks.values()]).tolist() if masks else []
    return [name for name, some in zip(masks, left, strict=True) if not some]


def part(name: str) -> str:
    """The part of the network that a weight belongs to, as sparsity is drawn: frontend, encoder, decoder, outputs."""
    if name in ("ctc.weight", "decoder.output.weight"):
        return "outputs"
    if name.startswith("decoder."):
        return "decoder"
    return "frontend" if ".frontend." in name else "encoder"


def sparsity(masks: Mapping[str, Tensor]) -> dict[str, float]:
    """The fraction of removed weights, of all and of each part of the network, under the names it is logged by."""
    parts: dict[str, Masks] = {}
    for name, mask in masks.items():
        parts.setdefault(part(name), {})[name] = mask
    return {"sparsity": 1 - density(masks)} | {f"sparsity/{of}": 1 - density(those) for of, those in parts.items()}


def keep_largest(scores: Mapping[str, Tensor], keep: int, within: Mapping[str, Tensor] | None = None) -> Masks:
    """Exactly the `keep` largest scores over all layers together; of equal ones those that come first.

    `within` names those that may be kept at all. Scores count in float32. Nothing is sorted or joined: two histograms
    over the halves of a float's bits find the smallest score that is kept, layer by layer, whatever the network's size.
    """
    room = size(scores) if within is None else kept(within)
    if not 0 <= keep <= room:
        raise ValueError(f"cannot keep {keep} of {room} weights")

    def chosen(name: str) -> Tensor:
        return _ordered(scores[name]) if within is None else _ordered(scores[name])[within[name]]

    high, above = _bin_of(((chosen(name) >> HALF) + 2 ** (HALF - 1) for name in scores), keep)
    high -= 2 ** (HALF - 1)
    lower = (ordered[(ordered >> HALF) == high] & 0xFFFF for ordered in map(chosen, scores))
    low, between = _bin_of(lower, keep - above)
    threshold = (high << HALF) | low

    masks: Masks = {}
    ties = keep - above - between  # how many that equal the threshold stay
    for name, score in scores.items():
        ordered = _ordered(score)
        equal = ordered == threshold
        larger = ordered > threshold
        if within is not None:
            equal, larger = equal & within[name], larger & within[name]
        positions = equal.flatten().nonzero()[:ties, 0] if ties else equal.new_empty(0, dtype=torch.long)
        ties -= len(positions)
        larger.view(-1)[positions] = True
        masks[name] = larger
    return masks


def _ordered(scores: Tensor) -> Tensor:
    """Integers in the order of float32 scores; + 0 makes both zeros one."""
    bits = (scores.detach().float() + 0.0).contiguous().view(torch.int32)
    return bits ^ ((bits >> 31) & 0x7FFFFFFF)


def _bin_of(halves: Iterable[Tensor], rank: int) -> tuple[int, int]:
    """The bin that holds the value of a rank counted from the largest, and how many values lie in larger bins."""
    counts: Tensor | None = None
    for half in halves:
        more = torch.bincount(half.flatten(), minlength=2**HALF)
        counts = more if counts is None else counts + more.to(counts.device)
    if counts is None or rank == 0:
        return 2**HALF - 1, 0
    largest_first = counts.flip(0).cumsum(0)
    place = int(torch.searchsorted(largest_first, rank))
    return 2**HALF - 1 - place, int(largest_first[place - 1]) if place else 0


def magnitude(
    weights: Mapping[str, Tensor], sparsity: float, scope: Scope, within: Mapping[str, Tensor] | None = None
) -> Masks:
    """The largest weights stay: a fraction of 1 - `sparsity` of all of them together, or of each layer for itself."""
    scores = {name: weight.detach().abs() for name, weight in weights.items()}
    masks: Masks = {}
    for names in [list(scores)] if scope == "global" else [[name] for name in scores]:
        these = {name: scores[name] for name in names}
        inside = None if within is None else {name: within[name] for name in names}
        masks |= keep_largest(these, round((1 - sparsity) * size(these)), inside)
    return masks


def draw(shapes: Mapping[str, Size], densities: Mapping[str, float], seed: int) -> Masks:
    """Random masks that keep the rounded fraction of each layer exactly: of a seed the same on every machine."""
    masks: Masks = {}
    for name, shape in shapes.items():
        chance = torch.from_numpy(rng_for(seed, "mask", name).random(shape.numel(), dtype=np.float32)).view(shape)
        masks[name] = keep_largest({name: chance}, round(densities[name] * shape.numel()))[name]
    return masks


@torch.no_grad()
def hold(network: nn.Module, masks: Mapping[str, Tensor], optimizer: Optimizer | None = None) -> None:
    """Make removed weights zero, and whatever the optimiser remembers of them."""
    for name, mask in masks.items():
        weight = network.get_parameter(name)
        removed = ~mask
        weight.masked_fill_(removed, 0)
        for remembered in optimizer.state.get(weight, {}).values() if optimizer else ():
            if isinstance(remembered, Tensor) and remembered.shape == weight.shape:
                remembered.masked_fill_(removed, 0)
