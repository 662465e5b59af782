"""What the runs of `benchmarks.claims` say: the tables and figures of docs/msrs.md."""

from __future__ import annotations

import datetime
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median
from typing import Any

from .cells import Measured
from .results import machine, put_between, table

PAGE = Path(__file__).parent.parent / "docs/msrs.md"
BEGIN, END = "<!-- claims: made by `make claims`, do not edit -->", "<!-- claims end -->"
EARLY = 0.25  # of the updates: where "starts faster" is looked at
LINES = ("-", "--", ":", "-.")  # of systems with the same colour
# Which of two systems ends lower, seed by seed: the questions of the page.
PAIRS = (
    ("msrs", "dense"),
    ("msrs-frozen", "dense"),
    ("msrs", "msrs-frozen"),
    ("msrs-layerscale", "layerscale"),
    ("rigl", "static-erk"),
    ("msrs-search-0.4", "dense"),
    ("msrs-frozen-search-0.4", "dense"),
    ("msrs-search-0.4", "msrs-frozen-search-0.4"),
)


@dataclass(frozen=True, slots=True)
class Runs:
    """A system in one comparison: the rate that tuning took, and its seeds."""

    rate: str | None
    seeds: tuple[Measured, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """All systems on one input at one depth."""

    shown: str
    depth: int
    of: Mapping[str, Runs]

    @property
    def title(self) -> str:
        """For people."""
        return f"{self.depth} blocks, {self.shown} input"


@dataclass(frozen=True, slots=True)
class Tuned:
    """The tuning runs of a system on one input, by rate; none where one was not run."""

    shown: str
    system: str
    runs: Mapping[str, Measured | None]
    taken: str | None


def write(comparisons: Sequence[Comparison], tunings: Sequence[Tuned], seeds: int, how: str) -> list[Path]:
    """Write the page's part anew; figures only once there is something to draw. `how` tells what was fixed before."""
    figures = _figures(comparisons)
    cells = [len(runs.seeds) for each in comparisons for runs in each.of.values()]
    tuned = [row for each in tunings for row in each.runs.values()]
    parts = [how]
    if any(tuned):
        parts.append(
            f"{sum(cells)} of {len(cells) * seeds} cells and {sum(row is not None for row in tuned)} of"
            f" {len(tuned)} tuning runs were run (`make claims`; {machine()}; written on"
            f" {datetime.date.today()}). Each with its command, settings and curve: benchmarks/claims.jsonl. Numbers"
            " are means over the seeds that were run, with the lowest and the highest of them and how many they are."
        )
    else:
        parts.append("**Nothing of it was run yet.**")
    for each in comparisons:
        if any(runs.seeds for runs in each.of.values()):
            parts += [f"### {each.title[0].upper()}{each.title[1:]}", _systems(each), _pairs(each)]
    parts += [f"![{path.stem}]({path.name})" for path in figures]
    if any(tuned):
        parts += ["### Tuning", _tuning(tunings)]
    put_between(PAGE, BEGIN, END, "\n\n".join(filter(None, parts)))
    return [*figures, PAGE]


def _systems(comparison: Comparison) -> str:
    columns: tuple[tuple[str, Callable[[Measured], float | None], str], ...] = (
        ("WER on test clips, %", lambda row: 100 * row.test[0] if row.test else None, ".1f"),
        (f"validation WER at {EARLY:.0%}, %", lambda row: min(100 * _early(row).wer, 100.0), ".0f"),
        ("validation loss, end", lambda row: row.last.loss, ".2f"),
        ("removed at the switch, %", lambda row: None if row.removed is None else 100 * row.removed, ".0f"),
        ("zeros at the end, %", lambda row: 100 * row.sparsity, ".0f"),
        ("gradient, thousandths", lambda row: 1000 * row.gradient, ".2g"),
        ("seconds", lambda row: row.last.seconds, ".0f"),
    )
    lines = []
    for system, runs in comparison.of.items():
        if runs.seeds:
            values = [_spread([value(row) for row in runs.seeds], form) for _, value, form in columns]
            lines.append([system, runs.rate or "", *values])
    return table(["system", "rate", *(name for name, _, _ in columns)], lines)


def _tuning(tunings: Sequence[Tuned]) -> str:
    """Loss and WER of validation clips by rate; what was taken in bold."""
    lines = []
    for each in tunings:
        if any(each.runs.values()):
            found = [
                "" if row is None else f"{row.last.loss:.2f} ({100 * row.last.wer:.1f} %)" for row in each.runs.values()
            ]
            bold = [f"**{text}**" if rate == each.taken else text for rate, text in zip(each.runs, found, strict=True)]
            lines.append([each.system, each.shown, *bold])
    rates = next(iter(tunings)).runs
    head = ["system", "input", *(f"rate {rate}" for rate in rates)]
    return f"Loss and WER of validation clips at the end; what was taken is bold.\n\n{table(head, lines)}"


def _pairs(comparison: Comparison) -> str:
    """The difference in test WER between two systems, seed by seed."""
    lines = []
    for first, second in PAIRS:
        mine, others = (
            {_seed(row): row.test[0] for row in comparison.of[name].seeds if row.test} for name in (first, second)
        )
        found = [100 * (mine[seed] - others[seed]) for seed in sorted(mine.keys() & others.keys())]
        if found:
            each = ", ".join(f"{value:+.1f}" for value in found)
            lines.append([f"{first} against {second}", f"{fmean(found):+.1f}", each])
    return table(["test WER, points", "mean", "of each seed"], lines) if lines else ""


def _seed(row: Measured) -> str:
    return row.name.rpartition("-s")[2]


def _early(row: Measured) -> Any:
    """The first look from a quarter of the updates on."""
    return next(look for look in row.looks if look.update >= EARLY * row.last.update)


def _spread(values: Sequence[float | None], form: str) -> str:
    known = [value for value in values if value is not None]
    if not known:
        return ""
    between = f"{min(known):{form}} to {max(known):{form}}; " if len(known) > 1 else ""
    return f"{fmean(known):{form}} ({between}{len(known)})"


def _figures(comparisons: Sequence[Comparison]) -> list[Path]:
    """Loss and WER on validation clips over updates, and over seconds: a column a comparison, a line a system."""
    shown = [each for each in comparisons if any(runs.seeds for runs in each.of.values())]
    if not shown:
        return []
    from avsr_bench.leaderboard.style import canvas, styled

    made = []
    for over, unit in (("update", "updates"), ("seconds", "seconds of training")):
        with styled():
            figure = canvas(max(3.0 * len(shown), 5.0), 5.4)
            grid = figure.subplots(2, len(shown), squeeze=False, sharey="row")
            for column, each in enumerate(shown):
                _draw(grid[0][column], each, over, "loss", 1, math.inf)
                _draw(grid[1][column], each, over, "wer", 100, 100)  # who knows nothing yet inserts words
                grid[0][column].set_title(each.title)
                grid[1][column].set_xlabel(unit)
            for row, label in zip(grid, ("loss of a validation clip", "WER on validation clips, %"), strict=True):
                row[0].set_ylabel(label)
                row[0].set_ylim(bottom=0)  # of the whole row, once everything is in it
            rows = [row for each in shown for runs in each.of.values() for row in runs.seeds]
            ends = max(row.last.loss for row in rows)  # are seen; a first spike is not, which flattens all else
            grid[0][0].set_ylim(top=max(1.6 * median(look.loss for row in rows for look in row.looks), 1.15 * ends))
            lines = [axes.get_legend_handles_labels() for axes in grid.flat]
            figure.legend(*max(lines, key=lambda pair: len(pair[1])), loc="outside lower center", ncols=2 + len(shown))
            path = PAGE.with_name(f"claims-{over}.png")
            figure.savefig(path, dpi=110, metadata={"Software": None})
        made.append(path)
    return made


def _draw(axes: Any, comparison: Comparison, over: str, name: str, scale: float, most: float) -> None:
    """The mean over seeds of every system, and a band from the lowest to the highest."""
    from avsr_bench.leaderboard.style import ROUNDS
    from avsr_bench.leaderboard.style import looks as look_of

    styles = look_of(comparison.of)
    for system, runs in comparison.of.items():
        if not runs.seeds:
            continue
        together = list(zip(*(row.looks for row in runs.seeds), strict=True))  # equal steps: looks at the same updates
        x = [fmean(getattr(look, over) for look in at) for at in together]
        y = [[min(scale * getattr(look, name), most) for look in at] for at in together]
        style = styles[system]
        line = LINES[[hatch for _, hatch in ROUNDS].index(style.hatch)]
        axes.plot(x, list(map(fmean, y)), line, color=style.colour, marker=style.mark, label=system, markersize=3)
        axes.fill_between(x, list(map(min, y)), list(map(max, y)), color=style.colour, alpha=0.12, linewidth=0)
