"""One network learns to read lips, to hear and to do both, from transcripts and from what its own average reads.

USR (arXiv 2411.02256). For each of the three views s, with transcripts (lab) and without (unlab):

    weight_s * ((1 - unlabelled_s) * (ctc * CTC + (1 - ctc) * attention)(lab)
                + unlabelled_s * (ctc * frames + (1 - ctc) * tokens)(unlab))

`frames` and `tokens` are the cross-entropies of labels that the average of the network gives to the clean clips, seen
and heard at once; those it is not sure of count nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

import torch
from annotated_types import Interval
from torch import Tensor, nn

from ..data import StreamSettings
from ..nn import PADDING, VIEWS, Answers, Batch, Group, LossSettings, Recogniser, Unified, framed, joint_loss
from ..nn.layers import dropout
from ..nn.loss import attention_loss
from ..records import Fraction, PartOfAll
from .follower import decay, follow, follower, ready
from .objective import Batches, Objective
from .pseudo import PseudoLabels, pseudo_labels

Weight = Annotated[float, Interval(ge=0, le=10**6)]


@dataclass(frozen=True, slots=True)
class WeightSettings:
    """What each view counts."""

    video: Weight = 0.3
    audio: Weight = 0.7
    av: Weight = 0.7


@dataclass(frozen=True, slots=True)
class UnlabelledSettings:
    """What pseudo-labels count in each view, beside transcripts; 0 everywhere: there are no pseudo-labels."""

    video: Fraction = 0.5
    audio: Fraction = 0.5
    av: Fraction = 0.5


@dataclass(frozen=True, slots=True)
class UnifiedSettings:
    """What is learnt by which view, and from which labels."""

    weights: WeightSettings = field(default_factory=WeightSettings)
    unlabelled: UnlabelledSettings = field(default_factory=UnlabelledSettings)
    min_confidence: Fraction = 0.8  # of a frame or token; below it a pseudo-label counts nothing
    # Where the decoder's labels come from: of what CTC reads, in one pass (USR 2.0), or token by token (USR).
    targets: Literal["ctc", "attention"] = "ctc"
    # How much of itself the teacher keeps in the first update; it rises to 1 as a cosine.
    decay: PartOfAll = 0.999

    @property
    def taught(self) -> bool:
        """Whether there are pseudo-labels."""
        return max(self.unlabelled.video, self.unlabelled.audio, self.unlabelled.av) > 0

    def streams(self) -> dict[str, StreamSettings]:
        """The first is what epochs are counted of: as published, clips without text where there are any."""
        labelled = {"labelled": StreamSettings()}
        if not self.taught:
            return labelled
        return {"unlabelled": StreamSettings(take="unlabelled", views=("augmented", "unmasked")), **labelled}


class UnifiedObjective(Objective):
    """The network, the average that teaches it, and the heads that learn from pseudo-labels and only train the rest."""

    network: Unified

    def __init__(self, network: Unified, loss: LossSettings, settings: UnifiedSettings) -> None:
        super().__init__()
        self.network, self.loss, self.settings = network, loss, settings
        if loss.ctc == 1:
            network.decoder.requires_grad_(False)
            network.outputs.requires_grad_(False)
        if settings.taught:
            self.teacher = follower(network)
            width, tokens = network.settings.width, network.tokens
            self.frame_heads = nn.ModuleDict({view: nn.Linear(width, tokens) for view in VIEWS})
            self.token_heads = nn.ModuleDict({view: nn.Linear(width, tokens) for view in VIEWS})
            self.token_heads.requires_grad_(loss.ctc < 1)
        self.epoch: int | None = None  # of the newest update
        self.read = self.read_in_pass = False  # whether the teacher read anything in it, and in its epoch

    def train(self, mode: bool = True) -> UnifiedObjective:
        """The teacher answers as it labels, without dropout, whatever the network does; when it is validated too."""
        super().train(mode)
        if self.settings.taught:
            ready(self.teacher)
        return self

    def recognisers(self) -> dict[str, Recogniser]:
        """All three, lips first; and the teacher, as it labels."""
        found: dict[str, Recogniser] = {view: self.network.view(view) for view in VIEWS}
        return {**found, "teacher": self.teacher.view("av")} if self.settings.taught else found

    def groups(self) -> list[Group]:
        """All that has a gradient: the heads beside the network are trained like it."""
        heads = [self.frame_heads, self.token_heads] if self.settings.taught else []
        modules: list[nn.Module] = [self.network, *heads]
        return [Group("network", tuple(p for module in modules for p in module.parameters() if p.requires_grad))]

    def forward(self, batches: Batches) -> dict[str, Tensor]:
        """Losses of every view on both streams."""
        (labelled,) = batches["labelled"]
        found = self.on_transcripts(labelled)
        total, clips = found.pop("total"), {"labelled": found.pop("clips")}
        if self.settings.taught:
            disturbed, clean = batches["unlabelled"]
            added = self.on_pseudo_labels(disturbed, self.labels(clean))
            total = total + added.pop("total")
            clips["unlabelled"] = torch.cat((added.pop("clips"), total.new_zeros(len(clean.lengths))))
            found |= added
        return {"total": total, "loss": total, **found, "clips": torch.cat([clips[name] for name in batches])}

    def on_transcripts(self, batch: Batch) -> dict[str, Tensor]:
        """CTC and attention of each view, joined; `ctc` and `attention` are the means of the three."""
        memory = self.network.encode(batch.inputs, batch.lengths)
        hidden, after = None, None
        if self.loss.ctc < 1:
            before, after = framed(batch.tokens, self.network.tokens - 1, self.network.tokens - 1)
            hidden = self._through_decoder(before, memory, batch.lengths)
        clips = torch.zeros(len(batch.lengths), device=memory.device)
        parts: dict[str, Tensor] = {}
        for number, view in enumerate(VIEWS):
            own, spoken = self._of(memory, number), None if hidden is None else self._of(hidden, number)
            dropped = dropout(own, self.network.settings.ctc_dropout, self.training)
            answers = Answers(
                self.network.ctc[view](dropped),
                batch.lengths,
                None if spoken is None else self.network.outputs[view](spoken),
                after,
            )
            joint = joint_loss(answers, batch.tokens, self.loss, batch.weights)
            share = getattr(self.settings.weights, view) * (1 - self._unlabelled(view))
            parts[view] = share * joint.total
            clips = clips + share * joint.clips
            parts[f"ctc/{view}"], parts[f"attention/{view}"] = joint.ctc, joint.attention
        total = torch.stack([parts.pop(view) for view in VIEWS]).sum()
        means = {name: torch.stack([parts[f"{name}/{view}"] for view in VIEWS]).mean() for name in ("ctc", "attention")}
        return {"total": total, **means, **parts, "clips": clips.detach()}

    @torch.no_grad()
    def labels(self, clean: Batch) -> PseudoLabels:
        """What the teacher reads in clips that nothing is taken from."""
        memory = self.teacher.encode(clean.inputs, clean.lengths, ("av",))
        return pseudo_labels(self.teacher, memory, clean.lengths, self.settings.targets == "attention")

    def on_pseudo_labels(self, batch: Batch, labels: PseudoLabels) -> dict[str, Tensor]:
        """What each view answers, against the labels that the teacher is sure of."""
        losses = self.pseudo_losses(batch, labels)
        shares = {view: getattr(self.settings.weights, view) * self._unlabelled(view) for view in VIEWS}
        frames, tokens = losses["frames"], losses["tokens"]
        joint = {view: self.loss.ctc * frames[view] + (1 - self.loss.ctc) * tokens[view] for view in VIEWS}
        clips = torch.stack([shares[view] * joint[view] for view in VIEWS]).sum(0)  # B
        own = {f"pseudo/{kind}/{view}": losses[kind][view].mean() for kind in losses for view in VIEWS}
        return {"total": clips.mean(), **own, **self.shares(labels), "clips": clips.detach()}

    def pseudo_losses(self, batch: Batch, labels: PseudoLabels) -> dict[str, dict[str, Tensor]]:
        """Of each clip (B) the cross-entropy summed over its sure frames, and over its sure tokens, by view."""
        frames, tokens = labels.confident(self.settings.min_confidence)
        memory = self.network.encode(batch.inputs, batch.lengths)
        found: dict[str, dict[str, Tensor]] = {"frames": {}, "tokens": {}}
        hidden = self._through_decoder(labels.before, memory, batch.lengths) if self.loss.ctc < 1 else None
        for number, view in enumerate(VIEWS):
            of_frames = self.frame_heads[view](self._of(memory, number))
            # Published: smoothed for tokens alone.
            found["frames"][view] = attention_loss(of_frames, frames, 0.0)
            if hidden is None:
                found["tokens"][view] = torch.zeros_like(found["frames"][view])
                continue
            of_tokens = self.token_heads[view](self._of(hidden, number))
            found["tokens"][view] = attention_loss(of_tokens, tokens, self.loss.label_smoothing)
        return found

    def shares(self, labels: PseudoLabels) -> dict[str, Tensor]:
        """Of the labels: which fraction the teacher is sure of, and of the clips, which fraction has not one word."""
        frames, tokens = labels.confident(self.settings.min_confidence)
        there, spoken = labels.frames != PADDING, labels.after != PADDING
        silent = ~there.any(1)
        self.read = self.read or not bool(silent.all())
        return {
            "pseudo/sure_frames": (frames != PADDING).sum() / there.sum().clamp(min=1),
            "pseudo/sure_tokens": (tokens != PADDING).sum() / spoken.sum().clamp(min=1),
            "pseudo/silent": silent.float().mean(),
        }

    def remarks(self, epoch: int) -> list[str]:
        """Whether the teacher read nothing in all of a pass that has ended."""
        if not self.settings.taught:
            return []
        ended = None if epoch == self.epoch else self.epoch
        silent = ended is not None and not self.read_in_pass
        self.read_in_pass = self.read or (self.read_in_pass and epoch == self.epoch)
        self.epoch, self.read = epoch, False
        if not silent:
            return []
        return [
            f"the teacher read nothing in all clips of pass {ended}: nothing is learnt from them; begin with a run that"
            " reads (init.run), or give more clips with text"
        ]

    def after_update(self, progress: float) -> None:
        """The teacher follows."""
        if self.settings.taught:
            follow(self.teacher, self.network, decay(self.settings.decay, progress))

    def frames(self, batches: Batches) -> tuple[Tensor, Tensor]:
        """Each frame once, though three views see it; what the teacher sees goes through no trained network."""
        trained = torch.stack([views[0].lengths.sum() for views in batches.values()]).sum()
        taught = [views[1].lengths.sum() for views in batches.values() if len(views) > 1]
        return trained, torch.stack(taught).sum() if taught else torch.zeros_like(trained)

    def _through_decoder(self, before: Tensor, memory: Tensor, lengths: Tensor) -> Tensor:
        hidden: Tensor = self.network.decoder(before.repeat(len(VIEWS), 1), memory, lengths.repeat(len(VIEWS)))
        return hidden

    def _of(self, stacked: Tensor, number: int) -> Tensor:
        return stacked.chunk(len(VIEWS))[number]

    def _unlabelled(self, view: str) -> float:
        share: float = getattr(self.settings.unlabelled, view)
        return share
