"""Who is more robust: pairs of networks that do alike on clean clips, compared under noise on the same draws."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import fmean

from .. import noise
from ..scoring import Comparison
from .boards import CLEAN_KEY, Board, Key, Model, Where
from .comparisons import NOTHING_LEFT, compare_models, level_sets
from .references import dense_of, without_noise
from .table import Cell, Column, Line, Table, difference, points, said_levels, text_columns

LIKE = 0.02  # of WER on clean clips: those that differ by more differ under noise because of it


def robustness_tables(board: Board, heading: str, where: Where) -> Iterator[Table]:
    """For each set of levels the pairs that differ in one thing: weights removed, or noise in training."""
    columns = (
        *text_columns("network", "compared with"),
        Column("under noise", True, "points of mean WER above the other one, paired, with the 95 % interval"),
        Column("clean", True, "the same on clean clips"),
        *text_columns("more robust", "reading"),
    )
    for levels in level_sets(board, where):
        keys: list[Key] = [(where, family, level) for family in noise.FAMILIES for level in levels]
        lines, unlike = [], 0
        for model, other in _pairs(board):
            clean, noisy = compare_models(other, model, [CLEAN_KEY]), compare_models(other, model, keys)
            if not isinstance(clean, Comparison) or not isinstance(noisy, Comparison):
                continue
            if fmean(row.result.wer for row in other.clean) > NOTHING_LEFT:
                continue
            if abs(clean.difference) > LIKE:
                unlike += 1
                continue
            names = (Cell(model.label), Cell(other.label))
            told = (difference(noisy), difference(clean), Cell(_verdict(noisy, model, other)), Cell(model.decoding))
            about = model.about
            rows = tuple(row for each in (model, other) for of in each.have(keys) for row in of)
            lines.append(Line((*names, *told), rows, about.corpus, about.modality, model.system))
        if lines:
            title = f"{heading}: robustness at like clean WER, visual noise, {said_levels(levels)}"
            yield Table(title, columns, tuple(lines), "measured", tuple(_notes(unlike)))


def _pairs(board: Board) -> Iterator[tuple[Model, Model]]:
    """Each model with the dense one of its budget, and with itself trained without noise."""
    for model in board.models:
        others = (dense_of(board, model), without_noise(board, model))
        yield from ((model, other) for other in dict.fromkeys(others) if isinstance(other, Model))


def _verdict(noisy: Comparison, model: Model, other: Model) -> str:
    if noisy.interval.low > 0:
        return other.label
    return model.label if noisy.interval.high < 0 else "no significant difference"


def _notes(unlike: int) -> Iterator[str]:
    said = (
        f"Pairs of one budget whose WER on clean clips differs by at most {points(LIKE)} points; mean of all families."
    )
    if unlike:
        said += f" {unlike:,} more differ by more and are left out: see their relative loss above."
    yield said
