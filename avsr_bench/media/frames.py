"""Decoded frames as `Picture`s: planes without copying, colour tags, rotation, pixel shape."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from av.sidedata.sidedata import Type as SideData
from av.video.format import VideoFormat

from .picture import Matrix, Picture, Upright

if TYPE_CHECKING:
    from av.video.frame import VideoFrame
    from av.video.plane import VideoPlane

# ITU-T H.273 matrix coefficients: 1 is BT.709, 7 (SMPTE 240M) nearly so, 9 and 10 are BT.2020; all others stay BT.601.
_MATRICES: dict[int, Matrix] = {1: "bt709", 7: "bt709", 9: "bt2020", 10: "bt2020"}
_FULL = 2  # AVCOL_RANGE_JPEG
_CENTRED = frozenset({"mpeg1video", "mjpeg", "h261", "h263"})  # codecs that put chroma midway between luma columns


def to_picture(frame: VideoFrame, upright: Upright, codec: str) -> Picture:
    """A frame's planes as a `Picture`; 8 bits are views that keep the frame alive, deeper ones are rounded to 8."""
    name, colour_range = frame.format.name, frame.color_range
    depth = _planar_depth(name)
    if depth is None:
        name, depth = _nearest_format(name), 8
        frame = frame.reformat(format=name, threads=1)
    planes = frame.planes
    if name == "rgb24":
        return Picture((_view(planes[0], channels=3),), upright, full_range=True)
    grey, jpeg = name.startswith("gray"), name.startswith("yuvj")
    # Untagged grey is full range, as it is for swscale.
    full_range = colour_range == _FULL or jpeg or (grey and colour_range == 0)
    arrays = tuple([_view(plane, depth) for plane in planes[: 1 if grey else 3]])
    if depth > 8:
        scale = 255 / (2**depth - 1) if full_range else 2.0 ** (8 - depth)
        arrays = tuple([cv2.convertScaleAbs(array, alpha=scale) for array in arrays])
    matrix = _MATRICES.get(frame.colorspace, "bt601")
    return Picture(arrays, upright, matrix, full_range, jpeg or codec in _CENTRED)


def _view(plane: VideoPlane, depth: int = 8, channels: int = 1) -> np.ndarray:
    line, height, step = plane.line_size, plane.height, 1 if depth == 8 else 2
    shape: tuple[int, ...] = (height, plane.width)
    strides: tuple[int, ...] = (line, step * channels)
    if channels > 1:
        shape, strides = (*shape, channels), (*strides, step)
    first = -line * (height - 1) if line < 0 else 0  # a picture stored from the bottom up begins at its last line
    memory: Any = plane
    return np.ndarray(shape, np.uint8 if depth == 8 else np.uint16, memory, first, strides)


@cache
def _planar_depth(name: str) -> int | None:
    """Bits of the formats whose planes are taken as they are: planar Y, Cb, Cr or grey, alpha left out."""
    match = re.fullmatch(r"(?:yuvj?a?4\d\dp|gray)(?:(\d+)le)?", name)
    return int(match[1] or 8) if match else None


@cache
def _nearest_format(name: str) -> str:
    """What swscale turns any other format into: packed, palette, big-endian, semi-planar."""
    description = VideoFormat(name)
    if name.startswith(("gray", "mono", "ya")):
        return "gray"
    if description.is_rgb or description.has_palette:
        return "rgb24"
    halves = description.chroma_width(2) == 1, description.chroma_height(2) == 1
    return {(True, True): "yuv420p", (True, False): "yuv422p"}.get(halves, "yuv444p")


def upright_of(frame: VideoFrame, aspect: float) -> tuple[Upright, int]:
    """How a video is turned upright, from its first frame, and by how many degrees clockwise that turns it.

    `aspect` is the width of a stored pixel to its height; within 2 % of square, or absurd, it counts as square.
    """
    turn = np.eye(2)
    sides: Any = frame.side_data
    display = sides.get(SideData.DISPLAYMATRIX)
    if display is not None:
        a, b, _, c, d = np.frombuffer(display, np.int32)[:5].astype(float)  # x' = ax + cy, y' = bx + dy
        matrix = np.array([[a, c], [b, d]])
        snapped = np.rint(matrix / max(np.abs(matrix).max(), 1.0))
        if np.abs(snapped).sum() == 2 and abs(np.linalg.det(snapped)) > 0.5:  # any other angle is left as it is
            turn = snapped
    if not 0.1 < aspect < 10 or abs(aspect - 1) < 0.02:
        aspect = 1.0
    return Upright.of(frame.width, frame.height, aspect, turn), int(
        np.degrees(np.arctan2(turn[1, 0], turn[0, 0]))
    ) % 360
