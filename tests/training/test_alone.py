"""One run, one trainer: a second one is refused and names the first, and a killed one leaves nothing in the way."""

import csv
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import warm
from training_settings import small

from avsr_bench.records import Refused
from avsr_bench.training.checkpoint import CHECKPOINT
from avsr_bench.training.signals import Stopped

START = (sys.executable, "-m", "avsr_bench")


def updates(folder):
    with (folder / "metrics.csv").open() as file:
        return [int(row["update"]) for row in csv.DictReader(file)]


@pytest.fixture
def command(corpus, tmp_path):
    """`train` as somebody else types it, with the settings of `run`."""

    def make(out, *assignments, system="dense", steps=8):
        words = [*START, "train", system, "--data", corpus.location, "--size", "tiny"]
        return [*words, "--out", str(out), *small(f"train.steps={steps}", *assignments)]

    return make


def second(command, out, *options):
    """Somebody else trains in the same folder: how that ends."""
    words = command(out)[len(START) :]
    done = subprocess.run([*warm.avsr(), *words, *options], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    return done.stderr.splitlines()[-1]


def test_a_second_trainer_is_refused_and_names_the_first(run, command, tmp_path):
    out = tmp_path / "run"
    with pytest.raises(Stopped):
        run("dense", out=out, act=lambda step: os.kill(os.getpid(), signal.SIGTERM) if step == 2 else None)
    answers = []
    run("dense", out=out, resume=True, act=lambda step: answers or answers.append(second(command, out, "--resume")))
    named = rf"another run is at work in {re.escape(str(out))}: process {os.getpid()} on .+ since 20"
    assert re.search(named, answers[0])
    assert updates(out) == list(range(1, 9))


def test_of_two_that_begin_one_run_the_second_is_refused(run, command, tmp_path):
    out = tmp_path / "run"
    answers = []
    run("dense", out=out, act=lambda step: answers or answers.append(second(command, out)))
    assert "another run is at work" in answers[0]
    assert updates(out) == list(range(1, 9))


def test_resuming_after_a_kill_works_at_once(run, command, tmp_path):
    out = tmp_path / "run"
    words = command(out, "train.save_minutes=0.000001", "train.workers=2", steps=100_000)
    process = subprocess.Popen(words, stderr=subprocess.DEVNULL, cwd=tmp_path)
    while not (out / CHECKPOINT).exists():
        assert process.poll() is None
    process.kill()
    process.wait()
    leftover = out / f".{CHECKPOINT}.{'0' * 32}.tmp"
    leftover.write_bytes(b"half a checkpoint")

    def stop(step):
        os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Stopped):
        run("dense", "train.save_minutes=9", "train.workers=2", out=out, steps=100_000, resume=True, act=stop)
    assert any(re.search(r"after [\d,]+ updates", line) for line in run.view.said)
    assert updates(out) == list(range(1, max(updates(out)) + 1))
    assert not leftover.exists()


def test_a_folder_of_other_files_is_left_alone(run, tmp_path):
    out = tmp_path / "thesis"
    out.mkdir()
    (out / "metrics.csv").write_text("theirs")
    for resume in (False, True):
        with pytest.raises(Refused, match="thesis holds files and is not a run: choose another --out"):
            run("dense", out=out, resume=resume)
    assert [(path.name, path.read_text()) for path in out.iterdir()] == [("metrics.csv", "theirs")]


def test_an_empty_folder_is_taken_and_a_refused_run_leaves_none(run, tmp_path):
    (tmp_path / "empty").mkdir()
    run("dense", out=tmp_path / "empty", steps=2)
    with pytest.raises(Refused):
        run("dense", "init.run=nobody", out=tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_ranks_of_one_job_do_not_lock_each_other_out(command, tmp_path):
    """Two processes that Lightning starts, stopped by a signal and resumed."""
    out = tmp_path / "run"
    words = [*command(out, "train.devices=2", "train.device=cpu", steps=4), "--resume"]
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert updates(out) == [1, 2, 3, 4] and (Path(out) / "model.safetensors").exists()
