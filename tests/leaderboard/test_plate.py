import pytest

from avsr_bench import recipes
from avsr_bench.leaderboard.style import ORDER, looks, panels


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


@pytest.mark.parametrize("count", [1, 3, 4, 5, 17])
def test_any_number_of_panels(count):
    drawing, grid = panels(count)
    assert len(grid) == count and all(axes.get_visible() for axes in grid)
    assert sum(axes.get_visible() for axes in drawing.axes) == count
    low = {round(axes.get_position().y0, 2) for axes in grid}
    assert len(low) == -(-count // 4)
