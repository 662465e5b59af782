"""Mouths are cut from what was held of a large video as they are from the whole of it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from people import clip, place
from videos import write_video

import avsr_bench.faces.surroundings as module
from avsr_bench import media
from avsr_bench.faces import FaceSettings, Surroundings, crop_matrices, find_track
from avsr_bench.media import Picture, Upright
from avsr_bench.prepare_clip import ClipJob, CropSettings, NoiseSettings, SampleSettings, make_sample
from avsr_bench.records import Clip, Sample

SIZE = (640, 480)
LAYOUTS = {"grey": (), "rgb": (), "420": (2, 2), "422": (2, 1), "444": (1, 1), "411": (4, 1)}


def picture(layout, seed, matrix="bt601", width=160, height=120):
    noise = np.random.default_rng(seed)
    shapes = [(height, width, 3)] if layout == "rgb" else [(height, width)]
    if LAYOUTS[layout]:
        across, down = LAYOUTS[layout]
        shapes += [(-(-height // down), -(-width // across))] * 2
    planes = tuple(noise.integers(0, 256, shape, np.uint8) for shape in shapes)
    return Picture(planes, Upright(width, height), matrix)


@given(
    layout=st.sampled_from(sorted(LAYOUTS)),
    matrix=st.sampled_from(["bt601", "bt709"]),
    colour=st.sampled_from(["grey", "rgb"]),
    size=st.sampled_from([16, 24, 48]),
    scale=st.floats(0.3, 3),
    turn=st.floats(-0.7, 0.7),
    centre=st.tuples(st.integers(0, 160), st.integers(0, 120)),
    width=st.integers(157, 160),
    seed=st.integers(0, 99),
)
def test_a_part_gives_what_the_whole_gives(layout, matrix, colour, size, scale, turn, centre, width, seed):
    whole = picture(layout, seed, matrix, width)
    c, s = scale * np.cos(turn), scale * np.sin(turn)
    to_crop = np.array([[c, -s, 0.0], [s, c, 0.0]])
    to_crop[:, 2] = size / 2 - to_crop[:, :2] @ centre
    reach = int(size / scale) + 2 * module.MARGIN  # the half diagonal of the crop is 0.71 of its side
    left, top = (max(place - reach, 0) // 4 * 4 for place in centre)
    part = whole.part(left, top, min(centre[0] + reach, width), min(centre[1] + reach, 120), colour)
    np.testing.assert_array_equal(part.warp(to_crop, size, colour), whole.warp(to_crop, size, colour))
    assert part.nbytes <= whole.nbytes


def swinging(frames):
    return clip(
        frames, lambda t: [("astronaut", place((320 + 60 * np.sin(t / 9), 240), 150, 8 * np.sin(t / 7)))], size=SIZE
    )


def held_of(frames, size=96, **given):
    seen = [Picture((frame,), Upright(frame.shape[1], frame.shape[0]), full_range=True) for frame in frames]
    held = Surroundings("grey", **given)
    track = find_track(seen, FaceSettings(), held)
    return held.pictures(crop_matrices(track.points, size), size)


def test_a_moving_face_is_held():
    frames = swinging(60)
    parts = held_of(frames)
    assert len(parts) == 60
    assert sum(part.nbytes for part in parts) < 0.4 * sum(frame.nbytes for frame in frames)


def test_nothing_is_held_where_memory_is_used_up():
    assert held_of(swinging(30), most_bytes=1 << 20) is None


def test_nothing_is_held_of_a_face_that_comes_later():
    at = [("astronaut", place((320, 240), 150))]
    assert held_of(clip(40, lambda t: at if t >= 5 else [], size=SIZE)) is None


def test_nothing_is_held_of_turned_pictures():
    upright = Upright.of(480, 640, turn=np.array([[0, -1], [1, 0]]))
    held = Surroundings("grey")
    held.add(Picture((np.zeros((640, 480), np.uint8),), upright), [np.full((1, 4, 2), 200.0) * [[1], [1.1], [1], [1]]])
    assert held.pictures(np.eye(2, 3)[None], 96) is None


def test_a_crop_that_reaches_beyond_is_not_cut_from_parts():
    held = Surroundings("grey")
    points = np.array([[[300, 200], [340, 200], [320, 220], [320, 240]]], np.float32)
    held.add(picture("420", 0, width=640, height=480), [points])
    upright = np.array([[1.0, 0.0, 48 - 320], [0.0, 1.0, 48 - 240]])
    assert held.pictures(upright[None], 96) is not None
    upright[0, 2] += 40
    assert held.pictures(upright[None], 96) is None


def test_points_far_outside_are_not_held():
    held = Surroundings("grey")
    points = np.array([[[-900, 200], [-860, 200], [-880, 220], [-880, 240]]], np.float32)
    held.add(picture("420", 0), [points])
    assert held.pictures(np.eye(2, 3)[None], 96) is None


class Counted(media.Video):
    """A video that counts how often it is decoded, and is too large to be kept."""

    read = 0

    def __init__(self, *given):
        super().__init__(*given, keep_bytes=1 << 20)

    def _read(self, seek):
        Counted.read += 1
        return super()._read(seek)


@pytest.mark.parametrize("colour", ["grey", "rgb"])
@pytest.mark.parametrize("frames", [None, "gaussian:4"])
def test_a_large_video_is_decoded_once_and_gives_the_same_bytes(tmp_path, monkeypatch, colour, frames):
    path = write_video(tmp_path / "large.mp4", swinging(50))
    settings = SampleSettings(crop=CropSettings(colour=colour), noise=NoiseSettings(frames=frames))
    made = []
    for most, reads in ((module.MOST_BYTES, 1), (0, 2)):
        monkeypatch.setattr(media, "Video", Counted)
        monkeypatch.setattr(Counted, "read", 0)
        monkeypatch.setattr(Surroundings.__init__, "__defaults__", (most,))
        sample = make_sample(ClipJob(Clip("large", path, "train", "s"), "large"), settings)
        assert isinstance(sample, Sample) and Counted.read == reads
        made.append(sample.members["mouth.mp4"])
    assert made[0] == made[1]
