"""Harming a clip: the request is checked, its generator drawn, its family applied."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Literal, TypeAlias

import numpy as np

from ..recipes import nearest
from ..records import Misused
from .families import FAMILIES, Corrupt, Shape

On: TypeAlias = Literal["mouth", "frame"]
Noisy: TypeAlias = Callable[[np.ndarray], np.ndarray]  # frames to frames

VERSION = 1  # stored with every result; raised when any output changes, for that is another benchmark
LEVELS = 10
SIDE: dict[str, int] = {"mouth": 96, "frame": 256}  # pixels of the shorter side at which a strength is taken as it is
MIN_SIDE = 8  # pixels; nothing smaller shows a mouth
_AT_ONCE = 1 << 16  # values worked on at once: what one step of a family writes is in the cache for the next
_MIN_SCALE = 0.5  # of still smaller pictures the low levels would change nothing


def apply(frames: np.ndarray, family: str, level: int, rng: np.random.Generator, on: On = "mouth") -> np.ndarray:
    """Corrupt a clip: uint8 T, H, W (grey) or T, H, W, 3 (RGB) in, the same out; the input is left as it is.

    Level 0 gives a copy, 1 to 10 corrupt it more and more. `on` says what the frames show: a mouth, whose crop counts
    as 96 pixels on its shorter side, or a whole picture, which counts as 256. With a generator from `records.rng_for`
    the levels of a clip are comparable: each scales one and the same draw.

    >>> from avsr_bench.records import rng_for
    >>> clip = np.full((5, 96, 96), 90, np.uint8)
    >>> apply(clip, "blockwise", 3, rng_for(0, "s1%2Fbbaf2n", "blockwise")).max()
    128
    """
    _check_frames(frames)
    return begin(family, level, rng, frames.shape[1:], on)(frames)


def begin(family: str, level: int, rng: np.random.Generator, shape: Shape, on: On = "mouth") -> Noisy:
    """For video that does not fit in memory: the function to call with the clip's chunks of frames, in their order.

    What stands still is drawn here, once. `shape` is that of a frame. The chunks end to end are what `apply` gives.
    """
    check(family, level)
    shape = tuple(shape)
    _check_shape(shape)
    if on not in SIDE:
        raise Misused(f"noise is applied on {' or '.join(SIDE)}, not on {on!r}")
    if level == 0:
        return np.copy
    kind = FAMILIES[family]
    scale = max(min(shape[:2]) / SIDE[on], _MIN_SCALE)
    return in_chunks(kind.begin(kind.levels[level - 1], scale, shape, rng), shape)


def in_chunks(corrupt: Corrupt, shape: Shape) -> Noisy:
    """What a family gives, made into a function of any number of frames."""
    step = max(1, _AT_ONCE // math.prod(shape))

    def corrupt_all(frames: np.ndarray) -> np.ndarray:
        _check_frames(frames)
        if frames.shape[1:] != shape:
            raise Misused(f"the clip was begun with frames of {shape}, these are {frames.shape[1:]}")
        corrupted = np.empty(frames.shape, np.uint8)
        for first in range(0, len(frames), step):
            chunk = slice(first, first + step)
            corrupt(np.ascontiguousarray(frames[chunk]), corrupted[chunk])
        return corrupted

    return corrupt_all


def parse(text: str) -> tuple[str, int]:
    """The family and level of "FAMILY:LEVEL".

    >>> parse("jpeg:7")
    ('jpeg', 7)
    """
    family, colon, level = text.partition(":")
    if not colon or not level.isascii() or not level.isdecimal() or len(level) > 9:
        raise Misused(f"noise is written FAMILY:LEVEL, such as jpeg:7, not {text!r}")
    check(family, int(level))
    return family, int(level)


def check(family: str, level: int) -> None:
    """Refuse a family or a level that there is none of."""
    if family not in FAMILIES:
        raise Misused(f"no noise is called {family!r}.{nearest(family, FAMILIES)}")
    try:
        whole = operator.index(level)
    except TypeError:
        whole = -1
    if isinstance(level, bool) or not 0 <= whole <= LEVELS:
        raise Misused(f"the level is a whole number from 0 (clean) to {LEVELS}, not {level!r}")


def _check_frames(frames: np.ndarray) -> None:
    if not isinstance(frames, np.ndarray) or frames.dtype != np.uint8:
        raise Misused(f"frames must be a uint8 array, not {getattr(frames, 'dtype', type(frames).__name__)}")
    if frames.ndim not in (3, 4):
        raise Misused(f"frames must be T, H, W or T, H, W, 3, not {frames.shape}")
    _check_shape(frames.shape[1:])
    if len(frames) == 0:
        raise Misused("at least one frame is needed, not 0")


def _check_shape(shape: Shape) -> None:
    if len(shape) not in (2, 3) or shape[2:] not in ((), (3,)) or min(shape[:2]) < MIN_SIDE:
        raise Misused(f"a frame must be H, W or H, W, 3 with sides of at least {MIN_SIDE} pixels, not {shape}")
