"""What figures of WER share: whom they are made of, means, lines with whiskers, and what captions explain."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes

from ..records import Refused
from .boards import DENSE, Board, Model
from .comparisons import Mean, budgets_of, mean_of
from .references import dense_of, is_plain
from .rows import Row
from .style import DENSE_COLOUR, MUTED, Curve, draw, literal, prominence, spread
from .table import points

Words = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Drawn:
    """What figures of WER are made of: the models of one size and reading, and who of them had not converged."""

    board: Board
    models: tuple[Model, ...]
    unconverged: Collection[Model]
    name: Words
    title: str
    out: Path

    def dense(self, model: Model) -> Model | None:
        """The dense model that stands in a model's panel: of its budget, else of the corpus of the test."""
        of_budget = dense_of(self.board, model)
        if isinstance(of_budget, Model):
            return of_budget
        known = [each for each in self.models if is_plain(self.board, each) and not each.noisy_training]
        return min(known, key=lambda each: (each.home != self.board.test.corpus, each.run), default=None)

    def clean(self) -> dict[Model, Mean]:
        """The mean on clean clips of every model that has one."""
        return {model: mean for model in self.models if model.clean and (mean := known_mean([model.clean]))}

    def by_system(self, means: Collection[Model]) -> list[tuple[str, list[Model]]]:
        """The models of each system but dense, the best known systems first."""
        systems = {model.system for model in means if model.system != DENSE}
        return [
            (system, sorted((m for m in means if m.system == system), key=lambda m: (m.about.sparsity, m.run)))
            for system in sorted(systems, key=prominence)
        ]


def known_mean(conditions: Sequence[tuple[Row, ...]]) -> Mean | None:
    """A mean over conditions and seeds; none where hypotheses are missing."""
    try:
        return mean_of(conditions)
    except Refused:  # the table says which hypotheses are missing
        return None


def curve_of(system: str, x: Sequence[float], means: Sequence[Mean], said: Sequence[str]) -> Curve:
    """Means with their intervals in percent, and what each point is."""
    return Curve(
        system,
        system,
        x,
        [100 * mean.value for mean in means],
        [100 * mean.interval.low for mean in means],
        [100 * mean.interval.high for mean in means],
        [
            f"{words}: {points(mean.value)} % [{points(mean.interval.low)}, {points(mean.interval.high)}]"
            for words, mean in zip(said, means, strict=True)
        ],
    )


def draw_line(axes: Axes, curve: Curve, hollow: bool | Sequence[bool], noisy: bool, numbers: bool = False) -> None:
    """One curve with whiskers: hollow marks had not converged, a dotted line was trained with noise."""
    draw(axes, [curve], banded=False, dotted=noisy, hollow=hollow)
    if numbers:
        for x, y, high in zip(curve.x, curve.y, curve.high, strict=True):
            axes.annotate(
                f"{y:.1f}", (x, high), (0, 2), textcoords="offset points", ha="center", color=MUTED, fontsize=7
            )


def draw_band(axes: Axes, curve: Curve, named: bool) -> None:
    """Dense behind others, named in the first panel."""
    axes.fill_between(curve.x, curve.low, curve.high, color=DENSE_COLOUR, alpha=0.12, linewidth=0)
    axes.plot(curve.x, curve.y, color=DENSE_COLOUR, linestyle=(0, (5, 3)), linewidth=1.2)
    if named:
        place = (curve.x[0], max(curve.y[0], curve.high[0]))
        axes.annotate(DENSE, place, (3, 2), textcoords="offset points", color=DENSE_COLOUR, fontsize=8)


def name_at_left(
    axes: Axes, names: Sequence[tuple[str, str]], ends: Sequence[tuple[float, float]], right: float, gap: float
) -> None:
    """Names in their colours in a column that ends at a fraction of the width, each with a thin line to its point.

    Their places are moved as little as it takes for a gap between two, a fraction of the height.
    """
    to_axes = axes.transData + axes.transAxes.inverted()
    heights = spread([float(to_axes.transform(end)[1]) for end in ends], gap, 0.02, 0.98)
    for (name, colour), end, height in zip(names, ends, heights, strict=True):
        arrow = {"arrowstyle": "-", "color": colour, "linewidth": 0.6, "alpha": 0.6, "shrinkA": 1, "shrinkB": 3}
        where: dict[str, Any] = {"textcoords": "axes fraction", "ha": "right", "va": "center"}
        axes.annotate(
            literal(name), end, (right, height), color=colour, fontsize=7.5, arrowprops=arrow, zorder=2.5, **where
        )


def explained(drawn: Drawn, shown: Sequence[Model]) -> str:
    """What whiskers, hollow marks and dotted lines are, as far as there are any, and what curves do not say."""
    said = " Whiskers: 95 % intervals."
    said += " Hollow: not converged." if any(model in drawn.unconverged for model in shown) else ""
    said += " Dotted: trained with noise." if any(model.noisy_training for model in shown) else ""
    return said + unequal(shown)


def unequal(models: Sequence[Model]) -> str:
    """That curves of different budgets do not rank systems, where these are of several."""
    if any(model.frames is None for model in models):
        return " How much they were trained is not known of all: curves of different budgets do not rank systems."
    return (
        ""
        if len(budgets_of(models)) == 1
        else " Budgets of training differ (see the table): such curves do not rank systems."
    )


def not_drawn(left: Sequence[Model]) -> str:
    """The names of models that a figure leaves out, as far as there are any."""
    return f" Not drawn: {', '.join(model.run for model in left)}." if left else ""
