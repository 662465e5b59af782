"""WER against the number of parameters: low ranks and weights that were removed in one picture, dense as a band."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from .boards import DENSE, Model, file_name
from .comparisons import Mean
from .drawn import Drawn, curve_of, draw_band, name_at_left, not_drawn, unequal
from .style import DENSE_COLOUR, MUTED, Look, canvas, draw, headed, keep, literal, looks, prominence, spread
from .table import Figure
from .trained import Ranks, Trained

WIDTH, HEIGHT, NAME = 8.6, 4.8, 0.2  # inches; the last is what a name at the left takes of the height
NAMES, LEFT, RIGHT = 0.17, 0.21, 0.95  # of the width: where names of sparse systems end, where points begin and end
ASIDE, BELOW = 0.14, 0.1  # of the width and the height that a name below lines takes
STEPS = ((100.0, (1.0,)), (4.0, (1.0, 2.0, 5.0)), (0.0, (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0)))  # by what is shown


@dataclass(frozen=True, slots=True)
class Line:
    """Models of one system that differ in how far they were made smaller, the largest first."""

    system: str
    kind: str  # the layers of low ranks; empty where weights were removed
    models: tuple[Model, ...]


def size_figures(drawn: Drawn, trained: Mapping[Model, Trained]) -> Iterator[Figure]:
    """WER on clean clips against parameters that are not zero, where some network has low ranks."""
    means = {model: mean for model, mean in drawn.clean().items() if parameters(model)}
    ranks = {model: trained[model].ranks for model in means if model in trained and not trained[model].ranks.whole}
    thin = [model for model, of in ranks.items() if of.low]
    if not thin:
        return
    # One corpus and one way of training: others would be one more line of each system, with nothing to tell it by.
    one = min(thin, key=lambda model: (model.noisy_training, model.home != drawn.board.test.corpus, model.home))
    alike = [model for model in means if (model.noisy_training, model.home) == (one.noisy_training, one.home)]
    removed = [model for model in means if model.sparse and model not in ranks and model.system != DENSE]
    low = low_rank_lines({model: ranks[model] for model in alike if model in thin})
    sparse = sparse_lines([model for model in alike if model in removed])
    plain = (drawn.dense(low[0].models[0]), *(model for model in alike if model.system == DENSE))
    dense = next((model for model in plain if model in means and model not in ranks), None)
    shown = [*([dense] if dense else []), *(model for line in (*low, *sparse) for model in line.models)]

    height = max(HEIGHT, NAME * (len(sparse) + 4))
    drawing = canvas(WIDTH, height)
    axes = drawing.subplots()
    floor = BELOW * len({line.system for line in low}) + 0.02  # of the height: what stands below all points
    lowest = _scale(axes, shown, means, floor)
    look = looks(line.system for line in (*low, *sparse))
    for line in sparse:
        _draw(axes, line.models, means, drawn, look, faint=True)
    for line in low:
        _draw(axes, line.models, means, drawn, look)
    if dense is not None:
        _draw_dense(axes, dense, low, means, drawn, look)
    _name_low(axes, low, means, look, lowest)
    ends = [(float(parameters(line.models[-1])), 100 * means[line.models[-1]].value) for line in sparse]
    name_at_left(axes, [(line.system, look[line.system].colour) for line in sparse], ends, NAMES, NAME / height)
    drawing.supxlabel("parameters that are not zero", color=MUTED, fontsize=9)
    drawing.supylabel("WER, %", color=MUTED, fontsize=9)
    headed(drawing, f"WER against parameters, clean clips. Measured here: {drawn.title}")
    left = [model for model in means if model not in shown and (model in ranks or model in removed)]
    caption = _caption(drawn, shown, bool(sparse), dense is not None, axes.get_yscale() == "log") + not_drawn(left)
    name = f"size-{file_name(*drawn.name)}"
    yield keep(drawing, drawn.out, name, f"WER against parameters, {drawn.title}, clean clips", caption)


def parameters(model: Model) -> int:
    """The parameters of a model that are not zero; 0 where nobody counted them."""
    about = model.about
    return (about.parameters if about.nonzero is None else about.nonzero) or 0


def low_rank_lines(ranks: Mapping[Model, Ranks]) -> list[Line]:
    """For each system a line for low ranks in attention alone, in feed-forward layers alone, and in both.

    A line holds networks that differ in the ranks alone: their start and the way ranks go from the first block to the
    last are the same. Of several such ways the one with most networks is shown, else that of the recipe as it is.
    """
    found: dict[tuple[str, str], dict[tuple[object, ...], list[Model]]] = {}
    for model, of in ranks.items():
        way = (of.start, _direction(of.attention), _direction(of.feed_forward), round(model.about.sparsity, 2))
        found.setdefault((model.system, _kind(of)), {}).setdefault(way, []).append(model)
    lines = []
    for system, kind in sorted(found, key=lambda key: (prominence(key[0]), key[1])):
        every = [_one_of_each_count(models) for models in found[system, kind].values()]
        best = min(
            every, key=lambda models: (-len(models), min(model.variant != "" for model in models), models[0].run)
        )
        lines.append(Line(system, kind, best))
    return lines


def sparse_lines(models: Sequence[Model]) -> list[Line]:
    """A line for each system of which weights were removed."""
    systems = sorted({model.system for model in models}, key=prominence)
    return [Line(each, "", _one_of_each_count([m for m in models if m.system == each])) for each in systems]


def _kind(of: Ranks) -> str:
    if of.feed_forward == (1.0, 1.0):
        return "attention alone"
    return "feed-forward alone" if of.attention == (1.0, 1.0) else "both"


def _direction(ends: tuple[float, float]) -> float:
    first, last = ends
    return round(last / first, 2)


def _one_of_each_count(models: Sequence[Model]) -> tuple[Model, ...]:
    """The largest first; of several with as many parameters the one that is nearest to its recipe."""
    order = sorted(models, key=lambda model: (-parameters(model), model.variant != "", len(model.variant), model.run))
    return tuple(next(alike) for _, alike in groupby(order, key=parameters))


def _scale(axes: Axes, shown: Sequence[Model], means: Mapping[Model, Mean], floor: float) -> float:
    """Both axes logarithmic, with room for names; WER is not where some network makes no errors.

    What comes back is the lowest WER that is drawn, at a fraction of the height.
    """
    counts = [parameters(model) for model in shown]
    ratio = max(max(counts) / min(counts), 1.5)
    whole = ratio ** (1 / (RIGHT - LEFT))
    start = min(counts) / whole**LEFT
    axes.set_xscale("log")
    axes.set_xlim(start, start * whole)
    axes.xaxis.set_major_locator(LogLocator(subs=_steps(ratio)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda count, _: f"{count / 1e6:g} M"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    rates = [100 * means[model].value for model in shown]
    least = min(100 * means[model].interval.low for model in shown)
    high = 1.15 * max(1, *(100 * means[model].interval.high for model in shown))
    share = floor / (1 - floor)
    if min(rates) > 0:
        low = max(least, min(rates) / 5)  # an interval may go down to 0
        axes.set_yscale("log")
        axes.set_ylim(low / (high / low) ** share, high)
        axes.yaxis.set_major_locator(LogLocator(subs=_steps(high / low)))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda rate, _: f"{rate:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
    else:
        low = 0.0
        axes.set_ylim(-high * share, high)
        axes.set_yticks([tick for tick in MaxNLocator(5).tick_values(0, high) if 0 <= tick <= high])
    axes.tick_params(which="minor", length=0)
    return low


def _steps(ratio: float) -> tuple[float, ...]:
    return next(subs for least, subs in STEPS if ratio >= least)


def _draw(
    axes: Axes,
    models: Sequence[Model],
    means: Mapping[Model, Mean],
    drawn: Drawn,
    look: Mapping[str, Look],
    faint: bool = False,
) -> None:
    said = [f"{model.label}, {parameters(model):,} parameters" for model in models]
    curve = curve_of(models[-1].system, [parameters(m) for m in models], [means[m] for m in models], said)
    hollow = [model in drawn.unconverged for model in models]
    with rc_context({} if faint else {"lines.markersize": 6}):
        draw(axes, [curve], banded=False, hollow=hollow, faint=faint, look=look)


def _draw_dense(
    axes: Axes,
    dense: Model,
    low: Sequence[Line],
    means: Mapping[Model, Mean],
    drawn: Drawn,
    look: Mapping[str, Look],
) -> None:
    """Dense as a band, as a point, and as where the lines of low ranks begin."""
    rate, x = means[dense], float(parameters(dense))
    draw_band(axes, curve_of(DENSE, sorted(axes.get_xlim()), [rate] * 2, [dense.run] * 2), named=False)
    for line in low:
        first = line.models[0]
        ends = [x, parameters(first)], [100 * rate.value, 100 * means[first].value]
        axes.plot(*ends, color=look[line.system].colour)
    _draw(axes, [dense], means, drawn, look)
    place = (x, 100 * rate.interval.high)
    words: dict[str, Any] = {"color": DENSE_COLOUR, "fontsize": 8, "weight": "bold", "ha": "center"}
    axes.annotate(DENSE, place, (0, 4), textcoords="offset points", **words)


def _name_low(
    axes: Axes, low: Sequence[Line], means: Mapping[Model, Mean], look: Mapping[str, Look], lowest: float
) -> None:
    """Names below all points, a row a system, each under the last point of its line or moved aside for the next."""
    systems = list(dict.fromkeys(line.system for line in low))
    to_axes = axes.transData + axes.transAxes.inverted()
    for row, system in enumerate(systems):
        mine = [line for line in low if line.system == system]
        last = [(line.models[-1], max(100 * means[line.models[-1]].interval.low, lowest)) for line in mine]
        ends = [(float(parameters(model)), rate) for model, rate in last]
        across = [float(to_axes.transform(end)[0]) for end in ends]
        top = BELOW * (len(systems) - row)
        arrow = {"arrowstyle": "-", "linewidth": 0.7, "alpha": 0.6, "shrinkA": 0, "shrinkB": 1}
        arrow |= {"color": look[system].colour}
        where: dict[str, Any] = {"textcoords": "axes fraction", "ha": "center", "va": "top", "arrowprops": arrow}
        for line, end, x in zip(mine, ends, spread(across, ASIDE, ASIDE / 2, 1 - ASIDE / 2), strict=True):
            words = literal(f"{system}:\n{line.kind}")
            axes.annotate(words, end, (x, top), color=look[system].colour, fontsize=8, **where)


def _caption(drawn: Drawn, shown: Sequence[Model], sparse: bool, dense: bool, logarithmic: bool) -> str:
    said = f"Measured here: WER on clean clips against the parameters that are not zero, {drawn.title}."
    said += " Both axes are logarithmic." if logarithmic else " The axis of parameters is logarithmic."
    said += f" Thick lines go {'from dense ' if dense else ''}to lower and lower ranks in the layers named below them."
    said += " Thin lines: systems of which weights were removed." if sparse else ""
    said += " Dashed line and band: dense." if dense else ""
    said += " Whiskers, of all but thin lines: 95 % intervals." if sparse else " Whiskers: 95 % intervals."
    said += " Hollow: not converged." if any(model in drawn.unconverged for model in shown) else ""
    return said + unequal(shown)
