"""One network learns from clips without text: from each view of one it predicts what its average makes of all of it.

USR's self-supervised stage (arXiv 2411.02256 and its public code). The student is shown a clip three times, as picture,
as sound and as both, with the same frames taken out of all; the teacher, its average, sees and hears the whole clip.

    target = the mean of all blocks of the teacher, normalised over the time of the clip
    loss   = - sum over the views s of weights.s * cos(P(student s), target)

over the frames that are taken out. P is one predictor for all three. Where clips have text, a probe on each view of the
teacher says how much of it could be read: nothing learns from that.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from ..data import StreamSettings
from ..nn import VIEWS, Batch, LossSettings, Recogniser, Unified
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
from .unified import WeightSettings


@dataclass(frozen=True, slots=True)
class OneMaskSettings:
    """What is hidden from picture and sound alike: each frame begins a mask with a probability."""

    # Published: masks of 3 frames until they would cover 0.4 of a clip if none overlapped. So each of its frames begins
    # one with a probability of 0.4 / 3, and about 35 % are covered.
    start: Start = 0.1333
    length: MaskLength = 3


@dataclass(frozen=True, slots=True)
class OnePredictorSettings(PredictorSettings):
    """The predictor, which all views share."""

    blocks: Blocks = 2


@dataclass(frozen=True, slots=True)
class UnifiedPredictionSettings:
    """What is hidden, by what it is predicted, and what each view counts."""

    masks: OneMaskSettings = field(default_factory=OneMaskSettings)
    predictor: OnePredictorSettings = field(default_factory=OnePredictorSettings)
    weights: WeightSettings = field(default_factory=WeightSettings)
    # How much of itself the teacher keeps in the first update; it rises to 1 as a cosine.
    decay: PartOfAll = 0.999

    def streams(self) -> dict[str, StreamSettings]:
        """One, of all clips, whether they have text or not."""
        return {"unlabelled": StreamSettings(take="all", views=("unmasked",))}


class UnifiedPrediction(MaskedPrediction):
    """The network, whose encoder is the student, its average, the predictor and the probes."""

    network: Unified

    def __init__(self, network: Unified, loss: LossSettings, settings: UnifiedPredictionSettings) -> None:
        super().__init__(network, loss)
        self.settings = settings
        for part in (network.decoder, network.outputs, network.ctc):
            part.requires_grad_(False)
        self.teacher = follower(network)
        self.predictor = Predictor(network.settings, settings.predictor, settings.predictor.blocks)
        self.probes = nn.ModuleDict({view: nn.Linear(network.settings.width, network.tokens) for view in VIEWS})

    def train(self, mode: bool = True) -> UnifiedPrediction:
        """The teacher answers without dropout, whatever the student does."""
        super().train(mode)
        if mode:
            ready(self.teacher)
        return self

    def recognisers(self) -> dict[str, Recogniser]:
        """The views of the teacher, each with its probe, lips first."""
        found: dict[str, Recogniser] = {}
        for view in VIEWS:
            found[view] = self.teacher.view(view)
            found[view].ctc = self.probe(view)
        return found

    def predict(self, batch: Batch, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """All losses, behind holes that are drawn now."""
        return self.losses(batch, self.mask(batch, generator))

    def mask(self, batch: Batch, generator: torch.Generator | None = None) -> Tensor:
        """Which frames are hidden in every view: B, T. A clip of which none is counts nothing."""
        assert batch.video is not None
        said = self.settings.masks
        return masks(batch.lengths, batch.video.shape[1], said.start, said.length, generator)

    def losses(self, batch: Batch, hidden: Tensor) -> dict[str, Tensor]:
        """All losses, with these frames hidden."""
        lengths = batch.lengths
        raw, answers = self.taught(batch)
        deviation, cosine = spread(raw, lengths)
        target = over_time(raw, lengths)
        student = self.network.encode(batch.inputs, lengths, VIEWS, hidden)
        of_views = (hidden.repeat(len(VIEWS), 1), lengths.repeat(len(VIEWS)))
        predicted = self.predictor(student, *of_views).chunk(len(VIEWS))
        parts, shares, clips = {}, [], torch.zeros(len(lengths), device=lengths.device)
        for view, of in zip(VIEWS, predicted, strict=True):
            weight: float = getattr(self.settings.weights, view)
            parts[f"prediction/{view}"], of_clips = unlikeness(of, target, hidden, batch.weights)
            shares.append(weight * parts[f"prediction/{view}"])
            clips = clips + weight * of_clips
        loss, probes = torch.stack(shares).sum(), self.misread(batch, answers)
        figures = {"target_deviation/av": deviation, "target_cosine/av": cosine}
        total = loss + torch.stack(list(probes.values())).sum()
        return {"total": total, "loss": loss, **parts, **probes, **figures, "clips": clips}

    @torch.no_grad()
    def taught(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """What the teacher makes of whole clips: the targets, of picture and sound, and what each view answers."""
        outputs = self.teacher.block_outputs(batch.inputs, batch.lengths)
        answers = dict(zip(VIEWS, self.teacher.norm(outputs[-1]).chunk(len(VIEWS)), strict=True))
        both = VIEWS.index("av")
        return torch.stack([each.chunk(len(VIEWS))[both] for each in outputs]).mean(0), answers

    def after_update(self, progress: float) -> None:
        """The teacher follows."""
        follow(self.teacher, self.network, decay(self.settings.decay, progress))

    def probe(self, view: str) -> nn.Linear:
        """The head that a view of the teacher is read by."""
        head = self.probes[view]
        assert isinstance(head, nn.Linear)
        return head
