"""The figures: WER against sparsity and against noise, gradients and layers of training, and what SparseVSR printed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from matplotlib.ticker import MaxNLocator, MultipleLocator

from .. import noise
from ..records import Refused
from ..scoring import WER
from .comparisons import CLEAN_KEY, DENSE, Board, Mean, Model, Where, budgets_of, file_name, level_sets, mean_of
from .curves import GROUPS, read_gradients, read_layers
from .published import Papers
from .rows import Row
from .style import (
    COLOURS,
    DENSE_COLOUR,
    INK,
    MUTED,
    Curve,
    canvas,
    draw,
    keep,
    literal,
    looks,
    prominence,
    side_by_side,
    styled,
)
from .table import Figure, points

FIGURES = ("sparsity-", "noise-", "gradients-", "layers-", "published-")  # as their names begin
MOST = 6  # systems in panels as small as those of noise: more lines cannot be told apart
Words = tuple[str, ...]
KINDS = {"mouth": "visual noise", "frame": "noise on full frames"}


def board_figures(board: Board, out: Path) -> tuple[list[Figure], list[str]]:
    """Every figure of a board that there are results for, by size of the networks, and why one is missing.

    How answers were found tells as much as the network: each way of decoding has figures of its own.
    """
    figures: list[Figure] = []
    notes: list[str] = []
    for size in sorted({model.about.size for model in board.models}):
        models = [model for model in board.models if model.about.size == size]
        name = (*board.words, size)
        title = f"{board.title}{f', {size}' if size else ''}"
        with styled():
            ways = Counter(model.decoding for model in models).most_common()
            for decoding, _ in ways:
                mine = [model for model in models if model.decoding == decoding]
                called, said = name, title
                if decoding != ways[0][0]:
                    called, said = (*name, decoding), f"{title}, {decoding}"
                figures += _sparsity(board, mine, called, said, out)
                for where in board.noises:
                    if where.on != "sound":
                        figures += _levels(board, mine, where, called, said, out)
            for of_training in (_gradients, _layers):
                try:
                    figures += of_training(models, name, title, out)
                except Refused as refused:
                    notes.append(str(refused))
    return figures, notes


def published_figure(papers: Papers, out: Path) -> list[Figure]:
    """SparseVSR's own figures of WER against sparsity, from its Table 1."""
    rows = [
        row
        for row in papers.rows
        if row.paper == "SparseVSR" and row.noise and row.metric == WER and "BASE-L" in row.system
    ]
    sparse = sorted((row for row in rows if row.sparsity), key=lambda row: row.sparsity)
    dense = [row for row in rows if row.system == "dense BASE-L"]
    if not sparse or not dense:
        return []
    with styled():
        drawing = canvas(6.4, 3.6)
        axes = drawing.subplots()
        said = [f"{row.sparsity:.0%} sparse: {row.value} % WER, {row.parameters} M" for row in sparse]
        draw(
            axes,
            [
                Curve(
                    "sparsevsr",
                    "sparse BASE-L",
                    [100 * row.sparsity for row in sparse],
                    [row.value for row in sparse],
                    said=said,
                )
            ],
        )
        _line(axes, dense[0].value, f"dense BASE-L, {dense[0].value} %")
        axes.set(xlabel="sparsity, %", ylabel="WER, %", xlim=(0, 95), xticks=range(10, 100, 10))
        title = "SparseVSR on LRS3, as published"
        _legend(drawing, title)
        caption = "Published: SparseVSR (2307.04552), Table 1. LRS3 test, 3,068 h, trained with visual noise."
        return [keep(drawing, out, "published-sparsity", title, caption)]


def _sparsity(board: Board, models: Sequence[Model], name: Words, title: str, out: Path) -> Iterator[Figure]:
    """WER against sparsity, on clean clips and in the mean over noise, with the dense line."""
    if not any(model.about.sparsity for model in models):
        return
    panels: list[tuple[str, dict[Model, Mean]]] = [
        ("clean", {model: mean for model in models if model.clean and (mean := _mean([model.clean]))})
    ]
    for where in board.noises:
        if where.on != "sound":
            found = [(levels, _noise_means(models, where, levels)) for levels in level_sets(board, where)]
            levels, means = max(found, key=lambda each: len(each[1]), default=((), {}))  # that most systems have
            if means:
                panels.append((f"{KINDS[where.on]}, {_count(levels)}", means))
    drawing = canvas(4.6 * len(panels), 3.6)
    for axes, (panel, means) in zip(drawing.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        dense = [means[model] for model in sorted(means, key=_nearest_home(board)) if model.system == DENSE]
        draw(axes, side_by_side(list(_by_system(means))), banded=False)
        if dense:
            _line(axes, 100 * dense[0].value, "dense", dense[0])
        axes.set(xlabel="sparsity, %", ylabel="WER, %", title=panel)
        axes.set_xlim(-7, 100)
        axes.xaxis.set_major_locator(MultipleLocator(10))
        axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
        axes.set_ylim(0, max(106 * max(mean.interval.high for mean in means.values()), 1) if means else 1)
    _legend(drawing, f"measured here: {title}")
    caption = f"Measured here: WER against sparsity on {title}. Whiskers and band: 95 % intervals. "
    caption += "Systems at one sparsity stand side by side." + _unequal(models)
    yield keep(drawing, out, f"sparsity-{file_name(*name)}", f"WER against sparsity, {title}", caption)


def _by_system(means: dict[Model, Mean]) -> Iterator[Curve]:
    """A curve for each system, its seeds and training corpus: rounds of one training are joined, two are not."""
    trained: dict[tuple[str, str, str], list[Model]] = {}
    for model in means:
        if model.system != DENSE:
            seeds = ",".join(str(run[0].result.train_seed) for run in model.runs)
            trained.setdefault((model.system, seeds, model.home), []).append(model)
    for (system, *_), mine in trained.items():
        mine.sort(key=lambda model: (model.about.sparsity, model.run))
        found = [means[model] for model in mine]
        yield _curve(system, system, [100 * model.about.sparsity for model in mine], found, [m.run for m in mine])


def _curve(system: str, label: str, x: Sequence[float], means: Sequence[Mean], said: Sequence[str]) -> Curve:
    return Curve(
        system,
        label,
        x,
        [100 * mean.value for mean in means],
        [100 * mean.interval.low for mean in means],
        [100 * mean.interval.high for mean in means],
        [
            f"{words}: {points(mean.value)} % [{points(mean.interval.low)}, {points(mean.interval.high)}]"
            for words, mean in zip(said, means, strict=True)
        ],
    )


def _noise_means(models: Sequence[Model], where: Where, levels: Sequence[float]) -> dict[Model, Mean]:
    means = {}
    for model in models:
        found = model.have([(where, family, level) for family in noise.FAMILIES for level in levels])
        if found and (mean := _mean(found)):
            means[model] = mean
    return means


def _mean(conditions: Sequence[tuple[Row, ...]]) -> Mean | None:
    try:
        return mean_of(conditions)
    except Refused:  # the table says which hypotheses are missing
        return None


def _nearest_home(board: Board) -> Callable[[Model], tuple[bool, str]]:
    """What to sort models by that were trained on the corpus of the test, or elsewhere."""
    return lambda model: (model.home != board.test.corpus, model.run)


def _levels(
    board: Board, models: Sequence[Model], where: Where, name: Words, title: str, out: Path
) -> Iterator[Figure]:
    """WER against level, a panel for each family, as in the first figure of the SparseVSR paper."""
    chosen, left = _one_of_each(sorted(models, key=_nearest_home(board)), where)
    families = [name for name in noise.FAMILIES if any(name == f for model in chosen for f, _ in model.noisy(where))]
    if not families:
        return
    panels = [*families, "mean"] if len(families) == len(noise.FAMILIES) else families
    columns = min(4, len(panels))
    drawing = canvas(2.5 * columns + 0.4, 2.3 * -(-len(panels) // columns) + 0.5)
    grid = drawing.subplots(-(-len(panels) // columns), columns, sharex=True, sharey=True, squeeze=False).flat
    top = 0.0
    for axes, panel in zip(grid, panels, strict=False):
        seen = "" if panel == "mean" else " (seen)" if panel in noise.SEEN else " (unseen)"
        curves = [_of_levels(model, where, families if panel == "mean" else [panel]) for model in chosen]
        draw(axes, curves)
        top = max([top, *(high for curve in curves for high in curve.high)])
        axes.set_title("mean of seven" if panel == "mean" else panel + seen)
        axes.set_xlim(-0.6, noise.LEVELS + 0.6)
        axes.set_xticks(range(0, noise.LEVELS + 1, 2))
    for axes in list(grid)[len(panels) :]:
        axes.set_visible(False)
    drawing.axes[0].set_ylim(0, 1.06 * top or 1)  # shared by all
    drawing.supxlabel("level of noise (0: clean)", color=MUTED, fontsize=9)
    drawing.supylabel("WER, %", color=MUTED, fontsize=9)
    _legend(drawing, f"measured here: {title}")
    on = {"mouth": "on mouth crops", "frame": "on full frames"}[where.on]
    caption = f"Measured here: WER against the level of visual noise {on}, {title}. Bands and whiskers: 95 % intervals."
    caption += _unequal(chosen) + _not_drawn(left)
    tag = "" if where.on == "mouth" else f"-{where.on}"
    tag += f"-seed{where.seed}" if where.seed else ""
    yield keep(drawing, out, f"noise{tag}-{file_name(*name)}", f"WER against noise {on}, {title}", caption)


def _one_of_each(models: Sequence[Model], where: Where) -> tuple[list[Model], list[str]]:
    """Of each system the model nearest 50 % sparsity, as the paper draws it, dense first; and who is left out."""
    best: dict[str, Model] = {}
    for model in sorted(models, key=lambda model: abs(model.about.sparsity - 0.5)):
        if model.noisy(where):
            best.setdefault(model.system, model)
    order = sorted(best.values(), key=lambda m: (m.system != DENSE, -len(m.rows), prominence(m.system)))
    left = [model.run for model in models if model.noisy(where) and model not in order[:MOST]]
    return order[:MOST], left


def _of_levels(model: Model, where: Where, families: Sequence[str]) -> Curve:
    rows = model.noisy(where)
    levels = [level for level in range(1, noise.LEVELS + 1) if all((family, level) in rows for family in families)]
    found = {level: _mean(model.have([(where, family, level) for family in families])) for level in levels}
    first = [(where, family, level) for family in families for level in levels[:1]]
    clean = model.have([CLEAN_KEY, *first])[:1]  # of the same seeds
    found = {0: _mean(clean) if clean else None} | found
    means = {level: mean for level, mean in found.items() if mean is not None}
    said = [f"{model.run}, {'clean' if level == 0 else f'level {level}'}" for level in means]
    return _curve(model.system, model.label, list(means), list(means.values()), said)


def _gradients(models: Sequence[Model], name: Words, title: str, out: Path) -> Iterator[Figure]:
    """Gradient norms over steps, as in the first figure of the MSRS paper."""
    read = {model.system: read_gradients(model.rows[0].path.parent.parent) for model in reversed(models)}
    curves = sorted(((system, curve) for system, curve in read.items() if curve), key=lambda each: prominence(each[0]))
    if not curves:
        return
    drawn, left = curves[: len(COLOURS)], [system for system, _ in curves[len(COLOURS) :]]
    look = looks(system for system, _ in drawn)
    drawing = canvas(6.4, 3.6)
    axes = drawing.subplots()
    for system, curve in drawn:
        colour, mark = look[system].colour, look[system].mark
        axes.plot(
            curve.steps, curve.norms, color=colour, marker=mark, markevery=0.12, label=literal(system), linewidth=1.2
        )
    axes.set(xlabel="step", ylabel="norm of the gradient", yscale="log")
    _legend(drawing, f"measured here: {title}")
    caption = f"Measured here: L2 norm of the gradient of the encoder's first feed-forward layer, {title}."
    caption += _not_drawn(left)
    yield keep(drawing, out, f"gradients-{file_name(*name)}", f"Gradient norms in training, {title}", caption)


def _layers(models: Sequence[Model], name: Words, title: str, out: Path) -> Iterator[Figure]:
    """Sparsity by part of the network, as in the third figure of the MSRS paper."""
    found = {}
    for model in sorted(models, key=lambda model: (abs(model.about.sparsity - 0.5), model.run)):
        layers = {each.name: each for each in read_layers(model.rows[0].path.parent.parent)}
        if model.about.sparsity and layers and model.system not in found:
            found[model.system] = (model.label, layers)
    look = looks(found)
    groups = [group for group in GROUPS if any(group in layers for _, layers in found.values())]
    if not groups:
        return
    drawing = canvas(7.2, 3.4)
    axes = drawing.subplots()
    width = 0.8 / len(found)
    for turn, (system, (label, layers)) in enumerate(sorted(found.items())):
        places = [place + width * (turn - (len(found) - 1) / 2) for place in range(len(groups))]
        heights = [100 * layers[group].sparsity if group in layers else 0.0 for group in groups]
        colour, hatch = look[system].colour, look[system].hatch
        axes.bar(
            places,
            heights,
            width * 0.9,
            color=colour,
            hatch=hatch,
            edgecolor="#ffffff",
            linewidth=0,
            label=literal(label),
        )
    axes.set(ylabel="sparsity, %", ylim=(0, 100))
    axes.set_xticks(range(len(groups)), groups)
    axes.grid(visible=False, axis="x")
    _legend(drawing, f"measured here: {title}")
    caption = f"Measured here: share of the prunable weights that are zero, by part of the network, {title}."
    yield keep(drawing, out, f"layers-{file_name(*name)}", f"Sparsity by part of the network, {title}", caption)


def _line(axes: Any, height: float, label: str, mean: Mean | None = None) -> None:
    if mean:
        axes.axhspan(100 * mean.interval.low, 100 * mean.interval.high, color=DENSE_COLOUR, alpha=0.1, linewidth=0)
    axes.axhline(height, color=DENSE_COLOUR, linestyle=(0, (5, 3)), linewidth=1.5, label=label)


def _legend(drawing: Any, title: str) -> None:
    """One legend above all panels; its title tells measured from published wherever the picture goes."""
    found: dict[str, Any] = {}
    for axes in drawing.axes:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
    columns = max(1, int(drawing.get_figwidth() / 1.6))  # inches that the longest name of a system takes
    legend = drawing.legend(
        found.values(),
        found,
        loc="outside upper left",
        ncols=columns,
        labelcolor=INK,
        title=literal(title),
        alignment="left",
    )
    legend.get_title().set_color(MUTED)


def _unequal(models: Sequence[Model]) -> str:
    if any(model.frames is None for model in models):
        return " How much they were trained is not known of all: curves of different budgets do not rank systems."
    return (
        ""
        if len(budgets_of(models)) == 1
        else " Budgets of training differ (see the table): such curves do not rank systems."
    )


def _not_drawn(left: Sequence[str]) -> str:
    return f" Not drawn: {', '.join(left)}." if left else ""


def _count(levels: Sequence[float]) -> str:
    whole = [int(level) for level in levels]
    return f"levels {whole[0]}–{whole[-1]}" if len(whole) > 2 else f"levels {', '.join(map(str, whole))}"
