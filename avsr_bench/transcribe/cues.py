"""Subtitles: utterances cut into cues that fit a screen and can be read, as SubRip and WebVTT."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from .transcript import Transcript
from .words import Word

# What broadcasters agree on, within a little (BBC and Netflix guidelines): 42 characters, two lines, 1 to 7 seconds.
WIDTH = 42
LINES = 2
LONGEST = 7.0  # seconds
SHORTEST = 1.0  # seconds that a cue stays, where nothing follows it sooner


@dataclass(frozen=True, slots=True)
class Cue:
    """Words that are shown together."""

    face: int
    start: float
    end: float
    words: tuple[Word, ...]

    @property
    def lines(self) -> list[str]:
        """The words as they are laid out."""
        return layout(" ".join(word.text for word in self.words))


def layout(text: str) -> list[str]:
    """Lines of at most `WIDTH` characters; a longer word is broken."""
    return textwrap.wrap(text, WIDTH, break_on_hyphens=False)


def cues(transcript: Transcript) -> tuple[Cue, ...]:
    """The cues of all faces by their start; those of one face never overlap."""
    found: list[Cue] = []
    for face in sorted({utterance.face for utterance in transcript.utterances}):
        mine = [utterance for utterance in transcript.utterances if utterance.face == face]
        groups = [group for utterance in mine for group in _groups(utterance.words)]
        starts = [group[0].start for group in groups] + [transcript.seconds]
        for group, following in zip(groups, starts[1:], strict=True):
            start = group[0].start
            end = min(max(group[-1].end, start + SHORTEST), start + LONGEST, max(following, start + 0.04))
            found.append(Cue(face, start, end, group))
    return tuple(sorted(found, key=lambda cue: (cue.start, cue.face)))


def _groups(words: Sequence[Word]) -> Iterator[tuple[Word, ...]]:
    """As many words as a cue holds, again and again."""
    group: tuple[Word, ...] = ()
    for word in _broken(words):
        longer = (*group, word)
        text = " ".join(each.text for each in longer)
        if group and (len(layout(text)) > LINES or word.end - group[0].start > LONGEST):
            yield group
            longer = (word,)
        group = longer
    if group:
        yield group


def _broken(words: Iterable[Word]) -> Iterator[Word]:
    """Words that do not fit into a cue in pieces, each with its share of the time."""
    for word in words:
        pieces = textwrap.wrap(word.text, LINES * WIDTH) or [word.text]
        length = (word.end - word.start) / len(pieces)
        for number, piece in enumerate(pieces):
            start = word.start + number * length
            yield replace(word, text=piece, start=start, end=start + length)


def srt(transcript: Transcript) -> str:
    """As SubRip. With several faces each cue begins with the number of its face."""
    blocks = []
    for number, cue in enumerate(cues(transcript), 1):
        lines = "\n".join(cue.lines)
        who = f"[{cue.face}] " if len(transcript.faces) > 1 else ""
        blocks.append(f"{number}\n{_time(cue.start, ',')} --> {_time(cue.end, ',')}\n{who}{lines}\n")
    return "\n".join(blocks)


def vtt(transcript: Transcript) -> str:
    """As WebVTT. With several faces each cue is in the voice of its face."""
    blocks = ["WEBVTT\n"]
    for cue in cues(transcript):
        lines = "\n".join(line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;") for line in cue.lines)
        who = f"<v Face {cue.face}>" if len(transcript.faces) > 1 else ""
        blocks.append(f"{_time(cue.start, '.')} --> {_time(cue.end, '.')}\n{who}{lines}\n")
    return "\n".join(blocks)


def _time(seconds: float, point: str) -> str:
    """Hours to milliseconds, as both formats write them.

    >>> _time(3723.5, ",")
    '01:02:03,500'
    """
    thousandths = round(seconds * 1000)
    whole, rest = divmod(thousandths, 1000)
    return f"{whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}{point}{rest:03d}"
