"""The figures of a board: WER against sparsity, size, cost and noise, gradients, layers; what SparseVSR printed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from ..records import Refused
from ..scoring import WER
from .boards import DENSE, Board, Model, file_name
from .convergence import find_unconverged
from .cost_figures import cost_figures
from .curves import GROUPS, Gradients, read_gradients, read_layers
from .drawn import Drawn
from .published import Papers
from .size_figures import size_figures
from .style import (
    DENSE_COLOUR,
    MUTED,
    Curve,
    canvas,
    draw,
    headed,
    keep,
    legend,
    literal,
    looks,
    panels,
    prominence,
    styled,
)
from .table import Figure
from .tables import SENSES
from .trained import find_trained
from .wer_figures import noise_figures, sparsity_figures

FIGURES = (  # as their names begin
    *("sparsity-", "size-", "cost-", "noise-", "families-"),
    *("gradients-", "layers-", "enhancers-", "published-"),
)
LEAST = 1e-8  # of a norm of the gradient: nothing is learnt below it
Words = tuple[str, ...]


def board_figures(board: Board, out: Path) -> tuple[list[Figure], list[str]]:
    """Every figure of a board that there are results for, by size of the networks, and why one is missing.

    How answers were found tells as much as the network: each way of decoding has figures of its own.
    """
    figures: list[Figure] = []
    notes: list[str] = []
    unconverged = find_unconverged(board.models, [])  # what is damaged is named above the table
    trained = find_trained(board.models, notes)
    for size in sorted({model.about.size for model in board.models}):
        models = [model for model in board.models if model.about.size == size]
        name = (*board.words, size)
        # Lips are what boards are of unless they say otherwise.
        sense = "" if board.modality == "video" else SENSES.get(board.modality, board.modality)
        title = ", ".join(filter(None, (board.title, sense, size)))
        with styled():
            ways = Counter(model.decoding for model in models).most_common()
            for decoding, _ in ways:
                mine = tuple(model for model in models if model.decoding == decoding)
                drawn = Drawn(board, mine, unconverged, name, title, out)
                if decoding != ways[0][0]:
                    drawn = Drawn(board, mine, unconverged, (*name, decoding), f"{title}, {decoding}", out)
                figures += sparsity_figures(drawn)
                figures += size_figures(drawn, trained)
                figures += cost_figures(drawn, trained)
                figures += noise_figures(drawn)
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
        label = f"dense BASE-L, {dense[0].value} %"
        axes.axhline(dense[0].value, color=DENSE_COLOUR, linestyle=(0, (5, 3)), linewidth=1.5, label=label)
        axes.set(xlabel="sparsity, %", ylabel="WER, %", xlim=(0, 95), xticks=range(10, 100, 10))
        title = "SparseVSR on LRS3, as published"
        legend(drawing, title)
        caption = "Published: SparseVSR (2307.04552), Table 1. LRS3 test, 3,068 h, trained with visual noise."
        return [keep(drawing, out, "published-sparsity", title, caption)]


def _of_each_system(models: Sequence[Model]) -> list[Model]:
    """Of each system and way of training the model nearest 50 % sparsity, as its recipe is if there is one."""
    found: dict[tuple[str, bool], Model] = {}
    for model in sorted(models, key=lambda model: (abs(model.about.sparsity - 0.5), model.variant, model.run)):
        found.setdefault((model.system, model.noisy_training), model)
    return sorted(found.values(), key=lambda model: (prominence(model.system), model.noisy_training))


def _gradients(models: Sequence[Model], name: Words, title: str, out: Path) -> Iterator[Figure]:
    """Gradient norms over steps, as in the first figure of the MSRS paper: a panel a system, dense in each."""
    read = {model: read_gradients(model.rows[0].path.parent.parent) for model in _of_each_system(models)}
    curves: dict[Model, Gradients] = {model: curve for model, curve in read.items() if curve}
    dense = next((curve for model, curve in curves.items() if model.system == DENSE and not model.noisy_training), None)
    shown = [model for model, curve in curves.items() if curve is not dense] or list(curves)
    if not shown:
        return
    look = looks(model.system for model in shown)
    drawing, grid = panels(len(shown))
    for axes, model in zip(grid, shown, strict=True):
        if dense is not None:
            axes.plot(dense.steps, _drawable(dense.norms), color=DENSE_COLOUR, alpha=0.5, linewidth=0.9)
        curve = curves[model]
        axes.plot(curve.steps, _drawable(curve.norms), color=look[model.system].colour, linewidth=1.2)
        axes.set(title=literal(model.label), yscale="log")
    drawing.supxlabel("update", color=MUTED, fontsize=9)
    drawing.supylabel("norm of the gradient", color=MUTED, fontsize=9)
    headed(drawing, f"Gradient of the first feed-forward layer. Measured here: {title}")
    caption = f"Measured here: L2 norm of the gradient of the encoder's first feed-forward layer, {title}."
    caption += " Grey: dense." if dense is not None and len(shown) < len(curves) else ""
    caption += (
        f" Norms under {LEAST:.0e} are drawn there." if min(min(c.norms) for c in curves.values()) < LEAST else ""
    )
    yield keep(drawing, out, f"gradients-{file_name(*name)}", f"Gradient norms in training, {title}", caption)


def _drawable(norms: Sequence[float]) -> list[float]:
    return [max(norm, LEAST) for norm in norms]


def _layers(models: Sequence[Model], name: Words, title: str, out: Path) -> Iterator[Figure]:
    """Sparsity by part of the network, as in the third figure of the MSRS paper: a panel a system."""
    found = {
        model: layers
        for model in _of_each_system([model for model in models if model.sparse])
        if (layers := {each.name: each for each in read_layers(model.rows[0].path.parent.parent)})
    }
    groups = [group for group in reversed(GROUPS) if any(group in layers for layers in found.values())]
    if not groups:
        return
    look = looks(model.system for model in found)
    drawing, grid = panels(len(found))
    for axes, (model, layers) in zip(grid, found.items(), strict=True):
        widths = [100 * layers[group].sparsity if group in layers else 0.0 for group in groups]
        axes.barh(range(len(groups)), widths, 0.7, color=look[model.system].colour, alpha=0.75)
        for place, width in enumerate(widths):
            axes.text(width + 2, place, f"{width:.0f}", va="center", color=MUTED, fontsize=7)
        axes.axvline(100 * model.about.sparsity, color=DENSE_COLOUR, linestyle=(0, (2, 2)), linewidth=1)
        axes.set(title=literal(model.label), xlim=(0, 115))
        axes.set_xticks(range(0, 101, 25))
        axes.set_yticks(range(len(groups)), groups)
        axes.grid(visible=False, axis="y")
    drawing.supxlabel("weights removed, %", color=MUTED, fontsize=9)
    headed(drawing, f"Sparsity by part of the network. Measured here: {title}")
    caption = f"Measured here: fraction of the prunable weights that are zero, by part of the network, {title}."
    caption += " A panel a system, at the sparsity nearest 50 %. Dotted line: all parts together."
    yield keep(drawing, out, f"layers-{file_name(*name)}", f"Sparsity by part of the network, {title}", caption)
