from itertools import pairwise

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor

from avsr_bench.methods.masks import Masks, kept
from avsr_bench.methods.updates import Window, chance, cosine, cubic, grow, prune, rewire, strength, window
from avsr_bench.records import Refused

SHAPES = {"a": (7,), "b": (3, 4), "c": (2, 2, 3)}


def drawn(seed: int, density: float) -> tuple[dict[str, Tensor], Masks, dict[str, Tensor]]:
    """Weights with ties among them, zero where the masks are false, and gradients with ties."""
    source = torch.Generator().manual_seed(seed)
    masks = {name: torch.rand(shape, generator=source) < density for name, shape in SHAPES.items()}
    weights = {name: torch.randint(-5, 6, shape, generator=source) / 4 * masks[name] for name, shape in SHAPES.items()}
    gradients = {name: torch.randint(-3, 4, shape, generator=source) / 2 for name, shape in SHAPES.items()}
    return weights, masks, gradients


def best(scores: Tensor, among: Tensor, count: int) -> Tensor:
    """The slow way: sort the positions that may be had, the largest first and of equal ones the first."""
    positions = sorted(among.flatten().nonzero()[:, 0].tolist(), key=lambda i: (-scores.flatten()[i].item(), i))
    chosen = torch.zeros(scores.numel(), dtype=torch.bool)
    chosen[positions[:count]] = True
    return chosen.view(scores.shape)


def joined(tensors: dict[str, Tensor]) -> Tensor:
    return torch.cat([tensor.flatten() for tensor in tensors.values()])


@pytest.mark.parametrize(("start", "stop", "every"), [(0.0, 0.75, 76), (0.5, 0.52, 3), (0.001, 0.002, 1)])
def test_a_window_without_an_update_is_refused(start: float, stop: float, every: int) -> None:
    with pytest.raises(Refused, match=rf"method.every={every}, but of the run's 100 steps only \d+ lie between"):
        window(100, start, stop, every)


def test_masks_change_at_the_pace_from_the_start_and_at_the_stop_exactly() -> None:
    plain = window(100, 0.1, 0.75, 20)
    assert [step for step in range(1, 101) if plain.due(step)] == [10, 30, 50, 75]
    assert [step for step in range(1, 101) if window(100, 0, 0.75, 25).due(step)] == [25, 50, 75]


def test_what_goes_on_exchanges_weights_until_the_last_step_but_not_in_it() -> None:
    assert [step for step in range(1, 101) if window(100, 0, 0.5, 20, end=100).due(step)] == [20, 50, 70, 90]
    assert window(100, 0, 1.0, 50, end=100).due(100)  # where schedules arrive only then, they do


@settings(deadline=None, max_examples=200)
@given(st.integers(1, 400), st.floats(0, 1), st.floats(0, 1), st.integers(1, 60), st.floats(0, 1))
def test_changes_begin_at_the_start_meet_the_stop_end_in_time_and_leave_what_grew_its_time(
    steps: int, start: float, stop: float, every: int, late: float
) -> None:
    first, last = round(start * steps), round(stop * steps)
    assume(last - first >= every)
    end = last + round(late * (steps - last))
    of = window(steps, start, stop, every, end)
    due = [step for step in range(1, steps + 1) if of.due(step)]
    assert last in due
    assert due[0] == first if first else every <= due[0] < 2 * every
    assert all(later - earlier >= every for earlier, later in pairwise(due))
    assert all(later - earlier < 2 * every for earlier, later in pairwise(due))
    assert all(step < end or step == last for step in due)
    for reach in (1, 2, every):
        soon = [step for step in range(1, steps + 1) if of.due_soon(step, reach)]
        assert soon == sorted({step - back for step in due for back in range(reach) if step > back})


def test_progress_is_0_until_the_start_and_1_from_the_stop() -> None:
    of = Window(start=10, stop=60, every=10, end=100)
    assert [of.progress(step) for step in (1, 10, 35, 60, 61, 100)] == [0, 0, 0.5, 1, 1, 1]


def test_cubic_and_cosine_have_the_values_of_their_formulas() -> None:
    assert [cubic(0.0, 0.8, at) for at in (0, 0.5, 1)] == pytest.approx([0.0, 0.7, 0.8])
    assert [cubic(0.5, 0.9, at) for at in (0, 0.25, 1)] == pytest.approx([0.5, 0.73125, 0.9])
    assert [cosine(0.3, 0.0, at) for at in (0, 1 / 3, 0.5, 1)] == pytest.approx([0.3, 0.225, 0.15, 0.0])
    assert cosine(0.5, 0.005, 130 / 160) == pytest.approx(0.0467, abs=1e-4)  # Chase, where its last stage begins


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10**6), st.sampled_from([0.0, 0.3, 0.7, 1.0]), st.integers(0, 40))
def test_pruning_keeps_the_largest_of_what_is_left(seed: int, density: float, keep: int) -> None:
    weights, masks, _ = drawn(seed, density)
    new = prune(weights, masks, keep)
    assert torch.equal(joined(new), best(joined(strength(weights)), joined(masks), keep))
    assert kept(new) == min(keep, kept(masks))


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10**6), st.sampled_from([0.0, 0.3, 0.7, 1.0]), st.integers(0, 40), st.booleans())
def test_growth_adds_where_scores_are_largest_and_takes_nothing(
    seed: int, density: float, count: int, bounded: bool
) -> None:
    _, masks, gradients = drawn(seed, density)
    within = drawn(seed + 1, 0.6)[1] if bounded else None
    scores = strength(gradients)
    free = ~joined(masks) if within is None else ~joined(masks) & joined(within)
    new = grow(scores, masks, count, within)
    assert torch.equal(joined(new), joined(masks) | best(joined(scores), free, count))
    assert kept(new) == kept(masks) + min(count, int(free.sum()))


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10**6), st.sampled_from([0.0, 0.3, 0.7, 1.0]), st.floats(0, 1))
def test_rewiring_keeps_the_count_of_every_layer(seed: int, density: float, share: float) -> None:
    weights, masks, gradients = drawn(seed, density)
    new = rewire(weights, masks, strength(gradients), share)
    for name, mask in masks.items():
        active = int(mask.sum())
        left = best(weights[name].abs(), mask, active - int(share * active))
        grown = best(gradients[name].abs(), ~left, int(share * active))
        assert torch.equal(new[name], left | grown)
        assert int(new[name].sum()) == active


def test_layers_that_the_loss_does_not_see_keep_their_count_too() -> None:
    weights, masks, _ = drawn(3, 0.5)
    new = rewire(weights, masks, {name: torch.zeros(shape) for name, shape in SHAPES.items()}, 0.5)
    assert {name: int(mask.sum()) for name, mask in new.items()} == {n: int(mask.sum()) for n, mask in masks.items()}


def test_chance_is_one_for_a_seed_a_step_and_a_layer() -> None:
    masks = {name: torch.ones(50, dtype=torch.bool) for name in "ab"}
    first, again = chance(masks, seed=1, step=20), chance(masks, seed=1, step=20)
    torch.rand(5)  # no state but its own
    assert all(torch.equal(first[name], again[name]) for name in masks)
    assert not torch.equal(first["a"], first["b"])
    assert not torch.equal(first["a"], chance(masks, seed=1, step=40)["a"])
    assert not torch.equal(first["a"], chance(masks, seed=2, step=20)["a"])


def test_chance_grows_everywhere_alike() -> None:
    masks = {"a": torch.zeros(4000, dtype=torch.bool)}
    times = sum(grow(chance(masks, 0, step), masks, 1000)["a"].long() for step in range(60))
    halves = times.view(2, -1).sum(1)  # type: ignore[union-attr]  # of 60 x 1000
    assert abs(int(halves[0] - halves[1])) < 5 * 60000**0.5
