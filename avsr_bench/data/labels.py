"""Which text a training clip has: its own, or one from an overlay of automatic labels, or none.

    DATA/labels/NAME.jsonl
        {"format": 1, "labeller": ..., "licence": ..., "weights": ..., "decoding": {...}, "text_rule": 1, "corpus": ...}
        {"key": "s1%2Fbbaf2n", "text": "bin blue at f two now", "confidence": 0.93}

Shards stay as they are: an overlay belongs to one state of a corpus, whose fingerprint stands in its header, and to its
training split alone. A clip's own text goes first. The texts that are used have a fingerprint of their own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Interval, Len

from ..files import json_bytes, write_whole
from ..nn import Modality
from ..records import FPS, Fraction, Refused, Seed, rng_for
from ..shards import checked
from ..text import TEXT_VERSION
from .examples import Place, places
from .plan import BatchSettings
from .prepared import Prepared
from .selection import SelectionSettings

FORMAT = 1
TRAIN = "train"  # the split that overlays are for
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")

Kind = Literal["labelled", "automatic", "unlabelled"]


@dataclass(frozen=True, slots=True)
class HideSettings:
    """Pretends that text is missing: for experiments in which the truth is known."""

    speakers: Fraction = 0.0  # fraction of the training speakers whose own text is hidden
    seed: Seed = 0  # of which speakers these are


@dataclass(frozen=True, slots=True)
class StreamSettings:
    """One stream of clips that feeds an update."""

    take: Literal["labelled", "own", "automatic", "unlabelled", "all"] = "labelled"  # labelled: own and automatic text
    # How each clip is shown, one batch a view: augmented as in training, plain as in tests.
    views: Annotated[tuple[Literal["augmented", "plain"], ...], Len(1, 8)] = ("augmented",)
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
class LabelHeader:
    """Where labels come from."""

    labeller: str  # a run, or the name and version of a program
    licence: str
    weights: str  # a digest of the labeller's
    decoding: Mapping[str, Any]
    corpus: str  # the fingerprint of the state that was labelled
    text_rule: int = TEXT_VERSION


@dataclass(frozen=True, slots=True)
class Label:
    """An automatic text."""

    text: str
    confidence: Fraction


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
    fingerprint: str  # of overlay, threshold and hidden speakers; empty where clips have their own texts

    def hours(self, kind: Kind) -> float:
        """Hours of clips of a kind."""
        return sum(clip.place.entry.frames for clip in self.clips if clip.kind == kind) / FPS / 3600


def choose(corpus: Prepared, modality: Modality, settings: DataSettings) -> Chosen:
    """The training clips of a corpus, each with its text or without."""
    found = places(corpus, TRAIN, modality, need_text=False)
    labels, digest = read_labels(corpus, settings.labels) if settings.labels else ({}, "")
    hidden = _hidden(found, settings.hide, corpus)
    clips = []
    for place in found:
        own, label = place.entry.text or "", labels.get(place.entry.key)
        if own.strip() and place.entry.speaker not in hidden:
            clips.append(TrainingClip(place, own, "labelled"))
        elif label is not None and label.confidence >= settings.min_confidence:
            clips.append(TrainingClip(place, label.text, "automatic"))
        else:
            clips.append(TrainingClip(place, None, "unlabelled"))
    if not settings.labels and not hidden:
        return Chosen(tuple(clips), "")
    decided = json_bytes([digest, settings.min_confidence, sorted(hidden)])
    return Chosen(tuple(clips), blake2b(decided, digest_size=8).hexdigest())


def write_labels(corpus: Prepared, name: str, header: LabelHeader, labels: Mapping[str, Label]) -> Path:
    """Write an overlay beside the shards, in the order of its keys."""
    lines = [{"format": FORMAT, **asdict(header)}]
    lines += [{"key": key, **asdict(label)} for key, label in sorted(labels.items())]
    path = Path(corpus.location) / "labels" / f"{_checked_name(name)}.jsonl"
    path.parent.mkdir(exist_ok=True)
    write_whole(path, b"".join(json_bytes(line) + b"\n" for line in lines))
    return path


def read_labels(corpus: Prepared, name: str) -> tuple[dict[str, Label], str]:
    """The labels of an overlay by key, and its digest; one that does not belong to this corpus is refused."""
    file = f"labels/{_checked_name(name)}.jsonl"
    where = f"{corpus.location}/{file}"
    content = corpus.read(file, f"{where} is not there: give the name of an overlay in {corpus.location}/labels/")
    if not content.endswith(b"\n"):
        raise Refused(f"{where} is truncated in its last line: fetch it, or label the corpus, again")
    first, *rest = content.split(b"\n")[:-1]
    try:
        header = _parse_header(checked.load_json(first))
    except ValueError as error:
        raise Refused(f"{where}, line 1, is not the header of an overlay: {error}") from None
    if header.corpus != corpus.fingerprint:
        raise Refused(f"{where} was made for another corpus, or another state of this one: label this one")
    if header.text_rule != TEXT_VERSION:
        raise Refused(f"{where} follows text rule {header.text_rule}, and this is rule {TEXT_VERSION}: label it again")
    labels: dict[str, Label] = {}
    for number, line in enumerate(rest, start=2):
        try:
            key, label = _parse_label(checked.load_json(line))
            if key in labels:
                raise ValueError(f"{key} has a label already")
        except ValueError as error:
            raise Refused(f"{where}, line {number}: {error}") from None
        labels[key] = label
    _check_keys(corpus, labels, where)
    return labels, blake2b(content, digest_size=16).hexdigest()


def _check_keys(corpus: Prepared, labels: Mapping[str, Label], where: str) -> None:
    """Refuse labels of clips that are not trained on: those of test clips would leak into what they are tested by."""
    missing = labels.keys() - _keys(corpus, TRAIN)
    if not missing:
        return
    for split in corpus.prep["splits"]:
        if split != TRAIN and (inside := missing & _keys(corpus, split)):
            raise Refused(f"{where} labels {min(inside)} of the split {split}: overlays are for {TRAIN} alone")
    raise Refused(f"{where} labels {min(missing)}, and {len(missing):,} keys in all, that the corpus does not have")


def _keys(corpus: Prepared, split: str) -> set[str]:
    return {entry.key for entries in corpus.shards(split) for entry in entries}


def _parse_header(record: dict[str, Any]) -> LabelHeader:
    if checked.count(record, "format") != FORMAT:
        raise ValueError(f"format {record['format']}: this version reads {FORMAT}")
    return LabelHeader(
        labeller=checked.text(record, "labeller"),
        licence=checked.text(record, "licence"),
        weights=checked.text(record, "weights"),
        decoding=checked.section(record, "decoding"),
        corpus=checked.text(record, "corpus"),
        text_rule=checked.count(record, "text_rule"),
    )


def _parse_label(record: dict[str, Any]) -> tuple[str, Label]:
    confidence = checked.number(record, "confidence")
    if not 0 <= confidence <= 1:
        raise ValueError(f"confidence is {confidence:g}: it lies between 0 and 1")
    return checked.text(record, "key"), Label(checked.text(record, "text"), confidence)


def _checked_name(name: str) -> str:
    if not NAME.fullmatch(name):
        raise Refused(
            f"data.labels={name[:100]}: one name of letters, digits, - and _; two overlays cannot be joined, since they"
            " may disagree about a clip"
        )
    return name


def _hidden(found: Iterable[Place], hide: HideSettings, corpus: Prepared) -> set[str]:
    """The speakers whose own text is hidden: the same for every fraction below, so that experiments are nested."""
    if not hide.speakers:
        return set()
    speakers = sorted({place.entry.speaker for place in found})
    if "" in speakers:
        raise Refused(f"data.hide.speakers: {corpus.location} does not say who speaks in every clip")
    order = sorted(speakers, key=lambda speaker: rng_for(hide.seed, "hide", speaker).random())
    return set(order[: round(hide.speakers * len(speakers))])
