"""One frame as the decoder left it, and the small pictures that are cut from it.

Cutting a mouth needs 1 % of a frame's pixels. So nothing is ever converted as a whole on the way there: `Picture.warp`
carries each decoded plane straight into the 96x96 crop, and colour, range, rotation and pixel shape are dealt with in
the crop or in the 2x3 matrix that leads to it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cache
from typing import Literal

import cv2
import numpy as np

Matrix = Literal["bt601", "bt709", "bt2020"]
Colour = Literal["grey", "rgb"]

# Weights of red and blue in luma; green is the rest. ITU-R BT.601-7, BT.709-6, BT.2020-2.
_LUMA_WEIGHTS: dict[Matrix, tuple[float, float]] = {
    "bt601": (0.299, 0.114),
    "bt709": (0.2126, 0.0722),
    "bt2020": (0.2627, 0.0593),
}
_EXPAND = np.clip(np.rint((np.arange(256) - 16) * 255 / 219), 0, 255).astype(np.uint8)  # luma of 16..235 to 0..255
_THUMBNAIL = 48  # pixels on the longer side of a thumbnail: enough to see a cut, 2 us to take


@dataclass(frozen=True, slots=True)
class Upright:
    """How the stored pixels of a video become its upright picture of square pixels; one for all frames of a video.

    `matrix` maps the centre of a stored pixel to upright coordinates: rotation and flips of the display matrix, and the
    width stretched by the sample aspect ratio.
    """

    width: int
    height: int
    matrix: np.ndarray = field(default_factory=lambda: np.eye(2, 3))  # float64 2, 3
    plain: bool = True  # the stored pixels are upright and square already

    @staticmethod
    def of(width: int, height: int, aspect: float = 1.0, turn: np.ndarray | None = None) -> Upright:
        """The way from `width` x `height` stored pixels, `aspect` times as wide as high, turned by a 2x2 `turn`.

        `turn` holds only -1, 0 and 1 and maps stored (x, y) to upright (x, y): a rotation by quarter turns, a flip.
        """
        turn = np.eye(2) if turn is None else turn
        if aspect == 1.0 and np.array_equal(turn, np.eye(2)):
            return Upright(width, height)
        wide = max(1, round(width * aspect))
        linear = turn @ np.diag([wide / width, 1.0])
        far = linear @ [width, height]  # the corner opposite to the origin; a flip carries it below zero
        shift = np.maximum(-far, 0) + linear @ [0.5, 0.5] - 0.5  # pixel centres lie half a pixel in from the edges
        size = np.rint(np.abs(far)).astype(int)
        return Upright(int(size[0]), int(size[1]), np.column_stack([linear, shift]), plain=False)


@dataclass(frozen=True, slots=True)
class Picture:
    """One upright frame, kept as decoded: (Y, Cb, Cr), or (Y,), or one packed RGB array, all uint8.

    The planes are views of the decoder's memory where that is possible, and are read-only by convention. `width`,
    `height` and every coordinate given to `warp` are those of the upright picture.
    """

    planes: tuple[np.ndarray, ...]
    upright: Upright
    matrix: Matrix = "bt601"  # untagged video counts as BT.601, as it does for swscale, OpenCV and published weights
    full_range: bool = False
    centred: bool = False  # chroma lies midway between luma columns (MPEG-1, JPEG), not on the left one (MPEG-2 on)

    @property
    def width(self) -> int:
        """Of the upright picture."""
        return self.upright.width

    @property
    def height(self) -> int:
        """Of the upright picture."""
        return self.upright.height

    @property
    def nbytes(self) -> int:
        """Bytes of memory that this picture holds, padding of the lines included."""
        return sum(abs(plane.strides[0]) * plane.shape[0] for plane in self.planes)

    def rgb(self, step: int = 1) -> np.ndarray:
        """The whole upright frame as uint8 H, W, 3; with a `step`, every `step`-th pixel, at that much less cost."""
        if not self.upright.plain and step > 1:
            return np.ascontiguousarray(self.rgb()[::step, ::step])
        luma = np.ascontiguousarray(self.planes[0][::step, ::step])
        if luma.ndim == 3:
            return self._turned(luma)
        if len(self.planes) == 1:
            return self._turned(cv2.cvtColor(self._levels(luma), cv2.COLOR_GRAY2RGB))
        chroma = [cv2.resize(plane, luma.shape[::-1]) for plane in self.planes[1:]]  # bilinear; nearest is no faster
        return self._turned(cv2.transform(cv2.merge([luma, *chroma]), _to_rgb(self.matrix, self.full_range)))

    def grey(self) -> np.ndarray:
        """The whole upright frame as uint8 H, W: what RGB made grey (0.299, 0.587, 0.114) gives."""
        if self._luma_is_grey:
            return self._turned(self._levels(self.planes[0]))
        return cv2.cvtColor(self.rgb(), cv2.COLOR_RGB2GRAY)

    def warp(self, matrix: np.ndarray, size: int, colour: Colour = "grey") -> np.ndarray:
        """Cut a `size` x `size` picture: uint8 size, size for "grey", size, size, 3 for "rgb"; black outside the frame.

        `matrix` (2x3) maps coordinates of this picture to those of the crop; pixel centres are whole numbers.
        """
        if not self.upright.plain:
            matrix = _after(matrix, self.upright.matrix)
        luma = self.planes[0]
        if luma.ndim == 3:
            crop = _cut(luma, matrix, size, 0)
            return crop if colour == "rgb" else cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY)
        crop = _cut(luma, matrix, size, 0 if self.full_range else 16)
        if len(self.planes) == 1 or (colour == "grey" and self._luma_is_grey):
            crop = self._levels(crop)
            return crop if colour == "grey" else cv2.cvtColor(crop, cv2.COLOR_GRAY2RGB)
        chroma = [_cut(plane, self._chroma_matrix(matrix, plane), size, 128) for plane in self.planes[1:]]
        crop = cv2.transform(cv2.merge([crop, *chroma]), _to_rgb(self.matrix, self.full_range))
        return crop if colour == "rgb" else cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY)

    def thumbnail(self) -> np.ndarray:
        """The luma as stored (not turned), uint8 with some 48 px on its longer side: to compare frames by."""
        luma = self.planes[0] if self.planes[0].ndim == 2 else self.planes[0][:, :, 1]
        step = max(1, max(luma.shape) // _THUMBNAIL)
        return luma[::step, ::step].copy()

    def part(self, left: int, top: int, right: int, bottom: int, colour: Colour) -> Picture:
        """A copy of a part, for `warp` alone, which cuts from it what it would cut from the whole as far as it reaches.

        Only of a picture whose stored pixels are upright; `left` and `top` are multiples of 4, as chroma has them.
        """
        luma = self.planes[0]
        planes = self.planes[:1] if colour == "grey" and self._luma_is_grey else self.planes
        parts = []
        for plane in planes:
            across, down = round(luma.shape[1] / plane.shape[1]), round(luma.shape[0] / plane.shape[0])
            rows = slice(top // down, -(-bottom // down))
            parts.append(plane[rows, left // across : -(-right // across)].copy())
        shift = np.array([[1.0, 0.0, left], [0.0, 1.0, top]])
        return replace(self, planes=tuple(parts), upright=Upright(self.width, self.height, shift, plain=False))

    @property
    def _luma_is_grey(self) -> bool:
        return self.planes[0].ndim == 2 and (self.matrix == "bt601" or len(self.planes) == 1)

    def _levels(self, luma: np.ndarray) -> np.ndarray:
        return luma if self.full_range else cv2.LUT(luma, _EXPAND)

    def _turned(self, stored: np.ndarray) -> np.ndarray:
        if self.upright.plain:
            return stored
        size = self.upright.width, self.upright.height
        border = cv2.BORDER_REPLICATE  # stretching by the aspect ratio looks half a pixel beyond the edges
        return cv2.warpAffine(stored, self.upright.matrix, size, flags=cv2.INTER_LINEAR, borderMode=border)

    def _chroma_matrix(self, matrix: np.ndarray, plane: np.ndarray) -> np.ndarray:
        """`matrix` for a chroma plane: its pixel (i, j) lies at luma (step * i + offset)."""
        height, width = self.planes[0].shape
        across, down = round(width / plane.shape[1]), round(height / plane.shape[0])
        if across == down == 1:
            return matrix
        offset = ((across - 1) / 2 if self.centred else 0.0), (down - 1) / 2
        return _after(matrix, np.array([[across, 0, offset[0]], [0, down, offset[1]]], float))


def _cut(plane: np.ndarray, matrix: np.ndarray, size: int, border: int) -> np.ndarray:
    """Warp one plane into a square, averaging `fine` x `fine` samples a pixel where it shrinks to a half or less.

    Bilinear sampling looks at 2x2 pixels whatever the scale, so a big face (4K) would shimmer from frame to frame.
    Sampling finely and averaging is exact at every scale and costs only where faces are big.
    """
    scale = abs(matrix[0, 0] * matrix[1, 1] - matrix[0, 1] * matrix[1, 0]) ** 0.5
    fine = 1 if scale > 0.5 else min(round(1 / max(scale, 1e-6)), 32)
    if fine == 1:
        return cv2.warpAffine(plane, matrix, (size, size), flags=cv2.INTER_LINEAR, borderValue=[border])
    finer = matrix * fine
    finer[:, 2] += (fine - 1) / 2
    crop = cv2.warpAffine(plane, finer, (size * fine, size * fine), flags=cv2.INTER_LINEAR, borderValue=[border])
    return cv2.resize(crop, (size, size), interpolation=cv2.INTER_AREA)


def _after(second: np.ndarray, first: np.ndarray) -> np.ndarray:
    """The 2x3 matrix that does `first`, then `second`."""
    product = second[:, :2] @ first
    product[:, 2] += second[:, 2]
    return product


@cache
def _to_rgb(matrix: Matrix, full_range: bool) -> np.ndarray:
    """The 3x4 matrix from (Y, Cb, Cr, 1) to (R, G, B), all 0..255."""
    red, blue = _LUMA_WEIGHTS[matrix]
    green = 1 - red - blue
    linear = np.array(
        [
            [1, 0, 2 * (1 - red)],
            [1, -2 * blue * (1 - blue) / green, -2 * red * (1 - red) / green],
            [1, 2 * (1 - blue), 0],
        ]
    )
    black = np.array([0, 128, 128] if full_range else [16, 128, 128])
    if not full_range:
        linear = linear * [255 / 219, 255 / 224, 255 / 224]
    return np.column_stack([linear, -linear @ black]).astype(np.float32)
