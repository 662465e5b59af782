"""What training does to a clip so that no two epochs show it alike. Pure functions of the clip and its random numbers.

Crop, mask, normalise for pictures; mask, babble, normalise for sound: the published order (Auto-AVSR).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from annotated_types import Interval, Len

from .. import noise
from ..noise.sound import Source, is_silent, mix
from ..records import FPS, RATE, Fraction, Misused, rng_for
from .examples import Example
from .inputs import Clip, levelled, margin, shown

Ratio = Annotated[float, Interval(ge=-100, le=100)]  # dB
RATIOS = (-5.0, 0.0, 5.0, 10.0, 15.0, 20.0, None)  # dB of babble, none: clean; equally likely (Auto-AVSR)


@dataclass(frozen=True, slots=True)
class AugmentSettings:
    """Which of it is done; the defaults are the published recipe's."""

    crop: bool = True  # at a random place, else in the middle
    flip: Fraction = 0.0  # fraction of clips mirrored
    video_mask: Fraction = 0.4  # seconds: up to so much is masked, at random, in each second of a clip
    video_dropout: Fraction = 0.0  # fraction of clips of which every frame is masked (AV-HuBERT's modality dropout)
    audio_mask: Fraction = 0.4
    mask_fill: Literal["black", "mean"] = "black"  # what a masked frame shows: nothing, or the clip's mean picture
    noise: bool = (
        False  # visual noise of the four seen families, a fifth of the clips clean (SparseVSR; how many: ours)
    )
    babble: bool = True  # for networks that hear


def augmented(
    example: Example,
    tokens: tuple[int, ...],
    side: int,
    settings: AugmentSettings,
    seed: int,
    epoch: int,
    crowd: Source | None = None,
) -> Clip:
    """A clip as training sees it in one epoch: the same on every machine and after every resumption."""
    video = audio = None
    if example.mouth is not None:
        mouth = example.mouth
        if settings.noise:
            mouth = noise.augment(mouth, seed, example.key, epoch)
        rng = rng_for(seed, example.key, str(epoch), "picture")
        top, left = map(int, rng.integers(0, margin(side) + 1, 2))
        mirrored = rng.random() < settings.flip
        mouth = shown(mouth, side, top, left) if settings.crop else shown(mouth, side)
        mouth = np.ascontiguousarray(mouth[:, :, ::-1]) if mirrored else mouth
        fill = mouth.mean(0).round().astype(np.uint8) if settings.mask_fill == "mean" else 0
        video = masked(mouth, round(settings.video_mask * FPS), FPS, rng, fill)
        if rng.random() < settings.video_dropout:
            video = np.full_like(mouth, fill)
    if example.sound is not None:
        rng = rng_for(seed, example.key, str(epoch), "sound")
        audio = _heard(example, masked(example.sound, round(settings.audio_mask * RATE), RATE, rng), crowd, rng)
    return Clip(example.key, example.frames, tokens, video, audio)


def tested(example: Example, tokens: tuple[int, ...], side: int) -> Clip:
    """A clip as the network is tested on it."""
    video = None if example.mouth is None else shown(example.mouth, side)
    audio = None if example.sound is None else levelled(example.sound)
    return Clip(example.key, example.frames, tokens, video, audio)


def masked(
    values: np.ndarray, window: int, stride: int, rng: np.random.Generator, fill: np.ndarray | int = 0
) -> np.ndarray:
    """`fill` in up to `window` places in a row, once in every `stride` along the first axis (the adaptive time mask).

    Zero is black, and silence. As published the place is drawn for one length and the zeros have another, both up to
    `window`: 16 % of the frames of a long clip are masked where 0.4 s of each second may be.
    """
    length = len(values)
    if window == 0:
        return values
    values = values.copy()
    for _ in range(-(-length // stride)):
        reach, zeros = rng.integers(0, window, 2)
        if 0 < reach < length:
            start = int(rng.integers(0, length - reach + 1))
            values[start : start + zeros] = fill
    return values


@dataclass(frozen=True, slots=True)
class InterferenceSettings:
    """What else is heard where an enhancer learns. All numbers are ours."""

    # Each as often as it is named: noise of `noise.sound`, the voices of other speakers, sound files.
    kinds: Annotated[tuple[str, ...], Len(1, 100)] = ("white", "pink", "voice", "voice", "two-voices", "three-voices")
    lowest: Ratio = -10.0  # dB; ratios between the two are equally likely
    highest: Ratio = 10.0
    level: Annotated[float, Interval(ge=0, le=60)] = 10.0  # dB by which a clip is made softer or louder, at most

    def __post_init__(self) -> None:
        if self.lowest > self.highest:
            raise Misused(f"lowest is {self.lowest:g} dB and highest {self.highest:g}: it must not be below lowest")


def disturbed(
    example: Example,
    sources: Sequence[Source],
    settings: InterferenceSettings,
    seed: int,
    epoch: int,
) -> tuple[np.ndarray, np.ndarray]:
    """The sound of a clip with another one in it, and without: float32, 1 is full scale, both at one drawn level.

    A silent clip stays as it is: there is no ratio to silence.
    """
    rng = rng_for(seed, example.key, str(epoch), "interference")
    source = sources[rng.integers(len(sources))]
    ratio = rng.uniform(settings.lowest, settings.highest)
    gain = np.float32(10 ** (rng.uniform(-settings.level, settings.level) / 20))
    assert example.sound is not None
    clean = example.sound.astype(np.float32) / np.float32(32768)
    noisy = clean if is_silent(clean) else mix(clean, source, ratio, rng, example.speaker)
    return gain * noisy, gain * clean


def _heard(example: Example, sound: np.ndarray, crowd: Source | None, rng: np.random.Generator) -> np.ndarray:
    ratio = RATIOS[rng.integers(len(RATIOS))]
    if crowd is None or ratio is None or is_silent(sound):
        return levelled(sound)
    return levelled(mix(sound, crowd, ratio, rng, example.speaker))
