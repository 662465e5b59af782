"""Enhancers against the ratio of speech to what is mixed in: what is read of their output, and ESTOI."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from matplotlib.axes import Axes

from ..records import Refused
from ..scoring import METRICS, WER
from .boards import Key, Model, Where, file_name
from .comparisons import Mean, mean_of
from .enhancer_tables import NOISY
from .enhancers import LIPS, NO_LIPS, EnhancerBoard, ReadBy, lips_of, noisy_sound, noisy_wer
from .style import DENSE_COLOUR, LOOKS, MUTED, Curve, Look, canvas, draw, keep, legend, literal, styled
from .table import Figure, in_unit

WIDE = 3  # kinds of sound beside one another
APART = 0.25  # dB between the whiskers of two enhancers
SHOWN = {  # to an enhancer, in the order of the legend
    LIPS["own"]: "own lips",
    LIPS["other"]: "lips of others",
    NO_LIPS: "sound alone",
    LIPS["none"]: "lips hidden",
}


def enhancer_figures(board: EnhancerBoard, out: Path) -> Iterator[Figure]:
    """For each noise seed the kinds of sound beside one another: WER of each reader above, ESTOI below."""
    for where in board.noises:
        kinds = board.kinds(where)
        for start in range(0, len(kinds), WIDE):
            names = list(kinds)[start : start + WIDE]
            with styled():
                yield from _figure(board, where, {name: kinds[name] for name in names}, start // WIDE, out)


def _figure(
    board: EnhancerBoard, where: Where, kinds: dict[str, list[float]], number: int, out: Path
) -> Iterator[Figure]:
    panels = [*((WER, reader) for reader in board.readers), ("estoi", None)]
    panels = [each for each in panels if any(board.compared(*each, where, kind) for kind in kinds)]
    if not panels:
        return
    look = _looks(board)
    drawing = canvas(max(3.1 * len(kinds) + 0.5, 5.6), 2.1 * len(panels) + 1.0)
    grid = drawing.subplots(len(panels), len(kinds), sharey="row", squeeze=False)
    for row, (metric, reader) in zip(grid, panels, strict=True):
        for axes, (kind, ratios) in zip(row, kinds.items(), strict=True):
            _panel(axes, board, where, kind, ratios, metric, reader, look)
            axes.set_title(literal(kind))
        unit = f", {METRICS[metric].unit}" if METRICS[metric].unit else ""
        several = f"\n{reader.run}" if reader and len(board.readers) > 1 else ""
        row[0].set_ylabel(literal(f"{METRICS[metric].label}{unit}{several}"))
        if metric == WER:
            row[0].set_ylim(bottom=0)
    drawing.supxlabel("dB between speech and what is mixed in", color=MUTED, fontsize=9)
    what = " and ".join(dict.fromkeys(METRICS[metric].label for metric, _ in panels))
    seed = f", noise seed {where.seed}" if where.seed else ""
    title = f"{what} of enhanced sound, {board.title}{seed}"
    legend(drawing, f"Measured here: {title}")
    caption = f"Measured here: {title}, against the ratio of speech to the sound that is mixed in. Dashed: {NOISY}."
    caption += "".join(f" WER is that of {reader.run}." for _, reader in panels if reader)
    caption += " Whiskers: 95 % intervals."
    test = [word for word in board.words if word != board.modality]
    name = [*test, *([f"seed{where.seed}"] if where.seed else []), *([f"{number + 1}"] if number else [])]
    yield keep(drawing, out, f"enhancers-{file_name(*name)}", title, caption)


def _looks(board: EnhancerBoard) -> dict[str, Look]:
    """How each enhancer and its lips look; shown with a reader or without, it looks the same."""
    order = list(SHOWN)
    models = sorted(board.models, key=lambda model: (order.index(lips_of(model.about)), model.trained))
    names = dict.fromkeys(name_of(board, model) for model in models)
    return {name: LOOKS[number % len(LOOKS)] for number, name in enumerate(names)}


def name_of(board: EnhancerBoard, model: Model) -> str:
    """An enhancer and whose lips it was shown."""
    sizes = {each.about.size for each in board.models}
    shown = SHOWN[lips_of(model.about)]
    return ", ".join([model.trained, *([model.about.size] if len(sizes) > 1 else []), shown])


def _panel(
    axes: Axes,
    board: EnhancerBoard,
    where: Where,
    kind: str,
    ratios: Sequence[float],
    metric: str,
    reader: ReadBy | None,
    look: dict[str, Look],
) -> None:
    keys = [(where, kind, ratio) for ratio in ratios]
    models = board.compared(metric, reader, where, kind)
    noisy = {key[2]: value for key in keys if (value := _noisy(board, models, key, metric, reader)) is not None}
    scale = 100 if METRICS[metric].unit == "%" else 1
    if noisy:
        axes.plot(
            list(noisy), [scale * of for of in noisy.values()], color=DENSE_COLOUR, linestyle=(0, (5, 3)), label=NOISY
        )
    names = list(look)
    for turn, model in enumerate(sorted(models, key=lambda each: names.index(name_of(board, each)))):
        means = {key[2]: mean for key in keys if (mean := _mean(model.have([key]), metric))}
        name = name_of(board, model)
        aside = APART * (turn - (len(models) - 1) / 2)
        curve = Curve(
            name,
            name,
            [ratio + aside for ratio in means],
            [scale * mean.value for mean in means.values()],
            [scale * mean.interval.low for mean in means.values()],
            [scale * mean.interval.high for mean in means.values()],
            [f"{name}, {ratio:g} dB: {_said(mean, metric)}" for ratio, mean in means.items()],
        )
        if means:
            draw(axes, [curve], banded=False, look=look)
    axes.set_xticks(ratios)


def _said(mean: Mean, metric: str) -> str:
    value, low, high = (in_unit(each, metric) for each in (mean.value, mean.interval.low, mean.interval.high))
    return f"{value} {METRICS[metric].unit} [{low}, {high}]"


def _mean(conditions: Sequence[tuple], metric: str) -> Mean | None:
    if not conditions or not all(metric in row.result.metrics for rows in conditions for row in rows):
        return None
    try:
        return mean_of(conditions, metric)
    except Refused:  # the table says what is missing
        return None


def _noisy(board: EnhancerBoard, models: Sequence[Model], key: Key, metric: str, reader: ReadBy | None) -> float | None:
    if reader is not None:
        row = noisy_wer(board, reader, key)
        return row.result.wer if row else None
    try:
        found = noisy_sound(models, key, metric)
    except Refused:
        return None
    return found[0].value if found else None
