"""Which face: detections are linked over time into trails, one trail is chosen and its gaps are filled."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from math import inf
from typing import Annotated, Literal

import numpy as np
from annotated_types import Interval

from ..media import Picture
from ..records import FPS, FaceTrack, Unusable
from .detector import Detector, Faces, load_detector
from .surroundings import Surroundings
from .watch import SAME_PLACE, Sighting, alike, nearest, watch

# Correlation of two faces' patches below which they are two people. Measured on GRID s1 and a portrait: the same person
# in another clip 0.73 to 0.97, two people 0.35 to 0.45.
SAME_LOOK = 0.6

Choice = Literal["largest", "center"] | tuple[float, float]


@dataclass(frozen=True, slots=True)
class FaceSettings:
    """How faces are found and followed."""

    face: str = "largest"  # which face is kept: largest (and longest in view), center, or X,Y in pixels of the picture
    # Frames between two looks where nothing happens; 1 looks at every frame.
    stride: Annotated[int, Interval(ge=1, le=1000)] = 12
    # How far interpolation may err, in eye distances: 0.6 px of a 96-px crop; jitter stays below.
    tolerance: Annotated[float, Interval(gt=0, le=10)] = 0.012
    # Frames without the face that are interpolated; more and the clip is left out.
    max_gap: Annotated[int, Interval(ge=0, le=10**6)] = 12
    # Eye distance in pixels: below it a mouth is two or three pixels high.
    min_eyes: Annotated[float, Interval(ge=0, le=10_000)] = 5.0

    def __post_init__(self) -> None:
        self.choice()

    def choice(self) -> Choice:
        """The face to keep, as `choose` wants it."""
        if self.face in ("largest", "center"):
            return self.face  # type: ignore[return-value]
        try:
            x, y = (float(part) for part in self.face.split(","))
            if 0 <= x < inf and 0 <= y < inf:
                return x, y
        except ValueError:
            pass
        raise ValueError(f"face is {self.face!r}: it must be largest, center or X,Y in pixels")


def find_track(pictures: Iterable[Picture], settings: FaceSettings, held: Surroundings | None = None) -> FaceTrack:
    """The track of the face to keep. `pictures` is gone through again with the full-range model where the short-range
    one does not find a face that lasts: one clip is never measured by both, their points differ by 2 px of 96.
    """
    try:
        return _track(pictures, load_detector("short"), settings, held)
    except Unusable as near:
        if near.reason.code not in ("no-face", "face-lost"):
            raise
        if held is not None:
            held.clear()
        try:
            return _track(pictures, load_detector("full"), settings, held)
        except Unusable:
            raise near from None


def _track(
    pictures: Iterable[Picture], detect: Detector, settings: FaceSettings, held: Surroundings | None
) -> FaceTrack:
    sighting = watch(pictures, detect, settings.stride, settings.tolerance, held)
    trails = link(sighting)
    if not trails:
        raise Unusable("no-face", f"no face in {len(sighting.seen)} of {sighting.frames} frames that were looked at")
    trail = choose(trails, settings.choice(), sighting.width, sighting.height)
    if trail.eyes() < settings.min_eyes:
        raise Unusable(
            "too-small", f"the eyes are {trail.eyes():.1f} px apart, faces.min_eyes is {settings.min_eyes:g}"
        )
    return complete(trail, sighting, settings.max_gap)


@dataclass(slots=True)
class Trail:
    """One face as it was seen: the frames looked at and what was found there."""

    at: list[int] = field(default_factory=list)
    boxes: list[np.ndarray] = field(default_factory=list)
    points: list[np.ndarray] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    patches: list[np.ndarray] = field(default_factory=list)  # how it looked

    def add(self, t: int, faces: Faces, face: int, patch: np.ndarray) -> None:
        """Lengthen the trail by one sighting."""
        self.at.append(t)
        self.boxes.append(faces.boxes[face])
        self.points.append(faces.points[face])
        self.scores.append(float(faces.scores[face]))
        self.patches.append(patch)

    def part(self, first: int, end: int) -> Trail:
        """Some of its sightings, by number."""
        some = slice(first, end)
        return Trail(self.at[some], self.boxes[some], self.points[some], self.scores[some], self.patches[some])

    @property
    def weight(self) -> float:
        """Area times time: the largest and most continuous face has most of it."""
        return float(np.mean([box[2] * box[3] for box in self.boxes])) * (self.at[-1] - self.at[0] + 1)

    def eyes(self) -> float:
        """The usual distance of the eyes, in pixels."""
        return float(np.median([np.hypot(*(points[1] - points[0])) for points in self.points]))

    def centre(self) -> np.ndarray:
        """The middle of the face, averaged over the trail."""
        return np.mean([box[:2] + box[2:] / 2 for box in self.boxes], axis=0)


def link(sighting: Sighting) -> list[Trail]:
    """Join the faces of successive looks into trails, nearest pairs first.

    After a jump of the picture, or after looks in vain, a face must also look the same as the one that was there, and
    trails that were not interrupted go first.
    """
    trails: list[Trail] = []
    jumps = sorted(sighting.jumps)
    previous = -1
    for t in sighting.looks():
        faces, patches = sighting.seen[t], sighting.patches[t]
        pairs: list[tuple[bool, float, int, int, Trail]] = []
        for trail in trails if len(faces) else ():
            face, distance = nearest(faces, trail.boxes[-1])
            doubtful = trail.at[-1] != previous or bisect(jumps, t) > bisect(jumps, previous)
            if distance <= SAME_PLACE and (not doubtful or alike(trail.patches[-1], patches[face]) >= SAME_LOOK):
                pairs.append((doubtful, distance, len(pairs), face, trail))
        taken: set[int] = set()
        for *_, face, trail in sorted(pairs, key=lambda pair: pair[:3]):
            if face not in taken:
                taken.add(face)
                trail.add(t, faces, face, patches[face])
        for face in range(len(faces)):
            if face not in taken:
                trail = Trail()
                trail.add(t, faces, face, patches[face])
                trails.append(trail)
        previous = t
    return trails


def choose(trails: list[Trail], choice: Choice, width: int, height: int) -> Trail:
    """The face to keep: the largest and most continuous, or the one nearest to a place among those that last."""
    if choice == "largest":
        return max(trails, key=lambda trail: trail.weight)
    place = np.array([width / 2, height / 2] if choice == "center" else choice)
    lasting = max(len(trail.at) for trail in trails) / 2
    return min(
        (trail for trail in trails if len(trail.at) >= lasting),
        key=lambda trail: float(np.hypot(*(trail.centre() - place))),
    )


def complete(trail: Trail, sighting: Sighting, max_gap: int) -> FaceTrack:
    """One position a frame: straight lines between sightings, the nearest sighting beyond the first and last.

    More than `max_gap` frames without the face make the clip unusable.
    """
    for before, after in absences(trail, sighting, max_gap):
        where = f"from {max(before + 1, 0) / FPS:.2f} s to {after / FPS:.2f} s of {sighting.frames / FPS:.2f} s"
        jump = next((jump for jump in sighting.jumps if before < jump <= after), None)
        if jump is not None:
            raise Unusable("cut", f"the picture cuts at {jump / FPS:.2f} s and the face is gone {where}")
        raise Unusable("face-lost", f"no face {where}")
    return fill(trail, sighting, 0, sighting.frames)


def fill(trail: Trail, sighting: Sighting, start: int, end: int) -> FaceTrack:
    """The positions of a trail in the frames from `start` to `end`, wherever the face was seen."""
    frames, at, looks = np.arange(start, end), np.array(trail.at), np.array(sighting.looks())
    boxes, points = np.stack(trail.boxes), np.stack(trail.points)
    flat = np.concatenate([boxes.reshape(len(at), -1), points.reshape(len(at), -1)], axis=1)
    filled = np.stack([np.interp(frames, at, column) for column in flat.T], axis=1).astype(np.float32)
    scores = np.full(end - start, np.nan, np.float32)
    scores[looks[(looks >= start) & (looks < end)] - start] = 0.0
    inside = (at >= start) & (at < end)
    scores[at[inside] - start] = np.array(trail.scores, np.float32)[inside]
    return FaceTrack(
        boxes=filled[:, :4],
        points=filled[:, 4:].reshape(end - start, -1, 2),
        scores=scores,
        width=sighting.width,
        height=sighting.height,
    )


def absences(trail: Trail, sighting: Sighting, max_gap: int) -> Iterator[tuple[int, int]]:
    """Where the face is away for more than `max_gap` frames: the sightings before and after, -1 and T at the ends.

    Frames between two sightings count as away only if the detector looked there in vain.
    """
    missed = np.setdiff1d(sighting.looks(), trail.at)
    for before, after in pairwise([-1, *trail.at, sighting.frames]):
        if after - before - 1 > max_gap and ((missed > before) & (missed < after)).any():
            yield before, after
