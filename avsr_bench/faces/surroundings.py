"""What lies round the mouths of a video, held from the pass that looks for faces until crops are cut from it.

Where a video is too large to be kept whole (3 s of 1080p), it would be decoded twice: once to find the face, once to
cut the mouth, whose place is known only when the whole clip was seen. A mouth with what lies round it has a twentieth
of the pixels. Crops cut from there have the same bytes; where a mouth is not inside, or memory is used up, nothing is
held, and the video is decoded again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..media import Picture
from ..media.picture import Colour

MOST_BYTES = 96 << 20  # 35 s of a face as large as a third of a 720p picture
# Eye distances from the mouth to where a part ends. A crop reaches 0.9 to each side of the mouth when upright, and 1.25
# to its corners; a face that moves between looks does the rest.
REACH = 1.4
MARGIN = 8  # pixels beyond what a crop samples: bilinear weights of subsampled chroma
GRID = 4  # a part begins at a multiple of it, as chroma of every layout does


class _Part(NamedTuple):
    picture: Picture
    left: int
    top: int
    right: int
    bottom: int


class Surroundings:
    """The parts of successive pictures in which a mouth may lie."""

    def __init__(self, colour: Colour, most_bytes: int = MOST_BYTES) -> None:
        self.colour, self.left_bytes = colour, most_bytes
        self.parts: list[_Part] | None = []
        self.points: np.ndarray | None = None  # of the faces that were seen last: K, 4, 2

    def clear(self) -> None:
        """Begin anew, for another pass."""
        self.left_bytes += sum(part.picture.nbytes for part in self.parts or ())
        self.parts, self.points = [], None

    def add(self, picture: Picture, points: Sequence[np.ndarray]) -> None:
        """Hold the next picture as far as its faces need: `points` (K, 4, 2) are those of the looks on both sides."""
        if self.parts is None:
            return
        seen = np.concatenate(points) if points else np.zeros((0, 4, 2), np.float32)
        self.points = seen if len(seen) else self.points
        if self.points is None or not picture.upright.plain:
            self.parts = None
            return
        eyes = np.hypot(*(self.points[:, 1] - self.points[:, 0]).T)[:, None]
        low, high = (self.points[:, 3] - REACH * eyes).min(0), (self.points[:, 3] + REACH * eyes).max(0)
        left, top = (int(max(edge - MARGIN, 0)) // GRID * GRID for edge in low)
        right, bottom = min(int(high[0]) + MARGIN, picture.width), min(int(high[1]) + MARGIN, picture.height)
        if right - left < 2 * MARGIN or bottom - top < 2 * MARGIN:
            self.parts = None  # a face beyond the edge
            return
        part = picture.part(left, top, right, bottom, self.colour)
        self.left_bytes -= part.nbytes
        self.parts.append(_Part(part, left, top, right, bottom))
        if self.left_bytes < 0:
            self.parts = None

    def pictures(self, matrices: np.ndarray, size: int) -> list[Picture] | None:
        """What these crops (T, 2, 3) are cut from, if all of it is held."""
        if self.parts is None or len(self.parts) != len(matrices):
            return None
        corners = np.array([(x, y) for x in (-1, size) for y in (-1, size)], np.float64)
        back = np.linalg.inv(matrices[:, :, :2])
        reached = np.einsum("tij,tkj->tki", back, corners[None] - matrices[:, None, :, 2])
        for part, low, high in zip(self.parts, reached.min(1) - MARGIN, reached.max(1) + MARGIN, strict=True):
            width, height = part.picture.width, part.picture.height
            inside = (
                (low[0] >= part.left or part.left == 0)
                and (low[1] >= part.top or part.top == 0)
                and (high[0] < part.right or part.right == width)
                and (high[1] < part.bottom or part.bottom == height)
            )
            if not inside:
                return None
        return [part.picture for part in self.parts]
