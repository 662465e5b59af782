"""Everybody in a video: who is in view when, and that one face gets what `find_track` gives it."""

import numpy as np
import pytest
from people import clip, pictures, place

from avsr_bench.faces import FaceSettings, crop_matrices, find_people, find_track, fit_mouths
from avsr_bench.records import Unusable

STILL = place((160, 120), 90)


def people(frames, **settings):
    return find_people(list(pictures(frames)), FaceSettings(**settings))


def times(person):
    return [(stretch.start, stretch.end) for stretch in person.stretches]


def test_nobody_and_nothing():
    with pytest.raises(Unusable, match="no-face: no face in 20 frames"):
        people(clip(20, lambda t: []))
    with pytest.raises(Unusable, match="no-face: no face in 0 frames"):
        people([])
    with pytest.raises(Unusable, match="too-small: the eyes are less than 60 px apart"):
        people(clip(12, lambda t: [("astronaut", STILL)]), min_eyes=60)


@pytest.mark.parametrize(
    "frames",
    [
        clip(40, lambda t: [("astronaut", place((120 + t, 120), 90))]),
        clip(50, lambda t: [] if 20 <= t < 28 else [("astronaut", STILL)]),
        clip(30, lambda t: [("astronaut", place((90, 110), 60)), ("other", place((230, 120), 85))]),
        clip(40, lambda t: [] if t < 8 or t > 33 else [("astronaut", STILL)]),
    ],
    ids=["moving", "short gap", "two", "late and early"],
)
@pytest.mark.parametrize("face", ["largest", "center", "80,100"])
def test_a_face_in_view_throughout_has_the_track_of_a_clip(frames, face):
    settings = FaceSettings(face=face)
    track = find_track(list(pictures(frames)), settings)
    (stretch,) = find_people(list(pictures(frames)), settings).persons[0].stretches
    assert stretch.start == 0
    for name in ("boxes", "points", "scores"):
        assert np.array_equal(getattr(stretch.track, name), getattr(track, name), equal_nan=True), name
    matrices, inside = fit_mouths(stretch.track.points)
    assert inside.all() and np.array_equal(matrices, crop_matrices(track.points))


def test_a_face_that_goes_away_and_comes_back_is_one_person():
    found = people(clip(120, lambda t: [("astronaut", STILL)] if t < 40 or t >= 80 else []))
    (person,) = found.persons
    assert times(person) == [(0, 40), (80, 120)]
    assert (person.frames, found.frames) == (80, 120)


def test_it_is_known_at_another_place_too_and_nothing_is_filled_in_between():
    def at(t):
        return [("astronaut", place((80, 120), 90) if t < 40 else place((240, 110), 75))]

    (person,) = people(clip(80, at)).persons
    assert times(person) == [(0, 40), (40, 80)]
    for stretch, x in zip(person.stretches, (80, 240), strict=True):
        assert np.abs(stretch.track.points[:, 3, 0] - x).max() < 15


def test_somebody_else_at_the_same_place_is_another_person():
    def at(t):
        return [("astronaut", STILL)] if t < 60 else [("other", STILL)]

    found = people(clip(100, at))
    assert [times(person) for person in found.persons] == [[(0, 60)], [(60, 100)]]


def test_a_speaker_who_appears_later_is_followed_from_then_on():
    def at(t):
        late = [("other", place((240, 120), 70))] if t >= 50 else []
        return [("astronaut", place((90, 110), 80)), *late]

    found = people(clip(100, at))
    assert times(found.persons[0]) == [(0, 100)]
    ((start, end),) = times(found.persons[1])
    assert abs(start - 50) <= 1 and end == 100
    assert np.abs(found.persons[1].stretches[0].track.points[:, 3, 0] - 240).max() < 15


def test_of_two_who_take_turns_each_keeps_their_own():
    def at(t):
        return [("astronaut", STILL)] if t // 40 % 2 == 0 else [("other", STILL)]

    found = people(clip(160, at))
    assert sorted(times(person) for person in found.persons) == [[(0, 40), (80, 120)], [(40, 80), (120, 160)]]


def test_no_stretch_lies_over_another():
    rng = np.random.default_rng(3)
    spots = [place((x, 120), 80) for x in (80, 160, 240)]
    choices = rng.integers(0, 4, 12)
    found = people(clip(180, lambda t: [("astronaut", spots[choices[t // 15]])] if choices[t // 15] < 3 else []))
    for person in found.persons:
        edges = [edge for pair in times(person) for edge in pair]
        assert edges == sorted(edges)
        for stretch in person.stretches:
            assert len(stretch.track.points) == stretch.end - stretch.start and np.isfinite(stretch.track.points).all()
