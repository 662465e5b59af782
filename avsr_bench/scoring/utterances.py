"""What was said and heard in each utterance, and its score."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache, reduce
from operator import add

from ..records import Refused
from ..text import plain
from .edits import Alignment, Edits, align, count
from .metrics import METRICS, WER, Parts, Sums


@dataclass(frozen=True, slots=True)
class Utterance:
    """All that it takes to score an utterance again."""

    key: str
    reference: str  # both as they are; the text rule is applied to score them
    hypothesis: str | None  # none where nobody read it, and its sound alone was measured
    speaker: str = ""  # empty where unknown
    source: str = ""  # the recording that it was cut from
    score: float | None = None  # of the search
    parts: Mapping[str, Sums] = field(default_factory=dict)  # of metrics that the texts do not tell


@dataclass(frozen=True, slots=True)
class Score:
    """The parts of every metric of one utterance, and what it takes to draw an interval."""

    key: str
    speaker: str
    source: str
    parts: Mapping[str, Parts]


def score(utterance: Utterance) -> Score:
    """Compare what was heard with what was said, both in plain form; spaces between words are characters."""
    if utterance.hypothesis is None:
        return Score(utterance.key, utterance.speaker, utterance.source, utterance.parts)
    edits = _edits(utterance.reference, utterance.hypothesis)
    return Score(utterance.key, utterance.speaker, utterance.source, {**edits, **utterance.parts})


@lru_cache(maxsize=65_536)  # on a board of 1,600 rows 5 of 6 hypotheses were read by another system too
def _edits(reference: str, hypothesis: str) -> Mapping[str, Parts]:
    reference, hypothesis = plain(reference), plain(hypothesis)
    return {"wer": count(reference.split(), hypothesis.split()), "cer": count(reference, hypothesis)}


def merge(*parts: Iterable[Score]) -> tuple[Score, ...]:
    """The scores of all parts in the order of their keys, so that it does not matter how a split was shared out."""
    scores = sorted((each for part in parts for each in part), key=lambda each: each.key)
    for one, other in itertools.pairwise(scores):
        if one.key == other.key:
            raise Refused(f"{one.key} was scored twice: were two parts of the evaluation the same?")
    return tuple(scores)


def pool(runs: Sequence[Sequence[Score]]) -> tuple[Score, ...]:
    """Several runs on the same clips as one, the parts of a clip added up: a draw of a speaker takes all runs."""
    if len(runs) == 1:
        return tuple(runs[0])
    found = {each.key: each for each in runs[0]}
    for scores in runs[1:]:
        if differing := sorted({each.key for each in scores} ^ found.keys()):
            raise Refused(f"results of different utterances cannot be joined: {differing[0]} is in only one of them")
        for each in scores:
            parts = found[each.key].parts
            sums = {name: add(parts[name], each.parts[name]) for name in parts.keys() & each.parts.keys()}
            found[each.key] = replace(each, parts=sums)
    return tuple(found.values())


def total(scores: Iterable[Score]) -> dict[str, Parts]:
    """The sum of the parts of every metric that all utterances have; of no utterances, of the metrics of text.

    A metric that counts no edits is left out where none of the utterances has a value of it.
    """
    scores = tuple(scores)
    names = set.intersection(*(set(each.parts) for each in scores)) if scores else {"wer", "cer"}
    sums = {
        name: reduce(add, (each.parts[name] for each in scores), metric.parts())
        for name, metric in METRICS.items()
        if name in names
    }
    return {name: parts for name, parts in sums.items() if parts.length or isinstance(parts, Edits)}


def worst(utterances: Iterable[Utterance], number: int) -> list[tuple[Utterance, Alignment]]:
    """The utterances with the most errors in words, the worst first, and how they align."""
    read = [each for each in utterances if each.hypothesis is not None]
    scored = sorted(((score(each), each) for each in read), key=lambda pair: (-pair[0].parts[WER].errors, pair[0].key))
    return [
        (each, align(plain(each.reference).split(), plain(each.hypothesis or "").split()))
        for _, each in scored[:number]
    ]
