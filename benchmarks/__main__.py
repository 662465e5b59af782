"""`make bench`: every benchmark, or those named; GRID is looked for beside the repository, or is the last argument."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

ALL = ("crops", "prep_speed", "noise_speed", "decoding_speed")


def main(arguments: list[str]) -> None:
    """Run them one after another."""
    grid = Path("../shared/data/grid")
    names = []
    for argument in arguments:
        if argument in ALL:
            names.append(argument)
        else:
            grid = Path(argument)
    for name in names or ALL:
        importlib.import_module(f"benchmarks.{name}").main(grid)


main(sys.argv[1:])
