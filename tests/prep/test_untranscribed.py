"""Corpora without transcripts, from their layout on disk to shards: VoxCeleb2 and AVSpeech, made small."""

import json
from dataclasses import replace

import numpy as np
import pytest
from people import clip, place, talking
from videos import tone, write_sound, write_video

from avsr_bench import shards
from avsr_bench.faces import FaceSettings
from avsr_bench.prepare_clip import ClipJob, SampleSettings, make_sample
from avsr_bench.records import Clip, Skipped

FRAMES = 12
ID, OTHER, GONE = "-AbC_dE9f-0", "21Uxsk56VDQ", "nobodyhasit"
LEFT, RIGHT = (80, 120), (230, 120)  # where two people are, of 320 x 240


def cropped(number):
    return clip(FRAMES, lambda t: [("astronaut", place((112 + t / 4, 100 + number), 90))], size=(224, 224))


@pytest.fixture(scope="module")
def vox2(tmp_path_factory):
    """Three speakers of dev and one of test; one clip has its sound beside it, another is damaged."""
    root = tmp_path_factory.mktemp("vox2")
    for number, name in enumerate(("dev/{}/id00012/a", "dev/{}/id00013/b", "dev/{}/id00014/c", "test/{}/id00017/d")):
        video = root / name.format("mp4") / "00001.mp4"
        video.parent.mkdir(parents=True)
        write_video(video, cropped(number), sound=None if number == 1 else tone(FRAMES / 25))
        txt = root / name.format("txt") / "00001.txt"
        txt.parent.mkdir(parents=True)
        txt.write_text("Identity  :  id00012\nFRAME X Y W H\n000001 0.1 nan 1e308\n")
    sound = root / "dev/aac/id00013/b/00001.m4a"
    sound.parent.mkdir(parents=True)
    write_sound(sound, tone(FRAMES / 25), codec="aac")
    whole = (root / "dev/mp4/id00014/c/00001.mp4").read_bytes()
    (root / "dev/mp4/id00014/c/00002.mp4").write_bytes(whole[: len(whole) // 2])
    return root


def two_people(frames):
    return clip(frames, lambda t: [("astronaut", place((LEFT[0] + t / 4, LEFT[1]), 60)), ("other", place(RIGHT, 85))])


@pytest.fixture(scope="module")
def avspeech(tmp_path_factory):
    """A whole video of two people, listed once for each of them, a piece that was cut, and what is not there."""
    root = tmp_path_factory.mktemp("avspeech")
    (root / "videos").mkdir()
    write_video(root / f"videos/{ID}.mkv", two_people(40), sound=tone(40 / 25))
    write_video(root / f"videos/{OTHER}_90.2-90.7.mp4", talking(FRAMES), sound=tone(FRAMES / 25))
    rows = [
        f"{ID},0.4,0.88,0.25,0.5",
        f"{ID},0.8,1.32,0.72,0.5",
        f"{ID},2.0,5.0,0.72,0.5",  # after its end
        f"{ID},0.0,nan,0.72,0.5",
        f"{GONE},1.0,4.0,0.5,0.5",
    ]
    (root / "avspeech_train.csv").write_text("\n".join(rows) + "\n")
    (root / "avspeech_test.csv").write_text(f"{OTHER},90.200000,90.700000,0.5,0.5\n")
    return root


def samples(out, split):
    return {entry.key: json.loads(members["json"]) for entry, members in shards.iterate(out, split, "json")}


def test_vox2_is_prepared_and_inspected(vox2, avsr, tmp_path):
    words = ("prep", "vox2", "--root", vox2, "--out", tmp_path / "out", "--workers", 1, "corpus.valid_share=0.3")
    run = avsr(*words, "--min-yield", 0.7)
    assert "dev has 4 of 1,092,009 clips, test has 1 of 36,237 clips; none has a transcript" in run.err + run.out
    found = json.loads(avsr("inspect", tmp_path / "out", "--json").out)["splits"]
    assert {name: (split["samples"], split["without_text"]) for name, split in found.items()} == {
        "train": (2, 2),
        "valid": (1, 1),
        "test": (1, 1),
    }
    assert found["train"]["words"] == 0
    skipped = [json.loads(line) for line in (tmp_path / "out/skipped.jsonl").read_text().splitlines()]
    assert [(clip["key"], clip["code"]) for clip in skipped] == [("dev%2Fid00014%2Fc%2F00002", "damaged")]
    assert "samples without text: 1 of test, 2 of train, 1 of valid" in avsr("inspect", tmp_path / "out").out
    every = {key: about for split in found for key, about in samples(tmp_path / "out", split).items()}
    assert {about["speaker"] for about in every.values()} == {"id00012", "id00013", "id00014", "id00017"}
    assert all("sound" in about and about["text"] is None for about in every.values())
    assert every["dev%2Fid00012%2Fa%2F00001"]["source"]["recording"] == "a"
    assert "all whole" in avsr("validate", tmp_path / "out").out


def faces_of(out):
    """Where the face of each sample is, as a fraction of the picture's width."""
    found = {}
    for path in out.glob("*/*.tracks.npz"):
        for key, track in shards.read_tracks(path).items():
            found[key] = float(np.mean(track.boxes[:, 0] + track.boxes[:, 2] / 2)) / track.width
    return found


def test_avspeech_is_prepared_and_the_listed_face_is_kept(avspeech, avsr, tmp_path):
    words = ("prep", "avspeech", "--root", avspeech, "--workers", 1, "corpus.valid_share=0", "--min-yield", 0.5)
    run = avsr(*words, "--out", tmp_path / "out")
    assert "for 1 of them (the first: nobodyhasit): missing-file" in run.err + run.out
    first, second = f"train%2F{ID}_00000400-00000880", f"train%2F{ID}_00000800-00001320"
    piece = f"test%2F{OTHER}_00090200-00090700"
    assert faces_of(tmp_path / "out") == {
        first: pytest.approx(0.25, abs=0.05),
        second: pytest.approx(0.72, abs=0.05),
        piece: pytest.approx(0.5, abs=0.05),
    }
    assert {about["frames"] for about in samples(tmp_path / "out", "train").values()} == {12, 13}
    skipped = [json.loads(line) for line in (tmp_path / "out/skipped.jsonl").read_text().splitlines()]
    assert sorted(clip["code"] for clip in skipped) == ["bad-times", "bad-times", "missing-file"]
    assert "samples without text: 1 of test, 2 of train" in avsr("inspect", tmp_path / "out").out
    avsr(*words, "--out", tmp_path / "largest", "corpus.listed_face=false", "--only", "detect")
    assert faces_of(tmp_path / "largest")[first] == pytest.approx(0.72, abs=0.05)
    assert (
        "faces or landmarks of train changed"
        in avsr(*words, "--out", tmp_path / "out", "corpus.listed_face=false", expect=1).err
    )


def test_a_face_that_the_user_names_goes_before_that_of_the_corpus(avspeech):
    video = Clip("a", avspeech / f"videos/{ID}.mkv", "train", ID, end=0.48, face=(0.25, 0.5))

    def x(clip, face):
        sample = make_sample(ClipJob(clip, "a"), SampleSettings(faces=FaceSettings(face=face), only_detect=True))
        assert not isinstance(sample, Skipped), sample
        return float(np.mean(sample.track.boxes[:, 0] + sample.track.boxes[:, 2] / 2))

    assert x(video, "largest") == pytest.approx(LEFT[0], abs=15)
    assert x(video, "230,120") == pytest.approx(RIGHT[0], abs=15)
    assert x(replace(video, face=None), "largest") == pytest.approx(RIGHT[0], abs=15)
