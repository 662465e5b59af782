"""`train usr`: two streams and a teacher, through the real job."""

import csv
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import safetensors.torch
import torch
from mouths import make_shards
from patience import PATIENCE
from training_settings import small

from avsr_bench import runs
from avsr_bench.nn import Unified
from avsr_bench.records import Misused, Refused
from avsr_bench.training.checkpoint import CHECKPOINT, read_checkpoint
from avsr_bench.training.dry_run import dry_run
from avsr_bench.training.plan import TrainRequest
from avsr_bench.training.signals import Stopped

ALONE = "init.run=null"  # what a teacher reads is not asked here


def rows(folder):
    with (folder / "metrics.csv").open() as file:
        return [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]


def weights(folder):
    return safetensors.torch.load_file(folder / runs.WEIGHTS)


def left_out(folder):
    return [json.loads(line) for line in (folder / "left_out.jsonl").read_text().splitlines()]


def stop_at(step):
    return lambda now: os.kill(os.getpid(), signal.SIGTERM) if now == step else None


@pytest.mark.parametrize("targets", ["ctc", "attention"])
def test_stopped_and_resumed_is_as_if_nothing_had_happened(run, tmp_path, targets):
    given = (ALONE, f"objective.targets={targets}", "objective.min_confidence=0", "network.drop_path=0.2")
    undisturbed = run("usr", *given, steps=12, out=tmp_path / "whole")
    out, resume = tmp_path / "parts", False
    for stop in (3, 8):
        with pytest.raises(Stopped):
            run("usr", *given, steps=12, out=out, act=stop_at(stop), resume=resume)
        resume = True
    teacher = [name for name in read_checkpoint(out / CHECKPOINT)["objective"] if name.startswith("teacher.")]
    assert any(name.endswith("running_mean") for name in teacher)  # buffers too
    run("usr", *given, steps=12, out=out, resume=True)
    assert rows(out) == rows(undisturbed)
    first, second = weights(out), weights(undisturbed)
    assert first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def test_what_a_run_says_of_itself(run, tmp_path):
    folder = run("usr", ALONE, steps=6, out=tmp_path / "run")
    opened = runs.open_run(folder)
    assert opened.about.modality == "unified" and opened.about.inputs == "av"
    assert isinstance(opened.whole(), Unified)
    budget = opened.about.budget
    assert 0 < budget.teacher_frames < budget.frames
    assert budget.labelled_hours > 0 and budget.unlabelled_hours > 0 and budget.automatic_hours == 0
    validated = [row for row in rows(folder) if row["valid/wer"]]
    assert all(row[f"valid/wer/{name}"] for row in validated for name in ("audio", "av", "teacher"))
    assert all(0 <= float(row["pseudo/sure_frames"]) <= 1 for row in rows(folder))
    assert all(row["grad/frontends.video"] and row["grad/blocks.0"] and row["grad/first"] for row in rows(folder))
    # No head of pseudo-labels and no teacher is left behind.
    network = Unified(opened.network, len(opened.tokenizer()))
    assert weights(folder).keys() == network.state_dict().keys()


def test_a_unified_run_begins_with_another(run, tmp_path):
    first = run("usr-labelled", steps=4, out=tmp_path / "first")
    second = run("usr", f"init.run={first}", steps=4, out=tmp_path / "second")
    assert [each.run for each in runs.open_run(second).about.budget.ancestors] == [runs.open_run(first).name]
    third = run("usr", f"init.run={first}", "init.part=encoder", steps=1, out=tmp_path / "third")
    assert runs.open_run(third).about.modality == "unified"


def test_clips_without_sound_are_left_out_with_a_reason(run, tmp_path):
    place = tmp_path / "data" / "deaf"
    make_shards(place, {"train": 20, "valid": 5, "test": 5}, sound=lambda number: number not in (2, 7))
    folder = run("usr", ALONE, steps=3, data=str(place), out=tmp_path / "run")
    assert left_out(folder) == [{"key": f"train{n:03d}", "reason": "it has no flac"} for n in (2, 7)]
    assert any("2 clips are left out" in line for line in run.view.said)


def test_a_corpus_without_any_sound_is_refused(run, tmp_path):
    place = tmp_path / "data" / "deaf"
    make_shards(place, {"train": 8, "valid": 4, "test": 4}, sound=lambda number: False)
    with pytest.raises(Refused, match="8 of 8 clips have no flac"):
        run("usr", ALONE, data=str(place), out=tmp_path / "run")


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        (["data.hide={speakers: 0}"], Refused, "take=unlabelled: small, train has no such clip: .*data.hide.speakers"),
        (["data.hide={speakers: 0}"], Refused, r"one at least keeps it; with few speakers, data.hide=.clips: 0.8."),
        (["data.hide.clips=0.8"], Misused, "hide.speakers = 0.8 and hide.clips = 0.8 are two ways"),
        (["data.streams.labelled.take=all"], Misused, "streams.labelled.take=all: unified learns from transcripts"),
        (
            ["data.streams.third.take=all"],
            Misused,
            "data.streams.third: unified has the streams unlabelled and labelled",
        ),
        (["data.streams.unlabelled.views=[plain]"], Misused, "unified shows its clips in ways of its own"),
        (["train.compile=true"], Misused, "train.compile=true: not with objective.name=unified"),
        (["objective.decay=1"], Misused, "objective: decay = 1"),
        (["objective.targets=beam"], Misused, "objective: targets = 'beam'"),
        (["objective.unlabelled={video: 2}"], Misused, "objective: unlabelled.video = 2"),
        (["data.selection.strategy=easy"], Misused, "chooses among the clips of one stream"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(run, tmp_path, given, error, message):
    with pytest.raises(error, match=message) as caught:
        run("usr", ALONE, *given, out=tmp_path / "run")
    assert "\n" not in str(caught.value) and not (tmp_path / "run").exists()


def test_a_modality_is_asked_for_when_a_run_is_used(run, tmp_path):
    with pytest.raises(Misused, match="--modality audio: usr learns to read lips, to hear and to do both"):
        run("usr", ALONE, modality="audio", out=tmp_path / "run")


def test_a_teacher_that_is_not_finite_ends_the_run(run, tmp_path):
    with pytest.raises(Refused, match=r"the loss is \S+ after \d+ updates, .*lower train.lr"):
        run("usr", ALONE, "train.lr=1000", "train.warmup=0", "train.clip=0", steps=40, out=tmp_path / "run")


def test_a_dry_run_makes_updates_of_it(corpus, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    request = TrainRequest("usr", corpus.location, "tiny", assignments=(*small(), ALONE, "train.steps=5"))
    _, (forecast,) = dry_run(request)
    assert forecast.seconds > 0 and forecast.hours["unlabelled"] > 0


@pytest.mark.slow
def test_two_ranks_train_it_and_resume(corpus, tmp_path):
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    script = Path(__file__).with_name("two_ranks.py")
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    ask = {"capture_output": True, "text": True, "check": False, "timeout": PATIENCE, "env": environment}
    settings = small(ALONE, "train.steps=8", "train.device=cpu", "train.devices=2", "data.frames=80")

    def train(folder, *more):
        words = [str(script), "usr", corpus.location, str(tmp_path / folder), json.dumps(settings), *more]
        done = subprocess.run([*launch, *words], cwd=tmp_path, **ask)
        assert done.returncode == 0, done.stderr[-3000:]
        return tmp_path / folder

    whole = train("whole")
    train("parts", "3")
    parts = train("parts")
    assert rows(parts) == rows(whole)
    first, second = weights(whole), weights(parts)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert runs.open_run(whole).about.budget.teacher_frames > 0
