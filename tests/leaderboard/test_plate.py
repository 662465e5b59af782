from itertools import pairwise

from avsr_bench import recipes
from avsr_bench.leaderboard.style import BESIDE, ORDER, Curve, looks, side_by_side


def test_no_two_systems_look_alike():
    systems = list(recipes.names("models"))
    found = [looks(systems)[system] for system in systems]
    assert len(set(found)) == len(systems) > 16


def test_known_systems_look_the_same_in_every_company():
    for system in recipes.names("models"):
        assert looks([system])[system] == looks(["a", "b", "c", *recipes.names("models")])[system]


def test_every_system_of_the_toolkit_has_its_place():
    assert set(ORDER) == set(recipes.names("models")) - {"dense"}


def test_any_number_of_systems_is_drawn():
    mine = {f"mine-{number}" for number in range(40)}
    assert mine <= set(looks(mine))


def test_systems_at_one_sparsity_stand_side_by_side_and_rounds_stay_where_they_are():
    rounds = Curve("sparsevsr", "sparsevsr", [10, 50, 80], [12, 11, 10])
    alone = Curve("msrs", "msrs", [22.4], [86])
    half = [Curve(name, name, [50 + off], [30]) for name, off in (("rigl", 0), ("set", 0.1), ("gmp", -0.1))]
    moved = {curve.system: curve for curve in side_by_side([rounds, alone, *half])}
    assert moved["sparsevsr"] == rounds and moved["msrs"] == alone
    places = sorted(moved[curve.system].x[0] for curve in half)
    assert all(abs(b - a - BESIDE) < 0.3 for a, b in pairwise(places))
    assert abs(sum(places) / 3 - 50) < 0.1
