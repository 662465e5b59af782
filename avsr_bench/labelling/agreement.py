"""What labels are worth, told from clips whose text is known: errors, and whether confidence tells right from wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean

from ..data import Label
from ..scoring import WER, Edits, Interval, Score, Utterance, interval, merge, score, total

BANDS = (0.0, 0.5, 0.7, 0.8, 0.9, 0.95, 1.0)  # of confidence; the last one holds 1 as well


@dataclass(frozen=True, slots=True)
class Labelling:
    """A clip whose text is known, and its label."""

    key: str
    text: str
    speaker: str
    label: Label


@dataclass(frozen=True, slots=True)
class Band:
    """The clips whose confidence lies from `low` up to `high`."""

    low: float
    high: float
    clips: int
    confidence: float  # the mean
    edits: Edits


@dataclass(frozen=True, slots=True)
class Agreement:
    """Labels beside what was said."""

    clips: int
    edits: Edits  # of words
    interval: Interval
    bands: tuple[Band, ...]  # those that have clips; none where the labeller does not say how sure it is


def agreement(found: Sequence[Labelling]) -> Agreement | None:
    """How far labels agree with the texts that are known; none where none is."""
    if not found:
        return None
    scores = {each.key: score(Utterance(each.key, each.text, each.label.text, each.speaker)) for each in found}
    sure = {each.key: each.label.confidence for each in found if each.label.confidence is not None}
    bands = []
    for low, high in pairwise(BANDS):
        inside = [key for key, value in sure.items() if low <= value and (value < high or high == BANDS[-1])]
        if inside:
            mean = fmean(sure[key] for key in inside)
            bands.append(Band(low, high, len(inside), mean, _edits([scores[key] for key in inside])))
    every = merge(scores.values())
    return Agreement(len(every), _edits(every), interval([every], WER), tuple(bands))


def _edits(scores: Sequence[Score]) -> Edits:
    edits = total(scores)[WER]
    assert isinstance(edits, Edits)
    return edits
