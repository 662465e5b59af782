"""What the recipe that is kept beside results says of a network's ranks and of the clips that it was trained on.

Results do not hold settings. The types here are narrower than those of training, so that pages need no torch: what
figures do not ask for is passed over, and what runs of earlier versions could not say has its default.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any, TypeVar

from annotated_types import Interval

from .. import recipes
from ..inert import inert
from ..records import Refused
from .boards import Model
from .curves import RECIPE

T = TypeVar("T")
Kept = Annotated[float, Interval(gt=0, le=1)]
LONGEST = 40  # characters of a word that a figure shows
FULL, WHOLE = "full", "whole"  # of the clips, and of the frames of each


@dataclass(frozen=True, slots=True)
class Ranks:
    """The fraction of their full rank that layers keep, in the first block of a stack and in the last one."""

    attention: tuple[Kept, Kept] = (1.0, 1.0)
    feed_forward: tuple[Kept, Kept] = (1.0, 1.0)
    start: str = "spectral"
    factored: bool = True

    @property
    def whole(self) -> bool:
        """Whether no layer is touched."""
        return self.attention == self.feed_forward == (1.0, 1.0)

    @property
    def low(self) -> bool:
        """Whether layers are thin; those of the control are whole."""
        return self.factored and not self.whole


@dataclass(frozen=True, slots=True)
class Selection:
    """What a pass has of the training clips."""

    strategy: str = FULL
    fraction: Kept = 1.0
    score: str = "sum"
    frames: str = WHOLE
    frame_fraction: Kept = 1.0

    @property
    def selects(self) -> bool:
        """Whether any pass may have less than everything."""
        return self.strategy != FULL or self.frames != WHOLE


@dataclass(frozen=True, slots=True)
class Trained:
    """How a model was trained, as far as figures ask."""

    ranks: Ranks = field(default_factory=Ranks)
    selection: Selection = field(default_factory=Selection)


def read_trained(folder: Path) -> Trained | None:
    """What the recipe in a folder of results says; none where nobody kept it."""
    path = folder / RECIPE
    if not path.is_file():
        return None
    content = recipes.load(path)
    low_rank = recipes.section(recipes.section(content, "network", path), "low_rank", path)
    selection = recipes.section(recipes.section(content, "data", path), "selection", path)
    found = Trained(_build(Ranks, low_rank, f"{path}: network.low_rank"), _build(Selection, selection, f"{path}: data"))
    for word in (found.ranks.start, found.selection.strategy, found.selection.score, found.selection.frames):
        if not word or len(word) > LONGEST or inert(word) != word:
            raise Refused(f"{path} is damaged: {word[:LONGEST]!r} is no name of a setting")
    return found


def find_trained(models: Sequence[Model], notes: list[str]) -> dict[Model, Trained]:
    """How models were trained, of all whose recipe was kept; a file that is damaged is named in the notes."""
    found = {}
    for model in models:
        try:
            trained = read_trained(model.rows[0].path.parent.parent)
        except Refused as refused:
            notes.append(f"How {model.run} was trained is not known: {refused}.")
        else:
            if trained is not None:
                found[model] = trained
    return found


def _build(of: type[T], content: Mapping[str, Any], where: str) -> T:
    known = {each.name for each in fields(of)}  # type: ignore[arg-type]  # both types are dataclasses
    return recipes.build(of, {name: value for name, value in content.items() if name in known}, where)
