"""Training runs as the cells of a table: each with its command; what is finished is not done again."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from avsr_bench import runs
from avsr_bench.training.recipe import differences, load_recipe, read_sections

DATA, RUNS = Path("data/synth"), Path("runs/claims")
LOOKS = 20  # at validation clips in a run


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
        """Whether its weights are there, trained by this command with what the recipes say now."""
        if not (self.folder / runs.WEIGHTS).is_file():
            return False
        run, recipe = runs.open_run(self.folder), load_recipe(self.system, "tiny", self.assignments).recipe
        same = run.about.command == shlex.join(("avsr-bench", *self.command))
        return same and not differences(read_sections(run.recipe, str(self.folder)), recipe.sections())

    @property
    def assignments(self) -> tuple[str, ...]:
        """What is laid over the recipe."""
        depth, steps = f"network.encoder_blocks={self.depth}", f"train.steps={self.steps}"
        return (depth, steps, f"train.validate_every={max(self.steps // LOOKS, 1)}", *self.settings)

    @property
    def command(self) -> tuple[str, ...]:
        """What trains it."""
        words = ("train", self.system, "--data", str(DATA), "--size", "tiny", "--seed", str(self.seed))
        return (*words, "--out", str(self.folder), "--resume", *self.assignments)


def train(cells: Sequence[Cell], jobs: int) -> list[Cell]:
    """Train what is not finished, so many at once; those that are finished now."""
    with ThreadPoolExecutor(jobs) as pool:
        try:
            list(pool.map(_train, cells))
        except KeyboardInterrupt:  # it reaches the runs too; they are given the time to save where they stand
            pool.shutdown(cancel_futures=True)
            sys.exit(130)
    return [cell for cell in cells if cell.finished]


def _train(cell: Cell) -> None:
    if cell.finished:
        return
    print(shlex.join(("avsr-bench", *cell.command)) + "\n", end="", flush=True)  # one write: others print too
    log = cell.folder.with_name(f"{cell.folder.name}.log")
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as file:
        subprocess.run([sys.executable, "-m", "avsr_bench", *cell.command], stdout=file, stderr=file, check=False)
    if not cell.finished:
        print(f"{cell.folder} is not finished, or holds another run: its cell stays empty; see {log}", flush=True)


def read(cells: Sequence[Cell], results: Path) -> None:
    """WER on the test clips, clean; what was read is not read again."""
    if cells:
        names = ",".join(str(each.folder) for each in cells)
        words = ("robustness", "--data", str(DATA), "--noise", "none", "--models", names, "--out", str(results))
        subprocess.run([sys.executable, "-m", "avsr_bench", *words], stdout=subprocess.DEVNULL, check=False)


def need_data() -> None:
    """Say what to do where the corpus is not there."""
    if not (DATA / "prep.json").is_file():
        sys.exit(f"{DATA} is not there: avsr-bench prep synth")
