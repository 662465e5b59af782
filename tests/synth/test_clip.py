from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import av
import numpy as np
import pytest

from avsr_bench.synth import SynthSettings, render, utterances
from avsr_bench.synth.speech import RATE

OPEN = {"aI", "V", "E", "eI", "0", "a", "aU"}  # the most open vowels of the digits
SHUT = {"s", "z", "t", "n", "f", "v"}


def load(corpus, utterance):
    with av.open(str(corpus / utterance.path)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    with np.load(corpus / utterance.truth_path) as truth:
        return frames, dict(truth)


def sound_of(corpus, utterance):
    with av.open(str(corpus / utterance.path)) as container:
        pieces = [(frame.time, frame.to_ndarray()[0]) for frame in container.decode(audio=0)]
    return pieces[0][0], np.concatenate([piece for _, piece in pieces])


@pytest.fixture(scope="module", params=range(4))
def clip(request, corpus, small):
    utterance = utterances(small)[request.param]
    return utterance, *load(corpus, utterance)


def test_an_ordinary_mp4(corpus, small):
    for utterance in utterances(small):
        with av.open(str(corpus / utterance.path)) as container:
            video, audio = container.streams.video[0], container.streams.audio[0]
            assert (video.codec_context.name, video.codec_context.pix_fmt, video.average_rate) == (
                "h264",
                "yuv420p",
                25,
            )
            assert (video.width, video.height) == (224, 224)
            assert (audio.codec_context.name, audio.rate, audio.channels) == ("aac", RATE, 1)
            assert video.start_time == 0
            assert abs(audio.duration * audio.time_base - video.duration * video.time_base) < 0.06


def test_one_truth_a_frame(clip):
    _, frames, truth = clip
    for name in ("mouth", "corners", "eyes", "nose", "opening", "controls"):
        assert len(truth[name]) == len(frames), name
        assert np.isfinite(truth[name]).all()
        assert truth[name].dtype == np.float32
    assert ((truth["mouth"] > 0) & (truth["mouth"] < 224)).all()
    assert (truth["eyes"][:, :, 1].mean(1) < truth["nose"][:, 1]).all()
    assert (truth["nose"][:, 1] < truth["mouth"][:, 1]).all()
    assert (truth["corners"][:, 0, 0] < truth["corners"][:, 1, 0]).all()


def test_the_mouth_is_open_in_open_vowels(clip):
    _, frames, truth = clip
    moments = (np.arange(len(frames)) + 0.5) / truth["fps"]
    said = np.array(["" for _ in frames], dtype=object)
    for label, (start, end) in zip(truth["phones"], truth["phone_times"], strict=True):
        said[(moments >= start) & (moments < end)] = label
    opening = truth["opening"]
    rest = opening[said == ""]
    is_open, is_shut = np.isin(said, list(OPEN)), np.isin(said, list(SHUT))
    if is_open.any():
        assert opening[is_open].max() > 2 * opening[is_shut].mean() or opening[is_open].max() > 6
    assert np.median(rest) < 1.0
    assert opening.max() > 4.0


def test_a_face_is_found_in_every_frame_and_moves_as_the_truth_says(clip):
    import mediapipe as mp

    _, frames, truth = clip
    with mp.solutions.face_detection.FaceDetection(model_selection=0, min_detection_confidence=0.5) as detector:
        assert all(detector.process(frame).detections for frame in frames)
    seen_mouth, seen_gap = [], []
    outer = [61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291, 146, 91, 181, 84, 17, 314, 405, 321, 375]
    with mp.solutions.face_mesh.FaceMesh(static_image_mode=False, refine_landmarks=True) as mesh:
        for frame in frames:
            found = mesh.process(frame).multi_face_landmarks[0].landmark
            points = np.array([(p.x, p.y) for p in found]) * 224
            seen_mouth.append(points[outer].mean(0))
            seen_gap.append(np.linalg.norm(points[13] - points[14]))
    assert np.linalg.norm(np.array(seen_mouth) - truth["mouth"], axis=1).mean() < 2.5
    assert np.corrcoef(seen_gap, truth["opening"])[0, 1] > 0.6


def test_the_sound_is_where_the_phonemes_are(corpus, clip):
    utterance, _, truth = clip
    begins, sound = sound_of(corpus, utterance)
    assert begins == 0
    assert 0.1 < np.abs(sound).max() < 0.99
    energy = sound.astype(np.float64) ** 2
    start, end = truth["phone_times"][0, 0], truth["phone_times"][-1, 1]
    inside = slice(round((start - 0.02) * RATE), round((end + 0.02) * RATE))
    assert energy[inside].sum() > 0.995 * energy.sum()
    # The first vowel begins with a rise of loudness: within 40 ms of where it is said to be.
    loud = np.sqrt(np.convolve(energy, np.ones(220) / 220, "same"))
    vowels = [k for k, label in enumerate(truth["phones"]) if label in OPEN | {"i:", "I", "o@", "u:", "i@"}]
    at = truth["phone_times"][vowels[0], 0]
    before, after = (loud[round((at + d) * RATE) : round((at + d + 0.05) * RATE)].mean() for d in (-0.08, 0.03))
    assert after > 1.2 * before


def test_the_same_bytes_in_another_process_and_order(corpus, small, tmp_path):
    listed = utterances(small)
    code = f"""
from pathlib import Path
from avsr_bench.synth import SynthSettings, render, utterances
settings = {small!r}
for utterance in utterances(settings)[:2][::-1]:
    render(utterance, Path({str(tmp_path)!r}), settings)
"""
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    for utterance in listed[:2]:
        for path in (utterance.path, utterance.truth_path):
            assert (tmp_path / path).read_bytes() == (corpus / path).read_bytes(), path
    assert not list(tmp_path.rglob(".*"))


def test_another_seed_makes_another_clip(corpus, small, tmp_path):
    utterance = utterances(small)[0]
    render(utterance, tmp_path, replace(small, seed=3))
    assert (tmp_path / utterance.path).read_bytes() != (corpus / utterance.path).read_bytes()


def test_other_sizes_rates_and_the_grid_grammar(tmp_path):
    settings = SynthSettings(sentences="grid", size=320, fps=30)
    utterance = utterances(settings)[0]
    render(utterance, tmp_path, settings)
    frames, truth = load(tmp_path, utterance)
    assert frames[0].shape == (320, 320, 3)
    assert len(truth["mouth"]) == len(frames)
    assert 100 < truth["mouth"][:, 0].mean() < 220
    _, sound = sound_of(tmp_path, utterance)
    assert abs(len(sound) / RATE - len(frames) / 30) < 0.1


def test_an_unwritable_folder_leaves_nothing_behind(tmp_path, small):
    (tmp_path / "train").write_text("a file where a folder should be")
    with pytest.raises(OSError, match="train"):
        render(utterances(small)[0], tmp_path, small)
    assert [p.name for p in tmp_path.iterdir()] == ["train"]


def test_a_missing_extra_is_said_in_one_line():
    code = """
import sys
sys.modules["skimage"] = None
from avsr_bench.records import Refused
from avsr_bench.synth.portrait import portrait
try:
    portrait()
except Refused as refused:
    print(refused)
"""
    said = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert "pip install 'avsr-bench[synth]'" in said
