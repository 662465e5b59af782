"""The seven families. To add one: write a function here, ten values in `levels`, and a row in `FAMILIES`.

A family is a function of (strength, scale, shape of a frame, generator). It takes from the generator what is drawn once
a clip, and returns the function that corrupts the clip's frames: it reads a chunk of them and fills another. What is
drawn must not depend on the strength, so that a level only scales what every other level of that clip has too. `scale`
is how many pixels of the frame make one mouth pixel.

All is computed in whole numbers, or in floats whose rounding does not depend on how wide the processor's vectors are,
so that a golden hash holds on any machine.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist
from typing import TypeAlias

import cv2
import numpy as np

from . import levels

Corrupt: TypeAlias = Callable[[np.ndarray, np.ndarray], None]  # from, into
Shape: TypeAlias = tuple[int, ...]  # H, W or H, W, 3

_GREY = 128  # of the blocks, as in DeeperForensics


@dataclass(frozen=True, slots=True)
class Family:
    """One kind of noise."""

    begin: Callable[[float, float, Shape, np.random.Generator], Corrupt]
    levels: tuple[float, ...]
    what: str
    label: str  # how a strength is written in tables and pictures
    seen: bool = False  # one of the four that the paper trained with


def blockwise(coverage: float, scale: float, shape: Shape, rng: np.random.Generator) -> Corrupt:
    """Grey squares that stand still. They lie on a grid with a drawn offset, so that each new one hides something."""
    height, width = shape[:2]
    side = max(1, round(levels.BLOCK * scale))
    top, left = (int(offset * side) for offset in rng.random(2))
    rows, columns = (np.arange(height) + top) // side, (np.arange(width) + left) // side
    count = int(rows[-1] + 1) * int(columns[-1] + 1)
    rank = rng.permutation(count)  # the order in which the squares of the grid are hidden
    hidden = rank[rows[:, None] * int(columns[-1] + 1) + columns] < max(1, math.floor(coverage * count))
    if len(shape) == 3:
        hidden = np.repeat(hidden[..., None], shape[2], axis=2)
    kept = np.where(hidden, 0, 255).astype(np.uint8)
    painted = np.where(hidden, _GREY, 0).astype(np.uint8)

    def corrupt(frames: np.ndarray, into: np.ndarray) -> None:
        np.bitwise_and(frames, kept, out=into)
        np.bitwise_or(into, painted, out=into)

    return corrupt


def blur(sigma: float, scale: float, shape: Shape, rng: np.random.Generator) -> Corrupt:
    """A Gaussian blur, as a lens out of focus."""
    # OpenCV filters 8-bit pictures with 8-bit weights in whole numbers, then rounds a half up or to even, depending on
    # the width of the processor's vectors. Even weights down the columns and an odd addend leave no halves.
    across = _gaussian_weights(sigma * scale, 256) / 256
    down = _gaussian_weights(sigma * scale, 128) / 128

    def corrupt(frames: np.ndarray, into: np.ndarray) -> None:
        for frame, target in zip(frames, into, strict=True):
            cv2.sepFilter2D(frame, -1, across, down, target, delta=2**-16, borderType=cv2.BORDER_REPLICATE)

    return corrupt


def _gaussian_weights(sigma: float, total: int) -> np.ndarray:
    """A Gaussian in whole numbers that add up to `total`, float32; never the identity, however small `sigma` is."""
    reach = math.ceil(3 * sigma)
    shares = [math.exp(-0.5 * (k / sigma) ** 2) for k in range(reach, 0, -1)]
    whole = 2 * sum(shares) + 1
    outside = np.rint(np.cumsum(shares) * total / whole)  # rounding the sums spreads what rounding each would lose
    side = np.diff(outside, prepend=0)
    side[-1] = max(side[-1], 1)
    return np.concatenate([side, [total - 2 * side.sum()], side[::-1]]).astype(np.float32)


def motion(length: float, scale: float, shape: Shape, rng: np.random.Generator) -> Corrupt:
    """A smear along a line through each pixel: a camera shaken in one direction, drawn once."""
    angle = math.pi * rng.random()
    pixels = max(2, round(length * scale))
    reach, halves = pixels // 2, pixels % 2 == 0  # a line of an even length has two ends that count half
    line = [(round(k * math.sin(angle)), round(k * math.cos(angle))) for k in range(-reach, reach + 1)]
    weight = 2 * pixels if halves else pixels
    height, width, channels = (*shape, 1)[:3]
    high, wide = height + 2 * reach, width + 2 * reach
    margin = (reach * wide + reach) * channels
    sums = np.dtype(np.uint16 if weight <= 257 else np.int32)  # 257 x 255 still fits

    def corrupt(frames: np.ndarray, into: np.ndarray) -> None:
        # Frames with their borders laid end to end: a shift of all pixels is then one slice, and adding one costs 50 us
        # for a clip of mouths. A filter of that size goes through Fourier space, at 3,800 us.
        padded = np.empty((len(frames), high, wide, *shape[2:]), np.uint8)
        for frame, target in zip(frames, padded, strict=True):
            cv2.copyMakeBorder(frame, reach, reach, reach, reach, cv2.BORDER_REPLICATE, dst=target)
        flat = padded.reshape(-1).astype(sums)
        size = len(flat) - 2 * margin
        starts = [margin + (y * wide + x) * channels for y, x in line]
        shifted = [flat[start : start + size] for start in starts]
        added: np.ndarray = np.empty_like(flat)
        inner = added[margin : margin + size]
        whole = shifted[1:-1] if halves else shifted
        inner[:] = whole[0]
        for pixel in whole[1:]:
            inner += pixel
        if halves:
            inner *= 2
            inner += shifted[0]
            inner += shifted[-1]
        cut = np.ascontiguousarray(added.reshape(padded.shape)[:, reach:-reach, reach:-reach])
        cv2.convertScaleAbs(cut.reshape(-1, width * channels), into.reshape(-1, width * channels), 1 / weight)

    return corrupt


def pixelate(cell: float, scale: float, shape: Shape, rng: np.random.Generator) -> Corrupt:
    """Cells of one value each, its mean, as a picture shown larger than it was taken."""
    (down, row), (across, column) = _cells(shape[0], cell * scale), _cells(shape[1], cell * scale)
    share = (1 / np.outer(np.diff(down), np.diff(across))).astype(np.float32)
    if len(shape) == 3:
        share = share[..., None]

    def corrupt(frames: np.ndarray, into: np.ndarray) -> None:
        # Sums run on from frame to frame; what went before falls out of the differences.
        running = cv2.integral(frames.reshape(-1, *shape[1:]))
        rows = np.arange(len(frames))[:, None] * shape[0] + down
        sums = running.take(rows, 0).take(across, 2)
        cells = sums[:, 1:, 1:] - sums[:, 1:, :-1]
        cells -= sums[:, :-1, 1:]
        cells += sums[:, :-1, :-1]
        means = np.multiply(cells, share, dtype=np.float32)
        lines = np.rint(means, out=means).astype(np.uint8).take(column, 2)
        lines.take(row, 1, out=into, mode="clip")  # the default mode would write into a buffer first

    return corrupt


def _cells(length: int, cell: float) -> tuple[np.ndarray, np.ndarray]:
    """The edges of the cells along one side, and for each pixel its cell; at least one cell is wider than a pixel."""
    count = min(max(1, round(length / cell)), length - 1)
    edges = np.arange(count + 1) * length // count
    return edges, np.repeat(np.arange(count), np.diff(edges))


def jpeg(quality: float, scale: float, shape: Shape, rng: np.random.Generator) -> Corrupt:
    """Real JPEG of each frame. It knows no mouth pixels: the same quality corrupts a larger picture less."""
    options = [cv2.IMWRITE_JPEG_QUALITY, int(quality)]
    if len(shape) == 3:

        def corrupt_colour(frames: np.ndarray, into: np.ndarray) -> None:
            for frame, target in zip(frames, into, strict=True):
                target[:] = _through_jpeg(frame[..., ::-1], options)[..., ::-1]  # OpenCV thinks in BGR

        return corrupt_colour
    # A grey JPEG treats every 8 rows alone. So frames laid under one another, each filled up to whole blocks by its
    # last row as the encoder would do, come out as they would one by one, in three quarters of the time.
    height, width = shape
    rows = np.minimum(np.arange(-(-height // 8) * 8), height - 1)

    def corrupt(frames: np.ndarray, into: np.ndarray) -> None:
        filled = frames if len(rows) == height else frames.take(rows, 1)
        into[:] = _through_jpeg(filled.reshape(-1, width), options).reshape(filled.shape)[:, :height]

    return corrupt


def _through_jpeg(picture: np.ndarray, options: list[int]) -> np.ndarray:
    _, data = cv2.imencode(".jpg", picture, options)
    return cv2.imdecode(data, cv2.IMREAD_UNCHANGED)


def gaussian(sigma: float, scale: float, shape: Shape, rng: np.random.Generator) -> Corrupt:
    """Noise of a sensor: new in every frame and pixel, the same field at every level. Its grain is a mouth pixel."""
    table = _quantiles(sigma / math.sqrt(2))
    grain = max(1, round(scale))
    height, width, channels = (*shape, 1)[:3]
    rows, columns = -(-height // grain), -(-width // grain)
    count = rows * columns * channels
    even = count + count % 2

    def corrupt(frames: np.ndarray, into: np.ndarray) -> None:
        # A value is the sum of two, each looked up by one drawn byte: 65,536 sums that reach to 4.1 sigma and cost a
        # fifth of drawn floats. Bytes come by fours, so a frame takes whole fours: chunks then make no difference.
        drawn = np.frombuffer(rng.bytes(len(frames) * 2 * even), np.uint8)
        values = cv2.LUT(drawn.reshape(-1, even), table).reshape(-1, 2, even)[:, :, :count]
        field = values[:, 0] + values[:, 1]
        if grain > 1:
            field = field.reshape(-1, rows, columns, channels).repeat(grain, 1).repeat(grain, 2)[:, :height, :width]
        tall = -1, width * channels
        cv2.add(field.reshape(tall), frames.reshape(tall), into.reshape(tall), dtype=cv2.CV_8U)

    return corrupt


@lru_cache(maxsize=16)
def _quantiles(sigma: float) -> np.ndarray:
    """256 equally likely values of a Gaussian, to whole grey levels, int16; spread as a whole Gaussian is."""
    upper = np.array([NormalDist().inv_cdf((128 + k + 0.5) / 256) for k in range(128)])
    half = np.rint(upper * sigma / np.sqrt(np.mean(upper**2))).astype(np.int16)
    return np.concatenate([-half[::-1], half])


def contrast(kept: float, scale: float, shape: Shape, rng: np.random.Generator) -> Corrupt:
    """Every pixel drawn towards the mean of its frame, which is rounded to a whole grey level."""
    share = round(256 * kept) / 256
    values = math.prod(shape)

    def corrupt(frames: np.ndarray, into: np.ndarray) -> None:
        for frame, target in zip(frames, into, strict=True):
            mean = int(sum(cv2.sumElems(frame)) / values + 0.5)
            # Up to here all are 256ths, which a float holds exactly; the addend leaves no half to be rounded.
            cv2.convertScaleAbs(frame, target, share, (1 - share) * mean + 2**-10)

    return corrupt


FAMILIES: dict[str, Family] = {
    "blockwise": Family(blockwise, levels.BLOCKWISE, "still grey squares", "{:.0%} hidden", seen=True),
    "blur": Family(blur, levels.BLUR, "Gaussian blur", "σ {:g} px", seen=True),
    "motion": Family(motion, levels.MOTION, "smear in one direction", "{:g} px", seen=True),
    "pixelate": Family(pixelate, levels.PIXELATE, "cells of one value", "{:g} px", seen=True),
    "jpeg": Family(jpeg, levels.JPEG, "JPEG of each frame", "quality {:g}"),
    "gaussian": Family(gaussian, levels.GAUSSIAN, "sensor noise", "σ {:g}"),
    "contrast": Family(contrast, levels.CONTRAST, "less contrast", "{:g} left"),
}
SEEN = tuple(name for name, family in FAMILIES.items() if family.seen)
