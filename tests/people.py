"""Moving pictures of a real face for tests: the portrait of an astronaut in scikit-image (NASA, public domain)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import cache

import av
import cv2
import numpy as np

from avsr_bench.media import Picture, Upright

FACE = np.array([224.0, 118.0])  # centre of the face in the portrait, between the eyes and the mouth
FACE_WIDTH = 95.0  # its width there, in pixels
MOUTH = np.array([225.0, 152.0])  # its mouth there


@cache
def portrait(who: str) -> np.ndarray:
    """The astronaut, or somebody else made of her: mirrored, longer, darker and with another light."""
    from skimage.data import astronaut

    picture = astronaut()
    if who == "astronaut":
        return picture
    x, y = np.meshgrid(np.arange(512, dtype=np.float32), np.arange(512, dtype=np.float32))
    bent = y + 9 * np.sin((y - FACE[1]) / 24) + 4 * np.cos(x / 15)
    other = cv2.remap(picture, 2 * FACE[0].astype(np.float32) - x, bent, cv2.INTER_LINEAR)
    shade = np.clip(0.35 + (x - 150) / 160, 0.3, 1.0)[..., None]
    return np.clip((other.astype(np.float32) / 255) ** 1.3 * shade * 255, 0, 255).astype(np.uint8)


def place(centre: tuple[float, float], width: float, turn: float = 0.0) -> np.ndarray:
    """The matrix that puts the portrait's face at `centre`, `width` pixels wide, turned by degrees."""
    matrix = cv2.getRotationMatrix2D(FACE.tolist(), turn, width / FACE_WIDTH)
    matrix[:, 2] += np.array(centre) - FACE
    return matrix


def draw(*faces: tuple[str, np.ndarray], size: tuple[int, int] = (320, 240), background: int = 90) -> np.ndarray:
    """A frame with people in it; each is cut out round the head."""
    frame = np.full((size[1], size[0], 3), background, np.uint8)
    x, y = np.meshgrid(np.arange(512), np.arange(512))
    head = ((((x - FACE[0]) / 75) ** 2 + ((y - FACE[1] - 5) / 105) ** 2) < 1).astype(np.uint8)
    for who, matrix in faces:
        shown = cv2.warpAffine(portrait(who), matrix, size)
        mask = cv2.warpAffine(head, matrix, size)
        frame[mask > 0] = shown[mask > 0]
    return frame


def clip(frames: int, at: Callable[[int], Iterable[tuple[str, np.ndarray]]], **how: object) -> list[np.ndarray]:
    """`frames` frames; `at(t)` says who stands where in frame t."""
    return [draw(*at(t), **how) for t in range(frames)]  # type: ignore[arg-type]


def pictures(frames: Iterable[np.ndarray]) -> Iterator[Picture]:
    """Frames as a video would give them."""
    for frame in frames:
        yield Picture((frame,), Upright(frame.shape[1], frame.shape[0]), full_range=True)


def talking(frames: int, shift: float = 0.0) -> list[np.ndarray]:
    """Frames of a face that moves a little."""
    return clip(frames, lambda t: [("astronaut", place((160 + shift + t / 2, 120), 90))])


def talk(seconds: int, width: int, height: int) -> Iterator[av.VideoFrame]:
    """A face that moves a little, and is away for the last two seconds."""
    places = [(width / 2 + 12 * np.sin(n / 8), height / 2) for n in range(50)]
    there = [
        av.VideoFrame.from_ndarray(draw(("astronaut", place(at, height / 3)), size=(width, height))) for at in places
    ]
    there = [frame.reformat(format="yuv420p") for frame in there]
    away = av.VideoFrame.from_ndarray(draw(size=(width, height))).reformat(format="yuv420p")
    for n in range(seconds * 25):
        yield away if n // 25 >= seconds - 2 else there[n % 50]
