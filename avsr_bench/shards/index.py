"""The index of a shard: one line for each clip of the plan, the finished and the skipped."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ..files import json_bytes
from ..records import Reason, Refused


@dataclass(frozen=True, slots=True)
class Member:
    """Where the bytes of one file lie inside the tar, and their digest."""

    offset: int
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of an index: a sample with its members, or a skipped clip with its `reason`."""

    key: str
    text: str | None
    speaker: str
    frames: int = 0
    members: Mapping[str, Member] = field(default_factory=dict)  # by extension, in tar order
    track: bool = False  # whether the shard's tracks.npz has this clip's face track
    reason: Reason | None = None


def format_entry(entry: Entry) -> bytes:
    """The line of one clip."""
    record: dict[str, Any] = {"key": entry.key, "text": entry.text, "speaker": entry.speaker}
    if entry.reason is not None:
        record["reason"] = {"kind": entry.reason.kind, "code": entry.reason.code, "detail": entry.reason.detail}
    else:
        record["frames"] = entry.frames
        record["track"] = entry.track
        record["members"] = {extension: asdict(member) for extension, member in entry.members.items()}
    return json_bytes(record) + b"\n"


def parse_index(data: bytes) -> tuple[Entry, ...]:
    """The entries of an index; `ValueError` names the line that cannot be read."""
    if data and not data.endswith(b"\n"):
        raise ValueError("the last line breaks off")
    entries = []
    for number, line in enumerate(data.split(b"\n")[:-1], start=1):
        try:
            entries.append(_parse_entry(json.loads(line)))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"line {number} cannot be read ({type(error).__name__}: {error})") from error
    return tuple(entries)


def _parse_entry(record: dict[str, Any]) -> Entry:
    key, text, speaker = record["key"], record["text"], record["speaker"]
    if "reason" in record:
        return Entry(key, text, speaker, reason=Reason(record["reason"]["code"], record["reason"]["detail"]))
    members = {extension: Member(**member) for extension, member in record["members"].items()}
    return Entry(key, text, speaker, record["frames"], members, record["track"])


def read_index(path: Path) -> tuple[Entry, ...]:
    """The entries of the index at `path`, in plan order."""
    try:
        return parse_index(path.read_bytes())
    except ValueError as error:
        raise Refused(f"{path} is damaged: {error}; delete it and run the same prep command again") from error
    except OSError as error:
        raise Refused(f"cannot read {path}: {error.strerror}") from error
