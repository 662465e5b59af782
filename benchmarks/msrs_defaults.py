"""How the defaults of MSRS were chosen: from one set of settings, one or two are moved at a time.

python -m benchmarks.msrs_defaults             trains what is not trained yet: two minutes a run on an idle core
python -m benchmarks.msrs_defaults --report    trains nothing: the table and the figure of what there is

At the depth and with the seed by which `benchmarks.claims` tunes all systems, and by validation clips alone. These runs
come on top of that tuning, and no rival had as many: the comparison says so.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from avsr_bench.training.report import METRICS, read_metrics

from .cells import RUNS, Cell, need_data, train
from .claims import TUNING_DEPTH, TUNING_SEED
from .claims_report import Look, first_gradient, looks
from .results import put_between, table

STEPS = 600
HERE = Path(__file__).parent
PAGE, FIGURE, KEPT = HERE.parent / "docs/msrs.md", HERE.parent / "docs/msrs-lambda.png", HERE / "msrs_defaults.csv"
BEGIN, END = "<!-- defaults: made by `python -m benchmarks.msrs_defaults`, do not edit -->", "<!-- defaults end -->"

CENTRE = {"search": "0.5", "penalty_weight": "1e-4", "rescale": "false", "initial": "0", "restart": "zero"}
AS_RELATIVE = {"rescale": "true", "initial": "0.05"}  # Continuous Sparsification, and its use on Transformers
LAMBDAS = ("0", "1e-5", "1e-4", "1e-3")
TRIED: tuple[Mapping[str, str], ...] = (
    {},
    *({"penalty_weight": weight} for weight in LAMBDAS if weight != CENTRE["penalty_weight"]),
    {"search": "0.25"},
    {"search": "0.75"},
    {"restart": "stored"},
    {"restart": "fresh"},
    {"penalty": "mask"},
    {"last_temperature": "20"},
    AS_RELATIVE,
)


@dataclass(frozen=True, slots=True)
class Tried:
    """A run and how it ended."""

    moved: Mapping[str, str]
    name: str  # what is moved, in words
    cell: Cell
    looks: tuple[Look, ...]
    removed: float | None  # the share of prunable weights behind a shut gate when the search ended
    undecided: float | None  # the share of gates that were neither open nor shut by then
    gradient: float  # of the encoder's first feed-forward layer, over the last quarter


def cells(steps: int) -> list[tuple[Mapping[str, str], str, Cell]]:
    """What is tried: what it moves, its name, and its run."""
    home = RUNS / f"defaults-{TUNING_DEPTH:02d}-{steps}"
    found: list[tuple[Mapping[str, str], str, Cell]] = [
        ({}, system, Cell(system, TUNING_DEPTH, TUNING_SEED, (), steps, home / system))
        for system in ("dense", "layerscale")
    ]
    for moved in TRIED:
        name = ", ".join(f"{key} {value}" for key, value in moved.items()) or "msrs"
        settings = tuple(f"method.{key}={value}" for key, value in {**CENTRE, **moved}.items())
        folder = home / (name.replace(", ", "-").replace(" ", "-") if moved else "msrs")
        found.append((moved, name, Cell("msrs", TUNING_DEPTH, TUNING_SEED, settings, steps, folder)))
    return found


def opened(moved: Mapping[str, str], name: str, cell: Cell) -> Tried:
    """What a finished run says."""
    searched = [row for row in read_metrics(cell.folder / METRICS) if row.get("undecided")]
    removed, undecided = (float(searched[-1][key]) if searched else None for key in ("sparsity", "undecided"))
    gradient = first_gradient(cell.folder, 0.75, 1)
    return Tried(moved, name, cell, looks(cell.folder), removed, undecided, gradient)


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, and write the table, the figure and every number."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.msrs_defaults", description="Defaults of MSRS.")
    parser.add_argument("--steps", type=int, default=STEPS, help="updates of every run")
    parser.add_argument("--jobs", type=int, default=1, help="runs at once")
    parser.add_argument("--report", action="store_true", help="train nothing, write what there is")
    asked = parser.parse_args(arguments)
    planned = cells(asked.steps)
    if not asked.report:
        need_data()
        train([cell for *_, cell in planned], asked.jobs)
    tried = [opened(moved, name, cell) for moved, name, cell in planned if cell.finished]
    _keep(tried)
    _draw([one for one in tried if one.cell.system != "msrs" or set(one.moved) <= {"penalty_weight"}])
    put_between(PAGE, BEGIN, END, _words(tried, asked.steps))


def _words(tried: Sequence[Tried], steps: int) -> str:
    def percent(share: float | None) -> str:
        return "" if share is None else f"{100 * share:.1f}"

    rows = [
        [
            one.name,
            f"{one.looks[-1].loss:.2f}",
            percent(one.looks[-1].wer),
            percent(one.removed),
            percent(one.undecided),
            f"{1000 * one.gradient:.2g}",
        ]
        for one in tried
    ]
    head = ["", "loss", "WER, %", "removed by the search, %", "undecided at its end, %", "gradient, thousandths"]
    settings = ", ".join(f"{key} {value}" for key, value in CENTRE.items())
    about = (
        f"{TUNING_DEPTH} encoder blocks, {steps} updates, seed {TUNING_SEED}; loss and WER of validation clips at the"
        " end, and the gradient norm of the encoder's first feed-forward layer in the last quarter (geometric mean)."
        f" `msrs` is {settings}; every other line moves what it names. Commands and curves: benchmarks/{KEPT.name}."
    )
    return f"{about}\n\n{table(head, rows)}\n\n![Loss over updates for each lambda]({FIGURE.name})"


def _keep(tried: Sequence[Tried]) -> None:
    with KEPT.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("name", "update", "loss", "wer", "removed", "undecided", "command"))
        for one in tried:
            command = " ".join(("avsr-bench", *one.cell.command))
            for look in one.looks:
                writer.writerow(
                    (one.name, look.update, f"{look.loss:.6g}", f"{look.wer:.6g}", one.removed, one.undecided, command)
                )


def _draw(tried: Sequence[Tried]) -> None:
    """The effect of lambda, with dense and LayerScale beside it (the paper's Figure 2, on other data)."""
    from avsr_bench.leaderboard.style import COLOURS, DENSE_COLOUR, MARKS, canvas, styled

    with styled():
        figure = canvas(5.6, 3.4)
        axes: Any = figure.subplots()
        turn = 0
        for one in tried:
            colour, mark, label = DENSE_COLOUR, "o", one.name
            if one.cell.system == "msrs":
                colour, mark = COLOURS[turn], MARKS[turn]
                label = f"msrs, λ {one.moved.get('penalty_weight', CENTRE['penalty_weight'])}"
                turn += 1
            dashes = "--" if one.cell.system == "layerscale" else "-"
            axes.plot(
                [look.update for look in one.looks],
                [look.loss for look in one.looks],
                dashes,
                color=colour,
                marker=mark,
                label=label,
                markersize=3,
            )
        axes.set_xlabel("updates")
        axes.set_ylabel("loss of a validation clip")
        axes.legend()
        figure.savefig(FIGURE, dpi=130, metadata={"Software": None})


if __name__ == "__main__":
    main()
