"""`make bench`: every benchmark, or those named; GRID is looked for beside the repository, or is the last argument."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

from avsr_bench.recipes import nearest

ALL = (
    "crops",
    "crop_scale",
    "causal_crops",
    "prep_speed",
    "corruption",
    "noise_speed",
    "decoding_speed",
    "loader_speed",
    "update_speed",
    "sweep",
    "input_variance",
    "convergence",
    "low_rank",
    "selection",
    "labels",
    "unified",
    "braven",
    "enhance",
    "manifest_rows",
    "machines",
    "scale",
)

NEED_SYNTH = (
    "input_variance",
    "convergence",
    "low_rank",
    "selection",
    "labels",
    "unified",
    "braven",
    "enhance",
    "scale",
)
NEED_GRID = ("crop_scale", "causal_crops", "prep_speed", "corruption", "noise_speed")


def main(arguments: list[str]) -> None:
    """Run them one after another."""
    grid = Path("../shared/data/grid")
    names = [argument for argument in arguments if argument in ALL]
    others = [argument for argument in arguments if argument not in ALL]
    if others and Path(others[-1]).is_dir():
        grid = Path(others.pop())
    if others:
        print(f"benchmarks: {others[0]!r} is no benchmark and no folder.{nearest(others[0], ALL)}", file=sys.stderr)
        sys.exit(2)
    for name in names or ALL:
        if name in NEED_SYNTH and not Path("data/synth/prep.json").is_file():
            print(f"{name}: left out, it needs the synthetic corpus: avsr-bench prep synth")
            continue
        if name in NEED_GRID and not (grid / "s1").is_dir():
            print(f"{name}: left out, it needs clips of GRID and {grid}/s1 is not there: make bench GRID=FOLDER")
            continue
        importlib.import_module(f"benchmarks.{name}").main(grid)


main(sys.argv[1:])
