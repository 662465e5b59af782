"""From the members of a shard to what a network is shown: decoded clips, in the order of the plan or of a split."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from .. import media
from ..nn import Modality
from ..records import Refused, Unusable
from ..shards import Entry, Member, check_bytes, parse_about, shard_name
from .prepared import Prepared

MEMBERS = {"video": "mouth.mp4", "audio": "flac"}


@dataclass(frozen=True, slots=True)
class Place:
    """Where one clip lies: its line in the index, and the shard it is a part of."""

    split: str
    shard: int
    entry: Entry


@dataclass(frozen=True, slots=True)
class Example:
    """One clip, decoded: its mouth and its sound, each where it was asked for."""

    key: str
    text: str
    speaker: str
    source: str  # the recording it was cut from; empty where unknown or not asked for
    frames: int
    mouth: np.ndarray | None = None  # uint8 T, H, W
    sound: np.ndarray | None = None  # int16 640 T

    @property
    def nbytes(self) -> int:
        """What it takes in memory."""
        return sum(array.nbytes for array in (self.mouth, self.sound) if array is not None)


def members_of(modality: Modality) -> tuple[str, ...]:
    """The files of a sample that a network of this modality reads."""
    return tuple(MEMBERS[name] for name in (("video", "audio") if modality == "av" else (modality,)))


def unreadable(place: Place, modality: Modality) -> str:
    """Why a network of this modality cannot be shown a clip; empty where it can."""
    lacking = [extension for extension in members_of(modality) if extension not in place.entry.members]
    return f"it has no {lacking[0]}" if lacking else ""


def places(corpus: Prepared, split: str, modality: Modality, need_text: bool = True) -> list[Place]:
    """Every clip of a split, in plan order; one without a file that the modality takes, or without text, is refused."""
    found = [Place(split, number, entry) for number, entries in enumerate(corpus.shards(split)) for entry in entries]
    for extension in members_of(modality):
        lacking = [place for place in found if extension not in place.entry.members]
        if lacking:
            raise Refused(
                f"{corpus.location}, {split}: {len(lacking):,} of {len(found):,} clips have no {extension}, the first"
                f" is {lacking[0].entry.key}: they cannot be used with --modality {modality}"
            )
    if need_text:
        check_text(f"{corpus.location}, {split}", found)
    return found


def usable(corpus: Prepared, split: str, modality: Modality) -> tuple[list[Place], tuple[tuple[str, str], ...]]:
    """The clips of a split that a network of this modality can be shown, and of the others key and reason.

    For training: what is tested on is all of a split, or nothing. Refused where no clip is left.
    """
    found = [Place(split, number, entry) for number, entries in enumerate(corpus.shards(split)) for entry in entries]
    reasons = {place.entry.key: why for place in found if (why := unreadable(place, modality))}
    if found and len(reasons) == len(found):
        return places(corpus, split, modality, need_text=False), ()
    return [place for place in found if place.entry.key not in reasons], tuple(reasons.items())


def check_text(where: str, found: Sequence[Place]) -> None:
    """Refuse clips without text."""
    mute = [place for place in found if not (place.entry.text or "").strip()]
    if mute:
        raise Refused(
            f"{where}: {len(mute):,} of {len(found):,} clips have no text, the first is {mute[0].entry.key}:"
            " `avsr-bench prep ... corpus.need_text=true --force` leaves them out"
        )


def read_members(corpus: Prepared, chosen: Sequence[Place], extensions: Sequence[str]) -> dict[str, dict[str, bytes]]:
    """The bytes of some members of some clips by key: each shard is opened once and read forward.

    Every member is held against the digest in the index: files may be replaced while they are read.
    """
    by_shard: dict[tuple[str, int], list[tuple[Member, str, str]]] = {}
    for place in chosen:
        for extension in extensions:
            wanted = by_shard.setdefault((place.split, place.shard), [])
            wanted.append((place.entry.members[extension], place.entry.key, extension))
    found: dict[str, dict[str, bytes]] = {}
    for (split, number), wanted in sorted(by_shard.items()):
        wanted.sort(key=lambda each: each[0].offset)
        tar = f"{split}/{shard_name(split, number)}.tar"
        pieces = corpus.read_ranges(tar, [(member.offset, member.bytes) for member, _, _ in wanted])
        for piece, (member, key, extension) in zip(pieces, wanted, strict=True):
            where = f"{corpus.location}/{tar}: {key}.{extension}"
            found.setdefault(key, {})[extension] = check_bytes(piece, member, where)
    return found


def decode(corpus: Prepared, place: Place, members: dict[str, bytes]) -> Example:
    """One clip from its members; one that is not as its index says is refused by name."""
    entry = place.entry
    where = f"{corpus.location}/{place.split}/{shard_name(place.split, place.shard)}.tar: {entry.key}"
    try:
        mouth = media.decode_mouth(members["mouth.mp4"]) if "mouth.mp4" in members else None
        sound = media.decode_flac(members["flac"]) if "flac" in members else None
    except Unusable as error:
        raise Refused(f"{where}: {error.reason.detail}; see `avsr-bench validate`") from None
    if mouth is not None and len(mouth) != entry.frames:
        raise Refused(f"{where} has {len(mouth)} frames, its index says {entry.frames}: see `avsr-bench validate`")
    if mouth is not None and mouth.ndim == 4:
        raise Refused(f"{where} is in colour, and networks read grey: prepare it with crop.colour=grey")
    source = ""
    if "json" in members:
        try:
            source = parse_about(members["json"]).recording
        except ValueError as error:
            raise Refused(f"{where}.json is damaged: {error}; see `avsr-bench validate`") from None
    return Example(entry.key, entry.text or "", entry.speaker, source, entry.frames, mouth, sound)


def examples(
    corpus: Prepared, chosen: Sequence[Place], modality: Modality, about: bool = False, together: int = 64
) -> Iterator[Example]:
    """Decoded clips one after another, `together` of them read at a time; `about`: with the recording they are from."""
    extensions = (*members_of(modality), *(["json"] if about else []))
    for start in range(0, len(chosen), together):
        some = chosen[start : start + together]
        members = read_members(corpus, some, extensions)
        for place in some:
            yield decode(corpus, place, members.pop(place.entry.key))
