"""The claim of MSRS, measured: does it start faster and end better than its rivals, the deeper the more?

python -m benchmarks.claims                                       everything that is not done yet: hours on two cores
python -m benchmarks.claims --depths 8 --seeds 0 --systems dense,msrs
python -m benchmarks.claims --report                              trains nothing: table and figures of what there is

Fixed before the first comparison: encoder depths 4, 8 and 16 at the size tiny, systems, seeds, equal steps, and the
tuning below. Every system has four tuning runs, at one depth, with a seed that is not reported; the lowest WER on
validation clips is taken, and the loss where WERs are equal. Test clips are read once, by the finished runs of the
comparison. Each cell is a run under runs/claims/: what is finished is not done again, what was begun goes on.
"""

from __future__ import annotations

import argparse
import itertools
import shlex
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from avsr_bench import runs

from . import claims_report as report

DATA, RUNS, RESULTS = Path("data/synth"), Path("runs/claims"), Path("runs/claims/results")
DEPTHS = (4, 8, 16)
SEEDS = (0, 1, 2)
STEPS = 600  # of every run: under 4 minutes on two idle cores at the greatest depth
LOOKS = 20  # at validation clips in a run

TUNING_SEED = 100
TUNING_DEPTH = 8
# Four tuning runs a system. The rate counts for all; the second setting is the one that the system stands on.
GRID: dict[str, tuple[tuple[str, ...], ...]] = {
    "dense": (("train.lr=0.0005",), ("train.lr=0.001",), ("train.lr=0.002",), ("train.lr=0.004",)),
    "layerscale": tuple(
        (f"train.lr={rate}", f"network.layer_scale={scale}") for rate in (0.001, 0.002) for scale in (0.1, 0.01)
    ),
    "msrs": tuple(
        (f"train.lr={rate}", f"method.penalty_weight={weight}") for rate in (0.001, 0.002) for weight in (1e-4, 1e-5)
    ),
    "rigl": tuple((f"train.lr={rate}", f"method.sparsity={share}") for rate in (0.001, 0.002) for share in (0.5, 0.2)),
}


@dataclass(frozen=True, slots=True)
class Cell:
    """One run."""

    system: str
    depth: int
    seed: int
    settings: tuple[str, ...]
    steps: int
    folder: Path

    @property
    def finished(self) -> bool:
        """Whether its weights are there, trained by this very command."""
        if not (self.folder / runs.WEIGHTS).is_file():
            return False
        return runs.open_run(self.folder).about.command == shlex.join(("avsr-bench", *self.command))

    @property
    def command(self) -> tuple[str, ...]:
        """What trains it."""
        words = ("train", self.system, "--data", str(DATA), "--size", "tiny", "--seed", str(self.seed))
        depth, steps = f"network.encoder_blocks={self.depth}", f"train.steps={self.steps}"
        looks = f"train.validate_every={max(self.steps // LOOKS, 1)}"
        return (*words, "--out", str(self.folder), "--resume", depth, steps, looks, *self.settings)


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
    if not (DATA / "prep.json").is_file():
        sys.exit(f"claims: {DATA} is not there: avsr-bench prep synth")
    for system in asked.systems:
        for one in tuning(system, asked.steps):
            _train(one)
    _report(asked.steps)
    # Seeds outermost: the first seed of every depth and system is there before the second of any.
    for seed in asked.seeds:
        for depth in asked.depths:
            ready = [
                one
                for system in asked.systems
                if (settings := chosen(system, asked.steps)) is not None
                and _train(one := cell(system, depth, seed, settings, asked.steps))
            ]
            _read(ready)
            _report(asked.steps)


def _train(one: Cell) -> bool:
    """Train a cell where it is not finished; whether it is now."""
    if one.finished:
        return True
    print(shlex.join(("avsr-bench", *one.command)), flush=True)
    _command(one.command, None)
    if not one.finished:
        print(f"claims: {one.folder} is not finished, or holds another run: its cell stays empty", flush=True)
    return one.finished


def _read(cells: Sequence[Cell]) -> None:
    """WER on the test clips, clean; what was read is not read again."""
    if cells:
        names = ",".join(str(each.folder) for each in cells)
        words = ("robustness", "--data", str(DATA), "--noise", "none", "--models", names, "--out", str(RESULTS))
        _command(words, subprocess.DEVNULL)


def _command(words: Sequence[str], stdout: int | None) -> None:
    """Run a command of ours. Ctrl-C reaches it too: it is given the time to save where it stands."""
    with subprocess.Popen([sys.executable, "-m", "avsr_bench", *words], stdout=stdout) as child:
        try:
            child.wait()
        except KeyboardInterrupt:
            child.wait()
            sys.exit(130)


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
        f" updates a run, seeds {', '.join(map(str, SEEDS))}; four tuning runs a system at {TUNING_DEPTH} blocks with"
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
    parser.add_argument("--report", action="store_true", help="train nothing, write what there is")
    found = parser.parse_args(arguments)
    for name, allowed in (("depths", DEPTHS), ("seeds", SEEDS)):
        strange = set(getattr(found, name)) - set(allowed)
        if strange:
            parser.error(f"--{name}: {min(strange)} is none of {', '.join(map(str, allowed))}")
    if found.steps < 1:
        parser.error(f"--steps {found.steps}: give a positive number")
    return found


if __name__ == "__main__":
    main(sys.argv[1:])
