"""Landmarks that are ready (`--landmarks`): which clip has which, settled before anything is planned."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from .. import faces, shards
from ..records import Clip, Refused

DIGESTED = 1 << 16  # bytes: all of the points of a clip, and enough to tell those of a longer video from others


@dataclass(frozen=True, slots=True)
class Ready:
    """Where the landmarks of a clip lie, and what tells them from any others."""

    path: Path  # a landmark file, or a `.tracks.npz` of an earlier prep
    mark: str


def find_ready(folder: Path, clips: Iterable[Clip], root: Path) -> dict[str, Ready]:
    """The landmarks in `folder` by the keys of the clips that have some; `root` is the folder of the corpus."""
    if not folder.is_dir():
        raise Refused(f"--landmarks {folder}: there is no such folder")
    clips = [clip for clip in clips if clip.problem is None]
    ready = _stored(folder, {clip.split for clip in clips})
    mark = cache(_mark)  # many clips may be cut from one video
    for clip in clips:
        path = None if clip.key in ready else faces.find_landmarks(folder, path_in_corpus(clip, root))
        if path is not None:
            ready[clip.key] = Ready(path, mark(path))
    return ready


def path_in_corpus(clip: Clip, root: Path) -> Path:
    """The path of a clip's video below its corpus, or as it is where it lies elsewhere."""
    return clip.video.relative_to(root) if clip.video.is_relative_to(root) else clip.video


def _stored(folder: Path, splits: set[str]) -> dict[str, Ready]:
    """The tracks that an earlier run left, if `folder` is one that prep made; `splits` of it must be finished."""
    if not (folder / "prep.json").is_file():
        return {}
    ready: dict[str, Ready] = {}
    for split, planned in shards.read_prep(folder)["splits"].items():
        indexes = shards.shard_indexes(folder, split)
        if split in splits and len(indexes) < planned["shards"]:
            raise Refused(
                f"--landmarks {folder}: {len(indexes)} of {planned['shards']} shards of {split} are finished: "
                "run the prep command that makes it again"
            )
        for index in indexes:
            tracks = Ready(index.with_name(f"{index.stem}.tracks.npz"), planned["fingerprint"])
            ready |= {entry.key: tracks for entry in shards.read_index(index) if entry.track}
    return ready


def _mark(path: Path) -> str:
    try:
        with path.open("rb") as file:
            digest = hashlib.sha256(file.read(DIGESTED)).hexdigest()
        return f"{path.stat().st_size} {digest}"
    except OSError:  # the clip's own problem: it ends in the index with its reason
        return "unreadable"
