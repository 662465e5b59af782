"""What a board shows, in two sentences made of its numbers: who is lowest, and what removing weights or noise does.

`find` is arithmetic, `sentences` is words (templates/findings.txt); both are true of any board.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from jinja2 import Environment, PackageLoader, StrictUndefined

from .. import noise
from ..records import Refused
from ..scoring import Comparison, Interval
from .boards import CLEAN_KEY, Board, Key, Model
from .comparisons import NOTHING_LEFT, Mean, compare_models, level_sets, mean_of
from .references import dense_of, is_plain
from .table import points, said_levels


@dataclass(frozen=True, slots=True)
class Rate:
    """A network and its WER."""

    network: str
    wer: float
    interval: Interval

    @property
    def nothing(self) -> bool:
        """Whether next to nothing is recognised."""
        return self.wer > NOTHING_LEFT


@dataclass(frozen=True, slots=True)
class Difference:
    """How much higher the WER of a network is than that of another one, on the same draws."""

    network: str
    other: str
    by: float
    interval: Interval
    sparsity: float = 0.0

    @property
    def significant(self) -> bool:
        """Whether the interval is on one side of 0."""
        return self.interval.low > 0 or self.interval.high < 0


@dataclass(frozen=True, slots=True)
class Level:
    """Networks with as many percent of their weights removed, beside dense of their budget."""

    percent: int
    networks: int
    kept: int  # how many of them are not significantly above dense
    best: Difference  # the lowest


@dataclass(frozen=True, slots=True)
class Findings:
    """The numbers that the two sentences are made of."""

    networks: int  # that were read on clean clips
    lowest: Rate | None
    dense: bool  # whether the lowest is dense itself
    level: tuple[str, ...]  # others of the same WER as the lowest
    against: Difference | None  # the lowest with dense of its budget, or where it is dense, the next of its budget
    sparse: int  # networks with weights removed that a dense one of their budget is there for
    kept: Level | None  # the sparsest where some network is not significantly above dense
    lost: Level | None  # the least sparse above that, where every network is
    clean: Rate | None  # the network that the sentence on noise is about
    noisy: Rate | None
    levels: str


def findings(board: Board) -> tuple[str, ...]:
    """The sentences of a board."""
    return sentences(find(board))


def sentences(found: Findings) -> tuple[str, ...]:
    """The words of the numbers."""
    return tuple(line for line in _TEMPLATE.render(found=found, points=points).splitlines() if line)


def find(board: Board) -> Findings:
    """The numbers of a board, as most of its networks were read out."""
    way, _ = Counter(model.decoding for model in board.models).most_common(1)[0]
    models = [model for model in board.models if model.decoding == way and model.clean]
    sizes = {model.about.size for model in models}
    names = {model: model.label + (f", {model.about.size}" if len(sizes) > 1 else "") for model in models}
    means = {model: mean for model in models if (mean := _mean([model.clean]))}
    ranked = sorted(means, key=lambda model: (means[model].value, model.run))
    best = ranked[0] if ranked else None
    pairs = list(_against_dense(board, [model for model in ranked if model.sparse], names))
    levels = _levels(pairs)
    kept = next((each for each in reversed(levels) if each.kept), None)
    told, noisy, noise_levels = _under_noise(board, ranked)
    return Findings(
        networks=len(ranked),
        lowest=_rate(names[best], means[best]) if best else None,
        dense=best is not None and is_plain(board, best),
        level=tuple(names[each] for each in ranked[1:] if best and means[each].value == means[best].value),
        against=_of_best(board, ranked, means, names),
        sparse=len(pairs),
        kept=kept,
        lost=next((each for each in levels if kept is None or each.percent > kept.percent), None),
        clean=_rate(names[told], means[told]) if told else None,
        noisy=_rate(names[told], noisy) if told and noisy else None,
        levels=noise_levels,
    )


def _of_best(
    board: Board, ranked: Sequence[Model], means: dict[Model, Mean], names: dict[Model, str]
) -> Difference | None:
    """The lowest against dense; where dense is the lowest, the next one that is compared with it."""
    if not ranked:
        return None
    best = ranked[0]
    if is_plain(board, best):
        rivals = [model for model in ranked[1:] if dense_of(board, model) is best]
        return _difference(best, rivals[0], names) if rivals else None
    dense = dense_of(board, best)
    return _difference(dense, best, names) if isinstance(dense, Model) and dense in means else None


def _against_dense(board: Board, sparse: Sequence[Model], names: dict[Model, str]) -> Iterator[Difference]:
    """Sparse networks against dense of their budget, where dense recognises something."""
    for model in sparse:
        dense = dense_of(board, model)
        if not isinstance(dense, Model) or dense not in names:
            continue
        mean = _mean([dense.clean])
        found = _difference(dense, model, names) if mean and mean.value <= NOTHING_LEFT else None
        if found:
            yield found


def _levels(pairs: Sequence[Difference]) -> list[Level]:
    """By how much was removed, the least first."""
    by_percent: dict[int, list[Difference]] = {}
    for each in sorted(pairs, key=lambda each: each.sparsity):
        by_percent.setdefault(round(100 * each.sparsity), []).append(each)
    return [
        Level(percent, len(of), sum(each.interval.low <= 0 for each in of), min(of, key=lambda each: each.by))
        for percent, of in by_percent.items()
    ]


def _under_noise(board: Board, ranked: Sequence[Model]) -> tuple[Model | None, Mean | None, str]:
    """Dense under noise, else the lowest network that was read so: over all families, and most of the levels."""
    for model in sorted(ranked, key=lambda each: not is_plain(board, each) or each.noisy_training):
        for where in board.noises:
            for levels in level_sets(board, where) if where.on != "sound" else ():
                keys: list[Key] = [(where, family, level) for family in noise.FAMILIES for level in levels]
                conditions = model.have(keys)
                if (
                    conditions
                    and (mean := _mean(conditions))
                    and len(model.have([CLEAN_KEY, *keys])[0]) == len(model.clean)
                ):
                    return model, mean, said_levels(levels)
    return None, None, ""


def _difference(reference: Model, model: Model, names: dict[Model, str]) -> Difference | None:
    found = compare_models(reference, model, [CLEAN_KEY])
    if not isinstance(found, Comparison):
        return None
    return Difference(names[model], names[reference], found.difference, found.interval, model.about.sparsity)


def _rate(name: str, mean: Mean) -> Rate:
    return Rate(name, mean.value, mean.interval)


def _mean(conditions: Sequence[tuple]) -> Mean | None:
    try:
        return mean_of(conditions)
    except Refused:  # the table says which hypotheses are missing
        return None


_TEMPLATE = Environment(
    loader=PackageLoader(__package__), trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined, autoescape=False
).get_template("findings.txt")
