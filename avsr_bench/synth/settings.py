"""What the synthetic corpus is made of: its settings and the list of what will be said, by whom, in which split."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from typing import Literal

import numpy as np

from ..records import Misused

SPLITS = ("train", "valid", "test")
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
# The grammar of the GRID corpus (Cooke et al. 2006, table I): one word from each of the six sets.
GRID = (
    ("bin", "lay", "place", "set"),
    ("blue", "green", "red", "white"),
    ("at", "by", "in", "with"),
    tuple("abcdefghijklmnopqrstuvxyz"),  # no w: its name has three syllables
    DIGITS,
    ("again", "now", "please", "soon"),
)


@dataclass(frozen=True, slots=True)
class SynthSettings:
    """A recipe for the corpus: the same settings make the same bytes, on the same kind of processor.

    `articulation`, `motion`, `variety` and `light` scale how hard the corpus is to read by eye; 1 is what we measured.
    """

    seed: int = 0
    sentences: Literal["digits", "grid"] = "digits"
    min_digits: int = 3  # words in a sentence of digits
    max_digits: int = 6
    train_clips: int = 800
    valid_clips: int = 60
    test_clips: int = 240
    train_speakers: int = 40  # no speaker is in two splits
    valid_speakers: int = 6
    test_speakers: int = 15
    size: int = 224  # pixels, width and height of the picture; about that of LRS3
    fps: int = 25
    articulation: float = 1.0  # how far lips and jaw travel
    motion: float = 1.0  # how much the head moves and turns
    variety: float = 1.0  # how much speakers differ in shape and tone
    light: float = 1.0  # how much light, colour and sensor noise differ between clips

    def __post_init__(self) -> None:
        if self.sentences not in ("digits", "grid"):
            raise Misused(f"synth.sentences is {self.sentences!r}: say digits or grid")
        for name, low, high in _LIMITS:
            value = getattr(self, name)
            if not low <= value <= high:
                raise Misused(f"synth.{name} is {value}: give a number from {low} to {high}")
        if self.max_digits < self.min_digits:
            raise Misused(f"synth.max_digits is {self.max_digits}, below min_digits {self.min_digits}: raise it")
        if self.size % 2:
            raise Misused(f"synth.size is {self.size}: H.264 wants an even number of pixels")
        for split in SPLITS:
            clips, speakers = self.clips(split), self.speakers(split)
            if clips < speakers:
                raise Misused(f"synth.{split}_clips is {clips}, fewer than its {speakers} speakers: give each a clip")

    def clips(self, split: str) -> int:
        """How many clips a split has."""
        return int(getattr(self, f"{split}_clips"))

    def speakers(self, split: str) -> int:
        """How many speakers a split has."""
        return int(getattr(self, f"{split}_speakers"))


_LIMITS = (
    ("seed", 0, 2**63 - 1),
    ("min_digits", 1, 30),
    ("max_digits", 1, 30),
    *((f"{split}_clips", 1, 10**6) for split in SPLITS),
    *((f"{split}_speakers", 1, 10**4) for split in SPLITS),
    ("size", 96, 1024),  # below 96 the detector loses the face
    ("fps", 15, 60),
    ("articulation", 0.3, 1.5),  # beyond these the face tears or the detector loses it
    ("motion", 0.0, 2.0),
    ("variety", 0.0, 1.5),
    ("light", 0.0, 2.0),
)


@dataclass(frozen=True, slots=True)
class Utterance:
    """One clip to be made. All else about it is drawn from (seed, name), so it can be made anywhere, in any order."""

    name: str
    split: str
    speaker: str
    text: str

    @property
    def path(self) -> str:
        """Where its video lies inside the corpus folder."""
        return f"{self.split}/{self.speaker}/{self.name}.mp4"

    @property
    def truth_path(self) -> str:
        """Where what is known about its picture lies, beside the video."""
        return f"{self.split}/{self.speaker}/{self.name}.truth.npz"


def draws(seed: int, *names: str) -> np.random.Generator:
    """The random numbers that belong to a name: the same on every machine, whatever was drawn before."""
    digest = blake2b("/".join(names).encode(), digest_size=16).digest()
    return np.random.default_rng([seed, *np.frombuffer(digest, np.uint32).tolist()])


def utterances(settings: SynthSettings) -> tuple[Utterance, ...]:
    """Every clip of the corpus, in a fixed order; a clip's words do not change when counts of clips are changed."""
    return tuple(
        _utterance(settings, split, number % settings.speakers(split), number // settings.speakers(split))
        for split in SPLITS
        for number in range(settings.clips(split))
    )


def _utterance(settings: SynthSettings, split: str, speaker: int, number: int) -> Utterance:
    who = f"{split}{speaker + 1:03d}"
    name = f"{who}-{number + 1:04d}"
    rng = draws(settings.seed, name, "words")
    if settings.sentences == "grid":
        words = [str(rng.choice(choices)) for choices in GRID]
    else:
        words = [str(w) for w in rng.choice(DIGITS, rng.integers(settings.min_digits, settings.max_digits + 1))]
    return Utterance(name, split, who, " ".join(words))
