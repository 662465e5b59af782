"""What leaderboards/board.yaml says: which systems stand on a board, how long each trains, under what it is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from annotated_types import Interval, Len

from .. import recipes
from ..records import Misused
from ..robustness import parse_levels

DEFAULT = "default"  # in `settings`: of every system; a line of its own is laid over it


@dataclass(frozen=True, slots=True)
class BoardSettings:
    """A board of one corpus."""

    models: Annotated[tuple[str, ...], Len(1, 1000)]  # systems, in the order of their training, when none are asked for
    # key=value of a system, laid over its recipe.
    settings: dict[str, Annotated[tuple[str, ...], Len(0, 1000)]] = field(default_factory=dict)
    noise: str = "all"  # families
    levels: str = "0,5,10"  # that a run is read under; 0 are the clean clips
    round_levels: str = "0"  # the same of a round of pruning
    levels_of: dict[str, str] = field(default_factory=dict)  # of one run: msrs, or sparsevsr/round-05
    decode: Literal["beam", "ctc", "attention"] | None = "ctc"  # greedy, the fastest; none: as each recipe says
    limit: Annotated[int, Interval(ge=1, le=10**7)] | None = None  # of the test clips; none: all

    def __post_init__(self) -> None:
        for levels in (self.levels, self.round_levels, *self.levels_of.values()):
            if 0 not in parse_levels(levels):
                raise Misused(f"levels {levels!r} lack 0, the clean clips, which every row has")

    def assignments(self, system: str) -> tuple[str, ...]:
        """What is laid over the recipe of a system."""
        both = (*self.settings.get(DEFAULT, ()), *self.settings.get(system, ()))
        return tuple({each.partition("=")[0]: each for each in both}.values())

    def levels_for(self, system: str, number: int | None) -> frozenset[int]:
        """The levels that the run of a system, or a round of it, is read under."""
        name = system if number is None else f"{system}/round-{number:02d}"
        text = self.levels_of.get(name, self.levels if number is None else self.round_levels)
        return frozenset(parse_levels(text))


def load_settings(corpus: str) -> BoardSettings:
    """The settings for a corpus: those of all, and its section under `corpora` laid over them."""
    path = recipes.find("leaderboards", "board")
    content = recipes.load(path)
    sections = recipes.section(content, "corpora", path)
    shared = {name: value for name, value in content.items() if name != "corpora"}
    return recipes.build(BoardSettings, _laid_over(shared, recipes.section(sections, corpus, path)), str(path))


def _laid_over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    both = {
        key: {**below[key], **value}
        for key, value in above.items()
        if isinstance(value, Mapping) and isinstance(below.get(key), Mapping)
    }
    return {**below, **above, **both}
