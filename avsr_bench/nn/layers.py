"""What encoder and decoder share: positions, the feed-forward branch, LayerScale, masks, activation checkpointing."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from .low_rank import linear

NORM_EPS = 1e-12  # of every LayerNorm, as in the published networks


def length_mask(lengths: Tensor, frames: int) -> Tensor:
    """True where a frame belongs to its clip and is not padding: B, T."""
    return torch.arange(frames, device=lengths.device) < lengths[:, None]


def sinusoids(positions: Tensor, width: int) -> Tensor:
    """The sine and cosine of each position at width / 2 wavelengths from 2 pi to 20,000 pi, interleaved: P, D."""
    steps = torch.arange(0, width, 2, device=positions.device, dtype=torch.float32)
    angles = positions[:, None].float() * torch.exp(steps * -(math.log(10_000.0) / width))
    return torch.stack((angles.sin(), angles.cos()), dim=-1).flatten(1)


class LayerScale(nn.Module):
    """One learned factor a channel on what a branch adds to the residual stream (arXiv 2103.17239)."""

    def __init__(self, width: int, initial: float) -> None:
        super().__init__()
        self.factors = nn.Parameter(torch.full((width,), initial))

    def forward(self, x: Tensor) -> Tensor:
        """Scale the channels, which are the last dimension."""
        return x * self.factors


def layer_scale(width: int, initial: float | None) -> nn.Module:
    """LayerScale, or nothing (and no name in the weights) where it is off."""
    return nn.Identity() if initial is None else LayerScale(width, initial)


class Dropout(nn.Module):
    """Sets numbers to 0 at random and scales up the others."""

    def __init__(self, fraction: float) -> None:
        super().__init__()
        self.fraction = fraction

    def forward(self, x: Tensor) -> Tensor:
        """x, in training with zeros."""
        return dropout(x, self.fraction, self.training)


def dropout(x: Tensor, fraction: float, training: bool) -> Tensor:
    """Dropout, drawn on a processor from 16 bits a number.

    There torch draws one double a number, which takes a fifth of a forward pass at tiny (`make bench
    ONLY=update_speed`). A fraction is rounded to a 65,536th.
    """
    if not training or not fraction:
        return x
    if x.device.type != "cpu" or torch.compiler.is_compiling():
        return F.dropout(x, fraction)
    draws = torch.empty(-(-x.numel() // 4), dtype=torch.int64).random_(-(2**63), None)
    bits = draws.view(torch.int16)[: x.numel()].view(x.shape)
    dropped = round(fraction * 2**16)
    return x * ((bits >= dropped - 2**15).to(x.dtype) * (2**16 / (2**16 - dropped)))


class DropPath(nn.Module):
    """Leaves a branch out for some clips of a batch, and scales it up for the others (arXiv 1603.09382)."""

    def __init__(self, fraction: float) -> None:
        super().__init__()
        self.fraction = fraction

    def forward(self, branch: Tensor) -> Tensor:
        """B, ..., with whole clips of 0."""
        if not self.training:
            return branch
        kept = torch.rand(len(branch), *(1,) * (branch.dim() - 1), device=branch.device) >= self.fraction
        return branch * (kept.to(branch.dtype) / (1 - self.fraction))


def drop_path(fraction: float) -> nn.Module:
    """DropPath, or nothing where it is off."""
    return DropPath(fraction) if fraction else nn.Identity()


class FeedForward(nn.Module):
    """Norm, widen, activate, narrow: one residual branch."""

    def __init__(self, width: int, hidden: int, kept: float, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, eps=NORM_EPS)
        self.expand = linear(width, hidden, kept)
        self.dropout = Dropout(dropout)
        self.reduce = linear(hidden, width, kept)

    def forward(self, x: Tensor) -> Tensor:
        """What the branch adds to x."""
        return self.reduce(self.dropout(self.expand(self.norm(x)).relu()))


def run(block: nn.Module, *inputs: Tensor | None, checkpointing: bool) -> Tensor:
    """`block(*inputs)`; with checkpointing its activations are not kept but computed again in the backward pass."""
    if not (checkpointing and block.training and torch.is_grad_enabled()):
        return block(*inputs)
    if torch.compiler.is_compiling():  # its own recomputation counts statistics once
        return checkpoint(block, *inputs, use_reentrant=False)

    def contexts() -> tuple[contextlib.AbstractContextManager[None], contextlib.AbstractContextManager[None]]:
        return contextlib.nullcontext(), _statistics_frozen(block)

    return checkpoint(block, *inputs, use_reentrant=False, context_fn=contexts)


@contextlib.contextmanager
def _statistics_frozen(block: nn.Module) -> Iterator[None]:
    """The second pass over the same batch must not count twice in the running statistics of batch norms."""
    norms = [module for module in block.modules() if isinstance(module, _BatchNorm)]
    before = [(norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
        norm.num_batches_tracked = None if norm.num_batches_tracked is None else norm.num_batches_tracked.clone()
    try:
        yield
    finally:
        for norm, (momentum, counter) in zip(norms, before, strict=True):
            norm.momentum, norm.num_batches_tracked = momentum, counter
