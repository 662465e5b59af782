import pytest
import torch
from torch import nn

from avsr_bench.nn import AVSR, NetworkSettings, prunable

LARGE = NetworkSettings()
SMALL = NetworkSettings(width=256, heads=4, feed_forward=2048)


def millions(settings: NetworkSettings, sparsity: float) -> float:
    with torch.device("meta"):
        network = AVSR("video", settings, 5049)
    total = sum(parameter.numel() for parameter in network.parameters())
    return (total - sparsity * sum(weight.numel() for weight in prunable(network).values())) / 1e6


@pytest.mark.parametrize(
    ("settings", "percent", "published"),
    [
        (LARGE, 0, 250.4), (LARGE, 10, 225.7), (LARGE, 20, 201.1), (LARGE, 30, 176.5), (LARGE, 40, 151.9),
        (LARGE, 50, 127.3), (LARGE, 60, 102.7), (LARGE, 70, 78.1), (LARGE, 80, 53.5), (LARGE, 90, 28.8),
        (SMALL, 0, 56.4), (SMALL, 20, 45.4), (SMALL, 50, 28.9),
    ],
)  # fmt: skip
def test_counts_are_those_of_the_paper(settings, percent, published):
    assert millions(settings, percent / 100) == pytest.approx(published, abs=0.1)


def test_norms_biases_embedding_and_layer_scale_are_kept(make_network):
    network = make_network("av", layer_scale=0.1)
    chosen = prunable(network)
    assert "decoder.output.weight" in chosen
    assert "ctc.weight" in chosen
    assert "encoders.video.blocks.0.attention.position.weight" in chosen
    assert all(weight.dim() > 1 for weight in chosen.values())
    kept = {name for name, _ in network.named_parameters()} - set(chosen)
    assert {name for name in kept if network.get_parameter(name).dim() > 1} == {
        "decoder.embed.weight",
        *(
            f"encoders.{modality}.blocks.{block}.attention.{bias}_bias"
            for modality in ("video", "audio")
            for block in (0, 1)
            for bias in ("content", "position")
        ),
    }


def test_they_are_the_parameters_themselves(make_network):
    network = make_network()
    with torch.no_grad():
        for weight in prunable(network).values():
            weight.zero_()
    assert network.ctc.weight.count_nonzero() == 0
    assert all(isinstance(weight, nn.Parameter) for weight in prunable(network).values())
