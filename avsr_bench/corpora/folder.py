"""Any tree of videos, with what is said in them beside each (`<same name>.txt`), or in a manifest.

Without a manifest every video is a clip, its folder is its speaker, and a `.wav` or `.flac` of the same name is its
sound. Videos that lie in the root itself count as one speaker, since nothing says otherwise.

With a manifest its rows are the clips. Paths are relative to the root and may lead out of it (`../`, or absolute): the
manifest is trusted, and the key is the path as it was given. A video that is listed several times is cut by `start`
and `end`, and the start in milliseconds joins the key.
"""

from __future__ import annotations

import math
import posixpath
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from ..records import Clip, Corpus, PartOfAll, Reason, Refused, Unusable, make_key
from . import files, lrs_text, manifest
from .splits import check_shares, deal

SOUNDS = (".wav", ".flac")
SPLIT_NAMES = {"val": "valid", "dev": "valid", "validation": "valid", "training": "train", "testing": "test"}
FEWEST = 5  # speakers (or recordings) it takes to keep them apart in three splits


@dataclass(frozen=True, slots=True)
class FolderSettings:
    """How a folder of videos is read."""

    # CSV or JSONL; left out: manifest.csv or manifest.jsonl in the root, where there is one.
    manifest: Path | None = None
    need_text: bool = False  # leave out clips without a transcript
    valid_share: PartOfAll = 0.1  # of the clips, where the manifest has no splits
    test_share: PartOfAll = 0.1

    def __post_init__(self) -> None:
        check_shares(valid_share=self.valid_share, test_share=self.test_share)


def read(root: Path, settings: FolderSettings) -> Corpus:
    """List a folder of videos."""
    folders = list(files.walk(root))
    path = files.named_file(settings.manifest, root, "corpus.manifest") if settings.manifest else manifest.inside(root)
    if path:
        clips, notes = _listed(root, path, folders)
    else:
        clips, notes = list(_found(folders)), []
    mute = [clip.key for clip in clips if not (clip.text or clip.problem)]
    if settings.need_text:
        missing = Reason("no-text", "the clip has no transcript (corpus.need_text)")
        clips = [replace(clip, problem=missing) if not (clip.text or clip.problem) else clip for clip in clips]
    elif mute:
        notes.append(
            f"{len(mute):,} of {len(clips):,} clips have no text, {mute[0]} first: nothing can be trained on them or"
            " scored; corpus.need_text=true leaves them out"
        )
    clips, split_notes = _split(clips, {"test": settings.test_share, "valid": settings.valid_share})
    return Corpus(tuple(clips), (*notes, *split_notes))


def _found(folders: Iterable[files.Folder]) -> Iterator[Clip]:
    """Every video of a tree; its split is left open."""
    for folder in folders:
        speaker = folder.name or "."
        if folder.problem:
            yield Clip(make_key(folder.name), folder.path, "", speaker, source=folder.name, problem=folder.problem)
            continue
        names = {file: files.split_suffix(file) for file in folder.files}
        beside = {(stem, suffix): folder.path / file for file, (stem, suffix) in names.items()}
        shorts = files.short_names(file for file, (_, suffix) in names.items() if suffix in files.VIDEOS)
        for file, short in shorts.items():
            stem = names[file][0]
            text, problem = _text(beside[stem, ".txt"]) if (stem, ".txt") in beside else (None, None)
            name = folder.inside(short)
            sound = next((beside[stem, suffix] for suffix in SOUNDS if (stem, suffix) in beside), None)
            yield Clip(make_key(name), folder.path / file, "", speaker, text, sound, source=name, problem=problem)


def _listed(root: Path, path: Path, folders: Iterable[files.Folder]) -> tuple[list[Clip], list[str]]:
    """Every row of a manifest; its split is left open where the manifest has none."""
    table = manifest.read(path)
    given = [_given(root, row.cells["path"]) if "path" in row.cells else "" for row in table.rows]
    times, shorts = Counter(given), files.short_names(set(given))
    has_text = "text" in table.columns
    clips = []
    for row, name in zip(table.rows, given, strict=True):
        cells, short = row.cells, shorts[name]
        clip = Clip(
            key=make_key(short or f"{path.name} line {row.line}"),
            video=root / name,
            split=_split_name(path, row),
            speaker=cells.get("speaker") or posixpath.dirname(name) or ".",
            text=" ".join(cells.get("text", "").split()) or None,
            audio=root / cells["audio"] if "audio" in cells else None,
            source=short,
        )
        try:
            if row.surplus:
                raise Unusable("bad-text", f"line {row.line} has more cells than columns: put text in quotes")
            if not name:
                raise Unusable("missing-file", f"line {row.line} names no path")
            clip = replace(clip, start=_seconds(row, "start") or 0.0, end=_seconds(row, "end"))
            if clip.end is not None and clip.end <= clip.start:
                raise Unusable("bad-times", f"line {row.line}: from {clip.start:g} to {clip.end:g} s")
            if times[name] > 1:
                clip = replace(clip, key=make_key(f"{short}_{round(clip.start * 1000):08d}"))
            _check_video(clip.video, name)
        except Unusable as error:
            clips.append(replace(clip, problem=error.reason))
            continue
        if not has_text:
            text, problem = _text(clip.video.with_name(files.split_suffix(clip.video.name)[0] + ".txt"))
            clip = replace(clip, text=text, problem=problem)
        clips.append(clip)
    known = set(given)
    on_disk = (folder.inside(file) for folder in folders for file in folder.files)
    others = [name for name in on_disk if files.split_suffix(name)[1] in files.VIDEOS and name not in known]
    notes = [f"clips are those of {path}"]
    if others:
        notes.append(f"{len(others):,} videos under {root} are not in the manifest (the first: {min(others)})")
    return clips, notes


def _given(root: Path, path: str) -> str:
    """A path as given, tidied (`./a` is `a`); an absolute one that lies in the root is relative to it."""
    tidy = PurePosixPath(posixpath.normpath(path))
    return str(tidy.relative_to(root.absolute()) if tidy.is_relative_to(root.absolute()) else tidy)


def _check_video(path: Path, name: str) -> None:
    try:
        is_file = path.stat() and not path.is_dir()
    except (FileNotFoundError, NotADirectoryError, ValueError):  # ValueError: a zero byte in the name
        raise Unusable("missing-file", f"{name} is in the manifest and not on disk") from None
    except OSError as error:
        raise Unusable("unreadable", f"{name}: {error.strerror}") from None
    if not is_file:
        raise Unusable("not-video", f"{name} is a folder")


def _seconds(row: manifest.Row, column: str) -> float | None:
    if column not in row.cells:
        return None
    try:
        value = float(row.cells[column])
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise Unusable("bad-times", f"line {row.line}: {column} = {row.cells[column]} is not a number of seconds")
    return value


def _split_name(path: Path, row: manifest.Row) -> str:
    """The split of a row; it becomes a folder, so it must be a plain word."""
    name = row.cells.get("split", "").lower()
    if name and not re.fullmatch(r"[a-z0-9_-]+", name):
        raise Refused(f"manifest {path}, line {row.line}: the split {name!r} is not a word of letters and digits")
    return SPLIT_NAMES.get(name, name)


def _text(path: Path) -> tuple[str | None, Reason | None]:
    """What a text file says, plain or in the form of LRS, or why it cannot be used; neither where there is no file."""
    try:
        content = files.read_text(path)
        return lrs_text.spoken(content) if lrs_text.is_lrs(content) else files.one_line(content, path.name), None
    except Unusable as error:
        return None, None if error.reason.code == "no-text" else error.reason


def _split(clips: list[Clip], shares: dict[str, float]) -> tuple[list[Clip], list[str]]:
    """Deal clips to splits where no manifest did: by speaker, else by recording, else one by one."""
    opened = [clip for clip in clips if not clip.split]
    if not opened:
        return clips, []
    if len(opened) < len(clips):
        note = f"{len(opened):,} rows of the manifest have no split and go to train"
        return [replace(clip, split=clip.split or "train") for clip in clips], [note]
    usable = [clip for clip in clips if not clip.problem]  # what cannot be used shall not be all that a split has
    for unit in ("speaker", "source", "key"):
        sizes = Counter(str(getattr(clip, unit)) for clip in usable)
        if len(sizes) >= FEWEST:
            break
    dealt = deal(sizes, shares)
    notes = []
    if unit != "speaker" and usable:
        speakers = len({clip.speaker for clip in usable})
        how = "by recording" if unit == "source" and len(sizes) < len(usable) else "clip by clip"
        notes.append(
            f"too few speakers to keep them apart ({speakers}, it takes {FEWEST}): split {how}, "
            "the same people may be in train and test"
        )
    return [replace(clip, split=dealt.get(str(getattr(clip, unit)), "train")) for clip in clips], notes
