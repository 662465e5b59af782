"""Two encoders learn from clips without text: each predicts, behind holes, what averages of both make of the clip.

BRAVEn (arXiv 2404.02098), and RAVEn (2212.06246) as its settings. The student of a modality sees a clip with frames
taken out; the teachers, averages of the students, see all of it.

    target m = the mean of all blocks of teacher m, normalised over the time of the clip
    loss     = - cos(P(student video), target audio)
               - weights.audio * cos(P(student audio), target audio)
               - weights.video * cos(P(student audio), target video)

over the frames that are taken out. The student that sees learns from what is heard alone. Each P is a predictor of its
own. Where clips have text, a probe on each teacher says how much of it could be read: nothing learns from that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal, cast

import torch
from annotated_types import Interval
from torch import Tensor, nn

from ..data import StreamSettings
from ..nn import AVSR, Batch, LossSettings, Modality, Recogniser
from ..nn.encoder import Encoder
from ..nn.inputs import Inputs, shown, without
from ..records import PartOfAll
from .follower import decay, follow, follower, ready
from .prediction import (
    Blocks,
    MaskedPrediction,
    MaskLength,
    Predictor,
    PredictorSettings,
    Start,
    masks,
    over_time,
    spread,
    unlikeness,
)

Sense = Literal["video", "audio"]
SENSES: tuple[Sense, ...] = ("video", "audio")


@dataclass(frozen=True, slots=True)
class MaskSettings:
    """What is hidden from a student: each frame begins a mask with a probability."""

    video: Start = 0.2
    audio: Start = 0.4
    length: MaskLength = 3


@dataclass(frozen=True, slots=True)
class TwoPredictorsSettings(PredictorSettings):
    """The predictors, which differ in their depth."""

    video: Blocks = 1  # behind the student that sees
    audio: Blocks = 2  # behind the one that hears


@dataclass(frozen=True, slots=True)
class HearingSettings:
    """What the two losses of the student that hears count, by the teacher of their targets."""

    audio: Annotated[float, Interval(ge=0, le=10**6)] = 0.7
    video: Annotated[float, Interval(ge=0, le=10**6)] = 0.3


@dataclass(frozen=True, slots=True)
class BravenSettings:
    """What is hidden, what is predicted, and by what; the defaults are BRAVEn's."""

    blocks: Literal["all", "last"] = (
        "all"  # of a teacher, whose mean is a target; last: what its encoder answers (RAVEn)
    )
    masks: MaskSettings = field(default_factory=MaskSettings)
    predictor: TwoPredictorsSettings = field(default_factory=TwoPredictorsSettings)
    weights: HearingSettings = field(default_factory=HearingSettings)
    # How much of themselves the teachers keep in the first update; it rises to 1 as a cosine.
    decay: PartOfAll = 0.999

    def streams(self) -> dict[str, StreamSettings]:
        """One, of all clips, whether they have text or not."""
        return {"unlabelled": StreamSettings(take="all", views=("unmasked",))}


class Probe(Recogniser):
    """A teacher and its probe, as a recogniser by CTC alone: no weights of its own."""

    def __init__(self, network: AVSR, modality: Modality, encoder: Encoder, head: nn.Linear) -> None:
        super().__init__()
        self.settings, self.tokens, self.modality = network.settings, network.tokens, modality
        self.training = network.training
        self.encoder, self.ctc = encoder, head

    def encode(self, inputs: Inputs, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """As of any recogniser."""
        assert isinstance(inputs, Tensor)
        inputs = shown(inputs, lengths, self.settings.centre) if self.modality == "video" else inputs
        return self.encoder(inputs, lengths), lengths


class Braven(MaskedPrediction):
    """The network whose encoders are the students, their averages, the predictors and the probes."""

    network: AVSR

    def __init__(self, network: AVSR, loss: LossSettings, settings: BravenSettings) -> None:
        super().__init__(network, loss)
        self.settings = settings
        for part in (network.fusion, network.decoder, network.ctc):
            part.requires_grad_(False)
        self.teachers = follower(network.encoders)
        hearing = settings.weights
        self.weights: dict[tuple[Sense, Sense], float] = {  # of the loss of a student that a teacher gives
            ("video", "audio"): 1.0,
            ("audio", "audio"): hearing.audio,
            ("audio", "video"): hearing.video,
        }
        depths = {"video": settings.predictor.video, "audio": settings.predictor.audio}
        self.predictors = nn.ModuleDict(
            {
                f"{student}_to_{teacher}": Predictor(network.settings, settings.predictor, depths[student])
                for student, teacher in self.weights
            }
        )
        self.probes = nn.ModuleDict({sense: nn.Linear(network.settings.width, network.tokens) for sense in SENSES})

    def train(self, mode: bool = True) -> Braven:
        """The teachers answer without dropout, whatever the students do."""
        super().train(mode)
        if mode:
            ready(self.teachers)
        return self

    def recognisers(self) -> dict[str, Recogniser]:
        """The teachers with their probes, lips first."""
        return {sense: Probe(self.network, sense, self._teacher(sense), self._probe(sense)) for sense in SENSES}

    def predict(self, batch: Batch, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """All losses, behind holes that are drawn now."""
        return self.losses(batch, self.masks(batch, generator))

    def masks(self, batch: Batch, generator: torch.Generator | None = None) -> dict[Sense, Tensor]:
        """Which frames are hidden from each student: B, T."""
        assert batch.video is not None
        said, frames = self.settings.masks, batch.video.shape[1]
        starts: dict[Sense, float] = {"video": said.video, "audio": said.audio}
        return {sense: masks(batch.lengths, frames, starts[sense], said.length, generator) for sense in SENSES}

    def losses(self, batch: Batch, hidden: Mapping[Sense, Tensor]) -> dict[str, Tensor]:
        """All losses, with these frames hidden."""
        assert batch.video is not None and batch.audio is not None
        lengths = batch.lengths
        inputs = {"video": shown(batch.video, lengths, self.network.settings.centre), "audio": batch.audio}
        answers: dict[str, Tensor] = {}
        targets, figures = {}, {}
        for sense in SENSES:
            raw, answers[sense] = self.taught(sense, inputs[sense], lengths)
            figures[f"target_deviation/{sense}"], figures[f"target_cosine/{sense}"] = spread(raw, lengths)
            targets[sense] = over_time(raw, lengths)
        parts, clips = {}, torch.zeros(len(lengths), device=lengths.device)
        students = {
            sense: self.network.encoders[sense](without(inputs[sense], hidden[sense]), lengths) for sense in SENSES
        }
        for (student, teacher), weight in self.weights.items():
            name = f"{student}_to_{teacher}"
            predicted = self.predictors[name](students[student], hidden[student], lengths)
            parts[name], of_clips = unlikeness(predicted, targets[teacher], hidden[student], batch.weights)
            clips = clips + weight * of_clips
        loss = torch.stack([weight * parts["_to_".join(pair)] for pair, weight in self.weights.items()]).sum()
        probes = self.misread(batch, answers)
        total = loss + torch.stack(list(probes.values())).sum()
        named = {f"prediction/{name}": part for name, part in parts.items()}
        return {"total": total, "loss": loss, **named, **probes, **figures, "clips": clips}

    @torch.no_grad()
    def taught(self, sense: Sense, inputs: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """What a teacher makes of a whole clip: the targets, and what its encoder answers."""
        teacher = self._teacher(sense)
        outputs = teacher.outputs(inputs, lengths)
        answer: Tensor = teacher.norm(outputs[-1])
        return (answer if self.settings.blocks == "last" else torch.stack(outputs).mean(0)), answer

    def after_update(self, progress: float) -> None:
        """The teachers follow."""
        follow(self.teachers, self.network.encoders, decay(self.settings.decay, progress))

    def _teacher(self, sense: Sense) -> Encoder:
        return cast(Encoder, self.teachers[sense])

    def _probe(self, sense: Sense) -> nn.Linear:
        return cast(nn.Linear, self.probes[sense])
