"""Training an enhancer through the real job: runs, resumption, two ranks, what is refused."""

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
from avsr_bench.evaluation import evaluate
from avsr_bench.evaluation.job import EvaluateRequest
from avsr_bench.export.onnx import export_onnx
from avsr_bench.records import SILENCE, Misused, Refused
from avsr_bench.training.signals import Stopped

PLAIN = "network.video={kind: plain, channels: [4, 6], stem: [3, 3, 3]}"
VOCODER = "network.enhancer={head: vocoder, vocoder: {channels: 16, kernels: [3], dilations: [1]}}"
AGAINST = "objective.vocoder={discriminators: {channels: 4}, features: 2, mel: 45, spectra: 0}"
HEADS = {"mask": (PLAIN,), "vocoder": (PLAIN, VOCODER), "adversarial": (PLAIN, VOCODER, AGAINST)}


def rows(folder):
    with (folder / "metrics.csv").open() as file:
        return [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]


def weights(folder):
    return safetensors.torch.load_file(folder / "model.safetensors")


@pytest.mark.parametrize("modality", [None, "audio"])
def test_an_enhancer_is_trained_and_opened(run, tmp_path, modality):
    out = run("enhance", PLAIN, steps=4, out=tmp_path / "run", modality=modality)
    last = rows(out)[-1]
    assert float(last["valid/loss"]) and abs(float(last["valid/si_sdr_gain"])) < 30
    assert "SI-SDR gain" in run.view.status[-1] and "WER" not in run.view.status[-1]
    opened = runs.open_run(out)
    assert opened.about.modality == (modality or "av") and not list(out.glob("tokenizer.*"))
    assert opened.about.budget.frames > 0 and opened.about.budget.labelled_hours == 0
    enhancer = opened.enhancer()
    assert enhancer.modality == (modality or "av") and not enhancer.training
    assert opened.about.parameters == sum(each.numel() for each in enhancer.parameters())


def test_it_reads_nothing_and_a_recogniser_makes_no_sound(run, corpus, tmp_path):
    out = run("enhance", PLAIN, steps=1, out=tmp_path / "run")
    with pytest.raises(Refused, match="is an enhancer, which makes sound and reads nothing"):
        export_onnx(out)
    with pytest.raises(Refused, match="is an enhancer, which makes sound and reads nothing"):
        run("distilled", f"objective.teacher.run={out}", out=tmp_path / "refused", modality="av")
    with pytest.raises(Refused):
        run("dense", f"init.run={out}", out=tmp_path / "refused", modality="av")
    dense = run("dense", PLAIN, steps=1, out=tmp_path / "dense")
    with pytest.raises(Refused, match="is a recogniser, which reads and makes no sound"):
        runs.open_run(dense).enhancer()
    assert not (tmp_path / "refused").exists()


def test_it_is_trained_with_the_lips_of_some_clips_hidden(run, tmp_path):
    seen = run("enhance", PLAIN, steps=2, out=tmp_path / "seen", modality="av")
    some = run("enhance", PLAIN, "augment.video_dropout=0.5", steps=2, out=tmp_path / "some", modality="av")
    assert weights(seen).keys() == weights(some).keys()
    assert any(not torch.equal(weight, weights(some)[name]) for name, weight in weights(seen).items())
    assert runs.open_run(some).recipe["augment"]["video_dropout"] == 0.5


def test_lips_are_not_hidden_from_networks_that_only_see(run, tmp_path):
    with pytest.raises(
        Misused, match=r"augment.video_dropout=0.5 hides whole clips from a network that .*--modality av"
    ):
        run("dense", "augment.video_dropout=0.5", out=tmp_path / "run", modality="video")
    with pytest.raises(Misused, match=r"augment.video_dropout = 2: it should be"):
        run("enhance", "augment.video_dropout=2", out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_what_is_refused(run, tmp_path, corpus):
    for given, why in (
        ({"modality": "video"}, "makes sound of lips and sound"),
        ({"assignments": small("network.enhancer=null")}, "give network.enhancer"),
        ({"assignments": small("objective.interference.kinds=[shouting]")}, "unknown sound 'shouting'"),
        ({"assignments": small("objective.interference.kinds=[]")}, "kinds"),
        ({"assignments": small("objective.interference.lowest=20")}, "must not be below lowest"),
        ({"assignments": small("network.low_rank.attention=[0.5, 0.5]")}, "means nothing to an enhancer"),
        ({"assignments": small("network.enhancer.head=wave")}, "head"),
        ({"assignments": small("network.enhancer.vocoder.channels=8")}, "channels"),
        ({"assignments": small("network.enhancer.vocoder.kernels=[]")}, "kernels"),
        ({"assignments": small("objective.vocoder.discriminators={channels: 6}")}, "channels"),
        ({"assignments": small("data.streams.clips.take=labelled", "data.streams.other.take=all")}, "no other"),
    ):
        with pytest.raises((Misused, Refused), match=why) as caught:
            run("enhance", out=tmp_path / "refused", **given)
        assert "\n" not in str(caught.value)
    with pytest.raises(Misused, match=r"network\.enhancer is for objective.name=enhance"):
        run("dense", "network.enhancer.left=50", out=tmp_path / "refused")
    assert not (tmp_path / "refused").exists()


def test_clips_without_sound_are_left_out_with_the_reason(run, tmp_path):
    place = tmp_path / "data" / "mute"
    make_shards(place, {"train": 8, "valid": 3}, sound=lambda number: number != 2)
    out = run("enhance", PLAIN, data=str(place), steps=1, out=tmp_path / "run")
    assert "it has no flac" in (out / "left_out.jsonl").read_text()


@pytest.mark.parametrize("head", HEADS)
def test_resumed_in_the_middle_it_is_bit_equal(run, tmp_path, head):
    """The vocoder is given other log-mels from its fourth update on."""
    whole = run("enhance", *HEADS[head], steps=6, out=tmp_path / "whole")
    stop = lambda now: os.kill(os.getpid(), signal.SIGTERM) if now == 3 else None  # noqa: E731
    with pytest.raises(Stopped):
        run("enhance", *HEADS[head], steps=6, out=tmp_path / "cut", act=stop)
    cut = run("enhance", *HEADS[head], steps=6, out=tmp_path / "cut", resume=True)
    one, other = weights(whole), weights(cut)
    assert one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)
    assert rows(whole) == rows(cut)


@pytest.mark.parametrize("head", ["vocoder", "adversarial"])
def test_one_with_a_vocoder_is_trained_and_opened(run, tmp_path, head):
    out = run("enhance", *HEADS[head], steps=4, out=tmp_path / "run")
    last = rows(out)[-1]
    assert float(last["valid/loss"]) and abs(float(last["valid/mel_gain"])) < 100
    assert "mel gain" in run.view.status[-1] and "valid/si_sdr_gain" not in last
    others = {"vocoder": ["spectra"], "adversarial": ["adversarial", "features", "discriminators"]}
    assert all(float(last[name]) > 0 for name in ("loss", "vocoder", *others[head]))
    opened = runs.open_run(out)
    enhancer = opened.enhancer()
    assert opened.about.parameters == sum(each.numel() for each in enhancer.parameters())
    assert not [name for name in weights(out) if "discriminators" in name] and enhancer.delay == 320


@pytest.mark.parametrize("head", HEADS)
def test_matrix_products_in_16_bits(run, tmp_path, head):
    out = run("enhance", *HEADS[head], "train.precision=bf16", steps=2, out=tmp_path / "run")
    assert all(torch.isfinite(each).all() for each in weights(out).values())
    assert all(float(value) == float(value) for name, value in rows(out)[-1].items() if name.startswith("valid/"))


@pytest.mark.slow
@pytest.mark.parametrize("head", ["mask", "adversarial"])
def test_two_ranks_train_together(corpus, tmp_path, head):
    out = tmp_path / "run"
    settings = small(*HEADS[head], "train.steps=3", "train.device=cpu")
    code = Path(__file__).parent / "two_ranks.py"
    words = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", "29641"]
    done = subprocess.run(
        [*words, str(code), "enhance", corpus.location, str(out), json.dumps(settings)],
        capture_output=True, text=True, timeout=PATIENCE, stdin=subprocess.DEVNULL, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert all(torch.isfinite(each).all() for each in weights(out).values())
    assert float(rows(out)[-1]["frames"]) > 0


def test_a_method_thins_it_out(run, tmp_path):
    out = run("enhance", PLAIN, "method={name: static-erk, sparsity: 0.5}", steps=4, out=tmp_path / "run")
    assert runs.open_run(out).about.sparsity == pytest.approx(0.5, abs=0.02)
    assert runs.open_run(out).enhancer()


def test_an_evaluation_of_it_says_what_it_is_or_measures(run, corpus, tmp_path):
    out = run("enhance", PLAIN, steps=1, out=tmp_path / "run")
    with pytest.raises(Refused, match="enhancer"):
        evaluate(EvaluateRequest(run=str(out), data=corpus.location), SILENCE)
