import copy
import itertools
import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from methods.loop import Moment, fit, logged, make_batches, make_network, moments, stopped
from torch import Size, Tensor
from torch.nn import functional as F

from avsr_bench.methods import MSRS, build
from avsr_bench.methods.continuous import MSRSSettings
from avsr_bench.methods.gates import Gated, Gates, Open
from avsr_bench.methods.masks import draw, kept, size
from avsr_bench.nn import AVSR, prunable
from avsr_bench.records import Misused

QUICK = MSRSSettings(search=0.5, lr=0.05, initial=0.05, rescale=True, penalty_weight=1e-3, norm_batches=2)


def output(network: AVSR) -> Tensor:
    """What the network answers to a batch: both heads."""
    batch = make_batches(1)[0]
    was = network.training
    network.eval()
    with torch.no_grad():
        memory, lengths = network.encode(batch.inputs, batch.lengths)
        answers = [network.ctc(memory).flatten(), network.decoder(batch.tokens.clamp(min=0), memory, lengths).flatten()]
    network.train(was)
    return torch.cat(answers)


def decided(method: MSRS, network: AVSR, share: float = 0.5) -> None:
    """Attach and push every gate wide open or tightly shut."""
    method.attach(network, 10)
    shapes = {name: of.shape for name, of in prunable(network).items()}
    for name, mask in draw(shapes, dict.fromkeys(shapes, share), seed=3).items():
        with torch.no_grad():
            method.gates.phi[name].copy_(torch.where(mask, 1.0, -1.0))
    method.gates.temperature = method.settings.last_temperature


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"search": 0}, "search = 0: it should be a number above 0"),
        ({"temperature": -1}, "temperature = -1"),
        ({"first_stage": 2}, "first_stage = 2"),
        ({"penalty": "l0"}, "penalty = 'l0'"),
        ({"lambda": 1}, "unknown setting lambda"),
        ({"sparsity": 1.0}, "sparsity = 1.0"),
        ({"spread": -1}, "spread = -1"),
        ({"frozen": True}, "frozen=true with spread=0"),
    ],
)
def test_settings_that_mean_nothing_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(Misused, match=message):
        build({"name": "msrs"} | settings, "models/msrs.yaml")


@settings(deadline=None)
@given(st.floats(0.1, 20), st.floats(-1, 1), st.floats(0.5, 2), st.integers(0, 99))
def test_gradients_of_gates_equal_finite_differences(
    temperature: float, threshold: float, scale: float, seed: int
) -> None:
    source = torch.Generator().manual_seed(seed)
    weight, phi = (torch.randn(3, 4, dtype=torch.double, generator=source).requires_grad_() for _ in range(2))
    assert torch.autograd.gradcheck(lambda w, p: Gated.apply(w, p, temperature, threshold, scale), (weight, phi))
    assert torch.autograd.gradcheck(lambda p: Open.apply(p, temperature, threshold, scale), (phi,))


@pytest.mark.parametrize("penalty", ["phi", "mask"])
@pytest.mark.parametrize("checkpointing", [False, True])
def test_the_gradient_of_a_gated_network_equals_finite_differences(penalty: str, checkpointing: bool) -> None:
    """In double, through all layers and the penalty. The losses themselves are in float32, so logits stand for them."""
    network = make_network(checkpointing=checkpointing, dropout=0.0).double()
    method = MSRS(replace(QUICK, penalty=penalty, temperature=1.7))  # type: ignore[arg-type]
    method.attach(network, 10)
    batch = make_batches(1)[0]
    batch = replace(batch, video=batch.video.double())

    def loss() -> Tensor:
        memory, lengths = network.encode(batch.inputs, batch.lengths)
        logits = (
            network.ctc(memory).square().mean() + network.decoder(batch.tokens.clamp(0), memory, lengths).cos().mean()
        )
        gates = method.gates.sum_of_phi() if penalty == "phi" else method.gates.sum_of_gates()
        return logits + method.settings.penalty_weight * gates

    loss().backward()
    once = [name for name in method.gates.phi if not re.search(r"stages\.[12]|blocks\.1", name)]
    assert len(once) > 25
    for name in once:
        phi = method.gates.phi[name]
        for tensor in (phi, network.get_parameter(name)):
            assert tensor.grad is not None
            place = int(tensor.grad.abs().argmax())
            flat, step, ends = tensor.detach().view(-1), 1e-6, []
            for sign in (1, -1):
                flat[place] += sign * step
                ends.append(loss().item())
                flat[place] -= sign * step
            slope = (ends[0] - ends[1]) / (2 * step)
            assert tensor.grad.flatten()[place].item() == pytest.approx(slope, rel=1e-4, abs=1e-8), name


def test_gates_keep_nothing_for_the_backward_pass_but_what_is_there_anyway() -> None:
    saved: list[Tensor] = []
    weight, phi = (torch.randn(5, 5, requires_grad=True) for _ in range(2))
    with torch.autograd.graph.saved_tensors_hooks(lambda of: saved.append(of) or of, lambda of: of):
        Gated.apply(weight, phi, 1.0, 0.0, 2.0)
        Open.apply(phi, 1.0, 0.0, 2.0)
    assert {of.data_ptr() for of in saved} == {weight.data_ptr(), phi.data_ptr()}


def test_a_network_behind_gates_starts_as_it_was_and_keeps_its_names() -> None:
    plain, gated = make_network(), make_network()
    method = MSRS(QUICK)
    method.attach(gated, 10)
    assert torch.allclose(output(plain), output(gated), atol=1e-5)
    assert plain.state_dict().keys() == gated.state_dict().keys()
    assert [name for name, _ in gated.named_parameters()] == [name for name, _ in plain.named_parameters()]
    halved = MSRS(replace(QUICK, rescale=False, initial=0.0))
    other = make_network()
    halved.attach(other, 10)
    weights = {name: of * 0.5 if name in prunable(plain) else of for name, of in plain.state_dict().items()}
    plain.load_state_dict(weights)
    assert torch.allclose(output(plain), output(other), atol=1e-6)


def test_a_compiled_network_has_the_same_gradients_at_every_temperature() -> None:
    layers = torch.nn.Sequential(torch.nn.Linear(6, 5), torch.nn.Unflatten(1, (5, 1)), torch.nn.Conv1d(5, 3, 1))
    gates = Gates(0.05, 1.0, 2.0)
    gates.put_before(layers)
    x = torch.randn(4, 6, generator=torch.Generator().manual_seed(1))

    def loss() -> Tensor:
        return layers(x).square().sum()

    compiled = torch.compile(loss, backend="aot_eager")
    learnt = [*gates.phi.values(), *layers.parameters()]
    for gates.temperature in (1.0, 3.0, 9.0):
        for plain, other in zip(*(torch.autograd.grad(of(), learnt) for of in (loss, compiled)), strict=True):
            assert bool((plain != 0).any())
            assert torch.allclose(plain, other, rtol=1e-4, atol=1e-6)


def test_a_copy_of_the_network_computes_with_its_own_weights() -> None:
    network = make_network()
    MSRS(QUICK).attach(network, 10)
    copied = copy.deepcopy(network)
    assert torch.equal(output(network), output(copied))
    with torch.no_grad():
        copied.ctc.weight.zero_()
    assert not torch.equal(output(network), output(copied))
    assert torch.equal(network.ctc.weight, make_network().ctc.weight)


@settings(deadline=None)
@given(st.integers(1, 500), st.sampled_from(["exponential", "two-stage"]))
def test_temperature_goes_from_its_first_value_to_its_last(steps: int, schedule: str) -> None:
    method = MSRS(MSRSSettings(search=steps, schedule=schedule))
    method.attach(torch.nn.Sequential(torch.nn.Linear(1, 1)), 10**6)  # type: ignore[arg-type]
    course = [method.temperature(step) for step in range(steps)]
    assert course == sorted(course)
    assert steps == 1 or (course[0], course[-1]) == pytest.approx((1, 200))
    if schedule == "exponential" and steps > 2:
        ratios = [after / before for before, after in itertools.pairwise(course)]
        assert ratios == pytest.approx([200 ** (1 / (steps - 1))] * len(ratios))


@pytest.mark.parametrize("settings", [{"after": "sparse"}, {"after": "dense", "restart": "zero"}])
@pytest.mark.parametrize("rescale", [True, False])
def test_at_the_switch_the_function_does_not_jump(settings: dict[str, str], rescale: bool) -> None:
    network = make_network()
    method = MSRS(replace(QUICK, rescale=rescale, **settings))  # type: ignore[arg-type]
    decided(method, network)
    before, saved = output(network), method.settled(network.state_dict())
    method.switch()
    assert torch.allclose(output(network), before, atol=1e-5)
    assert all(torch.equal(saved[name], of) for name, of in network.state_dict().items())
    if rescale:  # and it does stand for something
        assert not torch.allclose(before, output(make_network()), atol=1e-2)


@pytest.mark.parametrize("restart", ["stored", "fresh"])
def test_removed_weights_of_a_dense_network_restart_where_the_setting_says(restart: str) -> None:
    network, untouched = make_network(), make_network()
    method = MSRS(replace(QUICK, restart=restart), seed=5)  # type: ignore[arg-type]
    decided(method, network)
    masks = method.found()
    method.switch()
    for name, mask in masks.items():
        weight, stored = network.get_parameter(name).detach(), untouched.get_parameter(name).detach()
        assert torch.allclose(weight[mask], stored[mask] * method.gates.scale)
        assert torch.equal(weight[~mask], stored[~mask]) == (restart == "stored")
        assert bool((weight[~mask].abs() <= stored[0].numel() ** -0.5).all())  # torch's first weights
        assert bool((weight[~mask] != 0).all())


@pytest.mark.parametrize(
    "settings", [{}, {"precision": "bf16"}, {"accumulate": 2}], ids=["plain", "bf16", "accumulated"]
)
def test_a_run_searches_switches_and_holds_exact_zeros(settings: dict[str, Any]) -> None:
    network = make_network()
    method = MSRS(replace(QUICK, after="sparse"))
    course: list[dict[str, float]] = []

    def look(moment: Moment) -> None:
        course.append(method.figures() | {"searching": method.searching})
        for name, mask in method.masks.items():
            assert bool((network.get_parameter(name)[~mask] == 0).all())
            remembered = moments(moment.optimizer, network, name)
            assert remembered
            assert all(bool((of[~mask] == 0).all()) for of in remembered)

    fit(network, method, 12, look=look, **settings)
    assert [figures["searching"] for figures in course] == [True] * 6 + [False] * 6
    assert 0.02 < course[-1]["sparsity"] < 0.98
    assert course[-1]["sparsity"] == 1 - kept(method.masks) / size(method.masks)
    zeros = sum(int((weight == 0).sum()) for weight in prunable(network).values())
    assert zeros == size(method.masks) - kept(method.masks)
    temperatures = [figures["temperature"] for figures in course if figures["searching"]]
    assert (temperatures[0], temperatures[-1]) == pytest.approx((1, 200))


@pytest.mark.parametrize("sparsity", [0.1, 0.7, 0.95])
def test_a_wanted_sparsity_is_met_exactly_and_gates_close_around_it(sparsity: float) -> None:
    network = make_network()
    method = MSRS(replace(QUICK, initial=0.0, spread=1.0, rescale=False, lr=None, after="sparse", sparsity=sparsity))
    shut: list[float] = []

    def look(moment: Moment) -> None:
        if method.searching:
            gates = method.gates
            open_now = float(gates.sum_of_gates().detach()) / size(gates.phi)
            shut.append(1 - open_now)

    fit(network, method, 40, look=look)
    assert kept(method.masks) == round((1 - sparsity) * size(method.masks))
    assert shut[-1] == pytest.approx(sparsity, abs=0.02)  # nothing is left for the switch to cut


def test_the_rate_of_phi_is_such_that_it_goes_as_far_in_a_search_of_any_length() -> None:
    rates = []
    for steps in (8, 80):
        method = MSRS(replace(QUICK, lr=None, reach=0.4))
        method.attach(make_network(), steps)
        rates.append(method.groups()[0].lr)
    assert rates == pytest.approx([0.1, 0.01])


def test_phi_moves_and_the_penalty_is_in_the_loss_only_in_the_search(tmp_path: Path) -> None:
    network, method = make_network(), MSRS(QUICK)
    fit(network, method, 8, folder=tmp_path)
    penalties = [bool(row["penalty"]) for row in logged(tmp_path)]
    assert penalties == [True] * 4 + [False] * 4
    assert not method.gates.phi
    assert method.figures()["sparsity"] == 0


def test_a_constant_penalty_shuts_gates_that_the_loss_does_not_defend() -> None:
    """The larger lambda, the more is removed; without it no more than chance does."""
    found = []
    for weight in (0.0, 1e-2, 1.0):
        network, method = make_network(), MSRS(replace(QUICK, search=8, penalty_weight=weight, after="sparse"))
        fit(network, method, 10)
        found.append(method.figures()["sparsity"])
    assert found == sorted(found)
    assert found[0] < 0.5
    assert found[-1] > 0.95


def test_a_spread_start_is_uniform_of_each_layer_and_seed_and_the_same_again() -> None:
    def start(seed: int) -> dict[str, Tensor]:
        method = MSRS(replace(QUICK, initial=0.2, spread=0.5), seed)
        method.attach(make_network(), 8)
        return dict(method.gates.phi)

    first, again, other = start(3), start(3), start(4)
    joined = torch.cat([phi.flatten() for phi in first.values()])
    assert -0.3 <= joined.min() < -0.29 and 0.69 < joined.max() <= 0.7
    assert joined.mean().item() == pytest.approx(0.2, abs=0.02)
    shapes: dict[Size, list[str]] = {}
    for name, phi in first.items():
        assert torch.equal(phi, again[name])
        assert not torch.equal(phi, other[name])
        shapes.setdefault(phi.shape, []).append(name)
    alike = next(names for names in shapes.values() if len(names) > 1)
    assert not torch.equal(first[alike[0]], first[alike[1]])


@pytest.mark.parametrize("after", ["dense", "sparse"])
def test_a_frozen_start_is_the_mask_that_is_found_and_costs_no_group(after: Literal["dense", "sparse"]) -> None:
    """The control: gates shut along the same schedule, and neither loss nor penalty moves them."""
    network = make_network()
    method = MSRS(replace(QUICK, initial=0.0, spread=1.0, frozen=True, after=after), seed=5)
    fresh = MSRS(method.settings, seed=5)
    fresh.attach(make_network(), 8)
    expected = {name: phi > 0 for name, phi in fresh.gates.phi.items()}
    groups: list[int] = []
    before: list[bool] = []

    def look(moment: Moment) -> None:
        groups.append(len(moment.optimizer.param_groups))
        if method.searching:
            found = method.found()
            before.append(all(torch.equal(found[name], mask) for name, mask in expected.items()))

    fit(network, method, 8, look=look)
    assert set(groups) == {1}
    assert before and all(before)
    assert method.figures()["sparsity"] == pytest.approx(0.5 if after == "sparse" else 0.0, abs=0.05)


def test_phi_is_a_group_of_its_own_that_is_clipped_alone_and_does_not_decay() -> None:
    network, method = make_network(), MSRS(replace(QUICK, search=8, clip=1e-6, penalty_weight=100.0))
    seen: list[tuple[float, float, int]] = []

    def look(moment: Moment) -> None:
        weights, phi = moment.optimizer.param_groups
        assert phi["params"] == list(method.gates.phi.values())
        assert not {id(of) for of in weights["params"]} & {id(of) for of in phi["params"]}
        seen.append((phi["lr"], phi["weight_decay"], len(moment.optimizer.state)))

    fit(network, method, 2, look=look)
    count = len(list(network.parameters())) + len(prunable(network))
    assert seen == [(0.05, 0.0, count)] * 2


def test_nothing_is_left_of_phi_after_the_search() -> None:
    network, method = make_network(), MSRS(QUICK)
    left: list[int] = []
    fit(network, method, 8, look=lambda moment: left.append(len(moment.optimizer.state)))
    own = len(list(network.parameters()))
    assert left == [own + len(prunable(network))] * 4 + [own] * 4


@pytest.mark.parametrize(
    ("step", "after"),
    [(3, "dense"), (6, "dense"), (6, "sparse"), (7, "sparse"), (9, "dense"), (9, "sparse")],
)
def test_a_resumed_run_ends_bit_equal(tmp_path: Path, after: str, step: int) -> None:
    """Saved in the search, on its last update, while batch norms average anew, and later."""
    settings = replace(QUICK, after=after)  # type: ignore[arg-type]
    whole, resumed = make_network(), make_network(seed=9)
    fit(whole, MSRS(settings), 12)
    stopped(make_network(), MSRS(settings), 12, step, tmp_path)
    method = MSRS(settings)
    fit(resumed, method, 12, folder=tmp_path, resume=True)
    assert all(torch.equal(resumed.state_dict()[name], of) for name, of in whole.state_dict().items())
    assert not method.searching


def test_batch_norms_average_over_the_batches_after_the_switch_and_then_as_before() -> None:
    network = make_network(dropout=0.0, ctc_dropout=0.0)
    norm = network.encoders["video"].frontend.norm
    means: list[Tensor] = []
    running: list[Tensor] = []

    def look(moment: Moment) -> None:
        running.append(norm.running_mean.clone())

    norm.register_forward_hook(lambda layer, inputs, out: means.append(inputs[0].detach().mean((0, 2, 3))))
    fit(network, MSRS(replace(QUICK, search=2, norm_batches=3)), 7, look=look)
    for count in (1, 2, 3):
        expected = torch.stack(means[2 : 2 + count]).mean(0)
        assert torch.allclose(running[1 + count], expected, atol=1e-6)
    assert torch.allclose(running[5], 0.9 * running[4] + 0.1 * means[5], atol=1e-6)


def test_moments_are_those_of_the_larger_weights_after_the_switch() -> None:
    """The gradient of a weight that its scale was folded into is smaller by that scale."""
    network, method = make_network(), MSRS(replace(QUICK, search=8))
    seen: list[Moment] = []
    fit(network, method, 3, look=seen.append)
    name, optimizer = "ctc.weight", seen[-1].optimizer
    state = optimizer.state[network.get_parameter(name)]
    first, second = state["exp_avg"].clone(), state["exp_avg_sq"].clone()
    mask, scale = method.found()[name], method.gates.scale
    method.switch(optimizer)
    assert scale == 1 + math.exp(-0.05)
    assert torch.allclose(state["exp_avg"], first / scale * mask)
    assert torch.allclose(state["exp_avg_sq"], second / scale**2 * mask)


def test_undecided_counts_gates_within_four_of_the_middle() -> None:
    gates = Gates(0.0, 2.0, 1.0)
    gates.phi = {"a": torch.tensor([-3.0, -1.9, 0.0, 1.9]), "b": torch.tensor([2.1, 7.0])}
    assert gates.undecided() == 3 / 6
    expected = F.sigmoid(2 * torch.cat(list(gates.phi.values()))).sum()
    assert torch.allclose(gates.sum_of_gates(), expected)
    assert gates.sum_of_phi().item() == pytest.approx(6.1)
