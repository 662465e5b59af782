"""WER against what training took, where systems choose the clips or frames that they train on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from .boards import Model, file_name
from .comparisons import Mean
from .drawn import Drawn, name_at_left, not_drawn
from .references import dense_of
from .style import COLOURS, DENSE_COLOUR, MARKS, MUTED, canvas, headed, keep, literal
from .svg import told
from .table import Figure, points
from .trained import FULL, WHOLE, Selection, Trained

WIDTH, ROW = 9.6, 0.34  # inches; the last of the height
RANDOM = "random"
FEWER = f"{FULL}, as few updates"
CONTROLS = (FULL, FEWER, RANDOM)
NEAR = 0.05  # numbers of updates are the same within this fraction, as budgets are
LETTER, MOST = 0.016, 0.5  # of the width: what a letter of a name takes beside seconds, and all of it at the most
BESIDE = 0.05  # of the width: between such names and the points
STEPS = (1, 2, 5, 10)  # of ticks
LEAST = 2.0  # points of WER that the axis beside seconds has
NAME = 0.19  # inches of the height that such a name takes
BELOW = 0.28  # of a row: how far under its middle the marks of single seeds stand


@dataclass(frozen=True, slots=True)
class Strategy:
    """A model as a row of the figure: its name, and what it is drawn by."""

    name: str
    control: str  # one of CONTROLS; empty of those that choose by what they know of clips
    model: Model
    selection: Selection
    colour: str
    mark: str


def cost_figures(drawn: Drawn, trained: Mapping[Model, Trained]) -> Iterator[Figure]:
    """WER, frames and seconds of each strategy beside its controls, where some model was trained on chosen clips."""
    means = drawn.clean()
    known = {model: trained[model].selection for model in means if model in trained}
    chosen = [model for model, of in known.items() if of.selects]
    if not chosen:
        return
    systems = {model.system for model in chosen}
    dense = [like for model in chosen if isinstance(like := dense_of(drawn.board, model), Model)]  # of like budget
    beside = {model: of for model, of in known.items() if model.system in systems or model in dense}
    rows = strategies(beside, means)
    seconds = {row: found for row in rows if (found := seconds_of(row.model))}
    height = ROW * len(rows) + 1.5
    drawing = canvas(WIDTH, height)
    widths = [2.2, 1.3, 3.0][: 3 if seconds else 2]
    wer, frames, *over = drawing.subplots(1, len(widths), width_ratios=widths)
    _draw_wer(wer, rows, means, drawn.unconverged)
    _draw_frames(frames, rows)
    for axes in over:
        _draw_seconds(axes, seconds, means, drawn.unconverged, NAME / height)
    headed(drawing, f"WER against what training took, clean clips. Measured here: {drawn.title}")
    left = [model for model in means if model.system in systems and model not in known]
    title = f"WER against what training took, {drawn.title}, clean clips"
    yield keep(drawing, drawn.out, f"cost-{file_name(*drawn.name)}", title, _caption(drawn, rows, seconds, left))


def strategies(known: Mapping[Model, Selection], means: Mapping[Model, Mean]) -> list[Strategy]:
    """The rows: controls first, then those that choose, the lowest WER first. No two have the same name."""
    chosen = [model for model, of in known.items() if of.selects]
    controls = {model: _control(model, of, chosen) for model, of in known.items()}
    names = _told_apart({model: _name(model, of, controls, known) for model, of in known.items()})

    def place(model: Model) -> tuple[object, ...]:
        control = controls[model]
        return CONTROLS.index(control) if control else len(CONTROLS), means[model].value, model.run

    order = sorted(known, key=place)
    colours = cycle(COLOURS)
    return [
        Strategy(
            names[each], controls[each], each, known[each], DENSE_COLOUR if controls[each] else next(colours), mark
        )
        for each, mark in zip(order, cycle(MARKS), strict=False)
    ]


def updates_of(model: Model) -> int:
    """The updates of its own training; 0 where nobody kept them."""
    return model.about.budget.updates if model.about.budget else 0


def seconds_of(model: Model) -> tuple[float, ...]:
    """The seconds of each training seed; nothing where those of a part of its training are not known."""
    budgets = [row.result.budget for row in model.clean]
    if any(budget is None or not budget.seconds or budget.ancestors for budget in budgets):
        return ()
    return tuple(budget.seconds for budget in budgets if budget)


def _control(model: Model, of: Selection, chosen: Sequence[Model]) -> str:
    if of.selects:
        return RANDOM if (of.strategy, of.frames) == (RANDOM, WHOLE) else ""
    updates = updates_of(model)
    few = any(abs(updates - updates_of(other)) <= NEAR * max(updates, updates_of(other)) for other in chosen)
    return FEWER if updates and few else FULL


def _name(model: Model, of: Selection, controls: Mapping[Model, str], known: Collection[Model]) -> str:
    """What it trains on, in a few words."""
    if of.selects:
        clips = "" if of.strategy == FULL else f"{of.strategy}, {of.fraction:.0%}"
        frames = "" if of.frames == WHOLE else f"{of.frames}, {of.frame_fraction:.0%}"
        name = "; ".join(filter(None, (clips, frames))).replace("%", " %")
        name += ", per token" if of.score == "per_token" else ""
    else:
        name = controls[model]
        if name == FEWER and sum(other == FEWER for other in controls.values()) > 1:
            name = f"{FULL}, {updates_of(model):,} updates"
    system = f"{model.system}: " if len({each.system for each in known}) > 1 else ""
    return f"{system}{name}{', trained with noise' if model.noisy_training else ''}"


def _told_apart(names: Mapping[Model, str]) -> dict[Model, str]:
    """Names that several have get what differs behind them: their updates, else the run."""
    for behind in (lambda model: f", {updates_of(model):,} updates", lambda model: f", {model.run}"):
        count = Counter(names.values())
        names = {model: name + behind(model) if count[name] > 1 else name for model, name in names.items()}
    return dict(names)


def _draw_wer(
    axes: Axes, rows: Sequence[Strategy], means: Mapping[Model, Mean], unconverged: Collection[Model]
) -> None:
    """A row a strategy: its mean with the interval, and each seed below; the control of as few updates as a line."""
    fewer = [row.model for row in rows if row.control == FEWER]
    if len(fewer) == 1:
        axes.axvline(100 * means[fewer[0]].value, color=DENSE_COLOUR, linestyle=(0, (5, 3)), linewidth=1)
    for place, row in enumerate(rows):
        mean = means[row.model]
        low, value, high = (100 * each for each in (mean.interval.low, mean.value, mean.interval.high))
        axes.hlines(place, low, high, color=row.colour, linewidth=1.4, alpha=0.55)
        said = f"{row.name}: {points(mean.value)} % [{points(mean.interval.low)}, {points(mean.interval.high)}]"
        _mark(axes, row, [value], [place], [said], unconverged)
        if len(mean.seeds) > 1:
            seeds = [100 * each for each in mean.seeds]
            axes.plot(seeds, [place + BELOW] * len(seeds), "|", color=row.colour, markersize=5, alpha=0.8)
        over = {"facecolor": axes.get_facecolor(), "edgecolor": "none", "pad": 0.6}  # the dashed line
        where: dict[str, Any] = {"xytext": (4, 0), "textcoords": "offset points", "va": "center", "bbox": over}
        axes.annotate(points(mean.value), (high, place), color=MUTED, fontsize=8, **where)
    axes.set_yticks(range(len(rows)), [literal(row.name) for row in rows])
    axes.set_xlim(0, max(115 * max(means[row.model].interval.high for row in rows), 1))
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=STEPS))
    axes.set(xlabel="WER, %", title="WER")
    _rows_axis(axes, rows)


def _draw_frames(axes: Axes, rows: Sequence[Strategy]) -> None:
    """What went through the network, exactly: frames as bars, updates beside them."""
    known = [(row.model.frames or 0) / 1e6 for row in rows]
    axes.barh(range(len(rows)), known, 0.5, color=[row.colour for row in rows], alpha=0.55)
    for place, (row, frames) in enumerate(zip(rows, known, strict=True)):
        said = f"{updates_of(row.model):,}" if updates_of(row.model) else "unknown"
        axes.annotate(said, (frames, place), (4, 0), textcoords="offset points", va="center", color=MUTED, fontsize=8)
    axes.set_yticks(range(len(rows)), [""] * len(rows))
    axes.set(xlim=(0, 1.45 * max([*known, 1e-6])), xlabel="millions of frames", title="frames (updates)")
    axes.xaxis.set_major_locator(MaxNLocator(3, steps=STEPS))
    _rows_axis(axes, rows)


def _draw_seconds(
    axes: Axes,
    seconds: Mapping[Strategy, Sequence[float]],
    means: Mapping[Model, Mean],
    unconverged: Collection[Model],
    gap: float,
) -> None:
    """The mean WER where the fastest seed is, for other work on a machine only adds; a thin line to the slowest."""
    wers = {row: 100 * means[row.model].value for row in seconds}
    for row, found in seconds.items():
        axes.hlines(wers[row], min(found), max(found), color=row.colour, linewidth=0.9, alpha=0.6)
        said = f"{row.name}: {points(means[row.model].value)} %, {', '.join(f'{each:,.0f} s' for each in found)}"
        _mark(axes, row, [min(found)], [wers[row]], [said], unconverged)
    fastest, slowest = (of(of(found) for found in seconds.values()) for of in (min, max))
    right = 1.06 * slowest
    names = min(LETTER * max(len(row.name) for row in seconds) + 0.01, MOST)
    room = (fastest - (names + BESIDE) * right) / (1 - names - BESIDE)  # names stand before the fastest
    axes.set_xlim(min(0, room), right)
    axes.set_xticks([tick for tick in MaxNLocator(4, steps=STEPS).tick_values(0, right) if 0 <= tick <= right])
    low, high = min(wers.values()), max(wers.values())
    if high - low < LEAST:  # so that little does not look like much
        low = max((low + high - LEAST) / 2, 0)
        high = low + LEAST
    margin = 0.12 * (high - low)
    axes.set_yticks([tick for tick in MaxNLocator(5, steps=STEPS).tick_values(low, high) if tick >= 0])
    axes.set_ylim(low - margin, high + margin)
    axes.set(xlabel="seconds of training", ylabel="WER, %", title="WER over seconds")
    ends = [(min(found), wers[row]) for row, found in seconds.items()]
    name_at_left(axes, [(row.name, row.colour) for row in seconds], ends, names, gap)


def _mark(
    axes: Axes,
    row: Strategy,
    x: Sequence[float],
    y: Sequence[float],
    said: Sequence[str],
    unconverged: Collection[Model],
) -> None:
    fill = "#ffffff" if row.model in unconverged else row.colour
    (marks,) = axes.plot(
        x, y, row.mark, color=row.colour, markerfacecolor=fill, markeredgecolor=row.colour, linestyle="none", zorder=3
    )
    marks.set_gid(told(said))


def _rows_axis(axes: Axes, rows: Sequence[Strategy]) -> None:
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")


def _caption(drawn: Drawn, rows: Sequence[Strategy], seconds: Collection[Strategy], left: Sequence[Model]) -> str:
    controls = Counter(row.control for row in rows)
    models = [row.model for row in rows]
    said = (
        f"Measured here: WER on clean clips and what training took, {drawn.title}. A row a strategy, with the share of"
    )
    said += " the frames that it keeps"
    said += (
        "; of infobatch it is that of clips below the mean loss."
        if any(row.selection.strategy == "infobatch" for row in rows)
        else "."
    )
    said += " Grey: controls." if set(controls) != {""} else ""
    if missing := [control for control in CONTROLS if not controls[control]]:
        said += f" Not there to compare with: {'; '.join(missing)}."
    said += " Whiskers: 95 % intervals; ticks below them: training seeds."
    said += f" Dashed line: {FEWER}." if controls[FEWER] == 1 else ""
    said += " Hollow: not converged." if any(model in drawn.unconverged for model in models) else ""
    if any(model.about.budget and model.about.budget.ancestors for model in models):
        said += " Frames of ancestors are counted, their updates are not."
    if seconds:
        said += (
            " Seconds are those of the machine, whatever else ran on it: marks stand at the fastest seed, thin lines"
        )
        said += " end at the slowest, and WER is the mean, on an axis that need not begin at 0."
        if unknown := [row.name for row in rows if row not in seconds]:
            said += f" All seconds are not known of: {'; '.join(unknown)}."
    return said + not_drawn(left)
