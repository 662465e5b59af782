"""How far a rate can be trusted: the bootstrap over those who speak, since utterances of one speaker are alike.

Each draw takes as many speakers as there are, with replacement, and divides the sum of their errors by the sum of their
lengths. Where speakers are unknown it draws recordings; where there is but one speaker, utterances. Means over several
conditions, and differences of two systems, draw the same speakers in all of them (Bisani and Ney, 2004).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from ..records import Refused
from .edits import MOST, Count
from .metrics import WER, Sums
from .utterances import Score, merge

DRAWS = 2_000
CONFIDENCE = 0.95
FEW = 10  # groups: with fewer, draws of them vary too little, and intervals are too narrow
LEAST = 0.01  # of words right on clean clips: of fewer no fraction is taken
AT_ONCE = 2**22  # numbers drawn at a time: 32 MB

Bound = Annotated[float, Field(ge=-MOST, le=MOST, allow_inf_nan=False)]
Over = Literal["speakers", "sources", "utterances"]


@dataclass(frozen=True, slots=True)
class Interval:
    """Where the rate lies with 95 % confidence, and what was drawn how often."""

    low: Bound
    high: Bound
    over: Over
    groups: Count  # so many speakers, sources or utterances; of a single one nothing can be learnt, and low is high
    draws: Count
    seed: Count

    @property
    def caveats(self) -> list[str]:
        """What it cannot know, for people who read it."""
        said = []
        if self.over == "utterances":
            said.append("the clips are of one speaker, or nobody says whose: intervals know nothing of other speakers")
        if self.groups == 1:
            said.append("of one clip nothing can be learnt: its interval has no width, whatever others would give")
        elif self.groups < FEW:
            said.append(f"intervals of so few {self.over} ({self.groups}) are too narrow: who knows how others speak")
        return said


@dataclass(frozen=True, slots=True)
class Comparison:
    """How much higher the rate of a second system is than that of a first, on the same utterances."""

    difference: float
    interval: Interval  # of the difference
    p: float  # two-sided: how often so clear a sign would come of two systems that are alike


def interval(conditions: Sequence[Sequence[Score]], metric: str = WER, draws: int = DRAWS, seed: int = 0) -> Interval:
    """The interval of a rate, or of the mean of rates over several conditions of the same utterances."""
    over, groups, rates = _draw(conditions, metric, draws, seed)
    return _interval(rates.mean(1), over, groups, seed)


def compare(
    first: Sequence[Sequence[Score]],
    second: Sequence[Sequence[Score]],
    metric: str = WER,
    draws: int = DRAWS,
    seed: int = 0,
) -> Comparison:
    """A paired test of two systems, each in one or several conditions: whose mean rate is higher, and how surely."""
    over, groups, rates = _draw([*first, *second], metric, draws, seed)
    drawn = rates[:, len(first) :].mean(1) - rates[:, : len(first)].mean(1)
    have = _with_value([*first, *second], metric)
    systems = have[: len(first)], have[len(first) :]
    means = [np.mean([_rates(*_sums(scores, metric).sum(0)) for scores in system]) for system in systems]
    # The draw that is the data itself counts too, which keeps p above zero. And so many groups that all say the same
    # have a chance of 2 ** (1 - groups) to do so where systems are alike: draws of few groups know nothing of it.
    tail = min(np.sum(drawn <= 0), np.sum(drawn >= 0))
    least = 2.0 ** (1 - groups)
    return Comparison(
        difference=float(means[1] - means[0]),
        interval=_interval(drawn, over, groups, seed),
        p=float(min(1.0, max(least, 2 * (tail + 1) / (draws + 1)))),
    )


def relative_loss(
    clean: Sequence[Score], noisy: Sequence[Sequence[Score]], draws: int = DRAWS, seed: int = 0
) -> tuple[float, Interval]:
    """Of the words that are right on clean clips, the fraction that noise takes: (noisy - clean) / (1 - clean) in WER.

    A ratio of two WERs would call a network fragile for being good on clean clips.
    """
    means = [float(np.mean([_rates(*_sums(scores, WER).sum(0)) for scores in of])) for of in ([clean], noisy)]
    over, groups, rates = _draw([clean, *noisy], WER, draws, seed)
    drawn = _lost(rates[:, 0], rates[:, 1:].mean(1))
    return float(_lost(np.array(means[0]), np.array(means[1]))), _interval(drawn, over, groups, seed)


def _lost(clean: np.ndarray, noisy: np.ndarray) -> np.ndarray:
    return (noisy - clean) / np.maximum(1 - clean, LEAST)


def _draw(conditions: Sequence[Sequence[Score]], metric: str, draws: int, seed: int) -> tuple[Over, int, np.ndarray]:
    """What is drawn, how many of it there are, and the rate of every condition in every draw: draws, conditions."""
    conditions = _with_value([merge(scores) for scores in conditions], metric)
    keys = [each.key for each in conditions[0]]
    if not keys:
        raise Refused("there is nothing to score: not one utterance was decoded")
    for scores in conditions[1:]:
        if differing := sorted({each.key for each in scores} ^ set(keys)):
            raise Refused(f"results of different utterances cannot be joined: {differing[0]} is in only one of them")
    over, group = _groups(conditions[0])
    size = int(group.max()) + 1
    sums = np.zeros((size, len(conditions), 2))
    for place, scores in enumerate(conditions):
        np.add.at(sums[:, place], group, _sums(scores, metric))
    rng = np.random.default_rng(seed)
    rates = []
    for start in range(0, draws, step := max(1, AT_ONCE // size)):
        picked = rng.integers(0, size, (min(step, draws - start), size))
        times = np.stack([np.bincount(row, minlength=size) for row in picked])
        errors, length = np.moveaxis(np.tensordot(times, sums, 1), -1, 0)
        rates.append(_rates(errors, length))
    return over, size, np.concatenate(rates)


def _with_value(conditions: Sequence[Sequence[Score]], metric: str) -> Sequence[Sequence[Score]]:
    """The clips that have a value in all conditions, of a metric that some may not have: others are not drawn."""
    lacking = {
        each.key
        for scores in conditions
        for each in scores
        if isinstance(each.parts[metric], Sums) and not each.parts[metric].length
    }
    return [[each for each in scores if each.key not in lacking] for scores in conditions] if lacking else conditions


def _groups(scores: Sequence[Score]) -> tuple[Over, np.ndarray]:
    """What is drawn, and the number of each utterance's group."""
    choices: tuple[tuple[Over, list[str]], ...] = (
        ("speakers", [each.speaker for each in scores]),
        ("sources", [each.source for each in scores]),
    )
    for over, names in choices:
        if all(names):
            if len(set(names)) > 1:
                return over, np.unique(names, return_inverse=True)[1]
            break  # one speaker
    return "utterances", np.arange(len(scores))


def _sums(scores: Sequence[Score], metric: str) -> np.ndarray:
    """Errors and length of every utterance: N, 2."""
    parts = [each.parts[metric] for each in scores]
    return np.array([(each.errors, each.length) for each in parts], dtype=np.float64).reshape(-1, 2)


def _rates(errors: np.ndarray, length: np.ndarray) -> np.ndarray:
    return errors / np.maximum(length, 1)


def _interval(values: np.ndarray, over: Over, groups: int, seed: int) -> Interval:
    tails = (1 - CONFIDENCE) / 2
    low, high = np.quantile(values, (tails, 1 - tails))
    return Interval(float(low), float(high), over, groups, len(values), seed)
