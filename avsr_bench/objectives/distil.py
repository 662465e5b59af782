"""Distillation: a network also learns what a trained one answers to the same clips. The loss is ours."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

import torch
from annotated_types import Interval
from torch import Tensor
from torch.nn import functional as F

from ..nn import AVSR, PADDING, Batch, LossSettings, Recogniser, joint_loss, weighted_mean
from ..nn.layers import length_mask
from ..records import Refused
from .objective import Batches
from .recognise import Recognise, RecogniseSettings


@dataclass(frozen=True, slots=True)
class HelperSettings:
    """A trained run that training takes the help of."""

    run: str = "dense"  # a run, its folder, or a system, which is trained first if need be
    size: str | None = None  # of a system that is named; none: the same as that of the network in training


@dataclass(frozen=True, slots=True)
class DistilSettings(RecogniseSettings):
    """Who teaches, and how much it counts."""

    # Of the divergence from the teacher, beside the loss on transcripts.
    weight: Annotated[float, Interval(ge=0, le=10**6)] = 1.0
    # Both answers are softened by it; the divergence counts times its square.
    temperature: Annotated[float, Interval(gt=0, le=10**6)] = 2.0
    teacher: HelperSettings = field(default_factory=HelperSettings)


class Distil(Recognise):
    """Adds the divergence of the network's answers from the teacher's, of both heads, joined as their losses are.

    It is summed over a clip's frames (CTC) or tokens (attention) and averaged over clips, like the losses beside it.
    """

    frozen = ("teacher",)

    def __init__(self, network: AVSR, loss: LossSettings, settings: DistilSettings, teacher: Recogniser) -> None:
        super().__init__(network, loss)
        theirs, ours = ((of.modality, of.tokens, of.settings.mouth) for of in (teacher, network))
        if theirs != ours:
            described = (
                f"takes {modality} at {mouth} pixels and knows {tokens} tokens"
                for modality, tokens, mouth in (theirs, ours)
            )
            raise Refused(
                f"the teacher {next(described)}, the student {next(described)}: both are shown the same clips, so they"
                " must be trained on the same corpus and modality with the same network.mouth"
            )
        self.settings = settings
        self.teacher = teacher.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> Distil:
        """The teacher answers as it was trained to: without dropout, with the statistics of its own training."""
        super().train(mode)
        self.teacher.eval()
        return self

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """The losses on transcripts, and the divergence."""
        ours = self.answers(self.network, batch)
        with torch.no_grad():
            theirs = self.answers(self.teacher, batch)
        joint = joint_loss(ours, batch.tokens, self.loss, batch.weights)
        frames = length_mask(batch.lengths, ours.ctc.shape[1])
        each = self.loss.ctc * self.divergence(ours.ctc, theirs.ctc, frames)
        if ours.attention is not None and theirs.attention is not None:
            tokens = length_mask((batch.tokens != PADDING).sum(1) + 1, ours.attention.shape[1])  # and the end
            each = each + (1 - self.loss.ctc) * self.divergence(ours.attention, theirs.attention, tokens)
        distillation = self.settings.weight * weighted_mean(each, batch.weights)
        parts = {"loss": joint.total, "ctc": joint.ctc, "attention": joint.attention, "distillation": distillation}
        return {"total": joint.total + distillation, **parts, "clips": joint.clips}

    def divergence(self, ours: Tensor, theirs: Tensor, counts: Tensor) -> Tensor:
        """KL(theirs || ours) of softened logits (B, N, V), summed over those of N that count, of each clip (B)."""
        softness = self.settings.temperature
        log_ours, log_theirs = (F.log_softmax(of.float() / softness, dim=-1) for of in (ours, theirs))
        each = F.kl_div(log_ours, log_theirs, reduction="none", log_target=True).sum(-1)  # B, N
        return each.masked_fill(~counts, 0).sum(1) * softness**2

    def frames(self, batches: Batches) -> tuple[Tensor, Tensor]:
        """Every clip goes through the teacher as well."""
        trained, _ = super().frames(batches)
        return trained, trained
