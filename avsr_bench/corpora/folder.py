"""Any tree of videos, with what is said in them beside each (`<same name>.txt`), or in a manifest.

Without a manifest every video is a clip (by its suffix: media.VIDEO_SUFFIXES), its folder is its speaker, and a `.wav`
or `.flac` of the same name is its sound. What else lies there is counted. Videos in the root itself count
as one speaker, since nothing says otherwise.

With a manifest its rows are the clips. Paths are relative to the root and may lead out of it (`../`, or absolute): the
manifest is trusted, and the key is the path as it was given. A video that is listed several times is cut by `start`
and `end`, and the start in milliseconds joins the key.
"""

from __future__ import annotations

import posixpath
import re
import stat
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from ..records import LONGEST, Clip, Corpus, PartOfAll, Reason, Refused, Unusable, make_key
from . import files, lrs_text, manifest
from .splits import check_shares, deal

SECONDS = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?", re.ASCII)  # float() also takes 1_0, nan and other digits
SPLIT_NAMES = {"val": "valid", "dev": "valid", "validation": "valid", "training": "train", "testing": "test"}
FEWEST = 5  # speakers (or recordings) it takes to keep them apart in three splits
MOST_SPLITS = 100  # names of splits in a manifest: with more it is another column


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
        clips, notes = _found(folders)
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


def _found(folders: Iterable[files.Folder]) -> tuple[list[Clip], list[str]]:
    """Every video of a tree, its split left open, and what to say about the rest."""
    clips: list[Clip] = []
    rest: list[str] = []  # files of which nothing is made
    alone: list[str] = []  # texts without a video
    shared: list[str] = []  # videos of one name in one folder
    for folder in folders:
        speaker = folder.name or "."
        if folder.problem:
            key = make_key(folder.name)
            clips.append(Clip(key, folder.path, "", speaker, source=folder.name, problem=folder.problem))
            continue
        names = {file: files.split_suffix(file) for file in folder.files}
        beside = {(stem, suffix): folder.path / file for file, (stem, suffix) in names.items()}
        shorts = files.short_names(file for file, (_, suffix) in names.items() if suffix in files.VIDEOS)
        stems = Counter(names[file][0] for file in shorts)
        for file, short in shorts.items():
            stem = names[file][0]
            text, problem = _text(beside[stem, ".txt"]) if (stem, ".txt") in beside else (None, None)
            name = folder.inside(short)
            sound = next((beside[stem, suffix] for suffix in files.SOUNDS if (stem, suffix) in beside), None)
            key = make_key(name)
            clips.append(Clip(key, folder.path / file, "", speaker, text, sound, source=name, problem=problem))
        rest += files.others(folder, shorts)
        alone += [folder.inside(file) for file in files.texts(folder) if names[file][0] not in stems]
        shared += [folder.inside(file) for file in shorts if stems[names[file][0]] > 1]
    notes = files.passed_over(rest)
    if alone:
        notes.append(f"{len(alone):,} .txt files have no video of their name beside them (the first: {min(alone)})")
    if shared:
        notes.append(
            f"{len(shared):,} videos have the name of another but for its suffix, {shared[0]} and {shared[1]} first: "
            "each is a clip, and they have one text"
        )
    return clips, notes


class _Listed(NamedTuple):
    """What all rows of one video have in common."""

    video: Path
    short: str  # its name, as short as it may be
    key: str
    folder: str
    rows: int
    problem: Reason | None
    text: str | None  # from beside it, where the manifest has none


def _listed(root: Path, path: Path, folders: Iterable[files.Folder]) -> tuple[list[Clip], list[str]]:
    """Every row of a manifest; its split is left open where the manifest has none."""
    table = manifest.read(path)
    inside = str(root.absolute()).rstrip("/") + "/"
    tidied = {given: _tidy(inside, given) for given in {row.path for row in table.rows} if given}
    times = Counter(tidied.get(row.path, "") for row in table.rows)
    shorts = files.short_names(times)
    videos = {name: _video(root, name, shorts[name], times[name], "text" not in table.columns) for name in times}
    sounds = {name: _sound(root, name) for name in {row.audio for row in table.rows}}
    splits = {name: SPLIT_NAMES.get(name.lower(), name.lower()) for name in {row.split for row in table.rows}}
    _check_splits(path, table.rows, splits)
    clips = [
        _clip(path, row, videos[tidied.get(row.path, "")], sounds[row.audio], splits[row.split]) for row in table.rows
    ]
    on_disk = (folder.inside(file) for folder in folders for file in folder.files)
    others = [name for name in on_disk if files.split_suffix(name)[1] in files.VIDEOS and name not in videos]
    notes = [f"clips are those of {path}", *table.notes]
    if others:
        notes.append(f"{len(others):,} videos under {root} are not in the manifest (the first: {min(others)})")
    return clips, notes


def _clip(path: Path, row: manifest.Row, video: _Listed, audio: Path | Reason | None, split: str) -> Clip:
    """The clip of one row, with what is wrong with the row or else with its video."""
    key = video.key if row.path else make_key(f"{path.name} line {row.line}")
    start, end = 0.0, None
    try:
        if row.surplus:
            raise Unusable("bad-text", f"line {row.line} has more cells than columns: put text in quotes")
        if not row.path:
            raise Unusable("missing-file", f"line {row.line} names no path")
        start, end = _seconds(row, "start") or 0.0, _seconds(row, "end")
        if end is not None and end <= start:
            raise Unusable("bad-times", f"line {row.line}: from {start:g} to {end:g} s")
        if video.rows > 1:
            key = f"{key}_{round(start * 1000):08d}"
        problem = video.problem or (audio if isinstance(audio, Reason) else None)
    except Unusable as error:
        start, end, problem = 0.0, None, error.reason
    return Clip(
        key=key,
        video=video.video,
        split=split,
        speaker=row.speaker or video.folder,
        text=" ".join(row.text.split()) or video.text,
        audio=audio if isinstance(audio, Path) else None,
        start=start,
        end=end,
        source=video.short,
        problem=problem,
    )


def _tidy(inside: str, path: str) -> str:
    """A path as given, tidied (`./a` is `a`); an absolute one that lies `inside` the root is relative to it."""
    return posixpath.normpath(path).removeprefix(inside)


def _video(root: Path, name: str, short: str, rows: int, want_text: bool) -> _Listed:
    """What there is to know of a video that a manifest lists, after one look at the disk."""
    video, text = root / name, None
    problem = _problem(video, name)
    if name and want_text and problem is None:
        text, problem = _text(video.with_name(files.split_suffix(video.name)[0] + ".txt"))
    return _Listed(video, short, make_key(short), posixpath.dirname(name) or ".", rows, problem, text)


def _sound(root: Path, name: str) -> Path | Reason | None:
    """The sound file that a row names, or why it cannot be used."""
    return (_problem(root / name, name) or root / name) if name else None


def _problem(path: Path, name: str) -> Reason | None:
    """What the disk says against a file that a manifest names."""
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return Reason("missing-file", f"{name} is in the manifest and not on disk")
    except OSError as error:
        return Reason("unreadable", f"{name}: {error.strerror}")
    return Reason("not-video", f"{name} is a folder") if stat.S_ISDIR(mode) else None


def _seconds(row: manifest.Row, column: str) -> float | None:
    cell: str = getattr(row, column)
    if not cell:
        return None
    value = float(cell) if len(cell) <= 40 and SECONDS.fullmatch(cell) else -1.0
    if not 0 <= value <= LONGEST:
        raise Unusable(
            "bad-times", f"line {row.line}: {column} = {cell[:40]} is not a number of seconds, 0 to {LONGEST:,.0f}"
        )
    return value + 0.0  # no -0.0


def _check_splits(path: Path, rows: Iterable[manifest.Row], splits: Mapping[str, str]) -> None:
    """Refuse splits that are no plain words: each becomes a folder."""
    wrong = {given for given, name in splits.items() if name and not re.fullmatch(r"[a-z0-9_-]{1,64}", name)}
    if wrong:
        line, given = next((row.line, row.split) for row in rows if row.split in wrong)
        raise Refused(f"manifest {path}, line {line}: the split {given[:40]!r} is not a word of letters and digits")
    if len(set(splits.values())) > MOST_SPLITS:
        few = ", ".join(sorted(set(splits.values()) - {""})[:3])
        raise Refused(f"manifest {path} has {len(set(splits.values())):,} splits ({few}, ...): is it another column?")


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
