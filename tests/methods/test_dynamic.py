import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from methods.loop import Look, Moment, fit, logged, make_batches, make_network, moments, stopped
from torch import Tensor
from torch.optim import Optimizer

from avsr_bench import recipes
from avsr_bench.methods import METHODS, build
from avsr_bench.methods.channels import allowed, find_groups
from avsr_bench.methods.dynamic import Chase, Dynamic, Gmp, Granet, Rigl, Set, StaticErk
from avsr_bench.methods.erk import erk
from avsr_bench.methods.masks import Masks, kept, size
from avsr_bench.methods.updates import cubic, rewire
from avsr_bench.nn import AVSR, prunable
from avsr_bench.records import Misused, Refused

SYSTEMS = [name for name, entry in METHODS.items() if issubclass(entry.method, StaticErk)]


def make(name: str, seed: int = 0, **settings: Any) -> Any:
    """A method with an update every second step."""
    pace = {} if name == "static-erk" else {"every": 2}
    return build({"name": name, **pace, **settings}, "models/test.yaml", seed)


def counts(masks: Masks) -> dict[str, int]:
    return {name: int(mask.sum()) for name, mask in masks.items()}


def holds(network: AVSR, method: StaticErk) -> Look:
    """Looks that removed weights and all that the optimiser knows of them are zero."""

    def look(moment: Moment) -> None:
        for name, mask in method.masks.items():
            assert bool((network.get_parameter(name)[~mask] == 0).all())
            for of in moments(moment.optimizer, network, name):
                assert bool((of[~mask] == 0).all())

    return look


def history(method: StaticErk, into: list[Masks]) -> Look:
    """Keeps the masks after every batch."""
    return lambda moment: into.append(dict(method.masks))


def spied(name: str, into: list[dict[str, Any]], **settings: Any) -> Any:
    """A method that notes what it saw and did where masks changed."""
    settings_type, method = METHODS[name].settings, METHODS[name].method

    class Spied(method):  # type: ignore[misc,valid-type]
        def before_step(self, update: int, optimizer: Optimizer) -> None:
            due = self.window.due(update)
            seen = {
                "step": update,
                "masks": dict(self.masks),
                "weights": {name: of.clone() for name, of in self.weights().items()},
                "gradients": {name: of.clone() for name, of in self.gradients().items()},
            }
            super().before_step(update, optimizer)
            if due:
                left = {name: of.clone() for name, of in self.gradients().items()}
                into.append(seen | {"new": dict(self.masks), "left": left})

    return Spied(settings_type(**{"every": 2} | settings))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"name": "rigl", "sparsity": 1.0}, "sparsity = 1.0: it should be a number from 0 below 1"),
        ({"name": "static-erk", "sparsity": -0.5}, "sparsity = -0.5"),
        ({"name": "set", "drop": 1.5}, "drop = 1.5"),
        ({"name": "gmp", "every": 0}, "every = 0"),
        ({"name": "granet", "start": 0.8}, "start=0.8 must lie before stop=0.67"),
        ({"name": "rigl", "gradients": 0}, "gradients = 0"),
        ({"name": "rigl", "gradients": 101}, "gradients=101 must not be more than every=100"),
        ({"name": "chase", "every": 3, "gradients": 4}, "gradients=4 must not be more than every=3"),
        ({"name": "set", "gradients": 2}, "unknown setting gradients"),
        ({"name": "chase", "chanels": 0.5}, "unknown setting chanels. Did you mean channels?"),
        ({"name": "gmp", "drop": 0.3}, "unknown setting drop"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(Misused, match=message):
        build(settings, "models/test.yaml")


@pytest.mark.parametrize("name", [name for name in SYSTEMS if name != "static-erk"])
def test_a_run_too_short_for_an_update_is_refused(name: str) -> None:
    with pytest.raises(Refused, match="masks would never change"):
        make(name, every=100).attach(make_network(), 20)


@pytest.mark.parametrize("name", SYSTEMS)
def test_shipped_recipes_build_at_every_size_and_their_updates_fit_their_runs(name: str) -> None:
    recipe = recipes.load(recipes.shipped("models") / f"{name}.yaml")
    assert recipe["method"]["name"] == name
    for size_name in ("tiny", "small", "large"):
        section = recipe["method"] | recipe.get(size_name, {}).get("method", {})
        method = build(section, name)
        assert isinstance(method, METHODS[name].method)
        if isinstance(method, Dynamic) and size_name == "tiny":
            method.attach(make_network(), 1600, 1472)
            assert sum(map(method.window.due, range(1, 1601))) >= 10


def test_chase_removes_no_channel_in_the_warm_up_of_any_size() -> None:
    recipe = recipes.load(recipes.shipped("models") / "chase.yaml")
    for name in ("tiny", "small", "large"):
        train = recipes.load(recipes.shipped("models/sizes") / f"{name}.yaml")["train"]
        method = recipe["method"] | recipe.get(name, {}).get("method", {})
        assert method["start"] >= train["warmup"]


@pytest.mark.parametrize("settings", [{}, {"precision": "bf16"}, {"accumulate": 2}], ids=str)
@pytest.mark.parametrize("name", SYSTEMS)
def test_it_trains_to_the_sparsity_asked_for_and_removed_weights_are_zero(name: str, settings: dict[str, Any]) -> None:
    network, method = make_network(), make(name, sparsity=0.6)
    fit(network, method, 8, look=holds(network, method), **settings)
    wanted = 0.4 * size(method.masks)
    rounding = len(method.masks) / 2  # of each layer's density
    assert kept(method.masks) == pytest.approx(wanted, abs=0.5 if isinstance(method, Gmp | Chase) else rounding)
    assert method.figures()["sparsity"] == pytest.approx(0.6, abs=1e-3)
    assert sum(int((of != 0).sum()) for of in prunable(network).values()) > 0.95 * wanted


@pytest.mark.parametrize("name", ["set", "rigl", "static-erk"])
def test_every_layer_keeps_the_count_of_its_erk_density(name: str) -> None:
    network, method, seen = make_network(), make(name, sparsity=0.6), []
    shapes = {name: weight.shape for name, weight in prunable(network).items()}
    densities = erk(shapes, 0.4)
    fit(network, method, 9, look=history(method, seen))
    expected = {name: round(densities[name] * shape.numel()) for name, shape in shapes.items()}
    assert all(counts(masks) == expected for masks in seen)
    changes = [any(not torch.equal(new[n], old[n]) for n in old) for old, new in pairwise(seen)]
    assert changes == ([False] * 8 if name == "static-erk" else [True, False, True, False, False, False, False, False])


@pytest.mark.parametrize("accumulate", [1, 2])
def test_rigl_drops_the_smallest_and_grows_where_the_dense_gradient_is_largest(accumulate: int) -> None:
    updates: list[dict[str, Any]] = []
    method = spied("rigl", updates, sparsity=0.6, drop=0.4)
    fit(make_network(), method, 8, accumulate=accumulate)
    assert [of["step"] for of in updates] == [2, 4, 6]
    for of, share in zip(updates, (0.3, 0.1, 0.0), strict=True):  # 0.4 along half a cosine
        scores = {name: gradient.abs() for name, gradient in of["gradients"].items()}
        expected = rewire(of["weights"], of["masks"], scores, share + 1e-9)
        assert all(torch.equal(of["new"][name], mask) for name, mask in expected.items())
        removed = torch.cat([of["gradients"][name][~mask] for name, mask in of["masks"].items()])
        assert bool((removed != 0).any())  # the gradient is dense where masks change ...
        for name, mask in of["new"].items():
            assert bool((of["left"][name][~mask] == 0).all())  # ... and is not afterwards


@pytest.mark.parametrize("name", ["rigl", "granet", "chase"])
def test_growth_goes_by_the_sum_of_the_last_gradients(name: str) -> None:
    seen: dict[int, dict[str, Tensor]] = {}
    used: dict[int, dict[str, Tensor]] = {}

    class Watched(METHODS[name].method):  # type: ignore[misc]
        def before_step(self, update: int, optimizer: Optimizer) -> None:
            now = {name: self.network.get_parameter(name).grad for name in self.masks}
            seen[update] = {name: torch.zeros(()) if of is None else of.clone() for name, of in now.items()}
            super().before_step(update, optimizer)

        def scores(self, step: int, gradients: dict[str, Tensor]) -> dict[str, Tensor]:
            used[step] = super().scores(step, gradients)
            return used[step]

    settings = {"every": 4, "start": 0.0, "stop": 0.8, "gradients": 3}
    fit(make_network(), Watched(METHODS[name].settings(**settings)), 10)
    assert sorted(used) == [4, 8]
    for step, scores in used.items():
        for layer, score in scores.items():
            total = sum((seen[step - back][layer] for back in (2, 1, 0)), torch.zeros_like(score))
            assert torch.allclose(score, total.abs(), rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("name", ["set", "rigl", "granet", "chase"])
def test_new_weights_begin_at_zero_with_fresh_moments_and_then_learn(name: str) -> None:
    updates: list[dict[str, Any]] = []
    network, method = make_network(), spied(name, updates, sparsity=0.6)
    grown: list[int] = []
    moved: list[float] = []

    def look(moment: Moment) -> None:
        if updates and moment.update == updates[-1]["step"]:
            for layer, mask in updates[-1]["new"].items():
                born = mask & ~updates[-1]["masks"][layer]
                grown.append(int(born.sum()))
                assert bool((updates[-1]["left"][layer][born] == 0).all())
                assert bool((network.get_parameter(layer)[born] == 0).all())
                assert all(bool((of[born] == 0).all()) for of in moments(moment.optimizer, network, layer))
        elif updates and moment.update == updates[-1]["step"] + 1:
            for layer, mask in updates[-1]["new"].items():
                born = mask & ~updates[-1]["masks"][layer]
                moved.append(float((network.get_parameter(layer)[born] != 0).sum()))

    fit(network, method, 10, look=look)
    assert sum(grown) > 0
    assert sum(moved) > 0.5 * sum(grown[: len(moved)])


def test_set_grows_by_its_seed_alone() -> None:
    def masks(seed: int, batches: int, network: int = 1) -> Masks:
        method = make("set", seed, sparsity=0.6)
        fit(make_network(network), method, 4, batches=make_batches(batches))
        assert isinstance(method, Set)
        return method.masks

    def same(a: Masks, b: Masks) -> float:
        return sum(int((a[name] & b[name]).sum()) for name in a) / kept(a)

    one = masks(0, 2)
    assert all(torch.equal(one[name], other) for name, other in masks(0, 2).items())
    assert same(one, masks(1, 2)) < 0.7


def test_gmp_follows_its_cubic_and_what_is_gone_stays_gone() -> None:
    network, method, seen = make_network(), make("gmp", sparsity=0.8, start=0.1, stop=0.75), []
    fit(network, method, 20, look=history(method, seen))
    total = size(method.masks)
    for step, masks in enumerate(seen, 1):
        last = max((due for due in (2, 4, 6, 8, 10, 12, 15) if due <= step), default=None)
        density = 1.0 if last is None else 1 - cubic(0.0, 0.8, (last - 2) / 13)
        assert kept(masks) == round(density * total)
    for old, new in pairwise(seen):
        assert not any(bool((new[name] & ~mask).any()) for name, mask in old.items())


def test_gmp_removes_the_smallest_of_the_whole_network() -> None:
    updates: list[dict[str, Any]] = []
    fit(make_network(), spied("gmp", updates, sparsity=0.7), 6)
    for of in updates:
        sizes = {name: weight.abs() for name, weight in of["weights"].items()}
        stay = torch.cat([sizes[name][mask] for name, mask in of["new"].items()])
        go = torch.cat([sizes[name][of["masks"][name] & ~mask] for name, mask in of["new"].items()])
        assert len(go) == 0 or go.max() <= stay.min()
    assert kept(updates[-1]["new"]) < kept(updates[0]["new"]) < size(updates[0]["new"])


def test_granet_has_the_counts_of_gmp_and_weights_come_back_until_the_run_ends() -> None:
    network, method, seen = make_network(), make("granet", sparsity=0.8, stop=0.5), []
    fit(network, method, 20, look=history(method, seen))
    total = size(method.masks)
    due = [step for step in range(1, 21) if method.window.due(step)]
    assert due == [2, 4, 6, 8, 10, 12, 14, 16, 18]
    back = 0
    for step in due:
        density = 1 - cubic(0.0, 0.8, min(step / 10, 1))
        assert kept(seen[step - 1]) == round(density * total)
        grown = {name: mask & ~seen[step - 2][name] for name, mask in seen[step - 1].items()}
        back += kept(grown)
        if step > 10:
            assert kept(grown) > 0
    assert isinstance(method, Granet)
    assert back > 0


def test_chase_keeps_the_count_of_its_schedule_and_layers_are_free() -> None:
    network, method, seen = make_network(), make("chase", sparsity=0.6, start=0.0, stop=0.5), []
    fit(network, method, 20, look=history(method, seen))
    total = size(method.masks)
    wanted = round(0.4 * total)
    assert kept(seen[0]) == pytest.approx(wanted, abs=len(seen[0]) / 2)
    for step in (2, 4, 6, 8, 10, 12, 14, 16, 18):
        soft = 0.05 * (1 + torch.tensor(torch.pi * min(step / 10, 1.0)).cos().item()) / 2
        assert kept(seen[step - 1]) == wanted + round(soft * total)
    assert counts(seen[1]) != counts(seen[9]) != counts(seen[17])
    assert any(not torch.equal(seen[16][name], mask) for name, mask in seen[17].items())


def test_chase_removes_channels_for_good() -> None:
    network, method = make_network(), make("chase", sparsity=0.6, start=0.0, channels=0.5, least=0.4)
    assert isinstance(method, Chase)
    alive: list[Masks] = []

    def look(moment: Moment) -> None:
        places = allowed(find_groups(network), method.alive, method.masks)
        assert not any(bool((mask & ~places[name]).any()) for name, mask in method.masks.items())
        alive.append(dict(method.alive))

    fit(network, method, 10, look=look)
    total = size(alive[0])
    for step, of in enumerate(alive, 1):
        gone = cubic(0.0, 0.5, min(step - step % 2, 8) / 8)
        assert kept(of) == total - round(gone * total)
        assert all(int(channels.sum()) >= int(0.2 * len(channels)) for channels in of.values())
    for old, new in pairwise(alive):
        assert not any(bool((new[name] & ~channels).any()) for name, channels in old.items())
    assert method.figures()["sparsity/channels"] == pytest.approx(0.5, abs=1e-2)


def test_chase_fills_what_channels_leave_where_that_is_less_than_wanted() -> None:
    network, method = make_network(), make("chase", sparsity=0.1, start=0.0, channels=0.6)
    fit(network, method, 10, look=holds(network, method))
    places = allowed(find_groups(network), method.alive, method.masks)
    assert kept(places) < 0.9 * size(places)
    assert all(torch.equal(mask, places[name]) for name, mask in method.masks.items())


@pytest.mark.parametrize("saved", [6, 7])  # with an update of the masks, and one without
@pytest.mark.parametrize("name", SYSTEMS)
def test_a_resumed_run_ends_bit_equal(name: str, saved: int, tmp_path: Path) -> None:
    whole, first = make_network(), make(name, seed=5, sparsity=0.6)
    fit(whole, first, 12)
    stopped(make_network(), make(name, seed=5, sparsity=0.6), 12, saved, tmp_path)
    again, second = make_network(seed=2), make(name, seed=5, sparsity=0.6)
    fit(again, second, 12, folder=tmp_path, resume=True, look=holds(again, second))
    assert all(torch.equal(a, b) for a, b in zip(whole.state_dict().values(), again.state_dict().values(), strict=True))
    assert all(torch.equal(mask, second.masks[layer]) for layer, mask in first.masks.items())
    assert first.figures() == second.figures()


@pytest.mark.parametrize("saved", [4, 5, 6])  # before, within and at the end of what is gathered for update 6
@pytest.mark.parametrize("name", ["rigl", "granet", "chase"])
def test_a_run_resumed_among_gathered_gradients_ends_bit_equal(name: str, saved: int, tmp_path: Path) -> None:
    given: dict[str, Any] = {"seed": 5, "sparsity": 0.6, "every": 3, "gradients": 2, "start": 0.0, "stop": 0.75}
    whole, first = make_network(), make(name, **given)
    fit(whole, first, 12)
    before = make(name, **given)
    stopped(make_network(), before, 12, saved, tmp_path)
    assert bool(before.gathered) == (saved == 5)
    again, second = make_network(seed=2), make(name, **given)
    fit(again, second, 12, folder=tmp_path, resume=True)
    assert all(torch.equal(a, b) for a, b in zip(whole.state_dict().values(), again.state_dict().values(), strict=True))
    assert all(torch.equal(mask, second.masks[layer]) for layer, mask in first.masks.items())


@pytest.mark.parametrize("name", [name for name in SYSTEMS if name != "static-erk"])
def test_snapshots_that_are_averaged_have_one_mask(name: str) -> None:
    """Else a weight that is there in k of n would be saved at k / n of its value."""
    network, method = make_network(), make(name, sparsity=0.6, stop=0.5)
    states: list[dict[str, Tensor]] = []
    seen: list[Masks] = []

    def look(moment: Moment) -> None:
        seen.append(dict(method.masks))
        if moment.update in (14, 16, 18, 20):
            states.append({name: of.clone() for name, of in network.state_dict().items()})

    trained = fit(network, method, 20, look=look, average=4, average_fraction=0.4)
    changed = [
        step for step in range(2, 21) if any(not torch.equal(seen[step - 1][n], seen[step - 2][n]) for n in seen[0])
    ]
    assert changed and max(changed) < 14
    assert (max(changed) > 10) == method.goes_on
    for layer, mask in method.masks.items():
        mean = sum((state[layer] for state in states), torch.zeros(())) / 4
        assert torch.allclose(trained.weights[layer], mean, atol=1e-7)
        assert all(torch.equal(state[layer] != 0, states[0][layer] != 0) for state in states[1:])
        assert bool((trained.weights[layer][~mask] == 0).all())


@pytest.mark.parametrize("name", [name for name in SYSTEMS if name != "static-erk"])
def test_a_schedule_that_ends_among_the_snapshots_is_refused(name: str) -> None:
    message = r"method.stop=0.9 is too late: .* in its last 20.0%. Set method.stop lower, or train.average=1"
    with pytest.raises(Refused, match=message):
        make(name, stop=0.9).attach(make_network(), 100, 80)
    make(name, stop=0.8).attach(make_network(), 100, 80)
    make(name, stop=1.0).attach(make_network(), 100)


def test_a_run_says_once_that_layers_are_emptied_and_counts_them(tmp_path: Path) -> None:
    said: list[list[str]] = []

    class Told(Gmp):
        def remarks(self) -> list[str]:
            said.append(super().remarks())
            return said[-1]

    method = Told(METHODS["gmp"].settings(every=2, sparsity=0.97))
    fit(make_network(), method, 10, folder=tmp_path)
    empty = [name for name, mask in method.masks.items() if not mask.any()]
    lines = [line for each in said for line in each]
    assert len(said) == 10 and len(lines) == 1
    assert re.match(rf"\d+ of {len(method.masks)} layers have no weight left, \S+ first: .*method.sparsity", lines[0])
    assert "\n" not in lines[0]
    table = logged(tmp_path)
    assert int(table[-1]["empty_layers"]) == len(empty) > 0
    first = next(update for update, each in enumerate(said) if each)
    assert [bool(row["empty_layers"]) for row in table] == [update >= first for update in range(10)]


def test_nothing_is_said_where_every_layer_has_a_weight(tmp_path: Path) -> None:
    method = make("rigl", sparsity=0.5)
    fit(make_network(), method, 6, folder=tmp_path)
    assert method.remarks() == [] and "empty_layers" not in logged(tmp_path)[-1]


def test_an_average_over_changing_masks_has_the_last_ones_zeros() -> None:
    network, method, states = make_network(), make("rigl", sparsity=0.6), []

    def look(moment: Moment) -> None:
        states.append({name: of.clone() for name, of in network.state_dict().items()})

    fit(network, method, 6, look=look)
    mean: dict[str, Tensor] = {
        name: torch.stack([state[name] for state in states]).float().mean(0) for name in states[0]
    }
    settled = method.settled(mean)
    assert isinstance(method, Rigl)
    for name, mask in method.masks.items():
        assert bool((mean[name][~mask] != 0).any()) or bool(mask.all())
        assert torch.equal(settled[name], mean[name] * mask)
