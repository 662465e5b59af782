"""Videos that users fetched from YouTube, by the id in their names: whole, or pieces that were cut already.

<id>.mp4                      a whole video, in any container
<id>_<start>-<end>.mp4        a piece; `_` or `-` between, seconds with or without a point
<id>_<start>.mp4              the same without its end
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..records import Clip, make_key
from . import files

ID = re.compile(r"[\w-]{11}", re.ASCII)
_TIME = r"[_-](\d{1,9}(?:\.\d{1,9})?)"
_NAMED = re.compile(rf"({ID.pattern})(?:{_TIME}(?:{_TIME})?)?", re.ASCII)
CLOSE = 0.01  # s; lists have six digits behind the point, names of pieces often two


@dataclass(frozen=True, slots=True)
class Video:
    """A video, or of a whole one the part that was asked for, and its sound where that is a file of its own."""

    path: Path
    sound: Path | None
    start: float = 0.0
    end: float | None = None


@dataclass(frozen=True, slots=True)
class _Piece:
    """A piece, with the times in its name."""

    start: float
    end: float | None
    video: Video


@dataclass(frozen=True, slots=True)
class Videos:
    """All videos below a folder."""

    names: Mapping[Path, str]  # of all of them, below the folder
    whole: Mapping[str, Video]  # by id
    pieces: Mapping[tuple[str, int], Sequence[_Piece]]  # by id and hundredth of a second
    closed: tuple[Clip, ...]  # folders that may not be read

    def find(self, name: str, start: float, end: float) -> Video | None:
        """Where a segment can be taken from: a whole video first, since its times are exact."""
        if whole := self.whole.get(name):
            return Video(whole.path, whole.sound, start, end)
        place = int(start / CLOSE)
        near = (piece for step in (0, -1, 1) for piece in self.pieces.get((name, place + step), ()))
        fits = [
            piece
            for piece in near
            if abs(piece.start - start) < CLOSE and (piece.end is None or abs(piece.end - end) < CLOSE)
        ]
        best = min(
            fits, key=lambda piece: (abs(piece.start - start), piece.end is None, piece.video.path), default=None
        )
        return best.video if best else None


def look(root: Path) -> Videos:
    """Go through a folder. Of two whole videos with one id the first is taken."""
    names: dict[Path, str] = {}
    whole: dict[str, Video] = {}
    pieces: defaultdict[tuple[str, int], list[_Piece]] = defaultdict(list)
    closed: list[Clip] = []
    for folder in files.walk(root):
        if folder.problem:
            closed.append(Clip(make_key(folder.name), folder.path, "train", "", problem=folder.problem))
        beside = set(folder.files)
        for file in folder.files:
            stem, suffix = files.split_suffix(file)
            if suffix not in files.VIDEOS:
                continue
            names[folder.path / file] = folder.inside(file)
            sounds = (folder.path / f"{stem}{end}" for end in files.SOUNDS if f"{stem}{end}" in beside)
            video = Video(folder.path / file, next(sounds, None))
            match = _NAMED.fullmatch(stem)
            if match and match[2] is None:
                whole.setdefault(match[1], video)
            elif match:
                piece = _Piece(float(match[2]), float(match[3]) if match[3] else None, video)
                pieces[match[1], int(piece.start / CLOSE)].append(piece)
    return Videos(names, whole, pieces, tuple(closed))
