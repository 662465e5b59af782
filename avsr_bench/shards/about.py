"""The `json` of a sample: where it was cut from, how surely its face was seen, what was odd about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .checked import count, load_json, number, section, text


@dataclass(frozen=True, slots=True)
class Source:
    """The video that a clip was cut from, as prep met it."""

    path: str  # below the folder of the corpus
    bytes: int
    start: float  # seconds in it
    end: float | None


@dataclass(frozen=True, slots=True)
class About:
    """What a sample says of itself beside its text."""

    source: Source | None
    recording: str  # that the clip is from; empty where unknown
    detected: float | None  # share of the frames looked at in which a face was found
    notes: tuple[str, ...]  # names of `records.NOTES`


def parse_about(data: bytes) -> About:
    """The record of a sample; `ValueError` says what is wrong with it."""
    record = load_json(data)
    origin, faces, notes = (_section(record, name) for name in ("source", "faces", "notes"))
    source = None
    if "path" in origin:
        end = number(origin, "end") if "end" in origin else None
        source = Source(text(origin, "path"), count(origin, "bytes"), number(origin, "start"), end)
    recording = text(origin, "recording") if "recording" in origin else ""
    detected = number(faces, "detected") if faces.get("detected") is not None else None
    if detected is not None and not 0 <= detected <= 1:
        raise ValueError(f"faces.detected is {detected:g}: it lies between 0 and 1")
    return About(source, recording, detected, tuple(notes))


def _section(record: dict[str, Any], name: str) -> dict[str, Any]:
    return section(record, name) if record.get(name) is not None else {}
