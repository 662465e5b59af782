"""What is asked of a board, and where it goes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .. import data

LOCAL, SHARED = Path("leaderboards/local"), Path("leaderboards")


@dataclass(frozen=True, slots=True)
class BoardRequest:
    """What the command line asks for."""

    corpus: str = "synth"
    root: Path | None = None  # of the corpus
    models: tuple[str, ...] = ()  # entries; none: those of board.yaml
    seeds: tuple[int, ...] = ()  # of training; none: those of board.yaml
    publish: bool = False  # write what is committed, not what is a user's own

    @property
    def data(self) -> data.Prepared:
        """Its shards: made, or going to be."""
        return data.Prepared(f"data/{self.corpus}")

    @property
    def pages(self) -> Path:
        """Where the pages go."""
        return SHARED if self.publish else LOCAL

    @property
    def results(self) -> Path:
        """Where the results go."""
        return self.pages / "results"
