"""Commands around a unified system, as a user runs them."""

import os
import subprocess

import pytest
import warm
from mouths import make_shards
from small_runs import small_run, small_unified
from training_settings import small


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("place")
    make_shards(folder / "data/small", {"train": 20, "valid": 5, "test": 5})
    small_run(folder / "runs/small/theirs", small_unified())
    return folder


def avsr(place, *words):
    command = [*warm.avsr(), *map(str, words)]
    environment = {**os.environ, "COLUMNS": "120", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False, env=environment)
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stdout, done.stderr


def test_a_unified_system_has_no_modality_in_training(place):
    code, out, err = avsr(place, "train", "usr", "--data", "data/small", "--modality", "video")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("avsr-bench: --modality video: usr learns to read lips, to hear and to do both: leave it out")
    assert {path.name for path in (place / "runs/small").iterdir()} == {"theirs"}


@pytest.mark.parametrize(
    "words",
    [
        ("evaluate", "runs/small/theirs", "--data", "data/small"),
        ("transcribe", "talk.mp4", "--model", "runs/small/theirs"),
        ("export", "runs/small/theirs", "--format", "sparse"),
        ("label", "data/small", "--with", "runs/small/theirs", "--name", "asr"),
    ],
    ids=lambda words: words[0],
)
def test_every_reader_asks_which_of_the_three(place, words):
    (place / "talk.mp4").touch()
    code, out, err = avsr(place, *words)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "small/theirs reads lips, hears and does both: say which with --modality video, audio or av" in err


def test_the_plan_of_a_unified_system_is_printed(place):
    settings = small("train.steps=3", "train.validate_every=3", "train.average=1", "data.hide.speakers=0.4")
    code, out, err = avsr(place, "train", "usr-labelled", "--data", "data/small", "--dry-run", *settings)
    assert code == 0, err
    assert "usr-labelled" in out and "unified" in out
    assert not (place / "runs/small/usr-labelled-tiny-s0").exists()


def test_unified_systems_are_listed(place):
    code, out, _ = avsr(place, "list")
    assert code == 0 and "usr-labelled" in out
