"""What was said and heard in each utterance, and its score."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce
from operator import add

from ..records import Refused
from ..text import plain
from .edits import Alignment, Edits, align, count


@dataclass(frozen=True, slots=True)
class Utterance:
    """All that it takes to score an utterance again."""

    key: str
    reference: str  # both as they are; the text rule is applied to score them
    hypothesis: str
    speaker: str = ""  # empty where unknown
    source: str = ""  # the recording that it was cut from
    score: float | None = None  # of the search


@dataclass(frozen=True, slots=True)
class Score:
    """The edits of one utterance, and what it takes to draw an interval."""

    key: str
    speaker: str
    source: str
    words: Edits
    characters: Edits  # spaces between words among them


def score(utterance: Utterance) -> Score:
    """Compare what was heard with what was said, both in plain form."""
    reference, hypothesis = plain(utterance.reference), plain(utterance.hypothesis)
    return Score(
        utterance.key,
        utterance.speaker,
        utterance.source,
        count(reference.split(), hypothesis.split()),
        count(reference, hypothesis),
    )


def merge(*parts: Iterable[Score]) -> tuple[Score, ...]:
    """The scores of all parts in the order of their keys, so that it does not matter how a split was shared out."""
    scores = sorted((each for part in parts for each in part), key=lambda each: each.key)
    for one, other in itertools.pairwise(scores):
        if one.key == other.key:
            raise Refused(f"{one.key} was scored twice: were two parts of the evaluation the same?")
    return tuple(scores)


def total(scores: Iterable[Score]) -> tuple[Edits, Edits]:
    """The edits of all words and of all characters; their rates are WER and CER."""
    scores = tuple(scores)
    return reduce(add, (each.words for each in scores), Edits()), reduce(
        add, (each.characters for each in scores), Edits()
    )


def worst(utterances: Iterable[Utterance], number: int) -> list[tuple[Utterance, Alignment]]:
    """The utterances with the most errors in words, the worst first, and how they align."""
    scored = sorted(((score(each), each) for each in utterances), key=lambda pair: (-pair[0].words.errors, pair[0].key))
    return [(each, align(plain(each.reference).split(), plain(each.hypothesis).split())) for _, each in scored[:number]]
