import csv
import math

import pytest
import torch
from archives import change

from avsr_bench import nn, runs
from avsr_bench.evaluation import weights_digest
from avsr_bench.leaderboard import read_rows, render
from avsr_bench.leaderboard.curves import gather, read_gradients, read_layers
from avsr_bench.text import TokenizerSettings, learn_tokenizer

SMALL = nn.NetworkSettings(
    mouth=48,
    width=16,
    heads=2,
    feed_forward=32,
    kernel=5,
    encoder_blocks=1,
    decoder_blocks=1,
    fusion=16,
    video=nn.FrontendSettings(channels=(8, 8, 8, 8), blocks=1, stem=(3, 3, 3)),
    audio=nn.FrontendSettings(channels=(8, 8, 8, 8), blocks=1),
)


def train(folder, sparsity):
    """A run with some weights at zero and a metrics.csv, as training leaves it."""
    from dataclasses import asdict

    about = runs.About(system="rigl", corpus="synth", size="tiny", seed=0, sparsity=sparsity)
    runs.write_recipe(folder, about, {"network": asdict(SMALL)})
    tokenizer, _ = learn_tokenizer(["zero one two three"] * 4, TokenizerSettings(kind="characters"))
    tokenizer.save(folder)
    torch.manual_seed(0)
    network = nn.AVSR("video", SMALL, len(tokenizer))
    with torch.no_grad():
        for name, weight in nn.prunable(network).items():
            share = 0.9 if "feed_forward" in name and "encoders" in name else sparsity
            weight[torch.rand(weight.shape) < share] = 0
    runs.write_weights(folder, network.state_dict())
    with (folder / "metrics.csv").open("w") as file:
        writer = csv.writer(file)
        writer.writerow(["update", "loss", "grad/first"])
        writer.writerows([step, 1.0, math.exp(-step / 500)] for step in range(1, 1001))
        writer.writerows([[1001, 1.0, ""], [1002, 1.0, "nan"], [1003, 1.0, "inf"]])


@pytest.fixture
def measured(results, make, tmp_path):
    folder = tmp_path / "runs"
    train(folder / "synth/rigl-tiny-s0", 0.3)
    weights = weights_digest(runs.open_run(folder / "synth/rigl-tiny-s0"))
    make.measure(results, "synth/rigl-tiny-s0", sparsity=0.5, texts=make.sentences(5, 2), weights=weights)
    return read_rows([results]).rows, folder, results / "synth__rigl-tiny-s0"


def test_what_is_kept_of_a_run(measured):
    rows, folder, kept = measured
    network = runs.open_run(folder / "synth/rigl-tiny-s0").load()
    assert gather(rows, folder) == []
    gradients = read_gradients(kept)
    assert len(gradients.steps) == 200 and gradients.steps[-1] <= 1000
    for step, norm in zip(gradients.steps, gradients.norms, strict=True):
        assert norm == pytest.approx(math.exp(-step / 500), rel=0.01)
    layers = {group.name: group for group in read_layers(kept)}
    assert sum(group.weights for group in layers.values()) == sum(w.numel() for w in nn.prunable(network).values())
    zeros = sum(int((weight == 0).sum()) for weight in nn.prunable(network).values())
    assert sum(group.zeros for group in layers.values()) == zeros
    assert layers["feed-forward"].sparsity == pytest.approx(0.9, abs=0.03)
    assert layers["decoder"].sparsity == pytest.approx(0.3, abs=0.03)
    assert set(layers) == {"front-end", "attention", "feed-forward", "convolution", "decoder", "output"}


def test_figures_outlive_the_runs(measured, results, published, tmp_path):
    import shutil

    _, folder, kept = measured
    (folder / "synth/rigl-tiny-s0/passes.csv").write_text("pass,update\n0,1\n")
    render([results], published, tmp_path / "out", folder)
    assert (kept / "passes.csv").read_text() == "pass,update\n0,1\n"
    names = {path.name for path in (tmp_path / "out/figures").iterdir()}
    assert {"gradients-synth-test-video-tiny.svg", "layers-synth-test-video-tiny.png"} <= names
    shutil.rmtree(folder)
    render([results], published, tmp_path / "later")
    for path in (tmp_path / "out").rglob("*.*"):
        assert path.read_bytes() == (tmp_path / "later" / path.relative_to(tmp_path / "out")).read_bytes()


def test_a_run_of_other_weights_gives_no_figures(measured, published, results, tmp_path):
    _, folder, kept = measured
    train(folder / "synth/rigl-tiny-s0", 0.4)
    rendered = render([results], published, tmp_path / "out", folder)
    assert any("has other weights than its results" in note for note in rendered.notes)
    assert not (kept / "gradients.csv").exists()


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("metrics.csv", "update,grad/first\n1,many\n", "are not numbers"),
        ("metrics.csv", "time,loss\n1,2\n", "has no column 'update'"),
        ("model.safetensors", "not weights", "no figures of synth/rigl-tiny-s0"),
    ],
)
def test_damaged_runs(measured, results, published, tmp_path, name, content, says):
    _, folder, _ = measured
    (folder / "synth/rigl-tiny-s0" / name).write_text(content)
    if name == "model.safetensors":  # damaged before it was measured, or the results would be of others
        path = results / "synth__rigl-tiny-s0/test.zip/clean"
        weights = weights_digest(runs.open_run(folder / "synth/rigl-tiny-s0"))
        change(path, weights=weights)
    rendered = render([results], published, tmp_path / "out", folder)
    assert says in " ".join(rendered.notes)
    assert (tmp_path / "out/index.html").exists()


def test_damage_to_what_was_kept(measured, results, published, tmp_path):
    _, _, kept = measured
    (kept / "gradients.csv").write_text("step,norm\n1,x\n")
    (kept / "layers.csv").write_text("group,weights\n")
    rendered = render([results], published, tmp_path / "out")
    assert "are not numbers" in rendered.notes[0] and "has no column 'zeros'" in rendered.notes[1]
