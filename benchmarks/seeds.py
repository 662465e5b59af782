"""Runs of some seeds: trained and read where they are not there yet, two at a time, and their rows in a table."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from avsr_bench import runs
from avsr_bench.scoring import read_archive

DATA = "data/synth"
SEEDS = (0, 1, 2)
HIDDEN = "data.hide={speakers: 0.8}"


@dataclass(frozen=True)
class Job:
    """A network to train, and how."""

    out: Path
    seed: int
    settings: tuple[str, ...]
    system: str = "dense"
    modality: str | None = "video"  # none: the system decides
    views: tuple[str | None, ...] = (None,)  # in which it is read; of no view: it is for others to begin with


def train_all(asked: Sequence[Job]) -> None:
    """Train and evaluate what is not there yet, two at a time."""
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(_train, asked))


def run(*words: str) -> None:
    """A command of ours."""
    subprocess.run([sys.executable, "-m", "avsr_bench", *words], check=True, stdin=subprocess.DEVNULL)


def hours_of(folder: Path) -> list[str]:
    """Hours of training clips by kind: labelled, automatic, unlabelled."""
    budget = runs.open_run(folder).about.budget
    assert budget is not None
    return [f"{each:.2f}" for each in (budget.labelled_hours, budget.automatic_hours, budget.unlabelled_hours)]


def wers_of(folders: Sequence[Path], view: str | None = None) -> tuple[str, str]:
    """The mean WER of runs, and that of each; `view` of a unified one."""
    name = f"test-{view}.zip" if view else "test.zip"
    wers = [read_archive(folder / "results" / name).result("clean").wer for folder in folders]
    return f"{100 * fmean(wers):.1f}", ", ".join(f"{100 * wer:.1f}" for wer in wers)


def _train(job: Job) -> None:
    if not (job.out / runs.WEIGHTS).is_file():
        words = ("train", job.system, "--data", DATA, "--out", str(job.out), "--seed", str(job.seed), "--resume")
        run(*words, *(("--modality", job.modality) if job.modality else ()), *job.settings)
    for view in job.views:
        name = f"test-{view}.zip" if view else "test.zip"
        if not (job.out / "results" / name).is_file():
            asked = ("evaluate", str(job.out), "--data", DATA, "--decode", "ctc")
            run(*asked, *(("--modality", view) if view else ()))
