"""An overlay: automatic labels of a corpus, in a file beside its shards, which stay as they are.

    DATA/labels/NAME.jsonl
        {"format": 1, "labeller": ..., "licence": ..., "weights": ..., "modality": ..., "decoding": {...}, ...}
        {"key": "s1%2Fbbaf2n", "text": "bin blue at f two now", "confidence": 0.93}

It belongs to one state of a corpus, whose fingerprint stands in its header, and to its training split alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, get_args

from .. import recipes
from ..files import json_bytes, write_whole
from ..nn import Modality
from ..records import Ancestor, Fraction, Refused
from ..shards import checked
from ..text import TEXT_VERSION
from .prepared import Prepared

FORMAT = 1
FOLDER = "labels"  # of a corpus, in which overlays lie
TRAIN = "train"  # the split that overlays are for
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelHeader:
    """Where labels come from."""

    labeller: str  # a run, or the name and version of a program
    licence: str  # of its weights; empty where nobody said
    weights: str  # a digest of them
    modality: Modality  # what it was shown
    decoding: Mapping[str, Any]
    corpus: str = ""  # the fingerprint of the state that was labelled; empty until one is
    text_rule: int = TEXT_VERSION
    # The labeller and what it was made of: who learns from its labels has them as ancestors too.
    ancestors: tuple[Ancestor, ...] = ()


@dataclass(frozen=True, slots=True)
class Label:
    """An automatic text."""

    text: str
    confidence: Fraction | None  # none of a labeller that does not say how sure it is


@dataclass(frozen=True, slots=True)
class Overlay:
    """Labels by key, where they come from, and a digest of the file."""

    header: LabelHeader
    labels: Mapping[str, Label]
    digest: str


def write_labels(corpus: Prepared, name: str, header: LabelHeader, labels: Mapping[str, Label]) -> Path:
    """Write an overlay beside the shards, in the order of its keys."""
    lines = [{"format": FORMAT, **asdict(header)}]
    lines += [{"key": key, **asdict(label)} for key, label in sorted(labels.items())]
    path = Path(corpus.location) / FOLDER / f"{checked_name(name)}.jsonl"
    path.parent.mkdir(exist_ok=True)
    write_whole(path, b"".join(json_bytes(line) + b"\n" for line in lines))
    return path


def read_labels(corpus: Prepared, name: str) -> Overlay:
    """An overlay; one that does not belong to this corpus is refused."""
    file = f"{FOLDER}/{checked_name(name)}.jsonl"
    where = f"{corpus.location}/{file}"
    content = corpus.read(file, f"{where} is not there: give the name of an overlay in {corpus.location}/{FOLDER}/")
    if not content.endswith(b"\n"):
        raise Refused(f"{where} is truncated in its last line: fetch it, or label the corpus, again")
    first, *rest = content.split(b"\n")[:-1]
    try:
        header = _parse_header(checked.load_json(first), where)
    except ValueError as error:
        raise Refused(f"{where}, line 1, is not the header of an overlay: {error}") from None
    if header.corpus != corpus.fingerprint:
        raise Refused(f"{where} was made for another corpus, or another state of this one: label this one")
    if header.text_rule != TEXT_VERSION:
        raise Refused(f"{where} follows text rule {header.text_rule}, and this is rule {TEXT_VERSION}: label it again")
    labels: dict[str, Label] = {}
    for number, line in enumerate(rest, start=2):
        try:
            key, label = parse_label(checked.load_json(line))
            if key in labels:
                raise ValueError(f"{key} has a label already")
        except ValueError as error:
            raise Refused(f"{where}, line {number}: {error}") from None
        labels[key] = label
    _check_keys(corpus, labels, where)
    return Overlay(header, labels, blake2b(content, digest_size=16).hexdigest())


def parse_label(record: dict[str, Any]) -> tuple[str, Label]:
    """The key and the label of a line; `ValueError` says what is wrong with it."""
    if "confidence" in record and record["confidence"] is None:
        return checked.text(record, "key"), Label(checked.text(record, "text"), None)
    confidence = checked.number(record, "confidence")
    if not 0 <= confidence <= 1:
        raise ValueError(f"confidence is {confidence:g}: it lies between 0 and 1")
    return checked.text(record, "key"), Label(checked.text(record, "text"), confidence)


def checked_name(name: str) -> str:
    """The name of an overlay, or `Refused`."""
    if not NAME.fullmatch(name):
        raise Refused(
            f"{name[:100]!r} is no name of an overlay: one name of letters, digits, - and _; two overlays cannot be"
            " joined, since they may disagree about a clip"
        )
    return name


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


def _modality(name: str) -> Modality:
    for known in get_args(Modality):
        if name == known:
            return known
    raise ValueError(f"modality is {name[:20]!r}: it should be one of {', '.join(get_args(Modality))}")


def _parse_header(record: dict[str, Any], where: str) -> LabelHeader:
    if checked.count(record, "format") != FORMAT:
        raise ValueError(f"format {record['format']}: this version reads {FORMAT}")
    ancestors = checked.items(record, "ancestors")
    if not all(isinstance(each, dict) for each in ancestors):
        raise ValueError("ancestors should be objects, one for each run")
    return LabelHeader(
        labeller=checked.text(record, "labeller"),
        licence=checked.text(record, "licence"),
        weights=checked.text(record, "weights"),
        modality=_modality(checked.text(record, "modality")),
        decoding=checked.section(record, "decoding"),
        corpus=checked.text(record, "corpus"),
        text_rule=checked.count(record, "text_rule"),
        ancestors=tuple(recipes.build(Ancestor, each, f"{where}: ancestors") for each in ancestors),
    )
