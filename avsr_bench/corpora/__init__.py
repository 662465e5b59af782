"""Corpora: what lies on disk becomes a list of clips, with a reason for every clip that cannot be used.

    corpus = corpora.read("grid", Path("data/raw/grid"), GridSettings(split="overlapped"))

A corpus is a module with a function `read(root, settings)` and a row in `READERS`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..records import Clip, Corpus, Reason, Refused
from . import avspeech, folder, grid, lrs2, lrs3, vox2
from .avspeech import AvspeechSettings
from .files import by_suffix, printable, walk
from .folder import FolderSettings
from .grid import GridSettings
from .lrs2 import Lrs2Settings
from .lrs3 import Lrs3Settings
from .splits import overlap
from .vox2 import Vox2Settings

__all__ = [
    "READERS",
    "AvspeechSettings",
    "FolderSettings",
    "GridSettings",
    "Lrs2Settings",
    "Lrs3Settings",
    "Reader",
    "Vox2Settings",
    "read",
]


@dataclass(frozen=True, slots=True)
class Reader:
    """One kind of corpus: how it is listed, the type of its settings, and what it looks like on disk."""

    read: Callable[[Path, Any], Corpus]
    settings: type
    layout: str


READERS: dict[str, Reader] = {
    "lrs3": Reader(lrs3.read, Lrs3Settings, "{pretrain,trainval,test}/<id>/<clip>.mp4 with <clip>.txt"),
    "lrs2": Reader(lrs2.read, Lrs2Settings, "{main,pretrain}/<id>/<clip>.mp4 with <clip>.txt, and train.txt beside"),
    "vox2": Reader(vox2.read, Vox2Settings, "{dev,test}/mp4/idXXXXX/<recording>/<clip>.mp4"),
    "avspeech": Reader(
        avspeech.read, AvspeechSettings, "avspeech_train.csv or avspeech_test.csv, and videos named by YouTube id"
    ),
    "grid": Reader(grid.read, GridSettings, "s1/<code>.mpg ... s34/, and align/s1/<code>.align"),
    "folder": Reader(folder.read, FolderSettings, "videos at any depth, or manifest.csv / manifest.jsonl"),
}


def read(name: str, root: Path, settings: Any = None) -> Corpus:
    """List the corpus in `root` with the reader `name`: clips sorted by key, keys unique, overlap between splits said.

    `settings` is of the reader's own type; left out, all defaults hold.
    """
    if name not in READERS:
        raise Refused(f"corpus.reader = {name}: there is no such reader, only {', '.join(READERS)}")
    reader = READERS[name]
    try:
        inside = sorted(printable(path.name) for path in root.iterdir())
    except FileNotFoundError:
        raise Refused(f"{root} is not there: give the folder of the corpus with --root") from None
    except NotADirectoryError:
        raise Refused(f"{root} is a file: give the folder of the corpus with --root") from None
    except OSError as error:
        raise Refused(f"{root} cannot be listed: {error.strerror}") from None
    if not os.access(root, os.X_OK):
        raise Refused(f"{root} can be listed and not entered: its folder lacks the permission x")
    corpus = reader.read(root, settings or reader.settings())
    if not corpus.clips:
        raise Refused(f"no clip of the layout of {name} in {root}: expected {reader.layout}; {_holds(root, inside)}")
    clips = tuple(_unique(corpus.clips))
    return Corpus(clips, tuple(printable(note) for note in (*corpus.notes, *overlap(clips))))


def _holds(root: Path, inside: list[str]) -> str:
    """What lies in a root in which no clip was found."""
    if not inside:
        return "it is empty"
    held = [file for folder in walk(root) for file in folder.files]
    files = f", in all {by_suffix(held)}" if held else ", and no file"
    return f"it holds {', '.join(inside[:5])}{', ...' if len(inside) > 5 else ''}{files}"


def _unique(clips: Iterable[Clip]) -> Iterable[Clip]:
    """Clips sorted by key; of those that share one, all but the first get a key and a problem of their own.

    Names from the file system are made printable on the way: they go into files that are UTF-8.
    """
    ordered = sorted(clips, key=lambda clip: (clip.key, clip.problem is not None, clip.video, clip.start))
    taken = {clip.key for clip in ordered}
    first: dict[str, Clip] = {}
    unique: list[Clip] = []
    number = 1
    for clip in ordered:
        key, problem = clip.key, clip.problem
        number = number + 1 if key in first else 1
        if number == 1:
            first[key] = clip
        else:
            while (key := f"{clip.key}_dup{number}") in taken:
                number += 1
            taken.add(key)
            if not problem:
                name = first[clip.key].video.name
                problem = Reason("duplicate-key", f"{clip.video.name}: {name} has the same key")
        if problem:
            problem = Reason(problem.code, printable(problem.detail))
        names = key, printable(clip.speaker), printable(clip.source), problem
        if names != (clip.key, clip.speaker, clip.source, clip.problem):
            clip = replace(clip, key=key, speaker=names[1], source=names[2], problem=problem)
        unique.append(clip)
    return sorted(unique, key=lambda clip: clip.key)
