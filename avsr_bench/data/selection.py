"""Which clips, and which frames of them, the next pass over a corpus trains on: chosen from their newest losses.

The strategies are those of DDP-ASR (arXiv 2406.18373), of which the abstract and reviews could be read, and InfoBatch
(arXiv 2303.04947), whose rule is public. All are pure functions of scores, lengths, progress and random numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Annotated, Literal

import numpy as np
from annotated_types import Interval

from ..records import SAMPLES_PER_FRAME, Misused
from .examples import Example

BEFORE = 3.0  # InfoBatch's score of a clip that has not been trained on yet
UNPRUNED = 0.125  # InfoBatch trains the last eighth of a run on everything

Strategy = Literal["full", "random", "easy", "hard", "easy2hard", "infobatch"]
BY_LOSS = ("easy", "hard", "easy2hard")  # they need a loss of every clip before they choose


@dataclass(frozen=True, slots=True)
class SelectionSettings:
    """What a pass has of the training clips, once the first passes are over."""

    # easy, hard: the lowest or the highest losses; easy2hard: from the one to the other in the course of the run.
    strategy: Strategy = "full"
    # Of the frames of all clips that a pass has. infobatch: of the clips whose loss is below the mean; all others stay.
    fraction: Annotated[float, Interval(gt=0, le=1)] = 1.0
    score: Literal["sum", "per_token"] = "sum"  # the loss of a clip, or that divided by its tokens
    # Which frames of a clip are shown: all, or some that are drawn one by one (points) or `chunk` in a row (chunks).
    frames: Literal["whole", "points", "chunks"] = "whole"
    frame_fraction: Annotated[float, Interval(gt=0, le=1)] = 1.0  # of a clip's frames that are shown
    chunk: Annotated[int, Interval(ge=1, le=10_000)] = 10
    warm: Annotated[int, Interval(ge=0, le=10_000)] = 2  # passes of everything at first, after those of the curriculum

    @property
    def selects(self) -> bool:
        """Whether any pass may have less than everything."""
        return self.strategy != "full" or self.frames != "whole"

    @property
    def kept(self) -> float:
        """The fraction of all frames that a chosen pass has; infobatch, if half of all losses lie below the mean."""
        of_clips = (1 + self.fraction) / 2 if self.strategy == "infobatch" else self.fraction
        return of_clips * self.frame_fraction


def check_selection(settings: SelectionSettings, where: str) -> None:
    """Refuse settings that would say nothing, or that need losses before there are any."""
    said = f"{where}: data.selection"
    if settings.strategy == "full" and settings.fraction < 1:
        raise Misused(f"{said}.fraction={settings.fraction:g}: strategy=full has every clip in each pass")
    if settings.frames == "whole" and settings.frame_fraction < 1:
        raise Misused(f"{said}.frame_fraction={settings.frame_fraction:g}: say which frames: frames=points or chunks")
    if settings.strategy in BY_LOSS and settings.warm == 0:
        raise Misused(f"{said}.warm=0: {settings.strategy} chooses by losses, which the first pass makes: at least 1")


def select(
    settings: SelectionSettings,
    scores: np.ndarray,
    frames: Sequence[int] | np.ndarray,
    progress: float,
    rng: np.random.Generator,
) -> np.ndarray:
    """What the loss of each clip counts in the next pass (float32), 0 where the clip is not in it.

    `progress` goes from 0, at the first pass that is chosen, to 1, at the last.
    """
    if settings.strategy == "full":
        return np.ones(len(scores), np.float32)
    if settings.strategy == "infobatch":
        return _infobatch(scores, settings.fraction, rng)
    begin = {"easy2hard": progress * (1 - settings.fraction), "hard": 1 - settings.fraction}.get(settings.strategy, 0.0)
    order = rng.permutation(len(scores)) if settings.strategy == "random" else np.argsort(scores, kind="stable")
    return _window(order, np.asarray(frames), begin, begin + settings.fraction)


def _window(order: np.ndarray, frames: np.ndarray, begin: float, end: float) -> np.ndarray:
    """1 for the clips whose middle lies in this part of all frames, when they lie in a row; at least for one."""
    after = np.cumsum(frames[order])
    middles = (after - frames[order] / 2) / after[-1]
    inside = (middles >= begin) & (middles < end)
    if not inside.any():
        inside[np.abs(middles - (begin + end) / 2).argmin()] = True
    weights = np.zeros(len(order), np.float32)
    weights[order[inside]] = 1
    return weights


def _infobatch(scores: np.ndarray, fraction: float, rng: np.random.Generator) -> np.ndarray:
    """All clips at the mean and above; of the others some, each for as many as were left out."""
    low = np.flatnonzero(scores < scores.mean())
    weights = np.ones(len(scores), np.float32)
    weights[low] = 0
    weights[rng.choice(low, int(fraction * len(low)), replace=False)] = 1 / fraction
    return weights


def needed_frames(tokens: Sequence[int]) -> int:
    """The frames that CTC needs: one a token, and one for the blank between two that are the same."""
    return len(tokens) + sum(a == b for a, b in pairwise(tokens))


def frames_shown(settings: SelectionSettings, frames: int, tokens: Sequence[int]) -> int:
    """How many of a clip's frames are shown: no fewer than CTC needs, nor than a batch norm."""
    if settings.frames == "whole":
        return frames
    return min(frames, max(int(np.ceil(settings.frame_fraction * frames)), needed_frames(tokens), 2))


def some_frames(example: Example, count: int, settings: SelectionSettings, rng: np.random.Generator) -> Example:
    """A clip of `count` of its frames, in their order, with the sound of each: 40 ms."""
    if count >= example.frames:
        return example
    places = np.sort(_drawn(example.frames, count, 1 if settings.frames == "points" else settings.chunk, rng))
    sound = example.sound
    if sound is not None:
        sound = sound[: SAMPLES_PER_FRAME * example.frames].reshape(example.frames, SAMPLES_PER_FRAME)[places].ravel()
    mouth = None if example.mouth is None else example.mouth[places]
    return replace(example, frames=count, mouth=mouth, sound=sound)


def _drawn(frames: int, count: int, chunk: int, rng: np.random.Generator) -> np.ndarray:
    """`count` places: whole chunks are dropped, in a drawn order, and of the last one its first frames."""
    chunks = rng.permutation(-(-frames // chunk))
    order = np.concatenate([np.arange(number * chunk, min((number + 1) * chunk, frames)) for number in chunks])
    return order[frames - count :]
