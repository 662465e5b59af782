"""Every setting of every section has its range in its type, and nothing that is written gets past it."""

import math
import types
from dataclasses import fields, is_dataclass
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import pytest
from annotated_types import Ge, GroupedMetadata, Gt, Le, Lt, MaxLen, MultipleOf

from avsr_bench import recipes
from avsr_bench.corpora import READERS
from avsr_bench.leaderboard.published import Published
from avsr_bench.methods import METHODS
from avsr_bench.noise.sound import SoundSettings
from avsr_bench.objectives import OBJECTIVES
from avsr_bench.prep.recipe import PrepSettings
from avsr_bench.records import Misused
from avsr_bench.runs import About
from avsr_bench.synth import SynthSettings
from avsr_bench.training.recipe import TrainRecipe
from avsr_bench.workflow.settings import BoardSettings

SECTIONS = {
    "train": TrainRecipe,
    "prep": PrepSettings,
    "synth": SynthSettings,
    "sound": SoundSettings,
    "board": BoardSettings,
    "run": About,
    "published": Published,
    **{f"method {name}": entry.settings for name, entry in METHODS.items()},
    **{f"objective {name}": entry.settings for name, entry in OBJECTIVES.items()},
    **{f"reader {name}": reader.settings for name, reader in READERS.items()},
}
# What a section cannot do without.
NEEDED: dict[str, dict[str, Any]] = {
    "board": {"models": ["dense"]},
    "run": {"system": "dense", "corpus": "synth", "size": "tiny"},
    "published": dict.fromkeys(("paper", "arxiv", "table", "corpus", "split", "modality", "system"), "x")
    | {"value": 1},
}
EXTREME = [0, -1, 1, 1e12, math.nan, math.inf, -math.inf, 10**400, -0.5, 0.5, 3.0, 1e-300, True, "yes", "12", "", None]
EXTREME += [[], {}, [2, 3], [0.5, 0.5], [[]], ["x"] * 10_000, {"x": 1}, {"size": [1]}, "x" * 1000, "a\0b", "\ud800"]


def settings_of(kind: Any, prefix: str = "") -> Any:
    """Each setting by its dotted name, with its type."""
    hints = get_type_hints(kind, include_extras=True)
    for field in fields(kind):
        if is_dataclass(hints[field.name]):
            yield from settings_of(hints[field.name], f"{prefix}{field.name}.")
        else:
            yield f"{prefix}{field.name}", hints[field.name]


ALL = [(where, name, hint) for where, kind in SECTIONS.items() for name, hint in settings_of(kind)]


def limits(hint: Any) -> tuple[Any, list[Any]]:
    if get_origin(hint) is not Annotated:
        return hint, []
    base, *given = get_args(hint)
    return base, [limit for each in given for limit in (each if isinstance(each, GroupedMetadata) else [each])]


def without_a_range(hint: Any) -> bool:
    """Whether some number or list of a type has no least or no most."""
    base, given = limits(hint)
    if base in (int, float):
        return not (
            any(isinstance(each, Ge | Gt) for each in given) and any(isinstance(each, Le | Lt) for each in given)
        )
    if get_origin(base) is list or (get_origin(base) is tuple and get_args(base)[-1] is Ellipsis):
        return not any(isinstance(each, MaxLen) for each in given) or without_a_range(get_args(base)[0])
    return any(
        without_a_range(inner) for inner in get_args(base) if inner is not Ellipsis and not isinstance(inner, str)
    )


def within(value: Any, hint: Any) -> bool:
    """Whether a value is what its type says: an opinion of its own beside pydantic's."""
    base, given = limits(hint)
    if get_origin(base) in (Union, types.UnionType):
        return any(within(value, inner) for inner in get_args(base))
    if base in (int, float):
        return type(value) in (base, int) and all(
            (isinstance(each, Ge) and value >= each.ge)
            or (isinstance(each, Gt) and value > each.gt)
            or (isinstance(each, Le) and value <= each.le)
            or (isinstance(each, Lt) and value < each.lt)
            or (isinstance(each, MultipleOf) and value % each.multiple_of == 0)
            for each in given
        )
    if get_origin(base) is tuple:
        inner = get_args(base)
        if inner[-1] is Ellipsis:
            most = next(each.max_length for each in given if isinstance(each, MaxLen))
            return isinstance(value, tuple) and len(value) <= most and all(within(each, inner[0]) for each in value)
        return isinstance(value, tuple) and len(value) == len(inner) and all(map(within, value, inner))
    if get_origin(base) is dict:
        return isinstance(value, dict)
    if base in (bool, str, type(None)):
        return type(value) is base
    return value in get_args(base) if get_args(base) else isinstance(value, base)


def test_no_numeric_setting_is_without_a_range():
    assert len(ALL) > 150
    assert [f"{where}: {name}" for where, name, hint in ALL if without_a_range(hint)] == []


@pytest.mark.parametrize("where", SECTIONS)
def test_an_extreme_value_is_refused_in_one_line_or_within_its_range(where):
    kind = SECTIONS[where]
    for at, name, hint in ALL:
        if at != where:
            continue
        for value in EXTREME:
            *sections, last = name.split(".")
            content: dict[str, Any] = {last: value}
            for section in reversed(sections):
                content = {section: content}
            try:
                built = recipes.build(kind, {**NEEDED.get(where, {}), **content}, "models/x.yaml")
            except Misused as misused:
                line = str(misused)
                assert line.startswith("models/x.yaml: ") and "\n" not in line and len(line) < 500, line
                continue
            for step in (*sections, last):
                built = getattr(built, step)
            assert within(built, hint), (name, value, built)


@pytest.mark.parametrize("where", SECTIONS)
def test_the_defaults_are_within_their_ranges(where):
    built = recipes.build(SECTIONS[where], NEEDED.get(where, {}), "x")
    for at, name, hint in ALL:
        if at == where:
            value: Any = built
            for step in name.split("."):
                value = getattr(value, step)
            assert within(value, hint), name


@pytest.mark.parametrize(
    ("assignment", "line"),
    [
        ("train.betas=[2,3]", "train.betas = [2, 3]: it should be a list of 2, each a number from 0 below 1"),
        ("network.width=1e12", "network.width = 1000000000000.0: it should be a whole number from 1 to 16,384"),
        ("network.width=96000000", "network.width = 96000000: it should be a whole number from 1 to 16,384"),
        ("train.average=1e9", "train.average = 1000000000.0: it should be a whole number from 1 to 1,000"),
        ("data.clips=0", "data.clips = 0: it should be a whole number from 1 to 100,000, or null"),
        ("network.encoder_blocks=-1", "network.encoder_blocks = -1: it should be a whole number from 1 to 200"),
        ("train.steps=yes", "train.steps = 'yes': it should be a whole number from 1 to 100,000,000, or null"),
        ("train=3", "train = 3: it should be a section with the settings epochs, steps, "),
        ("train.precision=16", "train.precision = 16: it should be '32' or 'bf16'"),
    ],
)
def test_a_line_says_what_is_right(assignment, line):
    with pytest.raises(Misused) as caught:
        recipes.build(TrainRecipe, recipes.override({}, [assignment]), "models/dense.yaml")
    assert str(caught.value).startswith(f"models/dense.yaml: {line}")


@pytest.mark.parametrize("rate", ["1e-3", "0.001", "1.0e-3", "1E-03", ".001"])
def test_a_rate_is_a_number_however_it_is_written(rate):
    assert recipes.build(TrainRecipe, recipes.override({}, [f"train.lr={rate}"]), "x").train.lr == 0.001
