"""Channels that can be removed whole: those inside one branch of the network, which only one layer reads.

A channel is removed by the masks: the weights that make it and the weights that read it are zero from then on. Its bias
and its place in a batch norm stay as they are; nothing reads them any more, so the network computes what it would
without them. Channels of the residual streams have many readers and stay, and so do those of attention, whose heads
must remain of one width.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..nn.conformer import Convolution
from ..nn.frontend import ResidualBlock
from ..nn.fusion import Fusion
from ..nn.layers import FeedForward
from ..nn.low_rank import LowRank
from .masks import Masks, keep_largest, kept

Alive = dict[str, Tensor]  # by the name of a group, a bool a channel: true where it is not removed; on the processor

# In each kind of branch: the layers that make its inner channels, and the one that reads them.
BRANCHES: dict[type[nn.Module], tuple[tuple[str, ...], str]] = {
    ResidualBlock: (("conv1",), "conv2"),
    FeedForward: (("expand",), "reduce"),
    Convolution: (("expand", "depthwise"), "reduce"),
    Fusion: (("expand",), "reduce"),
}


@dataclass(frozen=True, slots=True)
class ChannelGroup:
    """The inner channels of one branch."""

    name: str
    makers: tuple[str, ...]  # weights with one row a channel, or two: a channel and its gate
    reader: str  # the weight with one column a channel
    channels: int


def find_groups(network: nn.Module) -> tuple[ChannelGroup, ...]:
    """Every group of channels in a network that can be removed, in the order of its layers."""
    groups = []
    for name, module in network.named_modules():
        makers, reader = BRANCHES.get(type(module), ((), ""))
        if makers:
            read = f"{name}.{_weight_of(module, reader, 'down')}"
            made = tuple(f"{name}.{_weight_of(module, maker, 'up')}" for maker in makers)
            groups.append(ChannelGroup(name, made, read, network.get_parameter(read).shape[1]))
    return tuple(groups)


def _weight_of(branch: nn.Module, layer: str, end: str) -> str:
    """The weight of a layer; of one in two factors, that at this end."""
    return f"{layer}.{end}.weight" if isinstance(branch.get_submodule(layer), LowRank) else f"{layer}.weight"


def all_alive(groups: Iterable[ChannelGroup]) -> Alive:
    """Every channel still there."""
    return {group.name: torch.ones(group.channels, dtype=torch.bool) for group in groups}


def strengths(groups: Iterable[ChannelGroup], weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The mean magnitude of the weights that make each channel, removed weights counting as the zeros they are."""
    means: dict[str, Tensor] = {}
    for group in groups:
        makers = [weights[name].detach().unflatten(0, (-1, group.channels)) for name in group.makers]
        sums = [weight.abs().transpose(0, 1).flatten(1).sum(1) for weight in makers]  # channels
        means[group.name] = torch.stack(sums).sum(0).cpu() * group.channels / sum(weight.numel() for weight in makers)
    return means


def remove_weakest(alive: Alive, strength: Mapping[str, Tensor], keep: int, least: float) -> Alive:
    """The `keep` strongest channels of all groups together, of which each group keeps at least a fraction `least`.

    A channel is as strong as its strength is beside the mean of those that are left in its group. Groups do not compare
    otherwise: an initial weight is 1 / sqrt(fan-in), times the density of its layer, and so two thirds of the wide
    convolutions of the front-end went before anything was learnt.
    """
    ranked = {}
    for name, channels in alive.items():
        left = strength[name][channels]
        score = (strength[name] / left.mean().clamp(min=1e-30)).masked_fill(~channels, -1.0)
        safe = score.topk(min(int(least * len(score)), kept({name: channels}))).indices
        ranked[name] = score.index_fill(0, safe, torch.inf)
    protected = int(sum((score == torch.inf).sum() for score in ranked.values()))
    return keep_largest(ranked, min(max(keep, protected), kept(alive)), alive)


def allowed(groups: Iterable[ChannelGroup], alive: Alive, masks: Masks) -> Masks:
    """Which weights may exist at all: those that neither make nor read a removed channel."""
    places = {name: torch.ones_like(mask) for name, mask in masks.items()}
    for group in groups:
        removed = (~alive[group.name]).nonzero()[:, 0].to(places[group.reader].device)
        for name in group.makers:
            places[name].unflatten(0, (-1, group.channels))[:, removed] = False
        places[group.reader][:, removed] = False
    return places
