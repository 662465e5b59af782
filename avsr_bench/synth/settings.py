"""What the synthetic corpus is made of: its settings and the list of what will be said, by whom, in which split."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from typing import Annotated, Literal

import numpy as np
from annotated_types import Interval, MultipleOf

from ..records import Misused, Seed

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


Digits = Annotated[int, Interval(ge=1, le=30)]
Clips = Annotated[int, Interval(ge=1, le=10**6)]
Speakers = Annotated[int, Interval(ge=1, le=10**4)]


@dataclass(frozen=True, slots=True)
class SynthSettings:
    """A recipe for the corpus: the same settings make the same bytes, on the same kind of processor.

    `articulation`, `motion`, `variety` and `light` scale how hard the corpus is to read by eye; 1 is what we measured.
    """

    seed: Seed = 0
    sentences: Literal["digits", "grid"] = "digits"
    min_digits: Digits = 3  # words in a sentence of digits
    max_digits: Digits = 6
    train_clips: Clips = 800
    valid_clips: Clips = 60
    test_clips: Clips = 240
    train_speakers: Speakers = 40  # no speaker is in two splits
    valid_speakers: Speakers = 6
    test_speakers: Speakers = 15
    # Pixels, width and height of the picture: 224 is about LRS3's; below 96 the detector loses the face, and H.264
    # wants

    # an even number.
    size: Annotated[int, Interval(ge=96, le=1024), MultipleOf(2)] = 224
    fps: Annotated[int, Interval(ge=15, le=60)] = 25
    # Beyond these the face tears, or the detector loses it.
    articulation: Annotated[float, Interval(ge=0.3, le=1.5)] = 1.0  # how far lips and jaw travel
    motion: Annotated[float, Interval(ge=0, le=2)] = 1.0  # how much the head moves and turns
    variety: Annotated[float, Interval(ge=0, le=1.5)] = 1.0  # how much speakers differ in shape and tone
    light: Annotated[float, Interval(ge=0, le=2)] = 1.0  # how much light, colour and sensor noise differ between clips

    def __post_init__(self) -> None:
        if self.max_digits < self.min_digits:
            raise Misused(f"synth.max_digits is {self.max_digits}, below min_digits {self.min_digits}: raise it")
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


def rng_for(seed: int, *names: str) -> np.random.Generator:
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
    rng = rng_for(settings.seed, name, "words")
    if settings.sentences == "grid":
        words = [str(rng.choice(choices)) for choices in GRID]
    else:
        words = [str(w) for w in rng.choice(DIGITS, rng.integers(settings.min_digits, settings.max_digits + 1))]
    return Utterance(name, split, who, " ".join(words))
