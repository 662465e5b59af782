"""What masked prediction is made of: masks, predictors, targets, whether these collapse, and what probes read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated

import torch
from annotated_types import Interval
from torch import Tensor, nn
from torch.nn import functional as F

from ..nn import PADDING, Answers, Batch, Group, LossSettings, Network, NetworkSettings, joint_loss
from ..nn.encoder import make_blocks, through
from ..nn.layers import NORM_EPS, Dropout, length_mask
from ..nn.settings import LowRankSettings, Width
from ..records import Misused
from .objective import Batches, Objective

EPS = 1e-5  # added to the variance of a target, as torch's instance norm does
ALIKE = 0.95  # a mean cosine of targets above it says that they have collapsed
Blocks = Annotated[int, Interval(ge=1, le=200)]
Start = Annotated[float, Interval(gt=0, lt=1)]
MaskLength = Annotated[int, Interval(ge=1, le=1000)]  # frames


@dataclass(frozen=True, slots=True)
class PredictorSettings:
    """The form of what stands between a student and the targets it predicts."""

    width: Width = 512
    heads: Annotated[int, Interval(ge=1, le=512)] = 8
    feed_forward: Annotated[int, Interval(ge=1, le=131_072)] = 2048

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
        self.dropout = Dropout(own.dropout)
        self.checkpointing = own.checkpointing

    def forward(self, x: Tensor, hidden: Tensor, lengths: Tensor) -> Tensor:
        """Frames B, T, D of a student to as many predicted targets."""
        entered = self.enter(x)
        entered = torch.where(hidden[..., None], self.token.to(entered.dtype), entered)
        predicted: Tensor = self.leave(
            self.norm(through(self.blocks, entered, lengths, self.dropout, self.checkpointing))
        )
        return predicted


class MaskedPrediction(Objective):
    """What objectives share whose networks predict, behind holes, what averages of them make of the whole clip.

    The heads of the network are not trained. Where clips have text, a probe on each average, a head of CTC alone, says
    how much of it could be read: nothing else learns from that.
    """

    figures = ("loss",)
    probes: nn.ModuleDict

    def __init__(self, network: Network, loss: LossSettings) -> None:
        super().__init__()
        self.network, self.loss = network, replace(loss, ctc=1.0)
        self.epoch: int | None = None  # of the newest update
        self.newest = self.least = 1.0  # cosine of targets: in it, and the least of its epoch

    def predict(self, batch: Batch, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """All losses, behind holes that are drawn now, and `target_cosine/...` of each kind of targets."""
        raise NotImplementedError

    def forward(self, batches: Batches) -> dict[str, Tensor]:
        """What was not foreseen, what the probes misread, and how far targets are from a collapse."""
        ((batch,),) = batches.values()
        found = self.predict(batch)
        self.newest = max(float(value) for name, value in found.items() if name.startswith("target_cosine/"))
        return found

    def validation_figures(self, views: tuple[Batch, ...]) -> dict[str, Tensor]:
        """The loss of each clip behind holes that are the same whenever it is asked for."""
        (batch,) = views
        return {"loss": self.predict(batch, torch.Generator().manual_seed(0))["clips"]}

    def groups(self) -> list[Group]:
        """The probes are clipped by themselves: what is said in a clip changes nothing in the network."""
        probes = tuple(self.probes.parameters())
        own = set(probes)
        learners = tuple(each for each in self.parameters() if each.requires_grad and each not in own)
        return [Group("network", learners), Group("probes", probes)]

    def misread(self, batch: Batch, answers: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The CTC loss of each probe over the clips that have text; 0 of none."""
        spoken = (batch.tokens != PADDING).any(1)
        each = spoken * (len(spoken) / spoken.sum().clamp(min=1))  # `joint_loss` takes the mean over all
        heard = {name: Answers(self.probes[name](answer), batch.lengths) for name, answer in answers.items()}
        return {f"probe/{name}": joint_loss(of, batch.tokens, self.loss, each).total for name, of in heard.items()}

    def remarks(self, epoch: int) -> list[str]:
        """Whether targets were all alike in all of a pass that has ended."""
        ended = None if epoch == self.epoch else self.epoch
        collapsed = ended is not None and self.least > ALIKE
        self.least = min(self.newest, self.least) if epoch == self.epoch else self.newest
        self.epoch = epoch
        if not collapsed:
            return []
        return [
            f"any two frames of the targets had a cosine above {ALIKE:g} in all of pass {ended}: they have collapsed,"
            " and predicting them teaches nothing; lower train.lr, or raise objective.decay"
        ]

    def frames(self, batches: Batches) -> tuple[Tensor, Tensor]:
        """Each frame once, though it is seen and heard, or shown in several ways; and through what teaches."""
        trained, _ = super().frames(batches)
        return trained, trained
