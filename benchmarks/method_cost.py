"""What a method costs an update, against dense: short runs of the very command, in turns.

    python -m benchmarks.method_cost                  tiny on synth, on the processor
    python -m benchmarks.method_cost --size large     BASE-L at the recipe's batch: for a GPU

Times are those of metrics.csv, divided by the frames of the update. MSRS searches in the first half of its run, so one
run has its cost before and after the switch. Methods that exchange weights do so in one update of many: what such an
update takes longer than the others of its run is shared among all.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from itertools import pairwise
from pathlib import Path
from statistics import fmean, median

from avsr_bench.training.recipe import load_recipe
from avsr_bench.training.report import METRICS, read_metrics

from .cells import DATA, need_data
from .results import record, table

TURNS = 3
FIRST = 10  # updates of every part that are not counted
EXCHANGING = ("set", "rigl", "gmp", "granet", "chase")
EVERY = 20  # updates from one change of masks to the next, here; the recipe's own is what the cost is shared among


def main() -> None:
    """Measure and record."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.method_cost", description="What methods cost.")
    parser.add_argument("--size", default="tiny", help="tiny, small or large")
    parser.add_argument("--steps", type=int, default=160, help="updates of every run")
    asked = parser.parse_args()
    need_data()
    dense, search, after = [], [], []
    half = asked.steps // 2
    for _ in range(TURNS):
        dense.append(median(_seconds(asked.size, "dense", asked.steps)[FIRST:]))
        parted = _seconds(asked.size, "msrs", asked.steps, "method.search=0.5")
        search.append(median(parted[FIRST:half]))
        after.append(median(parted[half + FIRST :]))
    rows = [
        ["dense", f"{1e6 * median(dense):.0f}", "1"],
        ["msrs, search", f"{1e6 * median(search):.0f}", f"{_ratio(search, dense):.2f}"],
        ["msrs, after the switch", f"{1e6 * median(after):.0f}", f"{_ratio(after, dense):.2f}"],
    ]
    for system in EXCHANGING:
        whole = ("method.start=0", "method.stop=1", "train.average=1")  # exchanges from the first update to the last
        times = _seconds(asked.size, system, asked.steps, f"method.every={EVERY}", *whole)
        every = load_recipe(system, asked.size, ()).recipe.method["every"]
        changing = times[EVERY - 1 : -1 : EVERY]  # the last update has the look at validation clips in it
        others = median(time for number, time in enumerate(times, 1) if number % EVERY and number > FIRST)
        share = (fmean(changing) - others) / others / every
        rows.append([f"{system}, an exchange every {every} updates", f"{1e6 * others:.0f}", f"{1 + share:.3f}"])
    words = f"python -m benchmarks.method_cost --size {asked.size} --steps {asked.steps}"
    goals = "Goals: search at most 1.25, 1.0 after it, exchanges under 1.03."
    note = f"{goals} Medians of {TURNS} turns of {asked.steps} updates; exchanges are means over one run's."
    record(
        f"train: what methods cost, {asked.size}",
        words,
        f"{table(['', 'µs a frame', 'of dense, or of its other updates'], rows)}\n\n{note}",
    )


def _ratio(ours: list[float], others: list[float]) -> float:
    return median(one / other for one, other in zip(ours, others, strict=True))


def _seconds(size: str, system: str, steps: int, *settings: str) -> list[float]:
    """Seconds a frame of every update of a run."""
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        words = ("train", system, "--data", str(DATA), "--size", size, "--out", str(run))
        quiet = (f"train.steps={steps}", f"train.validate_every={10 * steps}", *settings)
        subprocess.run([sys.executable, "-m", "avsr_bench", *words, *quiet], check=True, capture_output=True)
        rows = read_metrics(run / METRICS)
    clock = [float(row["seconds"]) for row in rows]
    frames = [float(row["frames"]) for row in rows]
    return [(now - before) / count for (before, now), count in zip(pairwise([0.0, *clock]), frames, strict=True)]


if __name__ == "__main__":
    main()
