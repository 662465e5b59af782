"""A drawn mouth that speaks: something to show noise on where no video is at hand."""

from __future__ import annotations

import numpy as np


def drawn_mouth(frames: int = 75, side: int = 96) -> np.ndarray:
    """A grey clip, uint8 T, side, side: skin with pores and shade, lips that open and close, teeth, a dark mouth."""
    y, x = (np.mgrid[0:side, 0:side] + 0.5) * 96 / side - 48  # mouth pixels from the centre
    pores = np.random.Generator(np.random.PCG64(0)).normal(0, 2, (side, side))
    skin = 150 - 0.35 * x - 0.3 * y + 9 * np.sin(x / 17 - 1) * np.cos(y / 13) + pores
    clip = np.empty((frames, side, side), np.uint8)
    for t in range(frames):
        opening = 5.5 + 5.5 * np.sin(0.55 * t) * np.sin(0.13 * t)
        width = 25 + 3 * np.sin(0.31 * t)
        bend = y - 2 * (x / width) ** 2  # corners hang a little
        lips = _inside(x / (width + 5), bend / (opening + 8))
        hole = _inside(x / width, bend / opening)
        teeth = hole * _inside(x / (width - 6), (bend + opening) / (0.8 * opening))
        picture = skin + lips * (98 + 6 * np.cos(x / 2.2) + pores - skin)
        picture += hole * (32 - picture) + teeth * (178 + 10 * np.cos(x * 0.9) - 32)
        clip[t] = np.clip(np.rint(picture), 0, 255)
    return clip


def _inside(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """How far a point is inside the unit ellipse, 0 to 1, with an edge of a few pixels."""
    return np.clip(8 * (1.06 - np.hypot(x, y)), 0, 1)
