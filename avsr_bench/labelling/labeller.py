"""What the job asks of a labeller, and what a labeller answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from ..data import Example, Label, LabelHeader, Place

Show = Callable[[Place], Example]  # a decoded clip


class Labeller(Protocol):
    """A recogniser. Its labels of a shard are the same each time, whatever it labelled before."""

    @property
    def header(self) -> LabelHeader:
        """Who it is, and how it decodes: the header of its labels, but for the corpus."""

    def label(self, places: Sequence[Place], show: Show, workers: int) -> Iterator[tuple[Place, Label]]:
        """The clips of a shard, in any order, each with what was recognised in it."""
