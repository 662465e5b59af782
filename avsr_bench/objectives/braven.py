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
from dataclasses import dataclass, field, replace
from typing import Annotated, Literal, cast

import torch
from annotated_types import Interval
from torch import Tensor, nn

from ..data import StreamSettings
from ..nn import AVSR, PADDING, Answers, Batch, Group, LossSettings, Modality, Recogniser, joint_loss
from ..nn.encoder import Encoder
from ..nn.inputs import Inputs, shown
from ..records import PartOfAll
from .follower import decay, follow, follower, ready
from .objective import Batches, Objective
from .prediction import MaskSettings, Predictor, PredictorSettings, masks, over_time, spread, unlikeness, without

Sense = Literal["video", "audio"]
SENSES: tuple[Sense, ...] = ("video", "audio")
ALIKE = 0.95  # a mean cosine of targets above it says that they have collapsed


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
    predictor: PredictorSettings = field(default_factory=PredictorSettings)
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


class Braven(Objective):
    """The network whose encoders are the students, their averages, the predictors and the probes."""

    network: AVSR
    figures = ("loss",)

    def __init__(self, network: AVSR, loss: LossSettings, settings: BravenSettings) -> None:
        super().__init__()
        # The network's own heads are not trained, and the probes are heads of CTC alone.
        self.network, self.loss, self.settings = network, replace(loss, ctc=1.0), settings
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
        self.epoch: int | None = None  # of the newest update
        self.newest = self.least = 1.0  # cosine of targets: in it, and the least of its epoch

    def train(self, mode: bool = True) -> Braven:
        """The teachers answer without dropout, whatever the students do."""
        super().train(mode)
        if mode:
            ready(self.teachers)
        return self

    def recognisers(self) -> dict[str, Recogniser]:
        """The teachers with their probes, lips first."""
        return {sense: Probe(self.network, sense, self._teacher(sense), self._probe(sense)) for sense in SENSES}

    def groups(self) -> list[Group]:
        """The probes are clipped by themselves: what is said in a clip changes nothing in the encoders."""
        learners = (*self.network.parameters(), *self.predictors.parameters())
        return [
            Group("network", tuple(each for each in learners if each.requires_grad)),
            Group("probes", tuple(self.probes.parameters())),
        ]

    def forward(self, batches: Batches) -> dict[str, Tensor]:
        """What the students have not foreseen, what the probes misread, and how far targets are from a collapse."""
        ((batch,),) = batches.values()
        found = self.losses(batch, self.masks(batch))
        self.newest = max(float(found[f"target_cosine/{sense}"]) for sense in SENSES)
        return found

    def validation_figures(self, views: tuple[Batch, ...]) -> dict[str, Tensor]:
        """The loss of each clip behind holes that are the same whenever it is asked for."""
        (batch,) = views
        return {"loss": self.losses(batch, self.masks(batch, torch.Generator().manual_seed(0)))["clips"]}

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
        answers, targets, figures = {}, {}, {}
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

    def misread(self, batch: Batch, answers: Mapping[Sense, Tensor]) -> dict[str, Tensor]:
        """The CTC loss of each probe over the clips that have text; 0 of none."""
        spoken = (batch.tokens != PADDING).any(1)
        each = spoken * (len(spoken) / spoken.sum().clamp(min=1))  # `joint_loss` takes the mean over all
        heard = {sense: Answers(self.probes[sense](answers[sense]), batch.lengths) for sense in SENSES}
        return {f"probe/{sense}": joint_loss(heard[sense], batch.tokens, self.loss, each).total for sense in SENSES}

    def after_update(self, progress: float) -> None:
        """The teachers follow."""
        follow(self.teachers, self.network.encoders, decay(self.settings.decay, progress))

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
        """Each frame once, though both its picture and its sound go through an encoder; and through the teachers."""
        trained, _ = super().frames(batches)
        return trained, trained

    def _teacher(self, sense: Sense) -> Encoder:
        return cast(Encoder, self.teachers[sense])

    def _probe(self, sense: Sense) -> nn.Linear:
        return cast(nn.Linear, self.probes[sense])
