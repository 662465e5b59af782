"""Everybody in a video of any length: who is in view when. For one clip of one face, `find_track` is enough.

The same looks, trails, points and limits as `find_track`: a face that is in view throughout gets the very same track. A
face that goes away leaves a gap between two stretches, and one that comes back is known by its look.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ..media import Picture
from ..records import FaceTrack, Unusable
from .detector import load_detector
from .track import SAME_LOOK, FaceSettings, Trail, absences, choose, fill, link
from .watch import Sighting, watch

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
    weight: float  # area times time

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
    groups = [(joined(parts), parts) for parts in rejoin(link(sighting))]
    large = [(whole, parts) for whole, parts in groups if whole.eyes() >= settings.min_eyes]
    if large:
        first = choose([whole for whole, _ in large], settings.choice(), sighting.width, sighting.height)
        large.sort(key=lambda group: (group[0] is not first, -group[0].weight))
    persons = tuple(Person(_stretches(parts, sighting, settings.max_gap), whole.weight) for whole, parts in large)
    return People(persons, sighting.frames, sighting.width, sighting.height, reach, len(groups) - len(large))


def rejoin(trails: Iterable[Trail]) -> list[list[Trail]]:
    """The trails of each face, one after another: a trail that begins goes to that of the faces out of view which at one
    end of its trails looks most like it, if they are alike enough.
    """
    groups: list[list[Trail]] = []
    for trail in sorted(trails, key=lambda trail: trail.at[0]):
        away = [group for group in groups if group[-1].at[-1] < trail.at[0]]
        likeness = [
            max(float(patch @ trail.first_patch) for part in group for patch in (part.first_patch, part.patch))
            for group in away
        ]
        if away and max(likeness) >= SAME_LOOK:
            away[int(np.argmax(likeness))].append(trail)
        else:
            groups.append([trail])
    return groups


def joined(parts: list[Trail]) -> Trail:
    """The trails of one face as one."""
    whole = Trail(first_patch=parts[0].first_patch, patch=parts[-1].patch)
    for part in parts:
        whole.at += part.at
        whole.boxes += part.boxes
        whole.points += part.points
        whole.scores += part.scores
    return whole


def _stretches(parts: list[Trail], sighting: Sighting, max_gap: int) -> tuple[Stretch, ...]:
    """When a face is in view. Between two of its trails it jumped: nothing is interpolated there."""
    found: list[Stretch] = []
    for number, part in enumerate(parts):
        start = parts[number - 1].at[-1] + 1 if number else 0
        last = parts[number + 1].at[0] if number + 1 < len(parts) else sighting.frames
        for before, after in [*absences(part, sighting, max_gap), (sighting.frames, sighting.frames)]:
            end = min(before + 1, last)
            if end > start:
                found.append(Stretch(start, fill(part, sighting, start, end)))
            start = after
    return tuple(found)
