"""Who begins with, or learns from, a unified run; and methods on a network that reads in three ways."""

import pytest
import safetensors.torch
import torch

from avsr_bench import nn, runs
from avsr_bench.records import Misused, Refused


def weights(folder):
    return safetensors.torch.load_file(folder / "model.safetensors")


@pytest.fixture
def usr(run, tmp_path):
    """A unified run of two updates."""
    return run("usr-labelled", "data.hide.speakers=0", steps=2, out=tmp_path / "runs/small/usr-labelled-tiny-s0")


def test_a_unified_teacher_answers_as_the_student_reads(run, usr, tmp_path):
    for modality in ("video", "av"):
        asked = ("init.run=null", f"objective.teacher.run={usr}")
        folder = run("distilled", *asked, steps=2, modality=modality, out=tmp_path / f"distilled-{modality}")
        about = runs.open_run(folder).about
        assert (about.modality, [each.run for each in about.budget.ancestors]) == (
            modality,
            ["small/usr-labelled-tiny-s0"],
        )
        assert about.budget.teacher_frames == about.budget.frames > 0


@pytest.mark.parametrize("part", ["encoder", "frontend"])
def test_a_part_of_a_unified_run_begins_another(run, usr, tmp_path, part):
    asked = (f"init.run={usr}", f"init.part={part}")
    folder = run("usr-labelled", *asked, "train.lr=1e-30", steps=1, out=tmp_path / "begun")
    before, after = weights(usr), weights(folder)
    taken = ("frontends.",) if part == "frontend" else ("frontends.", "entrances.", "blocks.", "norm.")
    for name, of in before.items():
        if name.endswith(("running_mean", "running_var", "num_batches_tracked")):
            continue
        same = torch.allclose(of, after[name], atol=1e-6)
        if name.startswith(taken):
            assert same, name
        elif of.ndim > 1:
            assert not same, name


def test_all_of_a_unified_run_is_no_plain_network(run, usr, tmp_path):
    with pytest.raises(Refused, match="unified") as refused:
        run("dense", f"init.run={usr}", steps=1, out=tmp_path / "plain")
    assert "\n" not in str(refused.value)


METHODS = {
    "rigl": ("method.sparsity=0.5", "method.every=1"),
    "msrs": (
        *("method.sparsity=0.5", "method.after=sparse"),
        *("method.norm_batches=1", "method.search=0.3", "train.average=1"),
    ),
    "magnitude": ("method.sparsity=0.5",),
}


@pytest.mark.parametrize("method", METHODS)
def test_methods_prune_all_of_a_unified_network(run, method, tmp_path):
    folder = run("usr-labelled", f"method.name={method}", *METHODS[method], steps=6, out=tmp_path / method)
    opened = runs.open_run(folder)
    network = opened.whole()
    zeros = {name for name, of in nn.prunable(network).items() if not of.all()}
    assert {name.partition(".")[0] for name in zeros} >= {
        "frontends",
        "entrances",
        "blocks",
        "decoder",
        "outputs",
        "ctc",
    }
    assert opened.about.sparsity == pytest.approx(0.5, abs=0.02)
    for view in nn.VIEWS:
        assert opened.seen_as(view).load().modality == view


def test_a_modality_is_refused_where_all_are_learnt(run, tmp_path):
    for system in ("usr", "usr-labelled"):
        with pytest.raises(Misused, match=r"--modality video: .* leave it out, and say --modality when you use it"):
            run(system, modality="video", out=tmp_path / "never")
    assert not (tmp_path / "never").exists()
