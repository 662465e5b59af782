"""prep from what is there already: tracks of an earlier run, landmarks of others, mouths that were cropped before."""

import shutil
from urllib.parse import unquote

import numpy as np
import pytest
from prepared import SMALL, samples, skipped
from videos import write_video

from avsr_bench import media, shards


def test_crop_again_from_stored_tracks(avsr, face_corpus, tmp_path, digest):
    """`--only detect`, then crops from its tracks: the same mouths as in one go."""
    avsr("prep", "folder", "--root", face_corpus, "--out", "whole", *SMALL)
    avsr("prep", "folder", "--root", face_corpus, "--out", "tracks", *SMALL, "--only", "detect")
    assert not any(samples(tmp_path / "tracks").values())
    avsr("prep", "folder", "--root", face_corpus, "--out", "crops", *SMALL, "--landmarks", "tracks")
    assert digest(tmp_path / "whole") == digest(tmp_path / "crops")
    refused = avsr("prep", "folder", "--root", face_corpus, "--out", "x", *SMALL, "--landmarks", "nowhere", expect=1)
    assert "nowhere" in refused.err
    assert not (tmp_path / "x").exists()
    (tmp_path / "tracks/train/train-000000.jsonl").unlink()
    refused = avsr("prep", "folder", "--root", face_corpus, "--out", "x", *SMALL, "--landmarks", "tracks", expect=1)
    assert "shards of train are finished" in refused.err.splitlines()[-1]
    assert not (tmp_path / "x").exists()


@pytest.fixture
def landmarks(avsr, face_corpus, tmp_path):
    """A folder with a landmark file for every clip, those of clip2 a frame too short."""
    avsr("prep", "folder", "--root", face_corpus, "--out", "tracks", *SMALL, "--only", "detect")
    folder = tmp_path / "landmarks"
    for split in shards.read_prep(tmp_path / "tracks")["splits"]:
        for path in (tmp_path / "tracks" / split).glob("*.npz"):
            for key, track in shards.read_tracks(path).items():
                name = folder / f"{unquote(key)}.npz"
                name.parent.mkdir(parents=True, exist_ok=True)
                points = track.points[:-1] if name.stem == "clip2" else track.points
                np.savez(name, points=points, width=track.width, height=track.height)
    return folder


def test_other_landmarks_are_another_plan(avsr, face_corpus, landmarks, tmp_path):
    command = ("prep", "folder", "--root", face_corpus, "--out", "out", *SMALL, "--min-yield", "0.7", "--landmarks")
    away = (landmarks / "speaker0/clip0.npz").rename(tmp_path / "away.npz")
    avsr(*command, landmarks)
    away.rename(landmarks / "speaker0/clip0.npz")
    put_back = avsr(*command, landmarks, expect=1)
    assert "landmarks of" in put_back.err.splitlines()[-1]
    avsr(*command, landmarks, "--force")
    assert skipped(tmp_path / "out").keys() == {"speaker2/clip2"}
    other = shutil.copytree(landmarks, tmp_path / "other/landmarks")
    stored = dict(np.load(other / "speaker1/clip1.npz"))
    np.savez(other / "speaker1/clip1.npz", **{**stored, "points": stored["points"] + 1})
    assert "landmarks of" in avsr(*command, other, expect=1).err.splitlines()[-1]
    avsr(*command, landmarks)


def test_ready_landmarks_are_used_and_missing_ones_are_a_reason(avsr, face_corpus, landmarks, tmp_path):
    (landmarks / "speaker0" / "clip0.npz").unlink()
    command = ("prep", "folder", "--root", face_corpus, "--out", "out", *SMALL, "--min-yield", "0.7")
    avsr(*command, "--landmarks", landmarks)
    reasons = skipped(tmp_path / "out")
    assert {name: line["code"] for name, line in reasons.items()} == {
        "speaker0/clip0": "no-landmarks",
        "speaker2/clip2": "landmarks-mismatch",
    }


def test_mouths_that_were_cropped_before(avsr, tmp_path):
    root = tmp_path / "mouths"
    root.mkdir()
    rng = np.random.default_rng(0)
    frames = [np.repeat(np.repeat(rng.integers(60, 200, (12, 12), np.uint8), 8, 0), 8, 1) for _ in range(10)]
    write_video(root / "a.mp4", frames, options={"crf": "1"})
    avsr("prep", "folder", "--root", root, "--out", "out", "--already-cropped")
    mouths = media.decode_mouth(samples(tmp_path / "out")["a"]["mouth.mp4"])
    assert np.abs(mouths.astype(float) - np.stack(frames)).mean() < 4
