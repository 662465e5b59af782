"""Passes that have a part of the clips: resumed anywhere, alike on all ranks, and written down."""

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
from patience import PATIENCE
from training_settings import small

from avsr_bench import runs
from avsr_bench.data import BatchSettings, Pass, Planner, SelectionSettings, Stream
from avsr_bench.records import Misused, Refused
from avsr_bench.training.checkpoint import CHECKPOINT, read_checkpoint, write_checkpoint
from avsr_bench.training.cycles import Cycles
from avsr_bench.training.job import updates_of
from avsr_bench.training.recipe import TrainSettings
from avsr_bench.training.signals import Stopped


def table(path):
    with path.open() as file:
        return [{name: value for name, value in row.items() if name != "seconds"} for row in csv.DictReader(file)]


def tables(folder):
    return [table(folder / name) for name in ("metrics.csv", "passes.csv", "clips.csv")]


def stop_at(step):
    return lambda now: os.kill(os.getpid(), signal.SIGTERM) if now == step else None


WAYS = {
    "easy2hard": ("data.selection.warm=1",),
    "random": ("data.selection.strategy=random", "data.selection.fraction=0.4", "data.selection.warm=0"),
    "infobatch": ("data.selection.strategy=infobatch", "data.selection.fraction=0.5", "train.workers=2"),
    "chunks": (
        "data.selection.frames=chunks",
        "data.selection.frame_fraction=0.5",
        "data.selection.chunk=3",
        "train.accumulate=3",
        "data.selection.score=per_token",
    ),
}


@pytest.mark.parametrize("way", WAYS)
def test_resumed_in_the_middle_of_a_pass_it_is_as_if_nothing_had_happened(run, tmp_path, way):
    given = ("train.steps=null", "train.epochs=8", *WAYS[way])
    undisturbed = run("ddp-asr", *given, steps=8, out=tmp_path / "whole")
    steps = run.view.total
    passes = table(undisturbed / "passes.csv")
    begins = [int(row["update"]) for row in passes]
    assert len(passes) > 3 and int(passes[-1]["clips"]) <= 20
    inside, last = begins[2] + 1, begins[3] - 1  # in the middle of a pass, and after its last update
    out, resume = tmp_path / "parts", False
    for stop in sorted({min(inside, steps - 2), max(last, inside) + 1}):
        with pytest.raises(Stopped):
            run("ddp-asr", *given, steps=8, out=out, act=stop_at(stop), resume=resume)
        resume = True
    run("ddp-asr", *given, steps=8, out=out, resume=True)
    assert tables(out) == tables(undisturbed)
    first, second = (safetensors.torch.load_file(folder / runs.WEIGHTS) for folder in (undisturbed, out))
    assert first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def test_it_says_what_each_pass_had_and_how_often_each_clip_was_used(run, tmp_path):
    out = run("ddp-asr", "data.selection.strategy=easy", "train.steps=null", "train.epochs=8", out=tmp_path / "run")
    passes, clips = table(out / "passes.csv"), table(out / "clips.csv")
    assert [int(row["pass"]) for row in passes] == list(range(len(passes)))
    assert [row["fraction"] for row in passes[:2]] == ["1.0", "1.0"]
    assert all(0.5 < float(row["fraction"]) < 0.9 for row in passes[2:])
    assert len(clips) == 20 and all(float(row["loss"]) > 0 for row in clips)
    every = sum(int(row["clips"]) for row in passes[:-1])
    assert every < sum(int(row["passes"]) for row in clips) <= every + int(passes[-1]["clips"])
    assert all(0 <= int(row["passes"]) - int(row["chosen_passes"]) <= 2 for row in clips)
    never = sum(row["chosen_passes"] == "0" for row in clips)
    said = [line for line in run.view.said if "chosen passes" in line]
    assert len(said) == (never > 0) and (not never or said[0].startswith(f"{never} of 20 clips were in none of the"))


def test_everything_in_each_pass_is_what_dense_trains_on(run, tmp_path):
    full = run("ddp-asr", "data.selection.strategy=full", "data.selection.fraction=1", out=tmp_path / "full")
    dense = run("dense", out=tmp_path / "dense")
    first, second = (safetensors.torch.load_file(folder / runs.WEIGHTS) for folder in (full, dense))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not (full / "passes.csv").exists() and not (dense / "passes.csv").exists()


@pytest.mark.parametrize("system", ["msrs", "lr-sms", "distilled"])
def test_it_goes_together_with_methods_networks_and_objectives(run, tmp_path, system):
    given = {
        "msrs": ("method.search=4", "method.norm_batches=1"),
        "lr-sms": ("network.low_rank.attention=[0.25, 0.25]", "network.low_rank.feed_forward=[0.5, 0.2]"),
        "distilled": (),
    }[system]
    if system == "distilled":
        given = (f"objective.teacher.run={run('dense', out=tmp_path / 'teacher')}",)
    chosen = ("data.selection.strategy=infobatch", "data.selection.fraction=0.5", "data.selection.warm=1")
    out = run(system, *given, *chosen, steps=12, out=tmp_path / "run")
    assert {row["fraction"] for row in table(out / "passes.csv")} != {"1.0"}


def test_the_number_of_updates_is_known_before():
    """warm + (epochs - warm) x fraction passes; InfoBatch's last eighth has everything."""
    planner = Planner((10,) * 100, (0,) * 100, BatchSettings(frames=100), 0)

    class Clips:
        stream = None

    def updates(epochs, accumulate=1, **selection):
        nothing = None
        Clips.stream = Stream(nothing, (), (), "video", planner, (), SelectionSettings(**selection))
        return updates_of(TrainSettings(epochs=epochs, accumulate=accumulate), Clips)

    assert updates(8) == 80
    assert updates(8, strategy="easy2hard", fraction=0.7) == 20 + 42
    assert updates(8, accumulate=4, strategy="easy2hard", fraction=0.7) == 15
    assert updates(8.5, strategy="random", fraction=0.4, warm=0) == 34
    assert updates(8, strategy="infobatch", fraction=0.5) == 20 + 10 + round(0.75 * 50)
    assert updates(8, frames="chunks", frame_fraction=0.5) == 20 + 30
    assert updates(1.5, strategy="easy2hard", fraction=0.7) == 15


@pytest.mark.parametrize("settings", ["fraction=0", "fraction=1.5", "frame_fraction=0", "strategy=best", "chunk=0"])
def test_settings_outside_their_range(run, settings):
    with pytest.raises(Misused, match=rf"data\.selection\.{settings.partition('=')[0]}"):
        run("ddp-asr", f"data.selection.{settings}")


def test_one_stream_alone_can_be_chosen_from(run):
    with pytest.raises(Misused, match="chooses among the clips of one stream, and there are 2"):
        run("ddp-asr", "data.streams={labelled: {}, more: {take: own}}")


def test_a_run_is_resumed_with_its_selection_alone(run, tmp_path):
    with pytest.raises(Stopped):
        run("ddp-asr", out=tmp_path / "run", act=stop_at(5))
    with pytest.raises(Refused, match=r"was begun with data\.selection\.fraction=0\.7, not 0\.5"):
        run("ddp-asr", "data.selection.fraction=0.5", out=tmp_path / "run", resume=True)


def test_losses_that_are_not_finite_choose_no_pass(run, tmp_path):
    given = ("train.steps=null", "train.epochs=8", "data.selection.warm=1")
    with pytest.raises(Stopped):
        run("ddp-asr", *given, out=tmp_path / "run", act=stop_at(3))
    path = tmp_path / "run" / CHECKPOINT
    state = read_checkpoint(path)
    state.pop("format")
    state["ranks"][0]["cycles"]["losses"][0] = float("nan")
    write_checkpoint(path, state)
    with pytest.raises(Refused, match=r"the newest loss of train0\d\d is nan: no pass can be chosen by it"):
        run("ddp-asr", *given, out=tmp_path / "run", resume=True)


def test_a_pass_of_fewer_clips_than_ranks(tmp_path):
    planner = Planner((10,) * 4, (0,) * 4, BatchSettings(frames=100), 0, ranks=2)
    nothing = None
    settings = SelectionSettings("random", 0.1, warm=0)
    stream = Stream(nothing, [Place()] * 4, [()] * 4, "video", planner, (), settings)
    cycles = Cycles(stream, 10, 1, 2, tmp_path)
    cycles._gather = lambda: None
    with pytest.raises(Refused, match=r"pass 0 would have 1 of 4 clips, and 2 devices train: raise"):
        cycles.begin(0)


class Place:
    class entry:
        key, frames = "a", 10


@pytest.mark.slow
def test_two_ranks_choose_alike_and_resume(corpus, tmp_path):
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    script = Path(__file__).with_name("two_ranks.py")
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    ask = {"capture_output": True, "text": True, "check": False, "timeout": PATIENCE, "env": environment}
    settings = small("train.steps=null", "train.epochs=8", "train.device=cpu", "train.devices=2", "data.frames=40")

    def train(folder, *more):
        words = [str(script), "ddp-asr", corpus.location, str(tmp_path / folder), json.dumps(settings), *more]
        done = subprocess.run([*launch, *words], cwd=tmp_path, **ask)
        assert done.returncode == 0, done.stderr[-3000:]
        return tmp_path / folder

    whole = train("whole")
    train("parts", "9")
    parts = train("parts")
    assert tables(parts) == tables(whole)
    passes, clips = table(whole / "passes.csv"), table(whole / "clips.csv")
    assert len(passes) > 5
    every = sum(int(row["clips"]) for row in passes[:-1])
    assert every < sum(int(row["passes"]) for row in clips) <= every + int(passes[-1]["clips"])
    of_ranks = [json.loads(line) for line in (tmp_path / "whole.0.jsonl").read_text().splitlines()]
    assert of_ranks == [json.loads(line) for line in (tmp_path / "whole.1.jsonl").read_text().splitlines()]
    assert len(of_ranks) == len(passes)


def test_a_pass_knows_its_clips():
    weights = torch.tensor([0.0, 1.0, 2.0]).numpy()
    assert Pass(weights, weights.astype(int)).clips.tolist() == [1, 2]
