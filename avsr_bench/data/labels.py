"""Which text a training clip has: its own, or one from an overlay of automatic labels, or none.

A clip's own text goes first. The texts that are used have a fingerprint of their own.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Annotated, Literal

from annotated_types import Interval, Len

from ..files import json_bytes
from ..nn import Modality
from ..records import FPS, Ancestor, Fraction, Misused, Refused, Seed, rng_for
from .examples import Place, usable
from .overlay import TRAIN, Label, read_labels
from .plan import BatchSettings
from .prepared import Prepared
from .selection import SelectionSettings

Kind = Literal["labelled", "automatic", "unlabelled"]
View = Literal["augmented", "unmasked", "plain", "noisy", "clean"]


@dataclass(frozen=True, slots=True)
class HideSettings:
    """Pretends that text is missing: for experiments in which the truth is known."""

    speakers: Fraction = 0.0  # fraction of the training speakers whose own text is hidden
    clips: Fraction = 0.0  # fraction of the training clips with a text of their own, for a corpus of few speakers
    seed: Seed = 0  # of which these are

    def __post_init__(self) -> None:
        if self.speakers and self.clips:
            raise Misused(
                f"hide.speakers = {self.speakers:g} and hide.clips = {self.clips:g} are two ways to hide texts: give"
                f" one of them, data.hide={{clips: {self.clips:g}}}"
            )


@dataclass(frozen=True, slots=True)
class StreamSettings:
    """One stream of clips that feeds an update."""

    take: Literal["labelled", "own", "automatic", "unlabelled", "all"] = "labelled"  # labelled: own and automatic text
    # How each clip is shown, one batch a view: augmented as in training, unmasked with no more of it than the crop and
    # the flip, plain as in tests; noisy with other sound in it, and clean as it was before that, neither levelled.
    views: Annotated[tuple[View, ...], Len(1, 8)] = ("augmented",)
    fraction: Annotated[float, Interval(gt=0, le=1)] = 1.0  # of data.frames that a batch of this stream has


@dataclass(frozen=True, slots=True)
class DataSettings(BatchSettings):
    """What a run is trained on: batches, texts, and the streams that they make."""

    labels: str | None = None  # an overlay of the corpus, by name
    min_confidence: Fraction = 0.0  # labels below it are not used
    hide: HideSettings = field(default_factory=HideSettings)
    # By name; none: one for each that the objective needs, of all that has text.
    streams: dict[str, StreamSettings] = field(default_factory=dict)
    selection: SelectionSettings = field(default_factory=SelectionSettings)


@dataclass(frozen=True, slots=True)
class TrainingClip:
    """A clip of the training split with the text that it is trained on."""

    place: Place
    text: str | None
    kind: Kind


@dataclass(frozen=True, slots=True)
class Chosen:
    """All clips of the training split, and what decided about their texts."""

    clips: tuple[TrainingClip, ...]
    fingerprint: str  # of overlay, threshold and hidden speakers or clips; empty where clips have their own texts
    labellers: tuple[Ancestor, ...] = ()  # whose labels some of the texts are, and what these were made of
    note: str = ""  # what became of the labels; empty without an overlay
    left_out: tuple[tuple[str, str], ...] = ()  # key and reason of clips without sound, or without a mouth

    def hours(self, kind: Kind) -> float:
        """Hours of clips of a kind."""
        return sum(clip.place.entry.frames for clip in self.clips if clip.kind == kind) / FPS / 3600


def choose(corpus: Prepared, modality: Modality, settings: DataSettings) -> Chosen:
    """The training clips of a corpus, each with its text or without."""
    found, left_out = usable(corpus, TRAIN, modality)
    overlay = read_labels(corpus, settings.labels) if settings.labels else None
    hidden = _hidden(found, settings.hide, corpus)
    clips = []
    for place in found:
        own, label = place.entry.text or "", overlay.labels.get(place.entry.key) if overlay else None
        if own.strip() and _hidden_by(place, settings.hide) not in hidden:
            clips.append(TrainingClip(place, own, "labelled"))
        elif label is not None and _sure_enough(label, settings):
            clips.append(TrainingClip(place, label.text, "automatic"))
        else:
            clips.append(TrainingClip(place, None, "unlabelled"))
    if overlay is None and not hidden:
        return Chosen(tuple(clips), "", left_out=left_out)
    decided = json_bytes([overlay.digest if overlay else "", settings.min_confidence, sorted(hidden)])
    fingerprint = blake2b(decided, digest_size=8).hexdigest()
    if overlay is None:
        return Chosen(tuple(clips), fingerprint, left_out=left_out)
    kinds = {clip.place.entry.key: clip.kind for clip in clips}
    used, spare, unsure = (
        sum(kinds.get(key) == kind for key in overlay.labels) for kind in ("automatic", "labelled", "unlabelled")
    )
    note = (
        f"labels {settings.labels}, by {overlay.header.labeller}: {used:,} clips are trained on them; {spare:,} have a"
        f" text of their own, and {unsure:,} are below data.min_confidence"
    )
    return Chosen(tuple(clips), fingerprint, overlay.header.ancestors if used else (), note, left_out)


def _sure_enough(label: Label, settings: DataSettings) -> bool:
    if label.confidence is None and settings.min_confidence:
        raise Refused(
            f"data.min_confidence={settings.min_confidence:g}: the labels {settings.labels} do not say how sure they"
            " are: leave it out"
        )
    return label.confidence is None or label.confidence >= settings.min_confidence


def _hidden(found: Iterable[Place], hide: HideSettings, corpus: Prepared) -> set[str]:
    """The speakers, or clips, whose own text is hidden: with a larger fraction these too, so that experiments nest."""
    fraction = hide.speakers or hide.clips
    if not fraction:
        return set()
    spoken = (place for place in found if hide.speakers or (place.entry.text or "").strip())
    names = sorted({_hidden_by(place, hide) for place in spoken})
    if "" in names:
        raise Refused(
            f"data.hide.speakers: {corpus.location} does not say who speaks in every clip; data.hide.clips needs no"
            " speakers"
        )
    order = sorted(names, key=lambda name: rng_for(hide.seed, "hide", name).random())
    most = len(names) - (fraction < 1)  # of few speakers one keeps the text, unless all are meant
    return set(order[: max(min(round(fraction * len(names)), most), 0)])


def _hidden_by(place: Place, hide: HideSettings) -> str:
    """The name that decides whether the text of a clip is hidden."""
    return place.entry.key if hide.clips else place.entry.speaker
