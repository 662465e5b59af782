"""What a sweep says: means over families, and how sure differences to a reference are.

A mean over conditions is that of their rates, level 0 not among them: clean clips are a column of their own. Intervals
of means and of differences draw the same speakers in all conditions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from .. import noise, scoring
from ..scoring import Comparison, Interval
from .job import Measured, Swept

WIDE = 0.02  # half an interval of a WER; a published difference between two systems is often smaller


@dataclass(frozen=True, slots=True)
class Row:
    """A mean of one model over some conditions, and how it compares."""

    model: str
    over: str  # clean, a family, seen, unseen, all, a kind of sound
    conditions: tuple[str, ...]
    wer: float
    interval: Interval
    against: Comparison | None  # the reference; none for itself, and where it lacks one of the conditions


@dataclass(frozen=True, slots=True)
class Summary:
    """All rows, and what the reader of the table should know."""

    rows: tuple[Row, ...]
    notes: tuple[str, ...]


def groups(conditions: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """What is averaged: clean, each family, the seen, the unseen and all families, each kind of sound.

    >>> groups(["clean", "blur:1", "blur:2", "jpeg:1", "babble:0"])["seen"]
    ('blur:1', 'blur:2')
    """
    kinds: dict[str, list[str]] = {}
    for name in conditions:
        kinds.setdefault(name.rpartition(":")[0] or name, []).append(name)
    eye = [family for family in noise.FAMILIES if family in kinds]
    found = {"clean": kinds.pop("clean", [])} | {family: kinds.pop(family) for family in eye}
    for over, families in (
        ("seen", [family for family in eye if family in noise.SEEN]),
        ("unseen", [family for family in eye if family not in noise.SEEN]),
        ("all", eye),
    ):
        found[over] = [name for family in families for name in found[family]]
    return {over: tuple(names) for over, names in {**found, **kinds}.items() if names}


def summarise(swept: Swept) -> Summary:
    """Every mean for which a model has all conditions."""
    rows = []
    for over, conditions in groups(swept.conditions).items():
        reference = _all_of(swept, swept.reference, conditions)
        for model in swept.models:
            mine = _all_of(swept, model, conditions)
            if mine is None:
                continue
            scores = [each.scores for each in mine]
            compared = None
            if reference is not None and model != swept.reference:
                compared = scoring.compare([each.scores for each in reference], scores)
            wer = sum(each.result.wer for each in mine) / len(mine)
            rows.append(Row(model, over, conditions, wer, scoring.interval(scores), compared))
    return Summary(tuple(rows), tuple(_notes(swept, rows)))


def _all_of(swept: Swept, model: str, conditions: Sequence[str]) -> list[Measured] | None:
    found = [swept.found.get((model, condition)) for condition in conditions]
    return None if None in found else [each for each in found if each is not None]


def _notes(swept: Swept, rows: Sequence[Row]) -> list[str]:
    said = []
    if swept.missing:
        said.append(f"{swept.missing:,} results are not there yet: other parts have them to do")
    if rows:
        words = next(iter(swept.found.values())).result.metrics[scoring.WER].parts.length
        widest = max(rows, key=lambda row: row.interval.high - row.interval.low)
        half = (widest.interval.high - widest.interval.low) / 2
        if half > WIDE:
            said.append(
                f"intervals are wide, up to ±{100 * half:.1f} points: the test has {words:,} words by"
                f" {widest.interval.groups:,} {widest.interval.over}; judge differences by p"
            )
        said += widest.interval.caveats
    said += _unequal(swept)
    lost = sum(each.result.faces_lost for each in swept.found.values())
    if lost:
        clips = sum(each.result.utterances for each in swept.found.values() if each.result.noise_on == "frame")
        said.append(f"faces lost in {lost:,} of {clips:,} clips with noise on frames: each counts as nothing read")
    return said


def _unequal(swept: Swept) -> Iterator[str]:
    """Which differences to the reference are of networks that were trained on more or less than it."""
    budgets = {model: each.result.budget for (model, _), each in swept.found.items()}
    if swept.reference not in budgets:
        return
    others = {model: budget for model, budget in budgets.items() if model != swept.reference}
    same = {model: scoring.same_budget(budget, budgets[swept.reference]) for model, budget in others.items()}
    for answer, why in ((None, "the budget of training is not known"), (False, "the budgets of training differ")):
        if mine := [model for model, found in same.items() if found is answer]:
            yield f"{swept.reference} and {', '.join(mine)}: {why}; differences are of networks, not of systems"
