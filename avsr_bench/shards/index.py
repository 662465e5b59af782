"""The index of a shard: one line for each clip of the plan, the finished and the skipped."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ..bounded import read_file
from ..files import json_bytes
from ..records import Reason, Refused
from .checked import MOST, count, flag, load_json, named, section, text

KEY = re.compile(r"[A-Za-z0-9_%-]+")  # as records.make_key makes them: no dot and no slash, so no way out of a folder
EXTENSION = re.compile(r"[a-z0-9]+(?:\.[a-z0-9]+)*")
SHA256 = re.compile(r"[0-9a-f]{64}")
LONGEST = 10_000_000  # frames of a clip: 4.6 days
LARGEST = 2**31  # bytes of a member: a mouth takes 60 kB for three seconds


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
    entries: list[Entry] = []
    samples: set[str] = set()
    for number, line in enumerate(data.split(b"\n")[:-1], start=1):
        try:
            entry = _parse_entry(load_json(line))
            if entry.reason is None and entry.key in samples:
                raise ValueError(f"{entry.key} stands there twice")
        except ValueError as error:
            raise ValueError(f"line {number} cannot be read ({error})") from error
        entries.append(entry)
        samples |= {entry.key} if entry.reason is None else set()
    return tuple(entries)


def _parse_entry(record: dict[str, Any]) -> Entry:
    key, speaker = named(KEY, record.get("key"), "key of a clip"), text(record, "speaker")
    said = None if record.get("text", "") is None else text(record, "text")
    if "reason" in record:
        reason = section(record, "reason")
        return Entry(key, said, speaker, reason=Reason(text(reason, "code"), text(reason, "detail")))
    members = {
        named(EXTENSION, extension, "extension"): _parse_member(section(record["members"], extension))
        for extension in section(record, "members")
    }
    if members and "json" not in members:  # face tracks alone have none at all
        raise ValueError("a sample without its member json")
    return Entry(key, said, speaker, count(record, "frames", LONGEST), members, flag(record, "track"))


def _parse_member(record: dict[str, Any]) -> Member:
    sha256 = named(SHA256, record.get("sha256"), "SHA-256")
    return Member(count(record, "offset", MOST), count(record, "bytes", LARGEST), sha256)


def read_index(path: Path) -> tuple[Entry, ...]:
    """The entries of the index at `path`, in plan order."""
    try:
        return parse_index(read_file(path))
    except ValueError as error:
        raise Refused(f"{path} is damaged: {error}; delete it and run the same prep command again") from error
    except OSError as error:
        raise Refused(f"cannot read {path}: {error.strerror}") from error
