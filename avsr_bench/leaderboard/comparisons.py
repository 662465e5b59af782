"""What is said of the models of a board beside one another: means, differences, losses under noise, like budgets."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

from .. import noise
from ..records import Refused
from ..scoring import METRICS, WER, Comparison, Interval, Score, compare, interval, pool, relative_loss, same_budget
from .boards import Board, Key, Model, Where
from .rows import Row, scores

NOTHING_LEFT = 0.9  # WER on clean clips of a network that recognises next to nothing


@dataclass(frozen=True, slots=True)
class Mean:
    """The mean of a metric over some conditions and over training seeds, with its interval over speakers."""

    value: float
    interval: Interval
    seeds: tuple[float, ...]  # the value of each seed, which the interval knows nothing of


def mean_of(conditions: Sequence[tuple[Row, ...]], metric: str = WER) -> Mean:
    """The mean over conditions, each with the rows of all seeds; a draw takes all clips of a speaker in all of them."""
    values = [fmean(row.result.metrics[metric].value for row in rows) for rows in zip(*conditions, strict=True)]
    if len(conditions) == 1 and len(values) == 1:
        return Mean(values[0], conditions[0][0].result.metrics[metric].interval, (values[0],))
    pooled = [pool([_scores(row, metric) for row in rows]) for rows in conditions]
    return Mean(fmean(values), interval(pooled, metric), tuple(values))


def _scores(row: Row, metric: str) -> tuple[Score, ...]:
    """The scores of a row, all of which have the metric."""
    found = scores(row)
    if lacking := next((each.key for each in found if metric not in each.parts), None):
        raise Refused(f"{row.path} has a value of {METRICS[metric].label}, but none of {lacking}")
    return found


def against(reference: Sequence[tuple[Row, ...]], conditions: Sequence[tuple[Row, ...]]) -> Comparison | str:
    """How much higher the mean WER of `conditions` is than that of `reference`, or why that cannot be said."""
    try:
        first, second = ([pool([scores(row) for row in rows]) for rows in of] for of in (reference, conditions))
        return compare(first, second)
    except Refused as refused:
        return str(refused)


def compare_models(reference: Model, model: Model, keys: Sequence[Key]) -> Comparison | str | None:
    """How much higher the mean WER of a model is over some conditions, in the seeds of both; none where one lacks them.

    In words why it cannot be said where hypotheses are missing.
    """
    mine = model.have(keys)
    theirs = reference.have(keys, {row.result.train_seed for row in mine[0]} if mine else set())
    if not mine or not theirs or len(theirs[0]) != len(mine[0]):
        return None
    return against(theirs, mine)


def loss_of(clean: tuple[Row, ...], conditions: Sequence[tuple[Row, ...]]) -> tuple[float, Interval] | None:
    """The relative loss of a model under noise against clean clips; none where it recognises next to nothing."""
    if fmean(row.result.wer for row in clean) > NOTHING_LEFT:
        return None
    return relative_loss(pool([scores(row) for row in clean]), [pool([scores(row) for row in of]) for of in conditions])


def budgets_of(models: Iterable[Model]) -> list[list[Model]]:
    """Models by budget, the smallest first and the unknown ones last: those in one list were trained on as much."""
    found: list[list[Model]] = []
    known = [(model.frames, model) for model in models]
    for frames, model in sorted(known, key=lambda each: (each[0] is None, each[0] or 0)):
        first = found[-1][0] if found else None
        same = first and (same_budget(first.about.budget, model.about.budget) or first.frames is frames is None)
        if same:
            found[-1].append(model)
        else:
            found.append([model])
    return found


def level_sets(board: Board, where: Where) -> list[tuple[float, ...]]:
    """The sets of levels that some model of the board has of every family it met: means share a set, or no table."""
    found = set()
    for model in board.models:
        families: dict[str, set[float]] = {}
        for family, level in model.noisy(where):
            families.setdefault(family, set()).add(level)
        if families:
            found.add(tuple(sorted(set.intersection(*families.values()))))
    return sorted((levels for levels in found if levels), key=lambda levels: (-len(levels), levels))


FAMILY_SETS: dict[str, tuple[str, ...]] = {
    **{name: (name,) for name in noise.FAMILIES},
    "mean": tuple(noise.FAMILIES),
    "seen": tuple(noise.SEEN),
    "unseen": tuple(name for name in noise.FAMILIES if name not in noise.SEEN),
}  # column of the table of means -> the families in it
