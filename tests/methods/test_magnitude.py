from pathlib import Path
from typing import Any

import pytest
import torch
from methods.loop import Look, Moment, fit, make_batches, make_network, moments, stopped
from torch.optim import Optimizer

from avsr_bench.methods import build
from avsr_bench.methods.magnitude import Magnitude, MagnitudeSettings
from avsr_bench.methods.masks import kept, size, sparsity
from avsr_bench.nn import AVSR, prunable
from avsr_bench.records import Misused, Refused


def pruned(sparsity: float = 0.6) -> Magnitude:
    return Magnitude(MagnitudeSettings(sparsity))


def zeros(network: AVSR) -> int:
    return sum(int((weight == 0).sum()) for weight in prunable(network).values())


def exactly_zero(network: AVSR, method: Magnitude) -> Look:
    """Looks that removed weights and their moments are zero, and that the others move."""

    def look(moment: Moment) -> None:
        for name, mask in method.masks.items():
            weight = network.get_parameter(name)
            assert bool((weight[~mask] == 0).all())
            assert bool((weight[mask] != 0).all())
            for of in moments(moment.optimizer, network, name):
                assert bool((of[~mask] == 0).all())

    return look


@pytest.mark.parametrize("sparsity", [-0.1, 1.0, 1.5])
def test_a_sparsity_that_is_no_share_is_refused(sparsity: float) -> None:
    with pytest.raises(Misused, match="sparsity = "):
        build({"name": "magnitude", "sparsity": sparsity}, "models/one-shot.yaml")


def test_a_sparse_network_is_not_pruned_to_a_lower_sparsity() -> None:
    network = make_network()
    pruned(0.5).attach(network, 10)
    with pytest.raises(Refused, match=r"sparsity=0.3 would let removed weights grow again: .* 50.0% are removed"):
        pruned(0.3).attach(network, 10)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"precision": "bf16"},
        {"accumulate": 3},
        {"clip": 1e-3},
    ],
)
def test_removed_weights_and_their_moments_are_zero_at_every_step(settings: dict[str, Any]) -> None:
    network, method = make_network(), pruned()
    fit(network, method, 5, look=exactly_zero(network, method), **settings)
    assert zeros(network) == size(method.masks) - kept(method.masks) == round(0.6 * size(method.masks))
    assert method.figures()["sparsity"] == pytest.approx(0.6, abs=1e-4)


def test_gradients_of_removed_weights_do_not_count_when_the_run_clips() -> None:
    """Clipping to a norm so small that every gradient is cut: what is left has that norm without removed weights."""
    network, norms = make_network(), []

    class Norms(Magnitude):
        def after_step(self, optimizer: Optimizer) -> None:
            gradients = [of.grad for of in network.parameters() if of.grad is not None]
            norms.append(torch.nn.utils.get_total_norm(gradients).item())
            super().after_step(optimizer)

    method = Norms(MagnitudeSettings(0.9))
    fit(network, method, 4, clip=1e-3)
    assert norms == pytest.approx([1e-3] * len(norms), rel=1e-3)
    assert len(norms) >= 3


def test_a_resumed_run_ends_bit_equal(tmp_path: Path) -> None:
    whole, first, second = (make_network() for _ in range(3))
    fit(whole, pruned(), 6)
    stopped(first, pruned(), 6, 3, tmp_path)
    method = pruned()
    fit(make_other(second), method, 6, folder=tmp_path, resume=True, look=exactly_zero(second, method))
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), second.parameters(), strict=True))


def make_other(network: AVSR) -> AVSR:
    """Other weights than those of the checkpoint: only it can tell which were removed."""
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(9)))
    return network


def test_averages_and_saved_states_have_zeros_where_the_mask_has() -> None:
    network, method = make_network(), pruned()
    method.attach(network, 10)
    before = {name: of.clone() for name, of in network.state_dict().items()}
    noisy = {name: of + 1e-9 if of.is_floating_point() else of for name, of in before.items()}
    saved = method.settled(noisy)
    assert saved.keys() == before.keys()
    for name, tensor in saved.items():
        mask = method.masks.get(name, torch.ones_like(tensor, dtype=torch.bool))
        assert torch.equal(tensor, noisy[name] * mask)


def test_rounds_end_at_the_sparsity_of_each_and_never_give_back() -> None:
    """SparseVSR: every round starts from the last weights of the one before, and removes 10 % of the original ones."""
    network = make_network()
    gone = {name: torch.zeros_like(of, dtype=torch.bool) for name, of in prunable(network).items()}
    for number in range(1, 10):
        method = pruned(number / 10)
        before = {name: of.detach().clone() for name, of in prunable(network).items()}
        method.attach(network, 2)
        for name, weight in prunable(network).items():
            assert torch.equal(weight, before[name] * method.masks[name])  # nothing else is touched
            assert not bool((method.masks[name] & gone[name]).any())
        gone = {name: ~mask for name, mask in method.masks.items()}
        assert sparsity(method.masks)["sparsity"] == pytest.approx(number / 10, abs=1e-4)
        fit(network, method, 2, batches=make_batches(2))


def test_pruning_by_layer_takes_the_same_share_of_each() -> None:
    network = make_network()
    method = Magnitude(MagnitudeSettings(0.25, scope="layer"))
    method.attach(network, 10)
    assert all(kept({"": mask}) == round(0.75 * mask.numel()) for mask in method.masks.values())
