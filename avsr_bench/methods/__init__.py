"""What happens to the weights of a network while it trains: masks learnt or chosen, weights pruned or rounded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from .. import recipes
from ..records import Misused
from .continuous import MSRS, MSRSSettings
from .dynamic import (
    Chase,
    ChaseSettings,
    DynamicSettings,
    Gmp,
    GmpSettings,
    Granet,
    GranetSettings,
    Rigl,
    RiglSettings,
    Set,
    SetSettings,
    StaticErk,
    StaticErkSettings,
)
from .int8 import Int8, Int8Settings
from .magnitude import Magnitude, MagnitudeSettings
from .masked import Masked
from .method import Method


@dataclass(frozen=True, slots=True)
class MethodEntry:
    """A method for those who plan a run."""

    settings: type[Any]
    method: type[Any]
    seeded: bool = False  # whether it draws numbers, and so takes the run's seed
    sparse: bool = True  # whether it removes weights, at least for a while


# What `method.name` in a recipe may say.
METHODS: dict[str, MethodEntry] = {
    "msrs": MethodEntry(MSRSSettings, MSRS, seeded=True),
    "magnitude": MethodEntry(MagnitudeSettings, Magnitude),
    "gmp": MethodEntry(GmpSettings, Gmp, seeded=True),
    "granet": MethodEntry(GranetSettings, Granet, seeded=True),
    "set": MethodEntry(SetSettings, Set, seeded=True),
    "rigl": MethodEntry(RiglSettings, Rigl, seeded=True),
    "chase": MethodEntry(ChaseSettings, Chase, seeded=True),
    "static-erk": MethodEntry(StaticErkSettings, StaticErk, seeded=True),
    "int8": MethodEntry(Int8Settings, Int8, sparse=False),
}


def settings_of(section: Mapping[str, Any], where: str) -> Any:
    """The typed settings of a recipe's section `method`, which has a `name`; none of an empty one, plain training."""
    if not section:
        return None
    name = section.get("name", "")
    if name not in METHODS:
        raise Misused(f"{where}: unknown method.name {name!r}.{recipes.nearest(str(name), METHODS)}")
    said = {key: value for key, value in section.items() if key != "name"}
    return recipes.build(METHODS[name].settings, said, f"{where}: method")


def whole_section(section: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The section with all of the method's settings, as it stands in the recipe of a run."""
    return {"name": section["name"], **asdict(settings_of(section, where))} if section else {}


def check_average(section: Mapping[str, Any], where: str, steps: int, average_from: int) -> None:
    """Refuse a method that would still change masks while snapshots are taken, from update `average_from` on."""
    settings = settings_of(section, where)
    if isinstance(settings, MSRSSettings | DynamicSettings):
        settings.check_average(steps, average_from)


def build(section: Mapping[str, Any], where: str, seed: int = 0) -> Method:
    """The method of a recipe's section; `where` names its origin in messages, `seed` is the run's."""
    settings = settings_of(section, where)
    if settings is None:
        return Method()
    entry = METHODS[str(section["name"])]
    return entry.method(settings, seed) if entry.seeded else entry.method(settings)


__all__ = [
    "METHODS",
    "MSRS",
    "Int8",
    "Magnitude",
    "Masked",
    "Method",
    "MethodEntry",
    "build",
    "check_average",
    "settings_of",
    "whole_section",
]
