"""Distillation: a small network also learns what a large trained one answers to the same clips. The loss is ours."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

import torch
from annotated_types import Interval
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor, nn
from torch.nn import functional as F

from ..nn import AVSR, PADDING, Batch, Losses, LossSettings
from ..nn.layers import within
from ..records import Refused
from .method import Method


@dataclass(frozen=True, slots=True)
class DistilledSettings:
    """How much the teacher counts."""

    # Of the divergence from the teacher, beside the loss on transcripts.
    weight: Annotated[float, Interval(ge=0, le=10**6)] = 1.0
    # Both answers are softened by it; the divergence counts times its square.
    temperature: Annotated[float, Interval(gt=0, le=10**6)] = 2.0


class Distilled(Method):
    """Adds the divergence of the network's answers from the teacher's, of both heads, joined as their losses are.

    It is summed over a clip's frames (CTC) or tokens (attention) and averaged over clips, like the losses beside it.
    """

    def __init__(self, settings: DistilledSettings, teacher: AVSR) -> None:
        self.settings = settings
        self.teacher = teacher.eval().requires_grad_(False)
        self.theirs = Answers(teacher)

    def attach(self, network: AVSR, steps: int) -> None:
        """Refuse a teacher that answers another question."""
        theirs, ours = ((of.modality, of.tokens, of.settings.mouth) for of in (self.teacher, network))
        if theirs != ours:
            told = (
                f"reads {modality} at {mouth} pixels and knows {tokens} tokens"
                for modality, tokens, mouth in (theirs, ours)
            )
            raise Refused(
                f"the teacher {next(told)}, the student {next(told)}: both are shown the same clips, so they must be"
                " trained on the same corpus and modality, and read pictures of the same size (network.mouth)"
            )
        self.ours = Answers(network)

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """The teacher works where the network does."""
        self.teacher.to(pl_module.device)

    def loss(self, network: AVSR, batch: Batch, settings: LossSettings) -> tuple[Losses, dict[str, Tensor]]:
        """The losses on transcripts, and the divergence from the teacher while the network trains."""
        if not network.training:
            return network.loss(batch, settings), {}
        self.ours.take()
        losses = network.loss(batch, settings)
        with torch.no_grad():
            self.teacher.loss(batch, settings)
        ours, theirs = self.ours.take(), self.theirs.take()
        frames = within(batch.lengths, ours["ctc"].shape[1])
        total = settings.ctc * self.divergence(ours["ctc"], theirs["ctc"], frames)
        if "attention" in ours:
            tokens = within((batch.tokens != PADDING).sum(1) + 1, ours["attention"].shape[1])  # and the end
            total = total + (1 - settings.ctc) * self.divergence(ours["attention"], theirs["attention"], tokens)
        return losses, {"distillation": self.settings.weight * total}

    def divergence(self, ours: Tensor, theirs: Tensor, counts: Tensor) -> Tensor:
        """KL(theirs || ours) of softened logits (B, N, V), over those of N that count, as a mean over clips."""
        softness = self.settings.temperature
        log_ours, log_theirs = (F.log_softmax(of.float() / softness, dim=-1) for of in (ours, theirs))
        each = F.kl_div(log_ours, log_theirs, reduction="none", log_target=True).sum(-1)  # B, N
        return each.masked_fill(~counts, 0).sum(1).mean() * softness**2


class Answers:
    """The newest logits of both heads of a network: `ctc`, and `attention` where the decoder was run."""

    def __init__(self, network: AVSR) -> None:
        self.logits: dict[str, Tensor] = {}
        network.ctc.register_forward_hook(partial(self._keep, "ctc"))
        network.decoder.output.register_forward_hook(partial(self._keep, "attention"))

    def _keep(self, head: str, layer: nn.Module, inputs: Any, logits: Tensor) -> None:
        self.logits[head] = logits

    def take(self) -> dict[str, Tensor]:
        """Them, and keep nothing."""
        taken, self.logits = self.logits, {}
        return taken
