"""What masked prediction is made of: masks, inputs with holes, predictors, targets, and whether these collapse."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

import torch
from annotated_types import Interval
from torch import Tensor, nn
from torch.nn import functional as F

from ..nn import NetworkSettings
from ..nn.encoder import make_blocks, through
from ..nn.layers import NORM_EPS, length_mask
from ..nn.settings import LowRankSettings, Width
from ..records import SAMPLES_PER_FRAME, Misused

EPS = 1e-5  # added to the variance of a target, as torch's instance norm does
Blocks = Annotated[int, Interval(ge=1, le=200)]
Start = Annotated[float, Interval(gt=0, lt=1)]


@dataclass(frozen=True, slots=True)
class MaskSettings:
    """What is hidden from a student: each frame begins a mask with a probability."""

    video: Start = 0.2
    audio: Start = 0.4
    length: Annotated[int, Interval(ge=1, le=1000)] = 3  # frames


@dataclass(frozen=True, slots=True)
class PredictorSettings:
    """What stands between a student and the targets it predicts."""

    width: Width = 512
    heads: Annotated[int, Interval(ge=1, le=512)] = 8
    feed_forward: Annotated[int, Interval(ge=1, le=131_072)] = 2048
    video: Blocks = 1  # behind the student that sees
    audio: Blocks = 2  # behind the one that hears

    def __post_init__(self) -> None:
        if self.width % self.heads or self.width // self.heads % 2:
            raise Misused(f"predictor.width {self.width} must be an even multiple of predictor.heads ({self.heads})")


def masks(lengths: Tensor, frames: int, start: float, length: int, generator: torch.Generator | None = None) -> Tensor:
    """True where a frame is hidden: B, T. Each frame begins, with probability `start`, a mask of `length` frames.

    Drawn on the CPU, whose generator every checkpoint holds: the same masks on every device.
    """
    starts = torch.rand(len(lengths), frames, generator=generator) < start
    hidden = F.pad(starts, (length - 1, 0)).unfold(1, length, 1).any(-1)
    return hidden.to(lengths.device) & length_mask(lengths, frames)


def without(inputs: Tensor, hidden: Tensor) -> Tensor:
    """Pictures (B, T, H, W) or samples (B, 640 T), 0 in the frames that are hidden (B, T)."""
    if inputs.dim() == 2:
        return inputs.masked_fill(hidden.repeat_interleave(SAMPLES_PER_FRAME, dim=1), 0)
    return inputs.masked_fill(hidden[:, :, None, None], 0)


def over_time(x: Tensor, lengths: Tensor) -> Tensor:
    """Frames (B, T, D) with mean 0 and deviation 1 over the time of each clip, channel by channel; 0 behind its end."""
    keep, count = length_mask(lengths, x.shape[1])[..., None], lengths[:, None, None]
    x = x.float()
    mean = (x * keep).sum(1, keepdim=True) / count
    x = (x - mean) * keep
    return x * (x.square().sum(1, keepdim=True) / count + EPS).rsqrt()


def unlikeness(predicted: Tensor, targets: Tensor, hidden: Tensor, weights: Tensor | None) -> tuple[Tensor, Tensor]:
    """Minus the cosine, as the mean over the hidden frames of a batch, and of each clip (B) without gradient."""
    each = -F.cosine_similarity(predicted.float(), targets, dim=-1).masked_fill(~hidden, 0)  # B, T
    clips = each.sum(1)
    mean = (clips if weights is None else clips * weights).sum() / hidden.sum().clamp(min=1)
    return mean, clips.detach() / hidden.sum(1).clamp(min=1)


@torch.no_grad()
def spread(targets: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """Of valid frames, how far they are from one and the same vector, and the mean cosine of two of them.

    The first is the deviation of a channel, as a mean over channels, against what a channel has in a frame of mean
    length: 1 of frames around 0, 0 where all are alike. The second is the mean over all pairs of frames, which is what
    random ones give in the long run.
    """
    frames = targets[length_mask(lengths, targets.shape[1])].float()  # N, D
    count, width = frames.shape
    deviation = frames.std(0, correction=0).mean() * width**0.5 / frames.norm(dim=-1).mean().clamp(min=1e-12)
    together = F.normalize(frames, dim=-1).sum(0).square().sum()
    return deviation, (together - count) / max(count * (count - 1), 1)


class Predictor(nn.Module):
    """From what a student makes of a clip with holes to the target of every frame.

    Behind the holes the student has a guess of its own; the predictor does not see it, but a learned token.
    """

    def __init__(self, network: NetworkSettings, settings: PredictorSettings, blocks: int) -> None:
        super().__init__()
        own = replace(
            network,
            width=settings.width,
            heads=settings.heads,
            feed_forward=settings.feed_forward,
            encoder_blocks=blocks,
            block="transformer",
            layer_scale=None,
            drop_path=0.0,
            low_rank=LowRankSettings(),
        )
        self.enter = nn.Linear(network.width, own.width)
        self.token = nn.Parameter(torch.randn(own.width) * 0.02)
        self.blocks = make_blocks(own)
        self.norm = nn.LayerNorm(own.width, eps=NORM_EPS)
        self.leave = nn.Linear(own.width, network.width)
        self.dropout = nn.Dropout(own.dropout)
        self.checkpointing = own.checkpointing

    def forward(self, x: Tensor, hidden: Tensor, lengths: Tensor) -> Tensor:
        """Frames B, T, D of a student to as many predicted targets."""
        entered = self.enter(x)
        entered = torch.where(hidden[..., None], self.token.to(entered.dtype), entered)
        predicted: Tensor = self.leave(
            self.norm(through(self.blocks, entered, lengths, self.dropout, self.checkpointing))
        )
        return predicted
