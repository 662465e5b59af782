"""What a system does to a network while it trains: masks learnt or found, weights pruned, rounded or taught."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .. import recipes
from ..nn import AVSR
from ..records import Misused
from .continuous import MSRS, MSRSSettings
from .distill import Distilled, DistilledSettings
from .dynamic import METHODS as DYNAMIC
from .dynamic import StaticErk
from .int8 import Int8, Int8Settings
from .magnitude import Magnitude, MagnitudeSettings
from .masked import Masked
from .method import Method

# What `method.name` in a recipe may say: the type of the section's other settings, and what is built from them.
METHODS: dict[str, tuple[type[Any], type[Any]]] = {
    "msrs": (MSRSSettings, MSRS),
    "magnitude": (MagnitudeSettings, Magnitude),
    "distilled": (DistilledSettings, Distilled),
    "int8": (Int8Settings, Int8),
    **DYNAMIC,
}


def build(section: Mapping[str, Any], where: str, seed: int = 0, teacher: AVSR | None = None) -> Method:
    """The method of a recipe's section `method`, which has a `name` and settings; an empty one is plain training.

    `where` names the origin of the section in messages; `seed` is the run's; `distilled` needs its trained `teacher`.
    """
    if not section:
        return Method()
    name = section.get("name", "")
    if name not in METHODS:
        raise Misused(f"{where}: unknown method.name {name!r}.{recipes.nearest(str(name), METHODS)}")
    settings_type, method = METHODS[name]
    settings = recipes.build(settings_type, {k: v for k, v in section.items() if k != "name"}, f"{where}: method")
    if method is Distilled:
        if teacher is None:
            raise Misused(f"{where}: distilled needs a trained teacher, and there is none")
        return Distilled(settings, teacher)
    return method(settings, seed) if issubclass(method, MSRS | StaticErk) else method(settings)


__all__ = ["METHODS", "MSRS", "Distilled", "Int8", "Magnitude", "Masked", "Method", "build"]
