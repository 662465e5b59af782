"""Everybody in a video of any length: who is in view when. For one clip of one face, `find_track` is enough.

The same looks, trails, points and limits as `find_track`: a face that is in view throughout gets the very same track. A
face that goes away leaves a gap between two stretches, and one that comes back is known by its look.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ..media import Picture
from ..records import FaceTrack, Unusable
from .crop import fit_mouths
from .detector import load_detector
from .track import SAME_LOOK, FaceSettings, Trail, absences, choose, fill, link
from .watch import Sighting, alike, watch

Reach = Literal["short", "full"]


@dataclass(frozen=True, slots=True)
class Stretch:
    """A face through some frames on end."""

    start: int  # the frame at which `track` begins
    track: FaceTrack

    @property
    def end(self) -> int:
        """The frame after its last one."""
        return self.start + len(self.track)


@dataclass(frozen=True, slots=True)
class Person:
    """One face, whenever it is in view: stretches in order, none over another."""

    stretches: tuple[Stretch, ...]

    @property
    def frames(self) -> int:
        """How long it is in view."""
        return sum(len(stretch.track) for stretch in self.stretches)


@dataclass(frozen=True, slots=True)
class People:
    """Who is in a video: first the face that `FaceSettings.face` asks for, then the others, largest and longest first.

    A face whose eyes are less than `min_eyes` apart is not among them.
    """

    persons: tuple[Person, ...]
    frames: int  # of the video
    width: int
    height: int
    reach: Reach  # of the detector: one video is never measured by both
    too_small: int  # faces that are left out


def find_people(pictures: Iterable[Picture], settings: FaceSettings) -> People:
    """Follow every face of a video in one pass.

    Where the short-range model does not see the face asked for throughout, `pictures` is gone through again with the
    full-range one, and the model that sees it longer is believed.
    """
    near = _look(pictures, "short", settings)
    if near.persons and near.persons[0].frames == near.frames:
        return near
    far = _look(pictures, "full", settings)
    best = far if _seen(far) > _seen(near) else near
    if best.persons:
        return best
    if best.too_small:
        raise Unusable("too-small", f"the eyes are less than {settings.min_eyes:g} px apart (faces.min_eyes)")
    raise Unusable("no-face", f"no face in {best.frames} frames")


def _seen(people: People) -> int:
    return people.persons[0].frames if people.persons else 0


def _look(pictures: Iterable[Picture], reach: Reach, settings: FaceSettings) -> People:
    sighting = watch(pictures, load_detector(reach), settings.stride, settings.tolerance)
    runs = [run for trail in link(sighting) for run in _runs(trail, sighting, settings.max_gap)]
    groups = [(_joined(group), group) for group in rejoin(runs)]
    large = [(whole, group) for whole, group in groups if whole.eyes() >= settings.min_eyes]
    if large:
        first = choose([whole for whole, _ in large], settings.choice(), sighting.width, sighting.height)
        large.sort(key=lambda pair: (pair[0] is not first, -pair[0].weight))
    persons = tuple(Person(_stretches(group, sighting, settings.max_gap)) for _, group in large)
    return People(persons, sighting.frames, sighting.width, sighting.height, reach, len(groups) - len(large))


def _runs(trail: Trail, sighting: Sighting, max_gap: int) -> Iterator[Trail]:
    """A trail cut where the face is away for longer than `max_gap`."""
    first = 0
    for before, _ in absences(trail, sighting, max_gap):
        end = bisect_right(trail.at, before)
        if end > first:
            yield trail.part(first, end)
        first = end
    if first < len(trail.at):
        yield trail.part(first, len(trail.at))


def visible_mouths(stretch: Stretch, least: int, causal: bool = False) -> Iterator[tuple[int, np.ndarray]]:
    """Where the mouth is where a face has it for `least` frames on end: the frame of the video at which that begins,
    and its crop matrices; `causal` as in `fit_mouths`.
    """
    try:
        matrices, inside = fit_mouths(stretch.track.points, causal=causal)
    except Unusable:  # points that coincide: no face
        return
    edges = np.flatnonzero(np.diff(np.concatenate([[False], inside, [False]]))).reshape(-1, 2)
    for first, end in edges:
        if end - first >= least:
            yield stretch.start + int(first), matrices[first:end]


def rejoin(runs: Iterable[Trail]) -> list[list[Trail]]:
    """The runs of each face in order. One that begins goes to that of the faces out of view which looks most like it at
    the beginning or the end of any of its runs, if they are alike enough.
    """
    groups: list[list[Trail]] = []
    for run in sorted(runs, key=lambda run: run.at[0]):
        away = [group for group in groups if group[-1].at[-1] < run.at[0]]
        likeness = [
            max(alike(patch, run.patches[0]) for part in group for patch in (part.patches[0], part.patches[-1]))
            for group in away
        ]
        if away and max(likeness) >= SAME_LOOK:
            away[int(np.argmax(likeness))].append(run)
        else:
            groups.append([run])
    return groups


def _joined(runs: list[Trail]) -> Trail:
    """The runs of one face as one trail."""
    whole = Trail()
    for run in runs:
        whole.at += run.at
        whole.boxes += run.boxes
        whole.points += run.points
        whole.scores += run.scores
    return whole


def _stretches(runs: list[Trail], sighting: Sighting, max_gap: int) -> tuple[Stretch, ...]:
    """When a face is in view. Nothing is interpolated from one run to the next; up to `max_gap` frames at the beginning
    and the end of the video are filled, as they are in a clip.
    """
    found = []
    for number, run in enumerate(runs):
        start, end = run.at[0], run.at[-1] + 1
        edges = [edge for pair in absences(run, sighting, max_gap) for edge in pair]
        if number == 0 and -1 not in edges:
            start = 0
        if number == len(runs) - 1 and sighting.frames not in edges:
            end = sighting.frames
        found.append(Stretch(start, fill(run, sighting, start, end)))
    return tuple(found)
