"""USR's self-supervised stage through the real job, and what begins with it."""

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
from avsr_bench.nn import VIEWS, Batch, Unified
from avsr_bench.records import Misused, Refused
from avsr_bench.training.checkpoint import CHECKPOINT, read_checkpoint
from avsr_bench.training.job import take_weights
from avsr_bench.training.plan import TrainRequest, make_plan
from avsr_bench.training.signals import Stopped

NARROW = "objective.predictor={width: 8, heads: 2, feed_forward: 16}"


@pytest.fixture(scope="module")
def mute(tmp_path_factory):
    """A corpus without one word of text."""
    place = tmp_path_factory.mktemp("mute") / "data" / "mute"
    return make_shards(place, {"train": 8, "valid": 3}, text=lambda number: None)


@pytest.fixture
def pretrained(run, mute, tmp_path):
    return run("usr-pretrained", NARROW, data=mute.location, steps=4, out=tmp_path / "pretrained")


def rows(folder):
    with (folder / "metrics.csv").open() as file:
        return [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]


def weights(folder):
    return safetensors.torch.load_file(folder / "model.safetensors")


def stop_at(step):
    return lambda now: os.kill(os.getpid(), signal.SIGTERM) if now == step else None


def some_clips():
    noise = torch.Generator().manual_seed(1)
    video = torch.randint(0, 256, (1, 9, 16, 16), generator=noise, dtype=torch.uint8)
    return Batch(torch.tensor([9]), torch.tensor([[1]]), video, torch.randn(1, 5760, generator=noise))


def test_a_corpus_without_text_trains_and_is_fine_tuned_with_text(run, pretrained, tmp_path):
    last = rows(pretrained)[-1]
    assert -1.7 <= float(last["valid/loss"]) <= 1.7 and not [name for name in last if "wer" in name]
    assert all(float(last[f"probe/{view}"]) == 0 for view in VIEWS)
    assert -1 <= float(last["target_cosine/av"]) <= 1.001 and float(last["target_deviation/av"]) > 0
    opened = runs.open_run(pretrained)
    budget = opened.about.budget
    assert budget.frames == budget.teacher_frames > 0 and budget.labelled_hours == 0 < budget.unlabelled_hours
    assert opened.about.modality == "unified"
    begun = (f"init.run={pretrained}", "init.part=encoder")
    heir = run("usr-labelled", *begun, steps=2, out=tmp_path / "heir")
    [ancestor] = runs.open_run(heir).about.budget.ancestors
    assert (ancestor.run, ancestor.frames) == (opened.name, budget.frames)
    assert runs.open_run(heir).tokenizer().units != opened.tokenizer().units
    for modality in VIEWS:
        folder = run("dense", *begun, steps=1, out=tmp_path / modality, modality=modality)
        assert runs.open_run(folder).about.modality == modality
        assert any(line.startswith(f"begins with encoder of {pretrained}") for line in run.view.said)


def test_where_there_is_text_probes_say_how_much_could_be_read(run, tmp_path):
    out = run("usr-pretrained", NARROW, steps=4, out=tmp_path / "run")
    last = rows(out)[-1]
    assert all(float(last[f"probe/{view}"]) > 0 for view in VIEWS)
    for name in ("wer", "wer/audio", "wer/av", "loss/video", "loss/audio", "loss/av"):
        assert float(last[f"valid/{name}"]) >= 0, name
    network = Unified(runs.open_run(out).network, len(runs.open_run(out).tokenizer()))
    assert weights(out).keys() == network.state_dict().keys()  # no teacher, predictor or probe is left behind


def test_the_heads_of_its_network_stay_as_they_were_drawn(run, tmp_path):
    short = run("usr-pretrained", NARROW, steps=1, out=tmp_path / "short")
    long = run("usr-pretrained", NARROW, steps=4, out=tmp_path / "long")
    one, four = weights(short), weights(long)
    same = {name for name in one if torch.equal(one[name], four[name])}
    heads = {name for name in one if name.startswith(("decoder.", "outputs.", "ctc."))}
    assert heads <= same
    assert not same & {name for name in one if name.startswith("entrances.")}


@pytest.mark.parametrize("modality", VIEWS)
@torch.no_grad()
def test_an_encoder_that_begins_with_it_answers_as_the_view_does(pretrained, modality):
    opened, theirs = runs.open_run(pretrained), weights(pretrained)
    network = nn.draw(modality, opened.network, 40)
    drawn = {name: of.clone() for name, of in network.state_dict().items()}
    take_weights(network, pretrained, "encoder", lambda line: None)
    own = network.state_dict()
    whole, clips = opened.whole().eval(), some_clips()
    for sense in network.senses:
        mapped = {"frontend": f"frontends.{sense}", "project": f"entrances.{sense}", "blocks": "blocks", "norm": "norm"}
        for name in own:
            if name.startswith(f"encoders.{sense}."):
                place, _, rest = name.removeprefix(f"encoders.{sense}.").partition(".")
                assert torch.equal(own[name], theirs[f"{mapped[place]}.{rest}"]), name
        alone = nn.make(sense, opened.network, 40)
        take_weights(alone, pretrained, "encoder", lambda line: None)
        inputs = clips.seen_as(sense).inputs
        memory, _ = alone.eval().encode(inputs, clips.lengths)
        torch.testing.assert_close(memory, whole.view(sense).encode(inputs, clips.lengths)[0])
    elsewhere = [name for name in own if not name.startswith("encoders.")]
    assert elsewhere and all(torch.equal(own[name], drawn[name]) for name in elsewhere)


def test_its_front_end_alone_is_taken_too(pretrained):
    opened, theirs = runs.open_run(pretrained), weights(pretrained)
    network = nn.draw("audio", opened.network, 40)
    drawn = {name: of.clone() for name, of in network.state_dict().items()}
    take_weights(network, pretrained, "frontend", lambda line: None)
    for name, value in network.state_dict().items():
        taken = name.startswith("encoders.audio.frontend.")
        source = theirs[name.replace("encoders.audio.frontend.", "frontends.audio.")] if taken else drawn[name]
        assert torch.equal(value, source), name


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            "network.width=24",
            r"encoders.video.project.weight is \(16, .* in the file and \(24, .* is it of another size",
        ),
        ("network.encoder_blocks=3", r"has no encoders.video.blocks.2.*another size or modality"),
        ("network.block=transformer", r"has no encoders.video.blocks.0"),
    ],
)
def test_sizes_that_do_not_fit_are_refused_in_one_line(run, pretrained, tmp_path, given, message):
    with pytest.raises(Refused, match=message) as caught:
        run("dense", f"init.run={pretrained}", "init.part=encoder", given, out=tmp_path / "unlike")
    assert "\n" not in str(caught.value)


def test_without_its_encoder_alone_it_is_refused(run, pretrained, tmp_path):
    for system in ("dense", "usr-labelled"):
        with pytest.raises(Refused, match=r"has learnt without text, and its heads are untrained: fine-tune it"):
            run(system, f"init.run={pretrained}", out=tmp_path / "refused")
    run("usr-pretrained", NARROW, f"init.run={pretrained}", steps=1, out=tmp_path / "more")  # it goes on as itself


def test_it_is_trained_first_where_it_is_missing(corpus, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    given = ("init.run=usr-pretrained", "init.part=encoder")
    for system, modality in (("dense", "audio"), ("usr-labelled", None)):
        plan = make_plan(TrainRequest(system, corpus.location, "tiny", modality, 0, None, False, given))
        first, second = plan.runs
        assert str(first.folder) == "runs/small/usr-pretrained-tiny-s0" and first.about.modality == "unified"
        assert second.initial == first.folder


def test_stopped_and_resumed_is_as_if_nothing_had_happened(run, tmp_path):
    given = (NARROW, "network.drop_path=0.2")
    undisturbed = run("usr-pretrained", *given, steps=9, out=tmp_path / "whole")
    out, resume = tmp_path / "parts", False
    for stop in (2, 6):
        with pytest.raises(Stopped):
            run("usr-pretrained", *given, steps=9, out=out, act=stop_at(stop), resume=resume)
        resume = True
    teacher = [name for name in read_checkpoint(out / CHECKPOINT)["objective"] if name.startswith("teacher.")]
    assert any(name.endswith("running_mean") for name in teacher)  # buffers too
    run("usr-pretrained", *given, steps=9, out=out, resume=True)
    assert rows(out) == rows(undisturbed)
    ours, theirs = weights(out), weights(undisturbed)
    assert ours.keys() == theirs.keys() and all(torch.equal(of, theirs[name]) for name, of in ours.items())


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("train.compile=true", "train.compile=true: not with objective.name=unified-prediction"),
        ("data.streams.more.take=all", "data.streams.more: unified-prediction has the streams unlabelled, and no"),
        ("data.streams.unlabelled.views=[plain]", "unified-prediction shows its clips in ways of its own"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(run, tmp_path, given, message):
    with pytest.raises(Misused, match=message):
        run("usr-pretrained", given, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_clips_without_sound_and_one_modality_are_refused(run, tmp_path):
    silent = make_shards(tmp_path / "data" / "silent", {"train": 4, "valid": 2}, sound=lambda number: False)
    with pytest.raises(Refused, match=r"4 of 4 clips have no flac, the first is train000"):
        run("usr-pretrained", data=silent.location, out=tmp_path / "run")
    with pytest.raises(Misused, match="--modality video: usr-pretrained learns to read lips, to hear and to do both"):
        run("usr-pretrained", modality="video", out=tmp_path / "run")


@pytest.mark.slow
def test_two_ranks_train_alike(mute, tmp_path):
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", "avsr_bench"]
    words = ["train", "usr-pretrained", "--data", mute.location, "--size", "tiny", "--out", str(tmp_path / "run")]
    words += small("train.steps=6", "train.device=cpu", "train.devices=2", NARROW)
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    ask = {"capture_output": True, "text": True, "check": False, "timeout": PATIENCE, "env": environment}
    done = subprocess.run([*launch, *words], cwd=tmp_path, **ask)
    assert done.returncode == 0, done.stderr[-3000:]
    table = rows(tmp_path / "run")
    assert len(table) == 6 and -1.7 <= float(table[-1]["valid/loss"]) <= 1.7
    frames = runs.open_run(Path(tmp_path / "run")).about.budget.frames
    assert frames > 0.7 * sum(float(row["frames"]) for row in table)
    assert all(torch.isfinite(of).all() for of in weights(tmp_path / "run").values() if of.is_floating_point())
