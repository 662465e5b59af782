"""Training without text, from a corpus that has none to a network that is fine-tuned with some."""

import csv
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

from avsr_bench import nn, runs
from avsr_bench.evaluation import evaluate
from avsr_bench.evaluation.job import EvaluateRequest
from avsr_bench.export.onnx import export_onnx
from avsr_bench.records import SILENCE, Misused, Refused
from avsr_bench.training.job import take_weights
from avsr_bench.training.plan import TrainRequest, make_plan
from avsr_bench.training.recipe import differences, load_recipe
from avsr_bench.training.signals import Stopped

NARROW = "objective.predictor={width: 8, heads: 2, feed_forward: 16}"


@pytest.fixture(scope="module")
def mute(tmp_path_factory):
    """A corpus without one word of text."""
    place = tmp_path_factory.mktemp("mute") / "data" / "mute"
    return make_shards(place, {"train": 8, "valid": 3}, text=lambda number: None)


@pytest.fixture
def braven(run, mute, tmp_path):
    return run("braven", NARROW, data=mute.location, steps=4, out=tmp_path / "braven")


def rows(folder):
    with (folder / "metrics.csv").open() as file:
        return [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]


def weights(folder):
    return safetensors.torch.load_file(folder / "model.safetensors")


def stop_at(step):
    return lambda now: os.kill(os.getpid(), signal.SIGTERM) if now == step else None


def test_a_corpus_without_text_trains_and_is_fine_tuned_with_text(run, braven, corpus, mute, tmp_path):
    last = rows(braven)[-1]
    assert -2 < float(last["valid/loss"]) < 2 and not [name for name in last if "wer" in name]
    assert "probe/video" in last and float(last["probe/video"]) == 0
    for figure in ("target_deviation", "target_cosine"):
        assert all(-1 <= float(last[f"{figure}/{sense}"]) <= 1.001 for sense in ("video", "audio"))
    assert not [status for status in run.view.status if "WER" in status]
    opened = runs.open_run(braven)
    hours = sum(entry.frames for shard in mute.shards("train") for entry in shard) / 25 / 3600
    budget = opened.about.budget
    assert budget.unlabelled_hours == pytest.approx(hours, abs=1e-3) and budget.labelled_hours == 0
    assert budget.frames == budget.teacher_frames > 0 and opened.about.modality == "av"
    begun = (f"init.run={braven}", "init.part=encoder")
    heir = run("dense", *begun, steps=2, out=tmp_path / "heir")
    [ancestor] = runs.open_run(heir).about.budget.ancestors
    assert (ancestor.run, ancestor.frames) == (opened.name, budget.frames)
    assert runs.open_run(heir).tokenizer().units != opened.tokenizer().units
    assert any(line.startswith(f"begins with encoder of {braven}") for line in run.view.said)


@pytest.mark.parametrize("modality", ["video", "audio", "av"])
def test_encoders_are_taken_for_lips_for_sound_and_for_both(braven, modality):
    opened, theirs = runs.open_run(braven), weights(braven)
    network = nn.draw(modality, opened.network, 40)
    take_weights(network, braven, "encoder", lambda line: None)
    own = network.state_dict()
    encoders = [name for name in own if name.startswith("encoders.")]
    senses = {"video", "audio"} if modality == "av" else {modality}
    assert {name.split(".")[1] for name in encoders} == senses
    assert all(torch.equal(own[name], theirs[name]) for name in encoders)


def test_the_network_itself_is_not_used(run, braven, corpus, tmp_path):
    advice = r"fine-tune it, `avsr-bench train dense init.run=.*braven init.part=encoder`"
    with pytest.raises(Refused, match=f"has learnt without text, and its heads are untrained: {advice}") as caught:
        evaluate(EvaluateRequest(run=str(braven), data=corpus.location), SILENCE)
    assert "\n" not in str(caught.value)
    with pytest.raises(Refused, match=advice):
        export_onnx(braven)
    for system, given in (("dense", "init.run"), ("distilled", "objective.teacher.run")):
        with pytest.raises(Refused, match=advice):
            run(system, f"{given}={braven}", out=tmp_path / "refused", modality="av")
    assert not (tmp_path / "refused").exists()
    run("braven", NARROW, f"init.run={braven}", steps=1, out=tmp_path / "more")  # it goes on as itself


def test_what_a_run_needs_is_planned_with_both_senses(corpus, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for modality in ("video", "audio"):
        request = TrainRequest("dense", corpus.location, "tiny", modality, 0, None, False, ("init.run=braven",))
        with pytest.raises(Refused, match="its heads are untrained"):
            make_plan(request)
        given = ("init.run=braven", "init.part=encoder")
        plan = make_plan(TrainRequest("dense", corpus.location, "tiny", modality, 0, None, False, given))
        first, second = plan.runs
        assert str(first.folder) == "runs/small/braven-tiny-av-s0" and first.about.modality == "av"
        assert second.initial == first.folder and second.about.modality == modality


def test_where_there_is_text_probes_say_how_much_could_be_read(run, tmp_path):
    out = run("braven", NARROW, steps=4, out=tmp_path / "run")
    last = rows(out)[-1]
    assert float(last["probe/video"]) > 0 and -2 < float(last["valid/loss"]) < 2
    for name in ("wer", "wer/audio", "loss/video", "loss/audio"):
        assert float(last[f"valid/{name}"]) >= 0, name
    assert "WER" in run.view.status[-1]
    assert runs.open_run(out).about.budget.labelled_hours == 0


def test_hidden_text_takes_nothing_from_the_stream(run, tmp_path):
    whole = run("braven", NARROW, steps=1, out=tmp_path / "whole")
    half = run("braven", NARROW, "data.hide={speakers: 0.67}", steps=1, out=tmp_path / "half")
    first, second = (runs.open_run(of).about for of in (whole, half))
    assert first.hours == second.hours and first.budget.unlabelled_hours == second.budget.unlabelled_hours


@pytest.mark.parametrize("system", ["braven", "raven"])
def test_stopped_and_resumed_is_as_if_nothing_had_happened(run, tmp_path, system):
    undisturbed = run(system, NARROW, steps=9, out=tmp_path / "whole")
    out, resume = tmp_path / "parts", False
    for stop in (2, 6):
        with pytest.raises(Stopped):
            run(system, NARROW, steps=9, out=out, act=stop_at(stop), resume=resume)
        resume = True
    run(system, NARROW, steps=9, out=out, resume=True)
    assert rows(out) == rows(undisturbed)
    ours, theirs = weights(out), weights(undisturbed)
    assert ours.keys() == theirs.keys() and all(torch.equal(of, theirs[name]) for name, of in ours.items())


@pytest.mark.parametrize("size", ["tiny", "small", "large"])
def test_raven_differs_in_the_four_changes_alone(size):
    braven, raven = (load_recipe(system, size, ()).recipe.sections() for system in ("braven", "raven"))
    assert sorted(differences(braven, raven)) == [
        "objective.blocks=all, not last",
        "objective.masks.audio=0.4, not 0.2",
        "objective.predictor.video=1, not 2",
        "objective.weights.audio=0.7, not 0.5",
        "objective.weights.video=0.3, not 0.5",
    ]


@pytest.mark.parametrize("modality", ["video", "audio"])
def test_it_is_not_asked_for_one_modality(run, tmp_path, modality):
    with pytest.raises(Misused, match=f"--modality {modality}: braven learns from lips and sound at once: leave it"):
        run("braven", modality=modality, out=tmp_path / "run")


def test_clips_without_sound_and_other_objectives_without_text_are_refused(run, mute, tmp_path):
    silent = make_shards(tmp_path / "data" / "silent", {"train": 4, "valid": 2}, sound=lambda number: False)
    with pytest.raises(Refused, match=r"4 of 4 clips have no flac, the first is train000"):
        run("braven", data=silent.location, out=tmp_path / "run")
    for system in ("dense", "usr-labelled"):
        with pytest.raises(Refused, match=r"take=labelled: mute, train has no such clip"):
            run(system, data=mute.location, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_two_ranks_train_alike(mute, tmp_path):
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", "avsr_bench"]
    words = ["train", "braven", "--data", mute.location, "--size", "tiny", "--out", str(tmp_path / "run")]
    words += small("train.steps=6", "train.device=cpu", "train.devices=2", NARROW)
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    ask = {"capture_output": True, "text": True, "check": False, "timeout": PATIENCE, "env": environment}
    done = subprocess.run([*launch, *words], cwd=tmp_path, **ask)
    assert done.returncode == 0, done.stderr[-3000:]
    table = rows(tmp_path / "run")
    assert len(table) == 6 and -2 < float(table[-1]["valid/loss"]) < 2
    frames = runs.open_run(Path(tmp_path / "run")).about.budget.frames
    assert frames > 0.7 * sum(float(row["frames"]) for row in table)
    assert all(torch.isfinite(of).all() for of in weights(tmp_path / "run").values() if of.is_floating_point())
