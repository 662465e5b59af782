"""Where to look: faces are sought in few frames, and in more only where they move, vanish or where the picture cuts.

Looking sparsely leaves a crop as near to the lips as looking at every frame, whose own jitter is above 1 px of 96
(benchmarks/RESULTS.md). So we look at every `stride`-th frame, and halve an interval until straight lines between the
looks are good enough.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from math import dist, hypot
from typing import NamedTuple

import cv2
import numpy as np

from ..media import Picture
from ..records import FPS
from .detector import Detector, Faces
from .surroundings import Surroundings

JUMP = 8.0  # mean change of a thumbnail's grey levels between two frames that may be a cut; within a scene it is 1 to 3
JUMP_RATIO = 4.0  # ... and how many times the clip's usual change it must be: noise and hand-held cameras change always
JITTER = 0.015  # eye distances by which the middle of a still face moves from look to look: no motion to follow
SAME_PLACE = 0.5  # faces further apart than this share of their width are two faces, or two places


@dataclass(slots=True)
class Sighting:
    """All faces of a clip in the frames that were looked at."""

    seen: dict[int, Faces] = field(default_factory=dict)
    patches: dict[int, np.ndarray] = field(default_factory=dict)  # N, 1024: each face upright and small, to compare
    jumps: list[int] = field(default_factory=list)  # frames at which the whole picture changed: a cut, or a flash
    frames: int = 0
    width: int = 0
    height: int = 0

    def looks(self) -> list[int]:
        """The frames looked at, in order."""
        return sorted(self.seen)


def watch(
    pictures: Iterable[Picture], detect: Detector, stride: int, tolerance: float, held: Surroundings | None = None
) -> Sighting:
    """Look through a clip once. `tolerance` is how far interpolation may err, in eye distances; `held` gets what lies
    round the mouths.
    """
    watcher = _Watcher(detect, stride, tolerance, held)
    for picture in pictures:
        watcher.see(picture)
    return watcher.finish()


def nearest(faces: Faces, box: np.ndarray) -> tuple[int, float]:
    """The face whose centre is nearest to a box's: its index, and its distance in widths of the wider one."""
    offset = (faces.boxes[:, :2] + faces.boxes[:, 2:] / 2) - (box[:2] + box[2:] / 2)
    distance = np.hypot(offset[:, 0], offset[:, 1]) / np.maximum(faces.boxes[:, 2], box[2])
    index = int(np.argmin(distance))
    return index, float(distance[index])


class _Place(NamedTuple):
    """Where a face is, in plain numbers: arrays of four points cost more to handle than to detect."""

    x: float  # the mean of its points
    y: float
    width: float
    eyes: float  # their distance


def _places(faces: Faces) -> list[_Place]:
    return [
        _Place(float(points[:, 0].mean()), float(points[:, 1].mean()), float(box[2]), dist(points[0], points[1]))
        for points, box in zip(faces.points, faces.boxes, strict=True)
    ]


def _apart(face: _Place, other: _Place) -> float:
    """The distance of two faces in widths of the wider one."""
    return hypot(face.x - other.x, face.y - other.y) / max(face.width, other.width)


def _nearest(places: list[_Place], face: _Place) -> _Place:
    return places[0] if len(places) == 1 else min(places, key=lambda other: _apart(face, other))


class _Watcher:
    """Holds the pictures of the last two strides, so that one pass over a stream is enough to look again."""

    def __init__(self, detect: Detector, stride: int, tolerance: float, held: Surroundings | None) -> None:
        self.detect, self.stride, self.tolerance, self.held = detect, stride, tolerance, held
        self.sighting = Sighting()
        self.window: dict[int, Picture] = {}
        self.recent: list[int] = []  # looks of this scene within the last three strides, in order
        self.looks: list[int] = []  # all of them, in order
        self.places: dict[int, list[_Place]] = {}  # where the faces of those looks are
        self.last_mark = -stride
        self.thumbnail: np.ndarray | None = None
        self.changes: deque[float] = deque(maxlen=2 * FPS)

    def see(self, picture: Picture) -> None:
        sighting, t = self.sighting, self.sighting.frames
        if t == 0:
            sighting.width, sighting.height = picture.width, picture.height
        self.window[t] = picture
        self.leave(t - 2 * self.stride - 1)
        sighting.frames += 1
        if self._jumped(picture):
            self.mark(t - 1)
            sighting.jumps.append(t)
            self.recent = []  # nothing is interpolated across it
            self.mark(t)
        elif t - self.last_mark >= self.stride:
            self.mark(t)

    def finish(self) -> Sighting:
        if self.sighting.frames:
            self.mark(self.sighting.frames - 1)
        for t in sorted(self.window):
            self.leave(t)
        return self.sighting

    def leave(self, t: int) -> None:
        """Let a picture go: the looks on both sides of it are done."""
        picture = self.window.pop(t, None)
        if picture is None or self.held is None:
            return
        place = bisect_left(self.looks, t)
        around = {max(place - 1, 0), min(place, len(self.looks) - 1)}
        self.held.add(picture, [self.sighting.seen[self.looks[each]].points for each in sorted(around)])

    def look(self, t: int) -> None:
        if t not in self.sighting.seen:
            picture = self.window[t]
            faces = self.detect(picture)
            self.sighting.seen[t] = faces
            self.sighting.patches[t] = np.stack([_patch(picture, face) for face in faces.points]) if faces else _NONE
            self.places[t] = _places(faces)
            insort(self.recent, t)
            insort(self.looks, t)

    def mark(self, t: int) -> None:
        """Look at frame t, then look between the looks of the last two strides until interpolation is good enough."""
        self.look(t)
        self.last_mark = t
        self.recent = [look for look in self.recent if look >= t - 3 * self.stride]
        self.places = {look: self.places[look] for look in self.recent}
        pairs = list(pairwise(self.recent))
        while pairs:
            a, b = pairs.pop()
            middle = (a + b) // 2
            if b - a > 1 and middle in self.window and self._uncertain(a, b):
                self.look(middle)
                pairs += [(a, middle), (middle, b)]

    def _uncertain(self, a: int, b: int) -> bool:
        before, after = self.places[a], self.places[b]
        if len(before) != len(after):
            return True  # somebody came or went: find the frame
        for face in before:
            other = _nearest(after, face)
            if _apart(face, other) > SAME_PLACE:
                return True
            bend = max(self._bend(a, face), self._bend(b, other))
            # A straight line over h frames errs by at most h^2 / 8 times the acceleration.
            if bend * (b - a) ** 2 / 8 > self.tolerance * max(face.eyes, 1.0):
                return True
        return False

    def _bend(self, t: int, face: _Place) -> float:
        """The acceleration (pixels a frame squared) of a face at frame t, from the looks on both sides of it."""
        place = bisect_left(self.recent, t)
        if place == 0 or place == len(self.recent) - 1:
            return 0.0
        left, right = self.recent[place - 1], self.recent[place + 1]
        if not self.places[left] or not self.places[right]:
            return 0.0
        one, two = _nearest(self.places[left], face), _nearest(self.places[right], face)
        before, after = t - left, right - t
        x = face.x - (one.x * after + two.x * before) / (before + after)
        y = face.y - (one.y * after + two.y * before) / (before + after)
        return 2 * max(0.0, hypot(x, y) - JITTER * face.eyes) / (before * after)

    def _jumped(self, picture: Picture) -> bool:
        previous, self.thumbnail = self.thumbnail, picture.thumbnail()
        if previous is None:
            return False
        change = cv2.norm(self.thumbnail, previous, cv2.NORM_L1) / previous.size
        jumped = change > JUMP and change > JUMP_RATIO * float(np.median(self.changes or [0.0]))
        self.changes.append(change)
        return jumped


def _patch(picture: Picture, points: np.ndarray) -> np.ndarray:
    """A face as 32x32 grey, upright by its eyes, of mean 0 and norm 1: the product of two is their correlation."""
    (right_x, right_y), (left_x, left_y) = points[:2].tolist()
    # The similarity that puts the eyes at (9, 8) and (23, 8): brows to chin fill the patch.
    across, down = left_x - right_x, left_y - right_y
    scale = 14 / max(across**2 + down**2, 1e-6)
    c, s = scale * across, scale * down
    matrix = np.array([[c, s, 9 - c * right_x - s * right_y], [-s, c, 8 + s * right_x - c * right_y]])
    patch = picture.warp(matrix, 32, "grey").astype(np.float32).ravel()
    patch -= patch.mean()
    # Half precision moves a correlation by 1e-4 and halves the memory of a long video, most of which is this.
    return (patch / max(float(np.linalg.norm(patch)), 1e-6)).astype(np.float16)


def alike(patch: np.ndarray, other: np.ndarray) -> float:
    """How much two faces look the same: the correlation of their patches, -1 to 1."""
    return float(patch.astype(np.float32) @ other.astype(np.float32))


_NONE = np.zeros((0, 1024), np.float16)
