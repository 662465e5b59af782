from collections.abc import Mapping

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from methods.loop import make_batches, make_network
from torch import Tensor

from avsr_bench.methods.channels import (
    Alive,
    all_alive,
    allowed,
    find_groups,
    remove_weakest,
    strengths,
)
from avsr_bench.methods.erk import erk
from avsr_bench.methods.masks import draw, keep_largest, kept, size
from avsr_bench.nn import AVSR, FrontendSettings, NetworkSettings, prunable

INNER = ("norm1.bias", "norm1.weight", "expand.bias", "depthwise.bias", "batch_norm.bias", "batch_norm.weight")


def both(network: AVSR) -> tuple[Tensor, Tensor]:
    """What the encoder and the decoder make of a batch."""
    (batch,) = make_batches(1)
    memory, lengths = network.encode(batch.inputs, batch.lengths)
    return memory, network.decoder(batch.tokens.clamp(min=0), memory, lengths)


def halved(alive: Alive, seed: int = 0) -> Alive:
    source = torch.Generator().manual_seed(seed)
    return {name: channels & (torch.rand(channels.shape, generator=source) < 0.5) for name, channels in alive.items()}


def test_every_branch_with_channels_of_its_own_is_found() -> None:
    groups = {group.name: group for group in find_groups(make_network())}
    encoder, decoder = "encoders.video", "decoder.blocks.0"
    branches = ("feed_forward_in", "convolution", "feed_forward_out")
    assert set(groups) == {
        *(f"{encoder}.frontend.stages.{stage}.0" for stage in range(4)),
        *(f"{encoder}.blocks.{block}.{branch}" for block in (0, 1) for branch in branches),
        f"{decoder}.feed_forward",
    }
    assert groups[f"{encoder}.frontend.stages.1.0"].channels == 6
    convolution = groups[f"{encoder}.blocks.1.convolution"]
    assert convolution.makers == tuple(f"{convolution.name}.{layer}.weight" for layer in ("expand", "depthwise"))
    assert convolution.reader == f"{convolution.name}.reduce.weight"
    assert convolution.channels == 16


def test_sound_and_fusion_have_channels_too() -> None:
    network = AVSR("av", NetworkSettings(width=8, heads=2, encoder_blocks=1, decoder_blocks=1, fusion=20), 12)
    names = {group.name for group in find_groups(network)}
    assert {"fusion", "encoders.audio.frontend.stages.0.0", "encoders.video.blocks.0.convolution"} <= names


def test_nothing_reads_a_removed_channel() -> None:
    """Without the weights that `allowed` takes away, biases and batch norms of removed channels are without effect."""
    network = make_network().eval()
    groups, weights = find_groups(network), prunable(network)
    alive = halved(all_alive(groups))
    places = allowed(groups, alive, {name: torch.ones_like(of, dtype=torch.bool) for name, of in weights.items()})
    with torch.no_grad():
        for name, weight in weights.items():
            weight.mul_(places[name])
        before = both(network)
        for group in groups:
            removed = ~alive[group.name]
            for name, tensor in network.get_submodule(group.name).named_parameters():
                if name in INNER:
                    tensor.view(-1, group.channels)[:, removed] += 3.0
        assert all(torch.equal(old, new) for old, new in zip(before, both(network), strict=True))
        for group in groups:  # of the channels that are left they have an effect
            for name, tensor in network.get_submodule(group.name).named_parameters():
                if name in INNER:
                    tensor.view(-1, group.channels)[:, alive[group.name]] += 3.0
        assert not any(torch.equal(old, new) for old, new in zip(before, both(network), strict=True))


def test_a_channel_and_its_gate_are_removed_together() -> None:
    network = make_network()
    (group,) = (group for group in find_groups(network) if group.name == "encoders.video.blocks.0.convolution")
    alive = {group.name: torch.arange(16) != 5}
    ones = {name: torch.ones_like(of, dtype=torch.bool) for name, of in prunable(network).items()}
    places = allowed([group], alive, ones)
    expand, depthwise = (places[name] for name in group.makers)
    assert (~expand).nonzero()[:, 0].unique().tolist() == [5, 21]
    assert (~depthwise).nonzero()[:, 0].unique().tolist() == [5]
    assert (~places[group.reader]).nonzero()[:, 1].unique().tolist() == [5]
    gone = 2 * 16 + 5 + 16  # two rows, the kernel, a column
    assert size(places) - kept(places) == gone
    assert all(bool(mask.all()) for mask in ones.values())  # what came in is as it was


def test_a_channel_is_as_strong_as_the_mean_of_its_weights() -> None:
    network = make_network()
    weights = {name: of.detach() for name, of in prunable(network).items()}
    found = strengths(find_groups(network), weights)
    name = "encoders.video.blocks.0.convolution"
    own = [weights[f"{name}.expand.weight"][[3, 19]], weights[f"{name}.depthwise.weight"][3]]
    assert found[name][3].item() == pytest.approx(torch.cat([of.flatten() for of in own]).abs().mean().item())
    name = "encoders.video.frontend.stages.2.0"
    assert torch.allclose(found[name], weights[f"{name}.conv1.weight"].abs().mean((1, 2, 3)))


def slow(alive: Mapping[str, Tensor], strength: Mapping[str, Tensor], keep: int, least: float) -> Alive:
    """One channel after another: the weakest whose group can spare it."""
    left = {name: channels.clone() for name, channels in alive.items()}
    strength = {name: of / of[alive[name]].mean() for name, of in strength.items()}
    while kept(left) > keep:
        spare = [
            (strength[name][index].item(), name, index)
            for name, channels in left.items()
            if int(channels.sum()) > int(least * len(channels))
            for index in channels.nonzero()[:, 0].tolist()
        ]
        if not spare:
            break
        _, name, index = min(spare)
        left[name][index] = False
    return left


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10**6), st.integers(0, 30), st.sampled_from([0.0, 0.35, 0.8]), st.booleans())
def test_the_weakest_channels_of_all_groups_go_as_far_as_each_can_spare(
    seed: int, keep: int, least: float, fewer: bool
) -> None:
    source = torch.Generator().manual_seed(seed)
    strength = {name: torch.rand(count, generator=source) for name, count in {"a": 5, "b": 12, "c": 8}.items()}
    alive = {name: torch.ones_like(of, dtype=torch.bool) for name, of in strength.items()}
    if fewer:
        alive = halved(alive, seed)
    new = remove_weakest(alive, strength, keep, least)
    expected = slow(alive, strength, keep, least)
    assert all(torch.equal(new[name], expected[name]) for name in alive)
    assert not any(bool((new[name] & ~alive[name]).any()) for name in alive)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10**6), st.integers(1, 25), st.integers(-20, 20), st.booleans())
def test_the_scale_of_a_group_decides_nothing(seed: int, keep: int, power: int, fewer: bool) -> None:
    """Initial weights are 1 / sqrt(fan-in) times the density of a layer, which says nothing of its channels."""
    source = torch.Generator().manual_seed(seed)
    strength = {name: 0.1 + torch.rand(count, generator=source) for name, count in {"a": 5, "b": 12, "c": 8}.items()}
    alive = {name: torch.ones_like(of, dtype=torch.bool) for name, of in strength.items()}
    if fewer:
        alive = halved(alive, seed)
    scaled = strength | {"b": strength["b"] * 2.0**power}
    same = remove_weakest(alive, strength, keep, 0.2)
    assert all(torch.equal(of, same[name]) for name, of in remove_weakest(alive, scaled, keep, 0.2).items())


def test_no_branch_loses_half_of_its_channels_to_its_initial_values() -> None:
    """Ranked by plain magnitude, the widest stages of the front-end would lose two thirds before anything is learnt."""
    network = make_network(width=64, video=FrontendSettings(channels=(8, 24, 48, 96), blocks=1, stem=(3, 3, 3)))
    groups, weights = find_groups(network), prunable(network)
    shapes = {name: of.shape for name, of in weights.items()}
    masks = draw(shapes, erk(shapes, 0.5), 0)
    found = strengths(groups, {name: of.detach() * masks[name] for name, of in weights.items()})
    alive = all_alive(groups)
    keep = round(0.75 * size(alive))

    def most(left: Alive) -> float:
        assert kept(left) == keep
        return max(1 - kept({name: channels}) / len(channels) for name, channels in left.items())

    assert most(remove_weakest(alive, found, keep, 0.0)) < 0.5 < 0.75 < most(keep_largest(found, keep))


def test_a_group_without_a_weight_goes_as_far_as_it_can_spare() -> None:
    alive = {"a": torch.ones(4, dtype=torch.bool), "b": torch.ones(4, dtype=torch.bool)}
    new = remove_weakest(alive, {"a": torch.zeros(4), "b": torch.ones(4)}, 4, 0.25)
    assert {name: int(channels.sum()) for name, channels in new.items()} == {"a": 1, "b": 3}
