"""What the job asks of a labeller, and what a labeller answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from ..data import Example, Label, Place
from ..nn import Modality
from ..records import Ancestor

Show = Callable[[Place], Example]  # a decoded clip


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who labels, with what: the part of an overlay's header that does not depend on the corpus."""

    name: str
    licence: str
    weights: str  # digest
    modality: Modality
    decoding: Mapping[str, Any] = field(default_factory=dict)
    ancestors: tuple[Ancestor, ...] = ()  # itself first


class Labeller(Protocol):
    """A recogniser. Its labels of a shard are the same each time, whatever it labelled before."""

    @property
    def identity(self) -> Identity:
        """Who it is."""

    def label(self, places: Sequence[Place], show: Show, workers: int) -> Iterator[tuple[Place, Label]]:
        """The clips of a shard, in any order, each with what was recognised in it."""
