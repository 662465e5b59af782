"""Training runs as the cells of a table, kept in a file that is committed: what stands there is not trained again."""

from __future__ import annotations

import json
import math
import shlex
import subprocess
import sys
import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from avsr_bench import runs
from avsr_bench.files import write_whole
from avsr_bench.scoring import read_archive
from avsr_bench.training.recipe import differences, load_recipe, read_sections
from avsr_bench.training.report import METRICS, read_metrics

from .results import machine

DATA, RUNS = Path("data/synth"), Path("runs/cells")
LOOKS = 20  # at validation clips in a run


@dataclass(frozen=True, slots=True)
class Cell:
    """One run of a table; its name is unique there."""

    name: str
    system: str
    seed: int
    settings: tuple[str, ...]
    steps: int
    tested: bool  # whether the test clips are read with it: never by a run that something is chosen by
    data: Path = DATA

    @property
    def folder(self) -> Path:
        """Where it is trained."""
        return RUNS / self.name

    @property
    def assignments(self) -> tuple[str, ...]:
        """What is laid over the recipe."""
        looks = f"train.validate_every={max(self.steps // LOOKS, 1)}"
        return (f"train.steps={self.steps}", looks, *self.settings)

    @property
    def command(self) -> tuple[str, ...]:
        """What trains it."""
        words = ("train", self.system, "--data", str(self.data), "--size", "tiny", "--seed", str(self.seed))
        return (*words, "--out", str(self.folder), "--resume", *self.assignments)

    @property
    def recipe(self) -> dict[str, Any]:
        """All settings, with what the recipes say now."""
        return load_recipe(self.system, "tiny", self.assignments).recipe.sections()


@dataclass(frozen=True, slots=True)
class Look:
    """A run at one of its looks at validation clips."""

    update: int
    seconds: float  # of training so far, looks among them
    train_loss: float  # mean since the look before
    loss: float
    wer: float
    varies: float  # deviation of the encoder's output against its mean


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What a finished run says."""

    name: str
    looks: tuple[Look, ...]
    gradient: float  # of the encoder's first feed-forward layer: geometric mean over the first half of the updates
    parameters: int
    sparsity: float
    removed: float | None = None  # by the mask of a search when it ended; none of other systems
    undecided: float | None = None  # gates that were neither open nor shut by then
    test: tuple[float, float, float] | None = None  # WER on the test clips, with its interval over speakers
    command: str
    commit: str
    machine: str
    recipe: dict[str, Any]

    @property
    def last(self) -> Look:
        """At the end of the run."""
        return self.looks[-1]


class Store:
    """The cells of a table that were run, in a file of one line each."""

    def __init__(self, path: Path) -> None:
        self.path, self._lock = path, threading.Lock()
        self.rows: dict[str, Measured] = {}
        for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
            row = json.loads(line)
            row |= {"looks": tuple(Look(*look) for look in row["looks"]), "test": row["test"] and tuple(row["test"])}
            self.rows[row["name"]] = Measured(**row)

    def of(self, cell: Cell) -> Measured | None:
        """What a cell says; none where it was not run with what the recipes say now."""
        row = self.rows.get(cell.name)
        if row is None or differences(read_sections(row.recipe, cell.name), cell.recipe):
            return None
        return row

    def add(self, row: Measured) -> None:
        """Keep a cell."""
        with self._lock:
            self.rows[row.name] = row
            lines = []
            for _, each in sorted(self.rows.items()):
                looks = [[round(value, 5) for value in asdict(look).values()] for look in each.looks]
                lines.append(json.dumps(asdict(each) | {"looks": looks}) + "\n")
            write_whole(self.path, "".join(lines))

    def train(self, cells: Iterable[Cell], jobs: int) -> None:
        """Run what is not there yet, so many at once. One that fails stays empty, and is told."""
        left = [cell for cell in cells if self.of(cell) is None]
        for data in {cell.data for cell in left}:
            need_data(data)
        with ThreadPoolExecutor(jobs) as pool:
            try:
                list(pool.map(self._run, left))
            except KeyboardInterrupt:  # it reaches the runs too; they are given the time to save where they stand
                pool.shutdown(cancel_futures=True)
                sys.exit(130)

    def _run(self, cell: Cell) -> None:
        print(shlex.join(("avsr-bench", *cell.command)) + "\n", end="", flush=True)  # one write: others print too
        log = cell.folder.with_name(f"{cell.folder.name}.log")
        log.parent.mkdir(parents=True, exist_ok=True)
        results = RUNS / "results" / cell.name  # of its own: several are read at once
        reading = ("evaluate", str(cell.folder), "--data", str(cell.data), "--out", str(results))
        with log.open("w") as file:
            for words in (cell.command, reading) if cell.tested else (cell.command,):
                command = [sys.executable, "-m", "avsr_bench", *words]
                if subprocess.run(command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, check=False).returncode:
                    print(f"{cell.folder} failed: its cell stays empty; see {log}", flush=True)
                    return
        self.add(measure(cell, results))


def measure(cell: Cell, results: Path) -> Measured:
    """Read off a finished run what there is to keep of it."""
    run = runs.open_finished(cell.folder)
    rows = read_metrics(cell.folder / METRICS)
    searched = [row for row in rows if row.get("undecided")]
    removed, undecided = (float(searched[-1][key]) if searched else None for key in ("sparsity", "undecided"))
    test = None
    if cell.tested:
        test = read_archive(results / "test.zip").result("clean").metrics["wer"].values
    return Measured(
        name=cell.name,
        looks=tuple(_looks(rows)),
        gradient=_geometric([float(row["grad/first"]) for row in rows[: len(rows) // 2]]),
        parameters=run.about.parameters,
        sparsity=run.about.sparsity,
        removed=removed,
        undecided=undecided,
        test=test,
        command=run.about.command,
        commit=run.about.commit,
        machine=machine(),
        recipe=cell.recipe,
    )


def _looks(rows: Sequence[dict[str, str]]) -> Iterable[Look]:
    losses: list[float] = []
    for row in rows:
        losses.append(float(row["loss"]))
        if row.get("valid/wer"):
            names = ("seconds", "valid/loss", "valid/wer", "valid/varies/video/output")
            seconds, loss, wer, varies = (float(row[name]) for name in names)
            yield Look(int(row["update"]), seconds, fmean(losses), loss, wer, varies)
            losses = []


def _geometric(values: Sequence[float]) -> float:
    return math.exp(fmean(math.log(max(value, 1e-30)) for value in values))


def need_data(data: Path = DATA) -> None:
    """Say what to do where the corpus is not there."""
    if not (data / "prep.json").is_file():
        sys.exit(f"{data} is not there: avsr-bench prep {data.name}")
