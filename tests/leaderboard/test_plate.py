from avsr_bench import recipes
from avsr_bench.leaderboard.plate import looks


def test_no_two_systems_look_alike():
    systems = list(recipes.names("models"))
    found = [looks(systems)[system] for system in systems]
    assert len(set(found)) == len(systems) > 16


def test_known_systems_look_the_same_in_every_company():
    assert looks(["msrs", "rigl"])["msrs"] == looks(["msrs", "a", "b", "c", "dense"])["msrs"]


def test_any_number_of_systems_is_drawn():
    mine = {f"mine-{number}" for number in range(40)}
    assert mine <= set(looks(mine))
