"""Layers as the product of two thin ones: fewer weights from the start (LR-SMS, arXiv 2410.07771).

    layer = linear(768, 3072, 0.5)                  # 3072 x 384 times 384 x 768
    weights = factored(dense.state_dict(), network) # the dense weights, as near as the network's ranks allow

The paper names attention and feed-forward layers, SVD for a start and ranks on a line from the first layer to the last;
its numbers could not be read, and are in docs/low-rank.md what we took instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .settings import NetworkSettings


@dataclass(frozen=True, slots=True)
class Ranks:
    """Which fraction of their full rank the layers of one block keep."""

    attention: float
    feed_forward: float


class LowRank(nn.Module):
    """`up(down(x))`: a linear layer whose weight has at most `rank` directions."""

    def __init__(self, inputs: int, outputs: int, rank: int, bias: bool) -> None:
        super().__init__()
        self.down = nn.Linear(inputs, rank, bias=False)
        self.up = nn.Linear(rank, outputs, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """What the whole layer would answer, as far as its rank reaches."""
        return self.up(self.down(x))


def stack(settings: NetworkSettings, blocks: int) -> tuple[Ranks, ...]:
    """The ranks of each of so many blocks, one upon another.

    >>> from avsr_bench.nn.settings import LowRankSettings, NetworkSettings
    >>> low_rank = LowRankSettings(feed_forward=(0.5, 0.2))
    >>> [ranks.feed_forward for ranks in stack(NetworkSettings(low_rank=low_rank), 4)]
    [0.5, 0.4, 0.3, 0.2]
    """
    low = settings.low_rank
    ends = (low.attention, low.feed_forward) if low.factored else ((1.0, 1.0), (1.0, 1.0))
    ways = (block / max(blocks - 1, 1) for block in range(blocks))
    return tuple(Ranks(*(round(first + (last - first) * way, 9) for first, last in ends)) for way in ways)


def rank_of(inputs: int, outputs: int, kept: float) -> int | None:
    """The rank of a layer that keeps this fraction of its full one; none where two factors would not be smaller.

    >>> rank_of(768, 768, 0.12), rank_of(768, 3072, 0.5), rank_of(768, 768, 0.5)
    (92, 384, None)
    """
    rank = max(1, round(kept * min(inputs, outputs)))
    return rank if rank * (inputs + outputs) < inputs * outputs else None


def linear(inputs: int, outputs: int, kept: float, bias: bool = True) -> nn.Module:
    """A linear layer, in two factors where that is smaller."""
    rank = rank_of(inputs, outputs, kept)
    return nn.Linear(inputs, outputs, bias) if rank is None else LowRank(inputs, outputs, rank, bias)


def layers_of(network: nn.Module) -> dict[str, LowRank]:
    """The layers in two factors, by name."""
    return {name: module for name, module in network.named_modules() if isinstance(module, LowRank)}


def factors(weight: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """`up` and `down` whose product is the nearest to a weight of all of this rank, both of the same norm."""
    left, sizes, right = torch.linalg.svd(weight.float(), full_matrices=False)
    root = sizes[:rank].sqrt()
    # LAPACK lays them out by columns. Weights that are read back lie by rows, and then products round otherwise.
    up, down = (left[:, :rank] * root).contiguous(), (root[:, None] * right[:rank]).contiguous()
    return up.to(weight.dtype), down.to(weight.dtype)


def factored(tensors: Mapping[str, Tensor], network: nn.Module) -> dict[str, Tensor]:
    """Weights in the form of a network: what is whole in them and in two factors in the network is factored.

    All else is left as it is, also what does not fit.
    """
    found = dict(tensors)
    for name, layer in layers_of(network).items():
        whole = found.get(f"{name}.weight")
        if whole is None or whole.shape != (layer.up.out_features, layer.down.in_features):
            continue
        if not whole.is_floating_point() or not bool(torch.isfinite(whole).all()):
            continue
        del found[f"{name}.weight"]
        found[f"{name}.up.weight"], found[f"{name}.down.weight"] = factors(whole, layer.down.out_features)
        if f"{name}.bias" in found:
            found[f"{name}.up.bias"] = found.pop(f"{name}.bias")
    return found


def scaled(tensors: Mapping[str, Tensor], network: nn.Module) -> dict[str, Tensor]:
    """Whole weights, each that `network` has in two factors scaled to the norm that these would leave of it."""
    found = dict(tensors)
    for name, layer in layers_of(network).items():
        whole = found[f"{name}.weight"]
        sizes = torch.linalg.svdvals(whole.float())
        found[f"{name}.weight"] = whole * (sizes[: layer.down.out_features].norm() / sizes.norm())
    return found
