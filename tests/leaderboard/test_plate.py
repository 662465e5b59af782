from avsr_bench import recipes
from avsr_bench.leaderboard.plate import ORDER, looks


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
