"""How the defaults of MSRS were chosen, and what else was tried: from one set of settings, one or two are moved.

python -m benchmarks.msrs_defaults             trains what is not kept yet: two minutes a run on an idle core
python -m benchmarks.msrs_defaults --report    trains nothing: the table of what there is

At the depth and with the seed by which `benchmarks.claims` tunes all systems, at the rate that is the recipe's, and by
validation clips alone. These runs come on top of that tuning, and no rival had as many: the page says so.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

from .cells import Cell, Store
from .claims import STEPS, TUNING_DEPTH, TUNING_SEED
from .results import put_between, table

HERE = Path(__file__).parent
PAGE, STORE = HERE.parent / "docs/msrs.md", HERE / "msrs_defaults.jsonl"
BEGIN, END = "<!-- defaults: made by `python -m benchmarks.msrs_defaults`, do not edit -->", "<!-- defaults end -->"

TRIED: tuple[Mapping[str, str], ...] = (
    {},
    {"frozen": "true"},
    {"spread": "0", "reach": "0.16"},
    {"spread": "0.1"},
    {"spread": "0.3"},
    {"spread": "3"},
    {"reach": "0.1"},
    {"reach": "1"},
    {"search": "0.1"},
    {"search": "0.4"},
    {"penalty_weight": "0"},
    {"penalty_weight": "1e-3"},
    {"penalty": "mask"},
    {"restart": "stored"},
    {"restart": "fresh"},
    {"schedule": "two-stage"},
    {"last_temperature": "20"},
)


def cells() -> list[tuple[str, Cell]]:
    """What is tried: its name, and its run."""
    depth = f"network.encoder_blocks={TUNING_DEPTH}"
    found = [
        (system, Cell(f"defaults-{system}", system, TUNING_SEED, (depth,), STEPS, tested=False))
        for system in ("dense", "layerscale")
    ]
    for moved in TRIED:
        name = ", ".join(f"{key} {value}" for key, value in moved.items()) or "msrs"
        settings = (depth, *(f"method.{key}={value}" for key, value in moved.items()))
        folder = f"defaults-{name.replace(', ', '-').replace(' ', '-')}"
        found.append((name, Cell(folder, "msrs", TUNING_SEED, settings, STEPS, tested=False)))
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, and write the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.msrs_defaults", description="Defaults of MSRS.")
    parser.add_argument("--jobs", type=int, default=1, help="runs at once")
    parser.add_argument("--report", action="store_true", help="train nothing, write what there is")
    asked = parser.parse_args(arguments)
    store, planned = Store(STORE), cells()
    if not asked.report:
        store.train([cell for _, cell in planned], asked.jobs)
    put_between(PAGE, BEGIN, END, _words(store, planned))


def _words(store: Store, planned: Sequence[tuple[str, Cell]]) -> str:
    def percent(fraction: float | None) -> str:
        return "" if fraction is None else f"{100 * fraction:.1f}"

    rows = []
    for name, cell in planned:
        if (row := store.of(cell)) is not None:
            end = row.last
            rows.append(
                [
                    name,
                    f"{end.loss:.2f}",
                    percent(end.wer),
                    percent(row.removed),
                    percent(row.undecided),
                    f"{end.varies:.2f}",
                    f"{1000 * row.gradient:.2g}",
                ]
            )
    head = ["", "loss", "WER, %", "removed by the search, %", "undecided at its end, %", "output varies"]
    about = (
        f"{TUNING_DEPTH} encoder blocks, {STEPS} updates, seed {TUNING_SEED}; loss and WER of validation clips at the"
        " end, the deviation of the encoder's output against its mean there, and the gradient norm of the encoder's"
        " first feed-forward layer in the first half (geometric mean). `msrs` is the recipe; every other line moves"
        f" what it names. {len(rows)} of {len(planned)} were run. Commands and curves: benchmarks/{STORE.name}."
    )
    return f"{about}\n\n{table([*head, 'gradient, thousandths'], rows)}" if rows else about


if __name__ == "__main__":
    main()
