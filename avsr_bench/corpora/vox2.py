"""VoxCeleb2: `{dev,test}/mp4/<speaker>/<recording>/<clip>.mp4`, faces of celebrities in interviews; no transcripts.

As published: <speaker> is id and five digits, <recording> the id of a YouTube video. The clips are cropped round the
face (224x224, 25 frames a second) and have their sound. The same sound is published once more, as
`aac/<speaker>/<recording>/<clip>.m4a`, and the place of the face in the YouTube video, as `txt/.../<clip>.txt`. No
speaker of dev is in test.

Ours: a sound file of its own goes before the sound in the video, as everywhere here. The .txt are not opened: the clips
are cropped as they say. The levels `dev` or `test` and `mp4` may be missing where it is plain what was meant: a clip
belongs to the nearest folder `dev` or `test` above it, else to where `vox2_meta.csv` has its speaker. Validation clips
are those of a few speakers of dev.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..media import SOUND_SUFFIXES
from ..records import Clip, Corpus, PartOfAll, Refused, Unusable, make_key
from . import files
from .splits import deal

CLIPS = {"dev": 1_092_009, "test": 36_237}  # arXiv 1806.05622
META = "vox2_meta.csv"
SPEAKER = re.compile(r"id\d{5}", re.ASCII)
LISTED = re.compile(r"(?:^|/)(id\d{5}(?:/[^/\s]+){0,2})", re.ASCII)  # in `dev/mp4/id00012/21Uxsk56VDQ/00001`


@dataclass(frozen=True, slots=True)
class Vox2Settings:
    """How VoxCeleb2 is read."""

    # Only what a list names: a clip a line like AV-HuBERT's vox-en.id (English), a recording, or a speaker.
    only_ids: Path | None = None
    valid_share: PartOfAll = 0.005  # of dev, by speaker: 5,500 clips of the whole


@dataclass(slots=True)
class _Found:
    """What lies on disk. A name is `<speaker>/<recording>/<clip>`, in every copy of the corpus."""

    videos: list[tuple[str, str, Path]] = field(default_factory=list)  # dev, test or "", the name, and where
    sounds: dict[str, Path] = field(default_factory=dict)
    tracks: set[str] = field(default_factory=set)
    closed: list[Clip] = field(default_factory=list)  # folders that may not be read
    strays: list[str] = field(default_factory=list)  # videos of no speaker
    rest: list[str] = field(default_factory=list)  # files of which nothing is made


def read(root: Path, settings: Vox2Settings) -> Corpus:
    """List VoxCeleb2."""
    found = _find(root)
    videos, notes = found.videos, list[str]()
    if settings.only_ids is not None:
        wanted = _wanted(settings.only_ids, root)
        videos = [video for video in videos if not wanted.isdisjoint(_levels(video[1]))]
        notes += _kept(settings.only_ids, wanted, videos, len(found.videos))
    subset_of = _subsets(root, [video for video in videos if not video[0]])
    videos = [(subset or subset_of[name.split("/")[0]], name, path) for subset, name, path in videos]
    dev = Counter(name.split("/")[0] for subset, name, _ in videos if subset == "dev")
    split_of = deal(dev, {"valid": settings.valid_share})
    clips = []
    for subset, name, path in videos:
        speaker, recording, _ = name.split("/")
        split = "test" if subset == "test" else split_of[speaker]
        key = make_key(f"{subset}/{name}")
        clips.append(Clip(key, path, split, speaker, audio=found.sounds.get(name), source=recording))
    if clips:
        notes += _counts(clips, Counter(subset for subset, _, _ in videos))
    names = {name for _, name, _ in found.videos}
    for what, some in (
        ("videos do not lie in <speaker>/<recording>/ and are left out", found.strays),
        ("sound files have no video", found.sounds.keys() - names),
        ("face tracks (.txt) have no video", found.tracks - names),
    ):
        if some:
            notes.append(f"{len(some):,} {what} (the first: {min(some)})")
    return Corpus((*clips, *found.closed), (*notes, *files.passed_over(found.rest)))


def _find(root: Path) -> _Found:
    # The root itself may be `dev`, or `dev/mp4`: what its path says holds where nothing inside says otherwise.
    outside = next((part for part in reversed(root.resolve().parts[-2:]) if part in CLIPS), "")
    found = _Found()
    for folder in files.walk(root):
        parts = folder.name.split("/")
        if folder.problem:
            split = "test" if "test" in parts else "train"
            found.closed.append(Clip(make_key(folder.name), folder.path, split, "", problem=folder.problem))
        is_recording = len(parts) > 1 and SPEAKER.fullmatch(parts[-2])
        inside = next((part for part in reversed(parts[:-2]) if part in CLIPS), "")
        taken = []
        for file in folder.files:
            stem, suffix = files.split_suffix(file)
            if not is_recording:
                found.strays += [folder.inside(file)] if suffix in files.VIDEOS else []
                continue
            name = f"{parts[-2]}/{parts[-1]}/{stem}"
            if suffix in files.VIDEOS:
                found.videos.append((inside or outside, name, folder.path / file))
            elif suffix in SOUND_SUFFIXES:
                found.sounds.setdefault(name, folder.path / file)
            elif suffix == ".txt":
                found.tracks.add(name)
                continue
            else:
                continue
            taken.append(file)
        left = files.others(folder, taken)
        found.rest += (name for name in left if is_recording or files.split_suffix(name)[1] not in files.VIDEOS)
    return found


def _subsets(root: Path, unsettled: Collection[tuple[str, str, Path]]) -> Mapping[str, str]:
    """Dev or test by speaker, for videos that lie in neither."""
    if not unsettled:
        return {}
    try:
        lines = files.read_text(root / META).splitlines()
    except Unusable as error:
        lines, why = [], error.reason.detail
    else:
        why = f"{META} does not have its speaker"
    cells = [[cell.strip() for cell in re.split("[,;\t]", line)] for line in lines]
    subset_of = {row[0]: row[-1] for row in cells if row[-1] in CLIPS}
    unknown = [path for _, name, path in unsettled if name.split("/")[0] not in subset_of]
    if unknown:
        raise Refused(
            f"{len(unknown):,} videos lie neither in dev/ nor in test/ (the first: {unknown[0]}) and {why}: "
            f"expected {root}/{{dev,test}}/mp4/<speaker>/<recording>/<clip>.mp4, or the corpus' {META} in {root}"
        )
    return subset_of


def _wanted(path: Path, root: Path) -> set[str]:
    """The clips, recordings and speakers that a list names."""
    lines = files.read_list(files.named_file(path, root, "corpus.only_ids"), "corpus.only_ids")
    matches = [LISTED.search(re.sub(r"\.\w{2,4}$", "", line)) for line in lines]
    names = {match[1] for match in matches if match}
    if not names:
        raise Refused(f"corpus.only_ids = {path}: no line names a clip such as id00012/21Uxsk56VDQ/00001, or a speaker")
    return names


def _levels(name: str) -> tuple[str, str, str]:
    """A clip, its recording and its speaker, as a list may name them."""
    recording = name.rpartition("/")[0]
    return name, recording, recording.partition("/")[0]


def _kept(path: Path, wanted: set[str], videos: Collection[tuple[str, str, Path]], count: int) -> list[str]:
    if count and not videos:
        raise Refused(f"corpus.only_ids = {path} names none of the {count:,} clips (its first: {min(wanted)})")
    notes = [f"only what {path} names is read: {len(videos):,} of {count:,} clips"]
    lost = wanted.difference(level for _, name, _ in videos for level in _levels(name))
    return notes + ([f"{len(lost):,} names of {path} are not on disk (the first: {min(lost)})"] if lost else [])


def _counts(clips: Collection[Clip], subsets: Counter[str]) -> list[str]:
    """How much of the corpus this is, who is held out, and that nothing is said about what is spoken."""
    there = ", ".join(f"{subset} has {subsets[subset]:,} of {count:,} clips" for subset, count in CLIPS.items())
    valid = Counter(clip.speaker for clip in clips if clip.split == "valid")
    notes = [f"{there}; none has a transcript"]
    if subsets["dev"]:
        notes.append(f"valid: {valid.total():,} clips of dev, {len(valid):,} speakers held out by a fixed hash")
    if sounds := [str(clip.audio) for clip in clips if clip.audio]:
        notes.append(f"{len(sounds):,} clips have their sound from a file of its own (the first: {min(sounds)})")
    return notes
