import json
import os
import pickle

import numpy as np
import pytest
from people import clip, pictures, place

from avsr_bench.faces import FaceSettings, find_landmarks, find_track, load_landmarks, track_from_landmarks
from avsr_bench.faces.landmarks import Landmarks
from avsr_bench.records import Unusable

FRAMES = clip(20, lambda t: [("astronaut", place((150 + t, 120), 90))])


@pytest.fixture(scope="module")
def points():
    return find_track(list(pictures(FRAMES)), FaceSettings(stride=1)).points


def write(path, points, size=None):
    frames = [None if np.isnan(frame).any() else frame for frame in points]
    if path.suffix == ".npy":
        np.save(path, points)
    elif path.suffix == ".npz":
        np.savez(path, points=points, **({"width": size[0], "height": size[1]} if size else {}))
    elif path.suffix == ".json":
        plain = [None if frame is None else frame.tolist() for frame in frames]
        path.write_text(json.dumps({"points": plain, "width": size[0], "height": size[1]} if size else plain))
    else:
        path.write_bytes(pickle.dumps(frames, protocol=2 if path.stem == "old" else 5))
    return path


def code_of(call, *args):
    with pytest.raises(Unusable) as caught:
        call(*args)
    return caught.value.reason


@pytest.mark.parametrize("name", ["a.npy", "a.npz", "a.json", "a.pkl", "old.pkl"])
def test_every_form_gives_the_same_track(tmp_path, points, name):
    landmarks = load_landmarks(write(tmp_path / name, points))
    track = track_from_landmarks(landmarks, pictures(FRAMES), 0, None, 20, 12)
    np.testing.assert_allclose(track.points, points, atol=1e-3)
    assert (track.width, track.height) == (320, 240)


def test_frames_without_a_face_are_filled(tmp_path, points):
    holed = points.copy()
    holed[5:9] = np.nan
    track = track_from_landmarks(load_landmarks(write(tmp_path / "a.pkl", holed)), pictures(FRAMES), 0, None, 20, 12)
    np.testing.assert_allclose(track.points, points, atol=4.0)
    assert (track.scores == 0).sum() == 4
    assert code_of(track_from_landmarks, Landmarks(holed), pictures(FRAMES), 0, None, 20, 3).code == "face-lost"
    assert code_of(track_from_landmarks, Landmarks(holed * np.nan), pictures(FRAMES), 0, None, 20, 3).code == "no-face"


class Evil:
    def __reduce__(self):
        return os.system, ("touch /tmp/avsr-bench-was-here",)


class Sly:
    """Calls an allowed function with an argument that is not."""

    def __reduce__(self):
        import codecs

        return codecs.encode, ("x", "rot13")


@pytest.mark.parametrize("thing", [Evil(), [Evil()], Sly(), np.dtype("V8").__class__, print, {"a": 1}, 3, [], [None]])
def test_a_pickle_of_anything_else_is_refused(tmp_path, thing):
    path = tmp_path / "a.pkl"
    path.write_bytes(pickle.dumps(thing))
    assert code_of(load_landmarks, path).code == "bad-landmarks"
    assert not os.path.exists("/tmp/avsr-bench-was-here")  # noqa: PTH110


@pytest.mark.parametrize("name", ["a.npy", "a.npz", "a.json", "a.pkl"])
@pytest.mark.parametrize("content", [b"", b"nonsense", b"\x80\x05", b"[[1, 2], [3]]", b'{"width": 3}', b"[[[1,2,3]]]"])
def test_a_damaged_file_is_refused(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    reason = code_of(load_landmarks, path)
    assert reason.code == "bad-landmarks"
    assert name in reason.detail


def test_complex_points_are_refused_and_not_halved(tmp_path, points):
    np.save(tmp_path / "a.npy", np.asarray(points) * (1 + 1j))
    assert code_of(load_landmarks, tmp_path / "a.npy").code == "bad-landmarks"


def test_another_length_is_refused(points):
    reason = code_of(track_from_landmarks, Landmarks(points[:-1]), pictures(FRAMES), 0, None, 20, 12)
    assert reason.code == "landmarks-mismatch"
    assert "19 frames" in reason.detail and "20" in reason.detail
    assert (
        code_of(track_from_landmarks, Landmarks(points), pictures(FRAMES[:-1]), 0, None, 20, 12).code
        == "landmarks-mismatch"
    )


def test_another_stated_resolution_is_refused(points):
    reason = code_of(track_from_landmarks, Landmarks(points, (224, 224)), pictures(FRAMES), 0, None, 20, 12)
    assert reason.code == "landmarks-mismatch"
    assert "224" in reason.detail


@pytest.mark.parametrize("factor", [0.5, 0.7, 2.0])
def test_another_unstated_resolution_is_seen_by_the_face(points, factor):
    reason = code_of(track_from_landmarks, Landmarks(points * factor), pictures(FRAMES), 0, None, 20, 12)
    assert reason.code == "landmarks-mismatch"


def test_a_segment_takes_its_own_frames(points):
    track = track_from_landmarks(Landmarks(points), pictures(FRAMES[5:15]), 5, 15, 20, 12)
    np.testing.assert_allclose(track.points, points[5:15], atol=1e-3)
    assert (
        code_of(track_from_landmarks, Landmarks(points), pictures(FRAMES[5:]), 8, None, 20, 12).code
        == "landmarks-mismatch"
    )


@pytest.mark.parametrize("announced", [20, None])
def test_a_segment_of_landmarks_at_another_frame_rate_is_refused(announced):
    """One landmark for every frame of a 50 fps video: the face has moved on by the time that they speak of."""
    frames = clip(40, lambda t: [("astronaut", place((100 + 5 * t, 120), 60))])
    points = find_track(list(pictures(frames)), FaceSettings(stride=1)).points
    at_25 = frames[::2]
    reason = code_of(track_from_landmarks, Landmarks(points), pictures(at_25[15:]), 15, 20, announced, 12)
    assert reason.code == "landmarks-mismatch"
    assert ("landmarks for 40 frames, the video has 20" if announced else "eye distances") in reason.detail
    to_the_end = code_of(track_from_landmarks, Landmarks(points), pictures(at_25[5:]), 5, None, None, 12)
    assert "landmarks for 35 frames, the video has 15" in to_the_end.detail
    track_from_landmarks(Landmarks(points[::2]), pictures(at_25[15:]), 15, 20, announced, 12)


def test_a_face_met_by_chance_does_not_vouch_for_landmarks_of_elsewhere(points):
    """Landmarks that stand still while the face passes through them."""
    frames = clip(21, lambda t: [("astronaut", place((70 + 9 * t, 120), 60))])
    still = np.repeat(find_track(list(pictures(frames[10:11])), FaceSettings()).points, 21, axis=0)
    assert (
        code_of(track_from_landmarks, Landmarks(still), pictures(frames), 0, None, 21, 12).code == "landmarks-mismatch"
    )


def test_a_file_is_found_by_the_name_of_its_video(tmp_path, points):
    (tmp_path / "s1").mkdir()
    path = write(tmp_path / "s1" / "clip.v2.npz", points)
    assert find_landmarks(tmp_path, path.relative_to(tmp_path).with_suffix(".mp4")) == path
    assert find_landmarks(tmp_path, path.relative_to(tmp_path).parent / "other.mp4") is None
