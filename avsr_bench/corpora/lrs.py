"""What LRS2 and LRS3 have in common: `<subset>/<id>/<clip>.mp4` with its `.txt`, and `pretrain` cut by word times."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from ..records import Clip, Reason, Unusable, make_key
from . import files, lrs_text
from .segments import segments


@dataclass(frozen=True, slots=True)
class Utterance:
    """A clip as found on disk, before its text is read."""

    name: str  # "test/<id>/00001"
    video: str = ""  # its file, "" where there is none
    text: str = ""
    problem: Reason | None = None

    @property
    def source(self) -> str:
        """The recording it was cut from, which is also all that is known of the speaker."""
        return self.name.split("/")[1] if "/" in self.name else ""


@dataclass(frozen=True, slots=True)
class Known:
    """What a test set is known to hold."""

    utterances: int
    words: int
    origin: str


def find(root: Path, subset: str) -> tuple[list[Utterance], list[str]]:
    """Every clip of a subset of which there is a video or a text, and the files of which nothing is made.

    Folders that may not be read stand in for their clips. Of two videos of one name the .mp4 is taken, which is what
    the corpus comes with.
    """
    found: list[Utterance] = []
    rest: list[str] = []
    if not (root / subset).is_dir():
        return found, rest
    for folder in files.walk(root / subset, subset):
        if folder.problem:
            found.append(Utterance(folder.name, problem=folder.problem))
        videos: dict[str, str] = {}
        texts: dict[str, str] = {}
        for file in folder.files:
            stem, suffix = files.split_suffix(file)
            if suffix == ".mp4" or (suffix in files.VIDEOS and stem not in videos):
                videos[stem] = file
            elif suffix == ".txt":
                texts[stem] = file
        found += [
            Utterance(folder.inside(stem), _path(folder, videos, stem), _path(folder, texts, stem))
            for stem in dict.fromkeys([*videos, *texts])
        ]
        rest += files.others(folder, videos.values())
    return found, rest


def _path(folder: files.Folder, found: dict[str, str], stem: str) -> str:
    return folder.inside(found[stem]) if stem in found else ""


def clips(root: Path, utterance: Utterance, split: str, segment_seconds: float | None) -> Iterator[Clip]:
    """The clips of an utterance: itself, or its segments where `segment_seconds` limits them."""
    name, source = utterance.name, utterance.source
    whole = Clip(make_key(name), root / (utterance.video or f"{name}.mp4"), split, speaker=source, source=source)
    problem = utterance.problem
    if problem is None and not utterance.video:
        problem = Reason("missing-file", f"{name}.mp4 is not there")
    if problem:
        yield replace(whole, problem=problem)
        return
    try:
        content = files.read_text(root / (utterance.text or f"{name}.txt"))
        if segment_seconds is None:
            yield replace(whole, text=lrs_text.spoken(content))
            return
        words, length = lrs_text.timed_words(content), lrs_text.seconds(content)
    except Unusable as error:
        yield replace(whole, problem=error.reason)
        return
    for number, part in enumerate(segments(words, segment_seconds, length)):
        if part.end <= part.start:
            problem = Reason("bad-times", f"`{part.text}` at {part.start:g} s takes no time")
        key = make_key(f"{name}_{number:02d}")
        yield replace(whole, key=key, text=part.text, start=part.start, end=part.end, problem=problem)
        problem = None


def compare(test: Iterable[Clip], known: Known) -> list[str]:
    """A note where the test set does not hold what it is known to hold."""
    found = Counter(utterances=0, words=0)
    for clip in test:
        found.update(utterances=1, words=len((clip.text or "").split()))
    if (found["utterances"], found["words"]) == (known.utterances, known.words):
        return []
    return [
        f"test has {found['utterances']:,} utterances with {found['words']:,} words; known are {known.utterances:,} "
        f"with {known.words:,} ({known.origin}): results do not compare with published ones"
    ]
