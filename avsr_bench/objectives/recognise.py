"""Recognise: CTC and attention on transcripts, as the published networks were trained."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..data import StreamSettings
from ..nn import AVSR, Answers, Batch, LossSettings, Recogniser, joint_loss
from .objective import Batches, Objective


@dataclass(frozen=True, slots=True)
class RecogniseSettings:
    """Nothing of its own: the section `loss` says how the two losses are joined."""

    def streams(self) -> dict[str, StreamSettings]:
        """One, of all clips that have text."""
        return {"labelled": StreamSettings()}


class Recognise(Objective):
    """Learns from every stream it is given; a clip counts the same whichever it comes from."""

    network: AVSR

    def __init__(self, network: AVSR, loss: LossSettings, settings: object = None) -> None:
        super().__init__()
        self.network, self.loss = network, loss
        if loss.ctc == 1:  # else DDP would wait for gradients of the decoder that never come
            network.decoder.requires_grad_(False)

    def recognisers(self) -> dict[str, Recogniser]:
        """The network alone."""
        return {self.network.modality: self.network}

    def forward(self, batches: Batches) -> dict[str, Tensor]:
        """The mean over the clips of all streams."""
        found = [self.losses(batch) for views in batches.values() for batch in views]
        if len(found) == 1:
            return found[0]
        clips = torch.cat([each["clips"] for each in found])
        weights = [len(each["clips"]) / len(clips) for each in found]
        names = [name for name in found[0] if name != "clips"]
        means = {name: sum(w * each[name] for w, each in zip(weights, found, strict=True)) for name in names}
        return {**means, "clips": clips}  # type: ignore[dict-item]  # a sum of tensors is one

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """The losses of one batch."""
        joint = joint_loss(self.answers(self.network, batch), batch.tokens, self.loss, batch.weights)
        parts = {"loss": joint.total, "ctc": joint.ctc, "attention": joint.attention, "clips": joint.clips}
        return {"total": joint.total, **parts}

    def answers(self, network: Recogniser, batch: Batch) -> Answers:
        """What a network answers to a batch."""
        return network.answers(*network.encode(batch.inputs, batch.lengths), batch.tokens, self.loss.ctc < 1)
