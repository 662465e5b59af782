"""Each family against the same thing said plainly, and the laws of what a level may change."""

from itertools import pairwise

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avsr_bench import noise
from avsr_bench.noise import families, levels
from avsr_bench.records import rng_for

shapes = st.tuples(st.integers(8, 70), st.integers(8, 70))
keys = st.text("abc", max_size=4)


def random_clip(frames, *shape):
    return np.random.default_rng(5).integers(0, 256, (frames, *shape)).astype(np.uint8)


def flat(frames, value, *shape):
    return np.full((frames, *shape), value, np.uint8)


def corrupted(clip, family, level, key="a", on="mouth"):
    return noise.apply(clip, family, level, rng_for(0, key, family), on)


# blockwise


@settings(max_examples=60, deadline=None)
@given(shape=shapes, key=keys, on=st.sampled_from(["mouth", "frame"]))
def test_the_blocks_of_a_level_are_among_those_of_the_next(shape, key, on):
    clip = flat(2, 10, *shape)
    hidden = [corrupted(clip, "blockwise", level, key, on) == 128 for level in range(1, 11)]
    for fewer, more in pairwise(hidden):
        assert not (fewer & ~more).any()
    assert hidden[0].any()
    assert not hidden[-1].all()


def test_blocks_are_grey_whole_and_stand_still():
    clip = random_clip(4, 96, 96)
    clip[clip == 128] = 127
    result = corrupted(clip, "blockwise", 6)
    hidden = result == 128
    assert (hidden == hidden[0]).all()
    assert np.array_equal(result[~hidden], clip[~hidden])
    edges = [np.flatnonzero(np.diff(line.astype(int))) for line in hidden[0]]
    apart = np.concatenate([np.diff(places) for places in edges])
    assert len(apart) > 100
    assert not (apart % levels.BLOCK).any()


@pytest.mark.parametrize("shape", [(96, 96), (300, 200), (288, 360, 3)], ids=str)
def test_the_share_hidden_is_that_of_the_table(shape):
    shares = [
        [(corrupted(flat(1, 0, *shape), "blockwise", level, str(key)) == 128).mean() for level in range(1, 11)]
        for key in range(10)
    ]
    assert np.abs(np.mean(shares, axis=0) - levels.BLOCKWISE).max() < 0.01


# blur


@pytest.mark.parametrize("shape", [(96, 96), (31, 101), (45, 23, 3)], ids=str)
@pytest.mark.parametrize("level", [1, 4, 10])
def test_blur_is_the_convolution_in_whole_numbers(shape, level):
    clip = random_clip(2, *shape)
    sigma = levels.BLUR[level - 1] * max(min(shape[:2]) / 96, 0.5)
    down, across = (families._gaussian_weights(sigma, total).astype(int) for total in (128, 256))
    reach = len(down) // 2
    rows = np.clip(np.arange(-reach, shape[0] + reach), 0, shape[0] - 1)
    columns = np.clip(np.arange(-reach, shape[1] + reach), 0, shape[1] - 1)
    wide = clip.astype(int)[:, rows][:, :, columns]
    summed = sum(w * wide[:, k : k + shape[0]] for k, w in enumerate(down))
    summed = sum(w * summed[:, :, k : k + shape[1]] for k, w in enumerate(across))
    assert np.array_equal(corrupted(clip, "blur", level), (summed + 2**14) >> 15)


@settings(max_examples=80, deadline=None)
@given(sigma=st.floats(0.3, 60), total=st.sampled_from([128, 256]))
def test_weights_of_the_blur_are_a_gaussian(sigma, total):
    weights = families._gaussian_weights(sigma, total)
    places = np.arange(len(weights)) - len(weights) // 2
    assert weights.sum() == total
    assert (weights >= 0).all()
    assert np.array_equal(weights, weights[::-1])
    assert weights[places != 0].any()
    assert (weights * places**2).sum() / total == pytest.approx(sigma**2, rel=0.06, abs=0.15)


def test_the_blur_keeps_the_mean_and_has_the_spread_of_the_table():
    edge = np.repeat([[[0, 255]]], 48, axis=2).repeat(96, axis=1).astype(np.uint8)
    profile = np.diff(corrupted(edge, "blur", 4)[0, 48].astype(float))
    places = np.arange(95) - 47
    assert profile.sum() == 255
    assert (profile * places**2).sum() / 255 == pytest.approx(levels.BLUR[3] ** 2, rel=0.05)
    assert (corrupted(flat(1, 200, 96, 96), "blur", 10) == 200).all()


# motion


def smeared(clip, angle, pixels):
    """The line through every pixel, one tap after another."""
    reach = pixels // 2
    wide = np.pad(clip.astype(int), [(0, 0), (reach, reach), (reach, reach), *[(0, 0)] * (clip.ndim - 3)], "edge")
    height, width = clip.shape[1:3]
    total = weight = 0
    for k in range(-reach, reach + 1):
        share = 1 if pixels % 2 == 0 and abs(k) == reach else 2
        y, x = reach + round(k * np.sin(angle)), reach + round(k * np.cos(angle))
        total, weight = total + share * wide[:, y : y + height, x : x + width], weight + share
    return total / weight


@pytest.mark.parametrize("shape", [(96, 96), (31, 101), (45, 23, 3)], ids=str)
@pytest.mark.parametrize("level", [1, 2, 6, 10])
@pytest.mark.parametrize("key", ["a", "b", "c"])
def test_motion_is_the_mean_along_a_line(shape, level, key):
    clip = random_clip(3, *shape)
    angle = np.pi * rng_for(0, key, "motion").random()
    pixels = max(2, round(levels.MOTION[level - 1] * max(min(shape[:2]) / 96, 0.5)))
    assert np.abs(corrupted(clip, "motion", level, key) - smeared(clip, angle, pixels)).max() <= 0.5001


def test_a_long_line_does_not_overflow():
    clip = flat(1, 255, 1100, 1000)
    clip[0, :, :500] = 250
    angle = np.pi * rng_for(0, "a", "motion").random()
    pixels = round(levels.MOTION[9] * 1000 / 96)
    assert 2 * pixels > 257
    assert np.abs(corrupted(clip, "motion", 10) - smeared(clip, angle, pixels)).max() <= 0.5001


@settings(max_examples=30, deadline=None)
@given(key=keys)
def test_a_clip_is_shaken_in_the_same_direction_at_every_level(key):
    point = np.zeros((2, 96, 96), np.uint8)
    point[:, 48, 48] = 255
    lines = [corrupted(point, "motion", level, key)[0] > 0 for level in range(1, 11)]
    for shorter, longer in pairwise(lines):
        assert not (shorter & ~longer).any()
    y, x = np.argwhere(lines[-1]).T - 48
    angle = np.pi * rng_for(0, key, "motion").random()
    assert np.abs(x * np.sin(angle) - y * np.cos(angle)).max() < 1


# pixelate


@pytest.mark.parametrize("shape", [(96, 96), (31, 101), (45, 23, 3), (288, 360)], ids=str)
@pytest.mark.parametrize("level", [1, 4, 10])
def test_a_cell_is_the_mean_of_its_pixels(shape, level):
    clip = random_clip(2, *shape)
    result = corrupted(clip, "pixelate", level)
    cell = levels.PIXELATE[level - 1] * max(min(shape[:2]) / 96, 0.5)
    down, across = (families._cells(length, cell)[0] for length in shape[:2])
    for top, bottom in pairwise(down):
        for left, right in pairwise(across):
            mean = clip[:, top:bottom, left:right].mean(axis=(1, 2), keepdims=True)
            assert np.abs(result[:, top:bottom, left:right] - mean).max() <= 0.5001


@settings(max_examples=200, deadline=None)
@given(length=st.integers(8, 2000), cell=st.floats(0.5, 60))
def test_cells_fill_a_side_and_are_alike(length, cell):
    edges, of_pixel = families._cells(length, cell)
    widths = np.diff(edges)
    assert (edges[0], edges[-1], len(of_pixel)) == (0, length, length)
    assert np.array_equal(np.bincount(of_pixel), widths)
    assert widths.min() >= 1
    assert widths.max() >= 2
    assert widths.max() - widths.min() <= 1
    if 1.5 < cell < length / 3:
        assert widths.mean() == pytest.approx(cell, rel=0.2)


# jpeg


@pytest.mark.parametrize("shape", [(96, 96), (61, 83), (8, 9), (45, 23, 3)], ids=str)
@pytest.mark.parametrize("level", [1, 5, 10])
def test_jpeg_is_that_of_each_frame_alone(shape, level):
    clip = random_clip(11, *shape)
    result = corrupted(clip, "jpeg", level)
    for frame, seen in zip(clip, result, strict=True):
        picture = frame if frame.ndim == 2 else cv2.cvtColor(frame, cv2.COLOR_RGB2BGR)
        data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, levels.JPEG[level - 1]])[1]
        expected = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
        assert np.array_equal(seen if frame.ndim == 2 else cv2.cvtColor(seen, cv2.COLOR_RGB2BGR), expected)


# gaussian


@pytest.mark.parametrize("level", range(1, 8))
def test_noise_is_gaussian_with_the_spread_of_the_table(level):
    sigma = levels.GAUSSIAN[level - 1]
    field = corrupted(flat(20, 128, 96, 96), "gaussian", level).astype(float) - 128
    normal = field / sigma
    assert abs(normal.mean()) < 0.01
    assert normal.std() == pytest.approx(1, abs=0.015)
    assert (normal**3).mean() == pytest.approx(0, abs=0.05)
    assert (normal**4).mean() == pytest.approx(3, abs=0.15)
    assert np.abs(normal).max() > 3.5


def test_noise_is_new_in_every_pixel_and_frame():
    field = corrupted(flat(12, 128, 64, 64, 3), "gaussian", 5).astype(float) - 128
    values = field.reshape(12, -1)
    between = np.corrcoef(values)
    assert np.abs(between[~np.eye(12, dtype=bool)]).max() < 0.05
    for axis in (1, 2, 3):
        first, second = np.delete(field, 0, axis).ravel(), np.delete(field, -1, axis).ravel()
        assert abs(np.corrcoef(first, second)[0, 1]) < 0.02
    spectrum = np.abs(np.fft.rfft(values.ravel())[1:]) ** 2
    assert (
        spectrum.max() / spectrum.mean() < 20
    )  # white: the largest of 70,000 exponentials is some 11, a period is more


@settings(max_examples=20, deadline=None)
@given(shape=shapes, key=keys)
def test_the_field_of_a_level_is_that_of_another_scaled(shape, key):
    clip = flat(2, 128, *shape)
    weak, strong = (corrupted(clip, "gaussian", level, key).astype(float) - 128 for level in (5, 7))
    assert np.abs(strong / levels.GAUSSIAN[6] - weak / levels.GAUSSIAN[4]).max() * levels.GAUSSIAN[4] < 2


def test_on_a_full_frame_a_grain_is_as_large_as_a_mouth_pixel():
    field = corrupted(flat(2, 128, 770, 800), "gaussian", 3, on="frame")
    grains = field[:, ::3, ::3]
    assert np.array_equal(field, grains.repeat(3, 1).repeat(3, 2)[:, :770, :800])
    assert (np.diff(grains.astype(int), axis=1) != 0).mean() > 0.8


# contrast


@pytest.mark.parametrize("shape", [(96, 96), (45, 23, 3)], ids=str)
@pytest.mark.parametrize("level", [1, 5, 10])
def test_contrast_is_drawn_towards_the_mean_of_each_frame(shape, level):
    clip = (random_clip(3, *shape) // np.array([1, 2, 4]).reshape(3, *[1] * len(shape))).astype(np.uint8)
    mean = np.floor(clip.mean(axis=tuple(range(1, clip.ndim)), keepdims=True) + 0.5)
    expected = mean + round(256 * levels.CONTRAST[level - 1]) / 256 * (clip - mean)
    assert np.abs(corrupted(clip, "contrast", level) - expected).max() <= 0.5001


# all


@pytest.mark.parametrize("family", noise.FAMILIES)
def test_the_table_has_ten_levels_in_order(family):
    strengths = noise.FAMILIES[family].levels
    assert len(strengths) == noise.LEVELS
    falling = family in ("jpeg", "contrast")
    assert list(strengths) == sorted(set(strengths), reverse=falling)


@pytest.mark.parametrize("family", ["blur", "motion", "pixelate"])
def test_lengths_grow_with_the_picture(family):
    """A face twice as large is corrupted as much once it is shrunk to the same size."""
    small = np.stack([cv2.GaussianBlur(frame, (0, 0), 2) for frame in random_clip(2, 96, 96)])
    large = small.repeat(2, 1).repeat(2, 2)
    seen = corrupted(large, family, 6).reshape(2, 96, 2, 96, 2).mean(axis=(2, 4))
    assert np.corrcoef(seen.ravel(), corrupted(small, family, 6).ravel().astype(float))[0, 1] > 0.95


def test_the_four_of_the_paper_are_seen_in_training():
    assert noise.SEEN == ("blockwise", "blur", "motion", "pixelate")
