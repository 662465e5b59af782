"""How far the encoder tells frames apart, from a validation during training."""

from dataclasses import replace

import pytest
import torch
from lightning_fabric import Fabric

from avsr_bench.nn import AVSR, VIEWS, FrontendSettings, NetworkSettings, Unified
from avsr_bench.training import report
from avsr_bench.training.report import read_metrics
from avsr_bench.training.variation import CONSTANT, Variation

NARROW = FrontendSettings(channels=(4, 6, 8, 10), blocks=1, stem=(3, 3, 3))
SMALL = NetworkSettings(
    mouth=16, video=NARROW, width=16, heads=2, feed_forward=24, kernel=5, encoder_blocks=2, decoder_blocks=1
)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return AVSR("video", SMALL, 12).eval()


def ratios(network, *batches):
    variation = Variation(network)
    for video, lengths in batches:
        with variation.watch(lengths), torch.no_grad():
            network.encode(video, lengths)
    return variation.ratios(Fabric(accelerator="cpu", devices=1))


def test_it_is_the_deviation_of_valid_frames_against_their_mean(network):
    video, lengths = torch.randn(3, 9, 16, 16), torch.tensor([9, 4, 7])
    found = ratios(network, (video, lengths))
    with torch.no_grad():
        memory, _ = network.encode(video, lengths)
    frames = torch.cat([clip[:length] for clip, length in zip(memory, lengths, strict=True)])
    mean = frames.mean(0)
    expected = (frames - mean).square().sum(1).mean().sqrt() / mean.norm()
    assert list(found) == ["video/block-01", "video/block-02", "video/output"]
    assert found["video/output"] == pytest.approx(expected.item(), rel=1e-4)


def test_batches_add_up(network):
    video, lengths = torch.randn(4, 6, 16, 16), torch.tensor([6, 6, 6, 6])
    whole = ratios(network, (video, lengths))
    halves = ratios(network, (video[:1], lengths[:1]), (video[1:], lengths[1:]))
    assert halves == pytest.approx(whole, rel=1e-4)


def test_the_views_of_a_unified_network_add_up():
    torch.manual_seed(0)
    network, lengths = Unified(replace(SMALL, audio=NARROW), 12).eval(), torch.tensor([6, 4])
    both = torch.randn(2, 6, 16, 16), torch.randn(2, 3840)
    together, apart = Variation(network), Variation(network)
    with torch.no_grad():
        with together.watch(lengths):
            network.encode(both, lengths)
        for view in VIEWS:
            with apart.watch(lengths):
                network.encode(both if view == "av" else both[view == "audio"], lengths, (view,))
    fabric = Fabric(accelerator="cpu", devices=1)
    assert together.ratios(fabric) == pytest.approx(apart.ratios(fabric), rel=1e-4)
    assert list(together.ratios(fabric)) == ["all/block-01", "all/block-02", "all/output"]


def test_an_encoder_that_answers_the_same_to_everything_is_constant(network):
    lengths = torch.tensor([5, 5])
    constant = ratios(network, (torch.zeros(2, 5, 16, 16), lengths))
    moving = ratios(network, (3 * torch.randn(2, 5, 16, 16), lengths))
    assert constant["video/block-01"] < moving["video/block-01"]
    with torch.no_grad():
        dead = AVSR("video", SMALL, 12).eval()
        for block in dead.encoders["video"].blocks:
            for weight in block.norm.parameters():
                weight.fill_(0.0)
            block.norm.bias.normal_()
        found = ratios(dead, (torch.randn(2, 5, 16, 16), lengths))
    assert found["video/output"] < 1e-3 < CONSTANT
    assert not network.encoders["video"].norm._forward_hooks


@pytest.mark.parametrize("limit", [0.0, 1e9])
def test_a_run_logs_it_and_its_line_says_when_the_output_is_constant(limit, run, tmp_path, monkeypatch):
    monkeypatch.setattr(report, "CONSTANT", limit)
    folder = run("dense", out=tmp_path / "run")
    logged = [
        float(row["valid/varies/video/output"]) for row in read_metrics(folder / "metrics.csv") if row["valid/wer"]
    ]
    assert len(logged) == 2 and all(ratio > 0 for ratio in logged)
    said = ["output constant" in status for status in run.view.status]
    assert said == ([False] * 3 + [True] * 5 if limit else [False] * 8)
