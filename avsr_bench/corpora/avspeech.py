"""AVSpeech: segments of 3 to 10 s with one visible speaker, listed in YouTube videos; no videos and no transcripts.

As published: `avspeech_train.csv` and `avspeech_test.csv` without a header, a segment a row: the id of the YouTube
video, start and end in seconds, and x and y of the speaker's face when the segment begins, as fractions of the picture.

Ours: the videos are looked for anywhere in the root, whole or as pieces (`youtube.py` has their names). Of several
faces the one nearest to x,y is kept. Nobody knows the speakers: the recording stands for them, as in LRS3. Validation
clips are those of a few recordings of the training list.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from ..records import LONGEST, Clip, Corpus, PartOfAll, Reason, Refused, Unusable, make_key
from . import files, manifest, youtube
from .folder import SECONDS
from .splits import deal

LISTS = {"avspeech_train.csv": "train", "avspeech_test.csv": "test"}


@dataclass(frozen=True, slots=True)
class AvspeechSettings:
    """How AVSpeech is read."""

    only_ids: Path | None = None  # a file with the YouTube ids of the videos to read, one a line
    # Keep the face that the list names; false: that of faces.face, for pieces that were cropped round a face.
    listed_face: bool = True
    valid_share: PartOfAll = 0.005  # of the training list, by recording


@dataclass(frozen=True, slots=True)
class _Row:
    """One segment as listed."""

    recording: str
    start: float
    end: float
    face: tuple[float, float]


def read(root: Path, settings: AvspeechSettings) -> Corpus:
    """List AVSpeech."""
    lists = {name: root / name for name in LISTS if (root / name).exists()}
    if not lists:
        return Corpus(())
    videos = youtube.look(root)
    wanted = None if settings.only_ids is None else _wanted(settings.only_ids, root)
    clips, notes, not_wanted, seen = list(videos.closed), list[str](), 0, set[str]()
    for name in LISTS:
        if name not in lists:
            notes.append(f"there is no {name} in {root}: its segments are left out")
            continue
        empty = True
        for line, row in _rows(lists[name]):
            empty = False
            if isinstance(row, Reason):
                clips.append(Clip(make_key(f"{name} line {line}"), lists[name], LISTS[name], "", problem=row))
                continue
            seen.add(row.recording)
            if wanted is not None and row.recording not in wanted:
                not_wanted += 1
                continue
            video = videos.find(row.recording, row.start, row.end)
            clips.append(_clip(root, row, LISTS[name], video, settings.listed_face))
        notes += [f"{name} is empty"] if empty else []
    if wanted is not None:
        if not_wanted and wanted.isdisjoint(seen):
            raise Refused(
                f"corpus.only_ids = {settings.only_ids} names no video of the lists (its first: {min(wanted)})"
            )
        notes.append(f"{not_wanted:,} segments are of videos that {settings.only_ids} does not name: left out")
        if lost := wanted - seen:
            notes.append(f"{len(lost):,} ids of {settings.only_ids} are in no list (the first: {min(lost)})")
    return Corpus(tuple(_held_out(clips, settings.valid_share)), (*notes, *_counts(root, clips, videos.names)))


def _rows(path: Path) -> Iterator[tuple[int, _Row | Reason]]:
    """Every row of a list with its line, or what is wrong with it."""
    same: dict[str, str] = {}  # ids stand in many rows: one copy of each
    for number, line in enumerate(manifest.read_lines(path, "list"), 1):
        cells = [cell.strip() for cell in line.split(",")]
        if not any(cells):
            continue
        where = f"{path.name} line {number}"
        try:
            if len(cells) != 5:
                raise Unusable("bad-row", f"{where} has {len(cells)} cells: expected five, id,start,end,x,y")
            if not youtube.ID.fullmatch(cells[0]):
                raise Unusable("bad-row", f"{where}: {cells[0][:40]!r} is no id of a YouTube video")
            start, end, x, y = (_number(cell) for cell in cells[1:])
            if not 0 <= start < end <= LONGEST:
                raise Unusable("bad-times", f"{where}: from {cells[1][:40]} to {cells[2][:40]} s")
            if not (0 <= x <= 1 and 0 <= y <= 1):
                place = f"{cells[3][:40]},{cells[4][:40]}"
                raise Unusable("bad-row", f"{where}: the face is at {place}: expected fractions, from 0 to 1")
        except Unusable as error:
            yield number, error.reason
        else:
            yield number, _Row(same.setdefault(cells[0], cells[0]), start, end, (x, y))


def _number(cell: str) -> float:
    """A number as lists have them; -1 for anything else, which lies outside every range."""
    return float(cell) + 0.0 if len(cell) <= 40 and SECONDS.fullmatch(cell) else -1.0  # no -0.0


def _clip(root: Path, row: _Row, split: str, video: youtube.Video | None, listed_face: bool) -> Clip:
    recording = row.recording
    key = make_key(f"{split}/{recording}_{round(row.start * 1000):08d}-{round(row.end * 1000):08d}")
    if video is None:
        piece = f"{recording}_{round(row.start, 2)}-{round(row.end, 2)}.mp4"
        problem = Reason("missing-file", f"neither {recording}.mp4 nor {piece} is there")
        return Clip(key, root / f"{recording}.mp4", split, recording, source=recording, problem=problem)
    face = row.face if listed_face else None
    start, end = video.start, video.end
    return Clip(key, video.path, split, recording, None, video.sound, start, end, source=recording, face=face)


def _wanted(path: Path, root: Path) -> set[str]:
    """The recordings that a list names."""
    ids = set(files.read_list(files.named_file(path, root, "corpus.only_ids"), "corpus.only_ids"))
    wrong = sorted(name for name in ids if not youtube.ID.fullmatch(name))
    if wrong or not ids:
        what = f"{wrong[0][:40]!r} is no id of a YouTube video" if wrong else "it is empty"
        raise Refused(f"corpus.only_ids = {path}: {what}; expected one of 11 letters on each line")
    return ids


def _held_out(clips: Collection[Clip], share: float) -> Iterator[Clip]:
    """The clips, with a few recordings of the training list held out for validation."""
    usable = (clip.source for clip in clips if clip.split == "train" and not clip.problem)
    dealt = deal(Counter(usable), {"valid": share})
    for clip in clips:
        yield replace(clip, split="valid") if clip.split == "train" and dealt.get(clip.source) == "valid" else clip


def _counts(root: Path, clips: Collection[Clip], names: Mapping[Path, str]) -> list[str]:
    """What there is of the corpus, and which videos are not of it."""
    missing = [clip.source for clip in clips if clip.problem and clip.problem.code == "missing-file"]
    notes = [f"{len(clips):,} segments; none has a transcript, and a recording stands for its unknown speaker"]
    if missing:
        notes.append(f"no video in {root} for {len(missing):,} of them (the first: {min(missing)}): missing-file")
    used = {clip.video for clip in clips}
    if unused := [name for path, name in names.items() if path not in used]:
        notes.append(
            f"videos of no segment that is read: {len(unused):,} (the first: {min(unused)}); "
            "a whole one is named <id>.mp4, a piece <id>_<start>-<end>.mp4"
        )
    return notes
