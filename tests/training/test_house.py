"""The four axes: every recipe of models/ and combinations of objective, method and data train through the real job."""

import csv
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import safetensors.torch
import torch
import warm
import yaml
from patience import PATIENCE
from training_settings import SMALL, small

from avsr_bench import data, recipes, runs
from avsr_bench.data import Label, LabelHeader
from avsr_bench.records import Ancestor, Misused, Refused
from avsr_bench.training.dry_run import dry_run
from avsr_bench.training.plan import TrainRequest
from avsr_bench.training.signals import Stopped

PACE = {name: ["method.every=2"] for name in ("rigl", "set", "gmp", "granet", "chase")}
OVERLAY = "asr"


@pytest.fixture
def own_tiny(tmp_path):
    """A size of the working folder, which goes first: what a system needs is trained in a moment too."""
    sections: dict[str, dict[str, object]] = {"train": {"steps": 2}}
    for given in SMALL:
        section, _, rest = given.partition(".")
        name, _, value = rest.partition("=")
        sections.setdefault(section, {})[name] = yaml.safe_load(value)
    (tmp_path / "models/sizes").mkdir(parents=True)
    (tmp_path / "models/sizes/tiny.yaml").write_text("# Small.\n" + yaml.safe_dump(sections))


@pytest.fixture
def labels(corpus):
    """An overlay with a text for every training clip."""
    keys = [entry.key for shard in corpus.shards("train") for entry in shard]
    header = LabelHeader(
        labeller="tests",
        licence="CC0",
        weights="0123",
        modality="audio",
        decoding={"kind": "ctc"},
        corpus=corpus.fingerprint,
        ancestors=(Ancestor("tests", 1234), Ancestor("before", 100)),
    )
    data.write_labels(corpus, OVERLAY, header, {key: Label("bin blue", 0.8) for key in keys})
    return OVERLAY


def weights(folder):
    return safetensors.torch.load_file(folder / "model.safetensors")


def rows(folder):
    with (folder / "metrics.csv").open() as file:
        return [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]


def sparsity(folder):
    return runs.open_run(folder).about.sparsity


@pytest.mark.parametrize("system", sorted(recipes.names("models")))
def test_every_recipe_trains(run, own_tiny, system):
    if system == "int8":
        pytest.importorskip("torchao", reason="int8 needs torchao: pip install 'avsr-bench[int8]'")
    rounds = ["rounds.sparsities=[0.1, 0.2]"] if system == "sparsevsr" else []
    rounds = ["rounds.sparsities=[0, 0]"] if system == "dense-continued" else rounds
    if system == "usr":  # what it begins with has a length of its own at tiny
        run("usr-labelled", assignments=("train.steps=2",))
    folder = run(system, assignments=("train.steps=6", *rounds, *PACE.get(system, [])))
    about = runs.open_run(folder).about
    assert about.budget is not None and about.budget.updates == 6 and about.budget.frames > 0
    assert about.budget.total == about.budget.frames + sum(each.frames for each in about.budget.ancestors)
    assert all(torch.isfinite(of).all() for of in weights(folder).values() if of.is_floating_point())
    needs = {"distilled", "dense-continued", "one-shot", "layer-wise", "sparsevsr", "int8", "usr"}
    assert bool(about.budget.ancestors) == (system in needs)
    assert bool(about.budget.teacher_frames) == (system in {"distilled", "usr", "usr-pretrained", "braven", "raven"})


def test_the_budget_counts_valid_frames_and_every_ancestor_once(run, own_tiny, corpus):
    folder = run("sparsevsr", assignments=("train.steps=4", "rounds.sparsities=[0.1, 0.2]"))
    second, first, dense = (
        runs.open_run(of).about.budget for of in (folder, folder.parent / "round-01", Path("runs/small/dense-tiny-s0"))
    )
    assert first.frames == sum(float(row["frames"]) for row in rows(folder.parent / "round-01"))
    assert [each.frames for each in second.ancestors] == [first.frames, dense.frames]
    assert second.total == second.frames + first.frames + dense.frames
    hours = sum(entry.frames for shard in corpus.shards("train") for entry in shard) / 25 / 3600
    assert dense.labelled_hours == pytest.approx(hours, abs=1e-3) and dense.automatic_hours == 0


def test_msrs_with_distillation(run, own_tiny):
    """A network whose mask is searched learns from a teacher; after the switch it stays sparse."""
    given = (
        "train.steps=8",
        "method.search=0.5",
        "method.after=sparse",
        "method.sparsity=0.5",
        "method.norm_batches=2",
    )
    folder = run("msrs", assignments=(*given, "objective.name=distil", "objective.teacher.run=dense"))
    assert sparsity(folder) == pytest.approx(0.5, abs=1e-3)
    table = rows(folder)
    assert all(float(row["distillation"]) > 0 for row in table)
    assert [bool(row["penalty"]) for row in table] == [True] * 4 + [False] * 4
    assert runs.open_run(folder).about.budget.ancestors[0].run == "small/dense-tiny-s0"


def test_rigl_with_layer_scale_and_an_overlay_of_labels(run, labels):
    given = ("method.every=2", "network.layer_scale=0.1", f"data.labels={labels}", "data.hide={speakers: 0.67}")
    folder = run("rigl", *given, steps=6)
    opened = runs.open_run(folder)
    assert opened.about.sparsity == pytest.approx(0.5, abs=0.02) and opened.about.labels
    assert opened.about.budget.automatic_hours > opened.about.budget.labelled_hours > 0
    assert any(name.endswith("factors") for name in weights(folder))
    assert [(ancestor.run, ancestor.frames) for ancestor in opened.about.budget.ancestors] == [
        ("tests", 1234),
        ("before", 100),
    ]
    assert sum("labels asr, by tests: " in line for line in run.view.said) == 1


def test_rounds_of_an_audio_visual_network(run, own_tiny):
    given = ("train.steps=3", "augment.babble=false", "rounds.sparsities=[0.3, 0.6]")
    folder = run("sparsevsr", assignments=given, modality="av")
    assert folder.parts[-2:] == ("sparsevsr-tiny-av-s0", "round-02")
    assert sparsity(folder) == pytest.approx(0.6, abs=1e-3) and runs.open_run(folder).load().modality == "av"


def test_two_streams_feed_one_update_and_resume_exactly(run, labels, tmp_path):
    streams = "data.streams={labelled: {take: own, fraction: 0.5}, more: {take: automatic, views: [plain, augmented]}}"
    given = (streams, f"data.labels={labels}", "data.hide={speakers: 0.34}", "train.workers=1", "train.accumulate=2")
    whole = run("dense", *given, steps=9, out=tmp_path / "whole")
    out, resume = tmp_path / "parts", False
    for stop in (2, 6):
        with pytest.raises(Stopped):
            act = lambda step, stop=stop: os.kill(os.getpid(), signal.SIGTERM) if step == stop else None  # noqa: E731
            run("dense", *given, steps=9, out=out, resume=resume, act=act)
        resume = True
    run("dense", *given, steps=9, out=out, resume=True)
    assert rows(out) == rows(whole)
    assert all(torch.equal(of, weights(whole)[name]) for name, of in weights(out).items())
    before, after = runs.open_run(whole).about.budget, runs.open_run(out).about.budget
    assert (before.frames, before.updates) == (after.frames, after.updates)


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        (
            ["data.streams={more: {take: unlabelled}}"],
            Misused,
            "data.streams.more.take=unlabelled: recognise learns from",
        ),
        (["data.streams={labelled: {take: all}}"], Misused, "take=all: recognise learns from transcripts alone"),
        (["data.streams={more: {take: automatic}}"], Misused, "take=automatic: give data.labels"),
        (["data.streams={more: {takes: own}}"], Misused, r"unknown setting data\.streams\.more\.takes"),
        (["data.streams={more: {views: []}}"], Misused, "views"),
        (["data.streams={more: {fraction: 0}}"], Misused, "fraction"),
        (["data.min_confidence=2"], Misused, "data.min_confidence = 2: it should be a number from 0 to 1"),
        (["data.hide={speakers: 2}"], Misused, "data.hide.speakers = 2"),
        (["data.labels=nobody"], Refused, "labels/nobody.jsonl is not there"),
        (["data.hide={speakers: 1.0}"], Refused, "data.streams.labelled.take=labelled: .*, train has no such clip"),
        (["objective.name=unify"], Misused, "unknown objective.name 'unify'"),
        (["objective.weight=1"], Misused, "objective: unknown setting weight"),
    ],
)
def test_combinations_that_make_no_sense_are_refused_by_name(run, tmp_path, given, error, message):
    with pytest.raises(error, match=message) as caught:
        run("dense", *given, out=tmp_path / "run")
    assert "\n" not in str(caught.value) and not (tmp_path / "run").exists()


def test_a_mask_on_an_8_bit_run_is_refused_before_anything_is_read(run, own_tiny, monkeypatch):
    monkeypatch.setattr(data, "choose", lambda *_: pytest.fail("clips were read"))
    with pytest.raises(Refused, match="msrs cannot begin with runs/small/int8-tiny-s0, an 8-bit run"):
        run("msrs", assignments=("init=int8",))


def test_a_run_is_not_resumed_with_other_labels(run, corpus, labels, tmp_path):
    given = (f"data.labels={labels}", "data.hide={speakers: 0.34}")
    with pytest.raises(Stopped):
        run("dense", *given, out=tmp_path / "run", act=lambda step: os.kill(os.getpid(), signal.SIGTERM))
    path = Path(corpus.location) / "labels" / f"{labels}.jsonl"
    path.write_text(path.read_text().replace("bin blue", "at now"))
    with pytest.raises(Refused, match="was begun with other labels: resume it with those"):
        run("dense", *given, out=tmp_path / "run", resume=True)


def test_a_dry_run_prints_the_plan_and_trains_nothing(corpus, tmp_path):
    words = [*warm.avsr(), "train", "distilled", "--data", corpus.location, "--size", "tiny"]
    words += ["--dry-run", "train.lr=0.5"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=PATIENCE)
    assert done.returncode == 0 and not done.stderr and not list(tmp_path.iterdir())
    text = done.stdout
    assert text.index("1 of 2  runs/small/dense-tiny-s0") < text.index("2 of 2  runs/small/distilled-tiny-s0")
    for piece in (
        "labelled",
        "parameters",
        "1,600, of",
        "s an update",
        "GiB",
        "without its teacher",
        "nothing was trained",
    ):
        assert piece in text, piece
    origin = {
        line.split()[0]: line.split("  ")[-1].strip() for line in text.splitlines() if line.startswith("  train.")
    }
    assert origin["train.lr"] == "command line" and origin["train.steps"].endswith("models/sizes/tiny.yaml")
    assert origin["train.epochs"] == "default"


def test_a_dry_run_of_a_system_whose_teacher_was_begun(run, own_tiny, corpus):
    """It is there and has no weights yet: training resumes it first, so the plan has both runs."""
    with pytest.raises(Stopped):
        run("dense", assignments=(), act=lambda step: os.kill(os.getpid(), signal.SIGTERM))
    request = TrainRequest("distilled", data=corpus.location, size="tiny")
    first, second = dry_run(request)[1]
    assert first.begun and not second.begun
    assert second.without == ("teacher",) and second.seconds > 0


def test_a_dry_run_refuses_what_training_would(run, corpus, tmp_path):
    run("dense", steps=2, out=tmp_path / "run")
    words = [
        *warm.avsr(),
        "train",
        "dense",
        "--data",
        corpus.location,
        "--out",
        "run",
        "--dry-run",
    ]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=PATIENCE)
    assert done.returncode == 1 and done.stdout == ""
    assert "run is a run that was finished: resume it with --resume, or choose another --out" in done.stderr


def test_what_lightning_never_does_is_not_done(run, monkeypatch):
    """Under Slurm a trainer would take SIGUSR1 to put the job into the queue again; that is the job script's choice."""
    for name, value in {"SLURM_NTASKS": "1", "SLURM_JOB_NAME": "train", "SLURM_JOB_ID": "7"}.items():
        monkeypatch.setenv(name, value)
    for name in ("SLURM_PROCID", "SLURM_LOCALID", "SLURM_NODEID"):
        monkeypatch.setenv(name, "0")
    before, seen = signal.getsignal(signal.SIGUSR1), []
    run("dense", steps=2, act=lambda step: seen.append(signal.getsignal(signal.SIGUSR1)))
    assert seen == [before] * 2


@pytest.mark.slow
@pytest.mark.parametrize("system", ["distilled", "msrs"])
def test_two_ranks_train_with_a_teacher_and_with_a_mask(corpus, own_tiny, tmp_path, system):
    """Started by torchrun, since the teacher is trained first; both ranks end with one set of weights."""
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", "avsr_bench"]
    words = ["train", system, "--data", corpus.location, "--size", "tiny", *small("train.steps=8", "train.device=cpu")]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    ask = {"capture_output": True, "text": True, "check": False, "timeout": PATIENCE, "env": environment}
    done = subprocess.run([*launch, *words, "train.devices=2"], cwd=tmp_path, **ask)
    assert done.returncode == 0, done.stderr[-3000:]
    folder = tmp_path / "runs/small" / f"{system}-tiny-s0"
    assert len(rows(folder)) == 8 and rows(folder)[-1]["loss"]
    assert runs.open_run(folder).about.budget.frames > sum(float(row["frames"]) for row in rows(folder)) * 0.5
