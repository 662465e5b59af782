"""What a video's transcription consists of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from .words import Word

PAUSE = 1.0  # seconds without a word that part utterances


@dataclass(frozen=True, slots=True)
class Utterance:
    """Words of one face without a pause between them."""

    face: int  # from 1; 0 where only the sound was read
    words: tuple[Word, ...]

    @property
    def start(self) -> float:
        """Seconds from the first frame of the video."""
        return self.words[0].start

    @property
    def end(self) -> float:
        """Seconds from the first frame of the video."""
        return self.words[-1].end

    @property
    def text(self) -> str:
        """The words."""
        return " ".join(word.text for word in self.words)

    @property
    def confidence(self) -> float:
        """The mean of its words'."""
        return sum(word.confidence for word in self.words) / len(self.words)


@dataclass(frozen=True, slots=True)
class Take:
    """Frames on end in which a face was read."""

    face: int
    start: int  # frame
    matrices: np.ndarray  # float64 T, 2, 3: from the picture to the mouth crop
    facts: dict[str, Any] = field(compare=False)  # of the face track: where it is, how surely it was seen

    @property
    def end(self) -> int:
        """The frame after the last one."""
        return self.start + len(self.matrices)


@dataclass(frozen=True, slots=True)
class Gap:
    """A time of which nothing was read."""

    start: float  # seconds
    end: float
    why: str


@dataclass(frozen=True, slots=True)
class Transcript:
    """One video, read."""

    video: Path
    seconds: float
    utterances: tuple[Utterance, ...]  # by their start
    takes: tuple[Take, ...] = ()  # by their start; none where only the sound was read
    gaps: tuple[Gap, ...] = ()
    notes: tuple[str, ...] = ()  # what the user should hear about it
    about: dict[str, Any] = field(default_factory=dict)  # of the video, the model and the versions

    @property
    def faces(self) -> tuple[int, ...]:
        """The numbers of the faces that were read."""
        return tuple(sorted({take.face for take in self.takes}))


def utterances(face: int, words: Sequence[Word]) -> Iterator[Utterance]:
    """The words of one take as utterances."""
    begin = 0
    for number in range(1, len(words) + 1):
        if number == len(words) or words[number].start - words[number - 1].end >= PAUSE:
            yield Utterance(face, tuple(words[begin:number]))
            begin = number
