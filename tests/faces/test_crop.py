import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avsr_bench.faces.crop import (
    REFERENCE_4,
    REFERENCE_68,
    STABLE_68,
    centre_matrix,
    check_in_picture,
    crop_matrices,
    fit_mouths,
    similarity,
    smooth,
)
from avsr_bench.records import FaceTrack, Unusable


def moved(points, scale, angle, shift):
    c, s = scale * np.cos(angle), scale * np.sin(angle)
    return points @ np.array([[c, s], [-s, c]]) + shift


def track_of(frames, seed=0, jitter=0.3):
    rng = np.random.default_rng(seed)
    base = moved(REFERENCE_4, 0.7, 0.1, [40.0, 30.0])
    drift = np.cumsum(rng.normal(0, 0.5, (frames, 1, 2)), axis=0)
    return base + drift + rng.normal(0, jitter, (frames, 4, 2))


def smooth_straightforward(points):
    """The published algorithm, frame by frame."""
    frames, result = len(points), []
    for t in range(frames):
        m = min(6, t, frames - 1 - t)
        shape = points[t - m : t + m + 1].mean(axis=0)
        result.append(shape + points[t].mean(axis=0) - shape.mean(axis=0))
    return np.stack(result)


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 60), st.integers(0, 1000))
def test_smoothing_is_the_published_algorithm(frames, seed):
    points = track_of(frames, seed)
    np.testing.assert_allclose(smooth(points), smooth_straightforward(points), atol=1e-9)


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 60), st.integers(0, 59), st.integers(0, 1000))
def test_a_causal_crop_depends_on_no_later_frame(frames, cut, seed):
    points = track_of(frames, seed)
    cut = min(cut, frames - 1)
    later = points.copy()
    later[cut + 1 :] += np.random.default_rng(seed).normal(0, 50, later[cut + 1 :].shape)
    whole, short, changed = (fit_mouths(each, causal=True)[0] for each in (points, points[: cut + 1], later))
    np.testing.assert_allclose(whole[: cut + 1], short, atol=1e-9)
    np.testing.assert_allclose(changed[: cut + 1], short, atol=1e-9)
    shape = points[max(0, cut - 6) : cut + 1].mean(axis=0)  # the usual window, as far as it lies behind
    own = shape + points[cut].mean(axis=0) - shape.mean(axis=0)
    np.testing.assert_allclose(smooth(points, causal=True)[cut], own, atol=1e-9)


@settings(max_examples=50, deadline=None)
@given(st.floats(0.05, 20), st.floats(-3.1, 3.1), st.floats(-500, 500), st.floats(-500, 500))
def test_similarity_undoes_any_motion(scale, angle, x, y):
    points = moved(REFERENCE_68, scale, angle, [x, y])[None]
    matrix = similarity(points, REFERENCE_68)[0]
    np.testing.assert_allclose(points[0] @ matrix[:, :2].T + matrix[:, 2], REFERENCE_68, atol=1e-6)


def test_crop_equals_warping_the_whole_frame_and_cutting():
    """96x96 straight from the source is, pixel for pixel, the published way over a 256x256 frame."""
    rng = np.random.default_rng(1)
    source = cv2.GaussianBlur(rng.integers(0, 256, (240, 320), np.uint8), (0, 0), 3)
    points = track_of(20)
    shapes = smooth(points)
    for t, matrix in enumerate(crop_matrices(points)):
        ours = cv2.warpAffine(source, matrix, (96, 96), flags=cv2.INTER_LINEAR)
        whole = similarity(shapes[t : t + 1], REFERENCE_4)[0]
        frame = cv2.warpAffine(source, whole, (256, 256), flags=cv2.INTER_LINEAR)
        x, y = whole[:, :2] @ shapes[t, 3] + whole[:, 2]
        top, left = int(round(y - 48)), int(round(x - 48))  # noqa: RUF046  as published
        difference = np.abs(ours.astype(int) - frame[top : top + 96, left : left + 96])
        assert difference.max() <= 1  # OpenCV rounds source coordinates to 1/32 px


def test_least_squares_agrees_with_least_median_on_clean_points():
    points = moved(REFERENCE_68, 0.8, -0.2, [12, 7]) + np.random.default_rng(0).normal(0, 0.2, (8, 2))
    ours = similarity(points[None], REFERENCE_68)[0]
    theirs, _ = cv2.estimateAffinePartial2D(points, REFERENCE_68, method=cv2.LMEDS)
    np.testing.assert_allclose(ours[:, :2], theirs[:, :2], rtol=0.01, atol=0.01)


def test_the_mouth_is_in_the_middle_for_both_kinds_of_points():
    mouth = np.array([129.31, 157.82])
    full = np.zeros((1, 68, 2))
    full[0, list(STABLE_68)] = REFERENCE_68
    full[0, 48:68] = mouth
    full[0, 48], full[0, 54] = REFERENCE_68[6], REFERENCE_68[7]
    for points, centre in ((REFERENCE_4[None], mouth), (full, full[0, 48:68].mean(axis=0))):
        matrix = crop_matrices(points)[0]
        np.testing.assert_allclose(matrix[:, :2], np.eye(2), atol=1e-6)
        assert np.abs(matrix[:, :2] @ centre + matrix[:, 2] - 48).max() <= 0.5 + 1e-6


@pytest.mark.parametrize("size", [48, 96, 112])
def test_another_size_shows_the_same_region(size):
    points = track_of(9)
    plain, sized = crop_matrices(points), crop_matrices(points, size)
    corner = np.array([[-0.5, -0.5], [95.5, 95.5]])  # the outer edges of the crop in the source
    for a, b in zip(plain, sized, strict=True):
        source = (corner - a[:, 2]) @ np.linalg.inv(a[:, :2]).T
        np.testing.assert_allclose(source @ b[:, :2].T + b[:, 2], [[-0.5] * 2, [size - 0.5] * 2], atol=1e-6)


def lips_far_away():
    points = np.full((5, 68, 2), 300.0)
    points[:, list(STABLE_68)] = REFERENCE_68
    return points


@pytest.mark.parametrize(
    ("points", "code"),
    [
        (np.zeros((5, 4, 2)), "bad-landmarks"),
        (np.full((5, 4, 2), np.nan), "bad-landmarks"),
        (np.full((5, 68, 2), 7.0), "bad-landmarks"),
        (lips_far_away(), "mouth-outside"),
    ],
)
def test_points_that_are_no_face_are_refused(points, code):
    with pytest.raises(Unusable) as caught:
        crop_matrices(points)
    assert caught.value.reason.code == code


@pytest.mark.parametrize("outside", [2, 3])
@pytest.mark.parametrize("edge", ["left", "right", "top", "bottom"])
def test_a_mouth_beyond_the_edge_of_the_picture_is_refused(outside, edge):
    """A face that leaves the picture for the last frames of 20."""
    points = np.repeat(moved(REFERENCE_4, 0.7, 0.0, [0.0, 0.0])[None], 20, axis=0)
    x, y = points[0, 3]
    beyond = {"left": (-x - 1, 0), "right": (319.5 - x, 0), "top": (0, -y - 1), "bottom": (0, 239.5 - y)}
    points[20 - outside :] += beyond[edge]
    track = FaceTrack(np.zeros((20, 4)), points, np.ones(20), 320, 240)
    if outside == 2:
        check_in_picture(track)
    else:
        with pytest.raises(Unusable, match=r"mouth-outside: .* outside the picture in 3 of 20 frames"):
            check_in_picture(track)


def test_centre_matrix_takes_the_middle_square():
    matrix = centre_matrix(200, 100, 50)
    for source, goal in (((50, 0), (-0.25, -0.25)), ((149, 99), (49.25, 49.25))):
        np.testing.assert_allclose(matrix[:, :2] @ source + matrix[:, 2], goal)
    np.testing.assert_array_equal(centre_matrix(96, 96), np.eye(2, 3))
