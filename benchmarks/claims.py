"""The claim of MSRS, measured: does it start faster and end better than its rivals, the deeper the more?

python -m benchmarks.claims                                       everything that is not done yet: hours on two cores
python -m benchmarks.claims --depths 8 --seeds 0 --systems dense,msrs
python -m benchmarks.claims --report                              trains nothing: table and figures of what there is

Fixed before the first comparison: encoder depths 4, 8 and 16 at the size tiny, systems, seeds, equal steps, and the
tuning below. Every system has three tuning runs, at one depth, with a seed that is not reported; the lowest WER on
validation clips is taken, and the loss where WERs are equal. Test clips are read once, by the finished runs of the
comparison. Each cell is a run under runs/claims/: what is finished is not done again, what was begun goes on.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Sequence
from pathlib import Path

from . import claims_report as report
from .cells import RUNS, Cell, need_data, read, train

RESULTS = RUNS / "results"
DEPTHS = (4, 8, 16)
SEEDS = (0, 1, 2)
STEPS = 800  # of every run: up to 5 minutes at the greatest depth, where two runs share two cores

TUNING_SEED = 100
TUNING_DEPTH = 8
# Three tuning runs a system: two rates, and another value of what the system stands on; for dense, three rates.
GRID: dict[str, tuple[tuple[str, ...], ...]] = {
    "dense": (("train.lr=0.0005",), ("train.lr=0.001",), ("train.lr=0.002",)),
    "layerscale": (
        ("train.lr=0.001", "network.layer_scale=0.1"),
        ("train.lr=0.002", "network.layer_scale=0.1"),
        ("train.lr=0.001", "network.layer_scale=0.01"),
    ),
    "msrs": (
        ("train.lr=0.001", "method.penalty_weight=0.0001"),
        ("train.lr=0.002", "method.penalty_weight=0.0001"),
        ("train.lr=0.001", "method.penalty_weight=0.00003"),
    ),
    "rigl": (
        ("train.lr=0.001", "method.sparsity=0.5"),
        ("train.lr=0.002", "method.sparsity=0.5"),
        ("train.lr=0.001", "method.sparsity=0.2"),
    ),
}


def tuning(system: str, steps: int) -> list[Cell]:
    """The tuning runs of a system."""
    home = RUNS / f"tuning-{TUNING_DEPTH:02d}-{steps}"
    return [
        Cell(system, TUNING_DEPTH, TUNING_SEED, settings, steps, home / f"{system}-{number}")
        for number, settings in enumerate(GRID[system], start=1)
    ]


def chosen(system: str, steps: int) -> tuple[str, ...] | None:
    """The settings whose tuning run ended best on validation clips; none as long as one of the runs is missing."""
    cells = tuning(system, steps)
    if not all(cell.finished for cell in cells):
        return None
    ends = [report.last_look(cell.folder) for cell in cells]
    return cells[ends.index(min(ends))].settings


def cell(system: str, depth: int, seed: int, settings: tuple[str, ...], steps: int) -> Cell:
    """A cell of the comparison."""
    return Cell(system, depth, seed, settings, steps, RUNS / f"depth-{depth:02d}-{steps}" / f"{system}-s{seed}")


def main(arguments: Sequence[str]) -> None:
    """Tune, compare, read the test clips, report; after every run the report is written anew."""
    asked = _parse(arguments)
    if not asked.report:
        _run(asked)
    for path in _report(asked.steps):
        print(f"written: {path}")


def _run(asked: argparse.Namespace) -> None:
    need_data()
    train([one for system in asked.systems for one in tuning(system, asked.steps)], asked.jobs)
    _report(asked.steps)
    taken = {system: chosen(system, asked.steps) for system in asked.systems}
    # Seeds outermost: the first seed of every depth and system is there before the second of any.
    for seed, depth in itertools.product(asked.seeds, asked.depths):
        cells = [cell(system, depth, seed, its, asked.steps) for system, its in taken.items() if its is not None]
        read(train(cells, asked.jobs), RESULTS)
        _report(asked.steps)


def _report(steps: int) -> list[Path]:
    taken = {system: chosen(system, steps) for system in GRID}
    cells = []
    for depth, system, seed in itertools.product(DEPTHS, GRID, SEEDS):
        one = cell(system, depth, seed, taken[system] or (), steps)
        there = taken[system] is not None and one.finished
        cells.append(report.measured(one.folder, RESULTS, system, depth, seed, steps, one.settings, there))
    tunings = [
        report.tuned(one.folder, system, one.settings, one.settings == taken[system], one.finished)
        for system in GRID
        for one in tuning(system, steps)
    ]
    how = (
        f"Fixed before the first comparison: {', '.join(map(str, DEPTHS))} encoder blocks at the size tiny, {steps}"
        f" updates a run, seeds {', '.join(map(str, SEEDS))}; three tuning runs a system at {TUNING_DEPTH} blocks with"
        f" seed {TUNING_SEED}, which is reported nowhere else, and the lowest WER on validation clips is taken."
    )
    return report.write(cells, tunings, how)


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    def numbers(text: str) -> tuple[int, ...]:
        return tuple(int(word) for word in text.split(","))

    def names(text: str) -> tuple[str, ...]:
        for word in text.split(","):
            if word not in GRID:
                raise argparse.ArgumentTypeError(f"{word!r} is none of {', '.join(GRID)}")
        return tuple(text.split(","))

    parser = argparse.ArgumentParser(prog="python -m benchmarks.claims", description="The claim of MSRS, measured.")
    parser.add_argument("--depths", type=numbers, default=DEPTHS, help="encoder blocks, such as 4,8")
    parser.add_argument("--seeds", type=numbers, default=SEEDS, help="such as 0,1")
    parser.add_argument("--systems", type=names, default=tuple(GRID), help="such as dense,msrs")
    parser.add_argument("--steps", type=int, default=STEPS, help="updates of every run, tuning runs among them")
    parser.add_argument("--jobs", type=int, default=1, help="runs at once; their seconds then count for less")
    parser.add_argument("--report", action="store_true", help="train nothing, write what there is")
    found = parser.parse_args(arguments)
    for name, allowed in (("depths", DEPTHS), ("seeds", SEEDS)):
        strange = set(getattr(found, name)) - set(allowed)
        if strange:
            parser.error(f"--{name}: {min(strange)} is none of {', '.join(map(str, allowed))}")
    for name in ("steps", "jobs"):
        if getattr(found, name) < 1:
            parser.error(f"--{name} {getattr(found, name)}: give a positive number")
    return found


if __name__ == "__main__":
    main(sys.argv[1:])
