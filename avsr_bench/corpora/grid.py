"""GRID: 34 speakers, 1,000 six-word sentences each, as `s1/<code>.mpg` with `align/s1/<code>.align`.

The corpus is unpacked in several ways (`s1/video/mpg_6000/`, `video/s1/`, `s1/align/`, `alignments/s1/`, ...): a file
belongs to the speaker whose folder it lies in, however deep, and goes by speaker and code whatever the layout.
Speaker 21 has no video.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from ..records import LONGEST, Clip, Corpus, PartOfAll, Reason, Unusable, make_key
from . import files
from .splits import deal

SPEAKER = re.compile(r"s([1-9]|[12][0-9]|3[0-4])")
CODE = re.compile(r"[blps][bgrw][abiw][a-vx-z][1-9z][anps]")
CLIPS = 33_000  # with video
SILENCE = ("sil", "sp")
BESIDE = (".align", ".wav")  # the corpus has its sound once more, in files of their own
TICKS = 25_000  # of an .align, a second

# Both splits are LipNet's (arXiv 1611.01599), save that it drew the 255 sentences at random and did not publish them.
UNSEEN = ("s1", "s2", "s20", "s22")
OVERLAPPED_SHARE = 0.255  # of each speaker's sentences: 255 of 1,000
FEWEST_SPEAKERS = 5

# A file name spells its sentence: command, colour, preposition, letter, digit, adverb.
WORDS = (
    {"b": "bin", "l": "lay", "p": "place", "s": "set"},
    {"b": "blue", "g": "green", "r": "red", "w": "white"},
    {"a": "at", "b": "by", "i": "in", "w": "with"},
    {letter: letter for letter in "abcdefghijklmnopqrstuvxyz"},
    dict(zip("z12345", ("zero", "one", "two", "three", "four", "five"), strict=True))
    | {"6": "six", "7": "seven", "8": "eight", "9": "nine"},
    {"a": "again", "n": "now", "p": "please", "s": "soon"},
)


@dataclass(frozen=True, slots=True)
class GridSettings:
    """How GRID is read."""

    split: Literal["unseen", "overlapped"] = "unseen"  # test on other speakers, or on other sentences of the same ones
    # Of each training speaker's sentences, by a fixed hash; the literature has no such set.
    valid_share: PartOfAll = 0.05


def read(root: Path, settings: GridSettings) -> Corpus:
    """List GRID."""
    videos: list[tuple[str, Path]] = []  # "s1/bbaf2n" and where it lies
    aligns: dict[str, Path] = {}
    closed: list[Clip] = []  # folders that may not be read
    strays: list[str] = []  # videos of no speaker
    rest: list[str] = []  # files of which nothing is made
    top = root.resolve().name
    for folder in files.walk(root):
        parts = (top, *folder.name.lower().split("/"))
        speaker = next((part for part in reversed(parts) if SPEAKER.fullmatch(part)), "")
        if folder.problem:
            closed.append(Clip(make_key(folder.name), folder.path, "train", speaker, problem=folder.problem))
        for file in folder.files:
            code, suffix = files.split_suffix(file)
            if suffix == ".align":
                aligns[f"{speaker}/{code}"] = folder.path / file
            elif suffix in files.VIDEOS and speaker:
                videos.append((f"{speaker}/{code}", folder.path / file))
            elif suffix in files.VIDEOS:
                strays.append(folder.inside(file))
        videos_here = [file for file in folder.files if files.split_suffix(file)[1] in files.VIDEOS]
        rest += (name for name in files.others(folder, videos_here) if files.split_suffix(name)[1] not in BESIDE)

    names = {name for name, _ in videos}
    speakers = {name.partition("/")[0] for name in names}
    split_of, notes = _split(names, settings)
    clips: list[Clip] = []
    spelt, differ = [], []
    for name, video in videos:
        speaker, _, code = name.partition("/")
        clip = Clip(make_key(name), video, split_of[name], speaker, text=spell(code))
        if name in aligns:
            try:
                said = aligned(aligns[name])
                if clip.text not in (None, said):
                    differ.append(name)
                clip = replace(clip, text=said)
            except Unusable as error:
                clip = replace(clip, text=None, problem=error.reason)
        elif clip.text:
            spelt.append(name)
        else:
            detail = f"no {code}.align, and the file name is not the code of a sentence"
            clip = replace(clip, problem=Reason("no-text", detail))
        clips.append(clip)

    if len(names) != CLIPS:
        notes.append(f"{len(names):,} of the {CLIPS:,} clips of GRID, {len(speakers)} of its 33 speakers with video")
    alone = [name for name in aligns.keys() - names if name.partition("/")[0] in speakers]
    for what, found in (
        ("clips have no .align: their text is spelt by the file name", spelt),
        ("clips whose .align and file name say different words: the .align is taken", differ),
        (".align files have no video", alone),
        ("videos lie in no speaker's folder (s1 ... s34) and are left out", strays),
    ):
        if found:
            notes.append(f"{len(found):,} {what} (the first: {min(found)})")
    return Corpus((*clips, *closed), (*notes, *files.passed_over(rest)))


def spell(code: str) -> str | None:
    """The sentence that a file name stands for; None if it is no such code.

    >>> spell("bbaf2n")
    'bin blue at f two now'
    """
    if not CODE.fullmatch(code.lower()):
        return None
    return " ".join(words[letter] for words, letter in zip(WORDS, code.lower(), strict=True))


def aligned(path: Path) -> str:
    """The words of an `.align` file, whose lines are `start end word`."""
    words = []
    for number, line in enumerate(files.read_text(path).splitlines(), 1):
        cells = line.split()
        if not cells:
            continue
        if len(cells) != 3 or not (cells[0].isdecimal() and cells[1].isdecimal()):
            raise Unusable("bad-text", f"{path.name} line {number} is not `start end word`: {line.strip()[:40]!r}")
        if max(len(cells[0]), len(cells[1])) > 20 or not int(cells[0]) <= int(cells[1]) <= LONGEST * TICKS:
            raise Unusable("bad-times", f"{path.name} line {number}: from {cells[0][:40]} to {cells[1][:40]}")
        if cells[2].lower() not in SILENCE:
            words.append(cells[2])
    return files.one_line(" ".join(words), path.name)


def _split(names: Iterable[str], settings: GridSettings) -> tuple[dict[str, str], list[str]]:
    """The split of every sentence, and what to say about it."""
    by_speaker: dict[str, dict[str, int]] = defaultdict(dict)
    for name in names:
        by_speaker[name.partition("/")[0]][name] = 1
    unseen, notes = settings.split == "unseen", []
    if unseen and len(by_speaker) < FEWEST_SPEAKERS:
        notes.append(
            f"too few speakers to test on unseen ones ({len(by_speaker)}, it takes {FEWEST_SPEAKERS}): "
            "split `overlapped`, every speaker is in train and test"
        )
        unseen = False
    if unseen and (missing := [speaker for speaker in UNSEEN if speaker not in by_speaker]):
        notes.append(
            f"test lacks {', '.join(missing)} of {', '.join(UNSEEN)}: results do not compare with published ones"
        )
    shares = {"valid": settings.valid_share}
    if not unseen:
        shares = {"test": OVERLAPPED_SHARE} | shares
    split_of: dict[str, str] = {}
    for speaker, sentences in by_speaker.items():
        if unseen and speaker in UNSEEN:
            split_of |= dict.fromkeys(sentences, "test")
        else:
            split_of |= deal(sentences, shares)
    return split_of, notes
