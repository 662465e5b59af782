"""What the runs of `benchmarks.claims` say: three CSV files, two figures, and the tables of docs/msrs.md."""

from __future__ import annotations

import csv
import datetime
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from itertools import groupby
from pathlib import Path
from statistics import fmean, median
from typing import Any

from .results import machine, put_between, table

HERE = Path(__file__).parent
CELLS, CURVES, TUNING = (HERE / f"claims{kind}.csv" for kind in ("", "_curves", "_tuning"))
PAGE = HERE.parent / "docs/msrs.md"
BEGIN, END = "<!-- claims: made by `make claims`, do not edit -->", "<!-- claims end -->"
EARLY = 0.25  # of the updates: where "starts faster" is looked at


@dataclass(frozen=True, slots=True)
class Look:
    """A run at one of its looks at validation clips."""

    update: int
    seconds: float  # of training so far, looks among them
    train_loss: float  # mean since the look before
    loss: float
    wer: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A cell of the comparison; all but the first four are empty where it was not run."""

    depth: int
    system: str
    seed: int
    steps: int
    settings: str = ""
    seconds: float | None = None
    valid_loss: float | None = None
    valid_wer: float | None = None
    test_wer: float | None = None
    test_low: float | None = None
    test_high: float | None = None
    parameters: int | None = None
    sparsity: float | None = None
    gradient: float | None = None  # of the encoder's first feed-forward layer, first half of the updates
    device: str = ""
    commit: str = ""
    command: str = ""
    looks: tuple[Look, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuned:
    """A tuning run."""

    system: str
    settings: str
    valid_wer: float | None
    valid_loss: float | None
    taken: str  # yes or empty


def looks(folder: Path) -> tuple[Look, ...]:
    """The looks of a run."""
    from avsr_bench.training.report import METRICS, read_metrics

    found, losses = [], []
    for row in read_metrics(folder / METRICS):
        losses.append(float(row["loss"]))
        if row.get("valid/wer"):
            update, seconds = int(row["update"]), float(row["seconds"])
            found.append(Look(update, seconds, fmean(losses), float(row["valid/loss"]), float(row["valid/wer"])))
            losses = []
    return tuple(found)


def first_gradient(folder: Path, begin: float, end: float) -> float:
    """The L2 norm of the gradient of the encoder's first feed-forward layer: geometric mean over a part of a run."""
    from avsr_bench.training.report import METRICS, read_metrics

    norms = [float(row["grad/first"]) for row in read_metrics(folder / METRICS)]
    part = norms[int(begin * len(norms)) : int(end * len(norms))]
    return math.exp(fmean(math.log(max(norm, 1e-30)) for norm in part))


def last_look(folder: Path) -> tuple[float, float]:
    """WER and loss on validation clips at the end: what tuning goes by, the lower the better."""
    end = looks(folder)[-1]
    return end.wer, end.loss


def measured(
    folder: Path, results: Path, system: str, depth: int, seed: int, steps: int, settings: Sequence[str], there: bool
) -> Measured:
    """What a cell says; the empty one where its run is not there."""
    empty = Measured(depth=depth, system=system, seed=seed, steps=steps)
    if not there:
        return empty
    from avsr_bench import runs
    from avsr_bench.scoring import read_archive

    run = runs.open_run(folder)
    seen = looks(folder)
    test: dict[str, Any] = {}
    for path in results.glob(f"*/{run.name}/test.zip"):
        result = read_archive(path).result("clean")
        interval = result.metrics["wer"].interval
        test = {"test_wer": result.wer, "test_low": interval.low, "test_high": interval.high, "device": result.device}
    return Measured(
        depth=depth,
        system=system,
        seed=seed,
        steps=steps,
        settings=" ".join(settings),
        seconds=round(seen[-1].seconds, 1),
        valid_loss=seen[-1].loss,
        valid_wer=seen[-1].wer,
        parameters=run.about.parameters,
        sparsity=run.about.sparsity,
        gradient=first_gradient(folder, 0, 0.5),
        commit=run.about.commit,
        command=run.about.command,
        looks=seen,
        **test,
    )


def tuned(folder: Path, system: str, settings: Sequence[str], taken: bool, there: bool) -> Tuned:
    """What a tuning run says."""
    wer, loss = last_look(folder) if there else (None, None)
    return Tuned(
        system=system, settings=" ".join(settings), valid_wer=wer, valid_loss=loss, taken="yes" if taken else ""
    )


def write(cells: Sequence[Measured], tunings: Sequence[Tuned], how: str) -> list[Path]:
    """Write everything anew; figures only once there is something to draw. `how` tells what was fixed before."""
    names = [field.name for field in fields(Measured) if field.name != "looks"]
    _write(CELLS, names, [{name: getattr(cell, name) for name in names} for cell in cells])
    keys = ("depth", "system", "seed", "steps")
    points = [{**{key: getattr(cell, key) for key in keys}, **asdict(look)} for cell in cells for look in cell.looks]
    _write(CURVES, [*keys, *(field.name for field in fields(Look))], points)
    _write(TUNING, [field.name for field in fields(Tuned)], [asdict(each) for each in tunings])
    figures = _figures(cells)
    block = _block(cells, tunings, how, figures)
    put_between(PAGE, BEGIN, END, block)
    return [CELLS, CURVES, TUNING, *figures, PAGE]


def _write(path: Path, names: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    def plain(value: Any) -> Any:
        return f"{value:.6g}" if isinstance(value, float) else value

    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: plain(value) for name, value in row.items()} for row in rows)


def _block(cells: Sequence[Measured], tunings: Sequence[Tuned], how: str, figures: Sequence[Path]) -> str:
    done = [cell for cell in cells if cell.looks]
    ran = [each for each in tunings if each.valid_wer is not None]
    if not done and not ran:
        state = f"{how}\n\n**Nothing of it was run yet.**"
    else:
        state = (
            f"{how}\n\n{len(done)} of {len(cells)} cells and {len(ran)} of {len(tunings)} tuning runs were run"
            f" (`make claims`; {machine()}; written on {datetime.date.today()}). Each with its command:"
            " benchmarks/claims.csv, claims_curves.csv and claims_tuning.csv."
        )
    tables = (
        ("WER on test clips, %, at the end", lambda cell: _percent(cell.test_wer)),
        (
            f"WER on validation clips, %, after {100 * EARLY:.0f} % of the updates",
            lambda cell: _percent(_early(cell, "wer")),
        ),
        (f"Loss on validation clips after {100 * EARLY:.0f} % of the updates", lambda cell: _early(cell, "loss")),
        ("Seconds of training", lambda cell: cell.seconds),
    )
    parts = [state, "Mean over the seeds that were run, the lowest and the highest of them, and how many they are."]
    parts += [f"{title}:\n\n{_table(cells, value)}" for title, value in tables]
    parts.append(
        "Gradient of the encoder's first feed-forward layer, L2 norm before clipping, thousandths; geometric mean over"
        f" the first half of the updates:\n\n{_table(cells, _thousandths, '.2g')}"
    )
    taken = [[each.system, f"`{each.settings}`", f"{_percent(each.valid_wer):.1f}"] for each in ran if each.taken]
    if taken:
        parts.append("What tuning took, with its WER there:\n\n" + table(["system", "settings", "WER, %"], taken))
    parts += [f"![{path.stem}]({path.name})" for path in figures]
    return "\n\n".join(parts)


def _table(cells: Sequence[Measured], value: Callable[[Measured], float | None], form: str = ".1f") -> str:
    systems = list(dict.fromkeys(cell.system for cell in cells))
    rows = []
    for depth, its in groupby(cells, lambda cell: cell.depth):
        values: dict[str, list[float]] = {system: [] for system in systems}
        for cell in its:
            if (number := value(cell)) is not None:
                values[cell.system].append(number)
        rows.append([str(depth), *(_spread(values[system], form) for system in systems)])
    return table(["encoder blocks", *systems], rows)


def _spread(values: Sequence[float], form: str) -> str:
    if not values:
        return ""
    between = f"{min(values):{form}} to {max(values):{form}}; " if len(values) > 1 else ""
    return f"{fmean(values):{form}} ({between}{len(values)})"


def _thousandths(cell: Measured) -> float | None:
    return None if cell.gradient is None else 1000 * cell.gradient


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share


def _early(cell: Measured, name: str) -> float | None:
    """A figure of the first look from a quarter of the updates on."""
    return next((getattr(look, name) for look in cell.looks if look.update >= EARLY * cell.steps), None)


def _figures(cells: Sequence[Measured]) -> list[Path]:
    """Loss and WER on validation clips over updates, and over seconds: a column a depth, a line a system."""
    if not any(cell.looks for cell in cells):
        return []
    from avsr_bench.leaderboard.style import canvas, styled

    depths = list(dict.fromkeys(cell.depth for cell in cells))
    made = []
    for over, unit in (("update", "updates"), ("seconds", "seconds of training")):
        with styled():
            figure = canvas(3.4 * len(depths), 5.2)
            grid = figure.subplots(2, len(depths), squeeze=False, sharey="row")
            for column, depth in enumerate(depths):
                mine = [cell for cell in cells if cell.depth == depth]
                _draw(grid[0][column], mine, over, "loss", 1, math.inf)
                _draw(grid[1][column], mine, over, "wer", 100, 100)  # who knows nothing yet inserts words
                grid[0][column].set_title(f"{depth} encoder blocks")
                grid[1][column].set_xlabel(unit)
            for row, label in zip(grid, ("loss of a validation clip", "WER on validation clips, %"), strict=True):
                row[0].set_ylabel(label)
                row[0].set_ylim(bottom=0)  # of the whole row, once everything is in it
            top = 1.3 * median(look.loss for cell in cells for look in cell.looks)  # a first spike flattens all else
            grid[0][0].set_ylim(top=top)
            lines = [axes.get_legend_handles_labels() for axes in grid.flat]
            figure.legend(*max(lines, key=lambda pair: len(pair[1])), loc="outside lower center", ncols=4)
            path = PAGE.with_name(f"claims-{over}.png")
            figure.savefig(path, dpi=130, metadata={"Software": None})
        made.append(path)
    return made


def _draw(axes: Any, cells: Sequence[Measured], over: str, name: str, scale: float, most: float) -> None:
    """The mean over seeds of every system, and a band from the lowest to the highest."""
    from avsr_bench.leaderboard.style import looks as look_of

    systems = list(dict.fromkeys(cell.system for cell in cells))
    for system in systems:
        runs = [cell.looks for cell in cells if cell.system == system and cell.looks]
        if not runs:
            continue
        together = list(zip(*runs, strict=True))  # equal steps: looks at the same updates
        x = [fmean(getattr(look, over) for look in at) for at in together]
        y = [[min(scale * getattr(look, name), most) for look in at] for at in together]
        its = look_of(systems)[system]
        axes.plot(x, list(map(fmean, y)), color=its.colour, marker=its.mark, label=system, markersize=3)
        axes.fill_between(x, list(map(min, y)), list(map(max, y)), color=its.colour, alpha=0.12, linewidth=0)
    if not any(cell.looks for cell in cells):
        axes.text(0.5, 0.5, "not run yet", transform=axes.transAxes, ha="center")
        axes.set_xticks([])
