import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from methods.loop import make_network
from torch import Size, Tensor
from torch.optim import SGD, AdamW

from avsr_bench.methods.masks import density, draw, hold, keep_largest, kept, magnitude, part, size, sparsity
from avsr_bench.nn import AVSR, FrontendSettings, NetworkSettings, prunable

BASE_S = NetworkSettings(width=256, heads=4, feed_forward=2048)
scores = st.floats(width=32, allow_nan=False) | st.sampled_from([0.0, -0.0, 1.0, math.inf, -math.inf])
layers = st.lists(st.lists(scores, min_size=1, max_size=12), min_size=1, max_size=4)


def by_sorting(scores: dict[str, Tensor], keep: int, within: dict[str, Tensor]) -> dict[str, Tensor]:
    """What `keep_largest` should find, the plain way."""
    values = torch.cat(list(scores.values()))
    allowed = torch.cat(list(within.values()))
    order = [i for i in values.argsort(descending=True, stable=True).tolist() if allowed[i]]
    chosen = torch.zeros(len(values), dtype=torch.bool)
    chosen[order[:keep]] = True
    return dict(zip(scores, chosen.split([len(of) for of in scores.values()]), strict=True))


@pytest.mark.parametrize("keep", [-1, 4])
def test_more_than_there_is_cannot_be_kept(keep: int) -> None:
    within = {"a": torch.tensor([True, True, False, True])}
    with pytest.raises(ValueError, match=f"cannot keep {keep} of 3 weights"):
        keep_largest({"a": torch.rand(4)}, keep, within)


@settings(deadline=None)
@given(layers, st.data())
def test_the_largest_are_kept_as_sorting_would(values: list[list[float]], data: st.DataObject) -> None:
    found = {str(number): torch.tensor(of) for number, of in enumerate(values)}
    within = {
        name: torch.tensor(data.draw(st.lists(st.booleans(), min_size=len(of), max_size=len(of))))
        for name, of in found.items()
    }
    keep = data.draw(st.integers(0, kept(within)))
    masks = keep_largest(found, keep, within)
    assert kept(masks) == keep
    expected = by_sorting(found, keep, within)
    assert all(torch.equal(masks[name], expected[name]) for name in found)


def test_shapes_and_memory_order_do_not_matter() -> None:
    score = torch.randn(4, 3, 5, 2, generator=torch.Generator().manual_seed(0))
    plain = keep_largest({"a": score}, 50)["a"]
    assert torch.equal(plain, keep_largest({"a": score.contiguous(memory_format=torch.channels_last)}, 50)["a"])
    assert torch.equal(plain.flatten(), keep_largest({"a": score.flatten()}, 50)["a"])


def test_magnitude_by_layer_keeps_the_same_share_of_each() -> None:
    weights = {"small": torch.arange(10.0) / 100, "large": -torch.arange(100.0, 120.0)}
    assert {name: kept({name: of}) for name, of in magnitude(weights, 0.3, "layer").items()} == {
        "small": 7,
        "large": 14,
    }
    everywhere = magnitude(weights, 0.3, "global")
    assert (kept({"": everywhere["small"]}), kept({"": everywhere["large"]})) == (1, 20)


@pytest.mark.parametrize(
    ("settings", "share", "millions"),
    [(NetworkSettings(), share / 10, millions) for share, millions in enumerate(
        [250.4, 225.7, 201.1, 176.5, 151.9, 127.3, 102.7, 78.1, 53.5, 28.8])]
    + [(BASE_S, 0.2, 45.4), (BASE_S, 0.5, 28.9)],
)  # fmt: skip
def test_counts_of_the_sparsevsr_paper(settings: NetworkSettings, share: float, millions: float) -> None:
    """Table 1 of arXiv 2307.04552, to 0.1 M."""
    with torch.device("meta"):
        network = AVSR("video", settings, tokens=5049)
    weights = size(prunable(network))
    left = sum(parameter.numel() for parameter in network.parameters()) - weights + round((1 - share) * weights)
    assert abs(left / 1e6 - millions) < 0.1 + 1e-3


@pytest.mark.slow  # 4 GiB and half a minute
def test_counts_of_the_paper_on_a_real_base_l() -> None:
    network = AVSR("video", NetworkSettings(), tokens=5049)
    weights = prunable(network)
    hold(network, magnitude(weights, 0.8, "global"))
    left = sum(int((parameter != 0).sum()) for parameter in network.parameters())
    norms_and_biases = sum(int((of == 0).sum()) for name, of in network.named_parameters() if name not in weights)
    assert abs((left + norms_and_biases) / 1e6 - 53.5) < 0.1


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**31), st.floats(0, 1))
def test_drawn_masks_keep_exactly_their_share_and_do_not_depend_on_one_another(seed: int, share: float) -> None:
    shapes = {"a": Size((7, 5)), "b": Size((4, 3, 3, 3))}
    masks = draw(shapes, {"a": share, "b": 1 - share}, seed)
    assert {name: of.shape for name, of in masks.items()} == shapes
    assert (kept({"": masks["a"]}), kept({"": masks["b"]})) == (round(share * 35), round((1 - share) * 108))
    alone = draw({"b": shapes["b"]}, {"b": 1 - share}, seed)
    assert torch.equal(alone["b"], masks["b"])


def test_drawn_masks_are_these() -> None:
    """A change here changes every run that starts from random masks."""
    mask = draw({"layer.weight": Size((3, 4))}, {"layer.weight": 0.5}, seed=0)["layer.weight"]
    assert mask.int().tolist() == [[1, 1, 0, 1], [1, 0, 0, 0], [0, 0, 1, 1]]


@pytest.mark.parametrize("make", [lambda p: AdamW(p, amsgrad=True), lambda p: SGD(p, lr=0.1, momentum=0.9)])
def test_held_weights_and_moments_are_zero_and_nothing_else_changes(make) -> None:  # type: ignore[no-untyped-def]
    network = make_network()
    optimizer = make(network.parameters())
    for parameter in network.parameters():
        parameter.grad = torch.randn_like(parameter)
    optimizer.step()
    weights = prunable(network)
    before = {name: of.detach().clone() for name, of in network.named_parameters()}
    masks = draw({name: of.shape for name, of in weights.items()}, dict.fromkeys(weights, 0.4), seed=0)
    hold(network, masks, optimizer)
    for name, parameter in network.named_parameters():
        mask = masks.get(name, torch.ones_like(parameter, dtype=torch.bool))
        assert torch.equal(parameter, before[name] * mask)
        remembered = [of for of in optimizer.state[parameter].values() if isinstance(of, Tensor) and of.dim()]
        assert remembered
        assert all(bool((of[~mask] == 0).all()) and bool((of[mask] != 0).all()) for of in remembered)


def test_sparsity_is_told_for_each_part_of_the_network() -> None:
    with torch.device("meta"):
        network = AVSR("av", NetworkSettings(video=FrontendSettings(), encoder_blocks=1, decoder_blocks=1), tokens=30)
    parts: dict[str, set[str]] = {}
    for name in prunable(network):
        parts.setdefault(part(name), set()).add(name.split(".")[0])
    assert parts == {
        "frontend": {"encoders"},
        "encoder": {"encoders", "fusion"},
        "decoder": {"decoder"},
        "outputs": {"decoder", "ctc"},
    }
    masks = {"ctc.weight": torch.tensor([True, False]), "decoder.blocks.0.x.weight": torch.tensor([True] * 6)}
    assert density(masks) == 7 / 8
    assert sparsity(masks) == {"sparsity": 1 / 8, "sparsity/outputs": 1 / 2, "sparsity/decoder": 0}
    assert density({}) == 1
