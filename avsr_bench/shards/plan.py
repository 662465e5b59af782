"""The plan: which clip goes into which shard, settled before any work starts.

Clips are sorted by key and cut into shards of `max_samples`. A clip that is skipped later shortens its own shard and
moves no other, so any shard can be made alone, at any time, on any machine.
"""

from __future__ import annotations

import hashlib
import json
import re
import zlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any

from annotated_types import Interval

from ..records import Clip, Misused, Refused

# Names of files have 255 bytes, and the longest of a shard is .SPLIT-000000.unfinished.jsonl.DIGEST.tmp.
LONGEST_SPLIT = 100


@dataclass(frozen=True, slots=True)
class ShardSettings:
    """How clips are cut into shards."""

    # 250 clips of ~60 kB are 15 MB: large enough to stream from a disk or an object store, and LRS3 with its 150,000
    # clips makes 600 shards, several for each worker of eight GPUs to shuffle. Small enough that a killed run loses
    # under half a minute of one core's work, and that a corpus of a few thousand clips still splits over --part.
    max_samples: Annotated[int, Interval(ge=1, le=10**6)] = 250


@dataclass(frozen=True, slots=True)
class PlannedShard:
    """One shard of the plan: its place in the split and its clips in order."""

    split: str
    number: int
    clips: tuple[Clip, ...]

    @property
    def name(self) -> str:
        """What its files are called, without their extension."""
        return shard_name(self.split, self.number)


@dataclass(frozen=True, slots=True)
class SplitPlan:
    """The shards of one split, and the fingerprint of everything that decides their bytes."""

    split: str
    fingerprint: str
    shards: tuple[PlannedShard, ...]

    @property
    def clips(self) -> int:
        """How many clips the split has."""
        return sum(len(shard.clips) for shard in self.shards)

    @property
    def keys(self) -> tuple[str, ...]:
        """A digest of each shard's keys, by which finished indexes can be checked without the corpus at hand."""
        return tuple(keys_digest(clip.key for clip in shard.clips) for shard in self.shards)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a prep run is to make: `recipe` holds every setting that decides the bytes, `splits` the shards."""

    recipe: Mapping[str, Any]
    splits: Mapping[str, SplitPlan]

    @property
    def shards(self) -> tuple[PlannedShard, ...]:
        """The shards of all splits."""
        return tuple(shard for split in self.splits.values() for shard in split.shards)


def shard_name(split: str, number: int) -> str:
    """The name that the files of a shard share.

    >>> shard_name("test", 7)
    'test-000007'
    """
    return f"{split}-{number:06d}"


def keys_digest(keys: Iterable[str]) -> str:
    """A digest of keys in their order, short because `prep.json` holds one for each shard."""
    return hashlib.sha256("\n".join(keys).encode()).hexdigest()[:16]


def file_sizes(clips: Iterable[Clip]) -> dict[Path, int]:
    """The size in bytes of each clip's video and sound file; a file that is missing or out of reach has none."""
    sizes = {}
    for path in {path for clip in clips for path in (clip.video, clip.audio) if path is not None}:
        try:
            sizes[path] = path.stat().st_size
        except (OSError, ValueError):  # the clip's own problem (ValueError: a zero byte in its name)
            continue
    return sizes


def make_plan(
    clips: Sequence[Clip],
    settings: ShardSettings,
    recipe: Mapping[str, Any],
    root: Path,
    sizes: Mapping[Path, int],
    landmarks: Mapping[str, str] = MappingProxyType({}),
) -> Plan:
    """Sort `clips` by key and cut each split into shards.

    `recipe` holds the other settings that decide the bytes (plain values, as JSON has them). Files enter the
    fingerprint by their path under `root` and their size, so that a corpus may move as a whole; `sizes` comes from
    `file_sizes`. `landmarks` tells the ready landmarks of a clip, by its key, from any others. Splits do not touch one
    another: a plan of the test split alone agrees with the later plan of all.
    """
    recipe = json.loads(json.dumps({**recipe, "shards": asdict(settings)}))
    _check_keys(clips)
    by_split: dict[str, list[Clip]] = defaultdict(list)
    for clip in clips:
        by_split[clip.split].append(clip)
    splits = {}
    _check_splits(by_split)
    for split in sorted(by_split):
        # Of two clips with one key, the one already set aside comes second; the path settles what is left.
        ordered = sorted(by_split[split], key=lambda clip: (clip.key, clip.problem is not None, clip.video, clip.start))
        cuts = range(0, len(ordered), settings.max_samples)
        shards = tuple(
            PlannedShard(split, number, tuple(ordered[cut : cut + settings.max_samples]))
            for number, cut in enumerate(cuts)
        )
        splits[split] = SplitPlan(split, _fingerprint(ordered, recipe, root, sizes, landmarks), shards)
    return Plan(recipe, splits)


def check_split(split: str) -> str:
    """The name of a split, which names a folder and files in it too; `ValueError` where it cannot."""
    if len(split) > LONGEST_SPLIT:
        raise ValueError(
            f"split {split[:40]!r}... cannot name a folder: it has {len(split)} characters, of {LONGEST_SPLIT} at most"
        )
    if not re.fullmatch(r"[A-Za-z0-9_-]+", split):
        raise ValueError(f"split {split!r} cannot name a folder: use letters, digits, - and _ only")
    return split


def _check_splits(splits: Iterable[str]) -> None:
    alike: dict[str, str] = {}
    for split in sorted(splits):
        try:
            other = alike.setdefault(check_split(split).casefold(), split)
        except ValueError as error:
            raise Refused(str(error)) from None
        if other != split:
            raise Refused(f"splits {other!r} and {split!r} differ in case alone, as some disks tell no folders apart")


def _check_keys(clips: Sequence[Clip]) -> None:
    seen = set()
    for clip in clips:
        if not re.fullmatch(r"[A-Za-z0-9_%-]+", clip.key):
            raise ValueError(f"key {clip.key!r} was not made by records.make_key")
        if clip.problem is None and clip.key in seen:
            raise ValueError(f"two usable clips share the key {clip.key!r}; the reader must mark one duplicate-key")
        if clip.problem is None:
            seen.add(clip.key)


def _fingerprint(
    clips: Sequence[Clip],
    recipe: Mapping[str, Any],
    root: Path,
    sizes: Mapping[Path, int],
    landmarks: Mapping[str, str],
) -> str:
    digest = hashlib.sha256(json.dumps(recipe, sort_keys=True).encode())
    inside = f"{root.as_posix().rstrip('/')}/"
    for clip in clips:
        paths = [path for path in (clip.video, clip.audio) if path is not None]
        files = [(path.as_posix().removeprefix(inside), sizes.get(path, -1)) for path in paths]
        problem = clip.problem.code if clip.problem else None
        line: list[Any] = [clip.key, clip.text, clip.start, clip.end, clip.speaker, files, problem]
        if clip.face is not None:
            line.append(clip.face)
        if clip.key in landmarks:
            line.append(landmarks[clip.key])
        digest.update(json.dumps(line).encode() + b"\n")
    return digest.hexdigest()


def parse_part(text: str) -> tuple[int, int]:
    """Read `--part`.

    >>> parse_part("2/4")
    (2, 4)
    """
    match = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text.strip(), re.ASCII)
    if match and 1 <= int(match[1]) <= int(match[2]):
        return int(match[1]), int(match[2])
    raise Misused(f"--part {text}: write it as i/n with 1 <= i <= n, such as 2/4 for the second of four parts")


def in_part(split: str, number: int, part: int, parts: int) -> bool:
    """Whether a shard belongs to part `part` of `parts`: its number, moved on by an offset of its split, fits.

    The offset (a checksum of the split's name) keeps splits of a single shard from all falling to the first part. It
    does not depend on which splits are being made, so `--split test --part 1/2` takes a subset of `--part 1/2`.
    """
    return (number + zlib.crc32(split.encode())) % parts == part - 1


def take_part(shards: Iterable[PlannedShard], part: int, parts: int) -> tuple[PlannedShard, ...]:
    """The whole shards of part `part` of `parts`."""
    return tuple(shard for shard in shards if in_part(shard.split, shard.number, part, parts))
