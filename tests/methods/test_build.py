from typing import Any

import pytest
from methods.loop import make_network

from avsr_bench import recipes
from avsr_bench.methods import METHODS, MSRS, Magnitude, Masked, Method, build
from avsr_bench.methods.dynamic import Rigl
from avsr_bench.records import Misused


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"name": "mrss"}, r"models/x.yaml: unknown method.name 'mrss'. Did you mean msrs\?"),
        ({"sparsity": 0.5}, r"unknown method.name ''"),
        ({"name": 3}, "unknown method.name 3"),
        ({"name": "magnitude", "sparsty": 0.5}, r"method: unknown setting sparsty. Did you mean sparsity\?"),
        ({"name": "magnitude", "sparsity": "half"}, "method: sparsity = 'half'"),
        ({"name": "magnitude", "scope": "block"}, "method: scope = 'block'"),
    ],
)
def test_a_section_that_means_nothing_is_refused_in_one_line(section: dict[str, Any], message: str) -> None:
    with pytest.raises(Misused, match=message) as caught:
        build(section, "models/x.yaml")
    assert "\n" not in str(caught.value)


def test_an_empty_section_is_plain_training() -> None:
    method = build({}, "models/dense.yaml")
    assert type(method) is Method
    network = make_network()
    weights = network.state_dict()
    assert method.settled(weights).keys() == weights.keys()
    assert (method.figures(), method.groups(), method.trained()) == ({}, [], [])


def test_what_is_drawn_follows_the_seed_of_the_run() -> None:
    def drawn(seed: int) -> list[bool]:
        method = build({"name": "static-erk", "sparsity": 0.7}, "models/static-erk.yaml", seed)
        assert isinstance(method, Masked)
        method.attach(make_network(), 10)
        return method.masks["ctc.weight"].flatten().tolist()

    assert drawn(1) == drawn(1) != drawn(2)


@pytest.mark.parametrize("name", sorted(recipes.names("models")))
def test_every_recipe_has_a_headline_and_a_method_that_can_be_built_at_every_size(name: str) -> None:
    path = recipes.find("models", name)
    assert recipes.headline(path).endswith(".")
    said = recipes.load(path)
    for size in ("", "tiny", "small", "large"):
        section = said.get("method", {}) | said.get(size, {}).get("method", {})
        build(section, str(path)) if section.get("name") != "int8" else None


@pytest.mark.parametrize("name", sorted(name for name, entry in METHODS.items() if entry.sparse))
def test_every_system_with_masks_takes_a_sparsity(name: str) -> None:
    method = build({"name": name, "sparsity": 0.4}, name)
    assert isinstance(method, Masked)


def test_names_lead_to_their_systems() -> None:
    assert [type(build({"name": name}, name)) for name in ("msrs", "magnitude", "rigl")] == [MSRS, Magnitude, Rigl]
