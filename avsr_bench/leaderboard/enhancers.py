"""Enhancers that were measured on one test, and the noisy sound that each is compared with."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from ..records import Refused
from ..scoring import METRICS, WER, Result, Score, Sums, interval, total
from .boards import Board, Key, Model, Test, Where, decoding_of, key_of, make_models
from .comparisons import Mean
from .rows import Found, Row, scores

GAIN = "_gain"
OF_SOUND = tuple(name for name in METRICS if f"{name}{GAIN}" in METRICS)
LIPS = {"own": "own", "none": "hidden", "other": "of others"}  # as tables name what one that watches lips was shown
NO_LIPS = "none (sound alone)"  # to one that hears alone


@dataclass(frozen=True, slots=True, order=True)
class ReadBy:
    """Who read the output, and how."""

    run: str
    weights: str
    settings: str  # of the decoding, as JSON

    @property
    def decoding(self) -> str:
        """How it read, in two words."""
        return decoding_of(json.loads(self.settings))


@dataclass(frozen=True, slots=True)
class EnhancerBoard(Board):
    """The enhancers of one test, whatever they perceive; those that somebody read are there once for each reader."""

    plain: tuple[Row, ...] = ()  # of recognisers on the same clips, with nothing enhanced

    @property
    def readers(self) -> list[ReadBy]:
        """Who read what they made."""
        return sorted({reader for model in self.models if (reader := reader_of(model.about))})

    def kinds(self, where: Where) -> dict[str, list[float]]:
        """Each kind of sound with its ratios, the least noisy first."""
        found = sorted({each for model in self.models for each in model.noisy(where)}, key=lambda of: (of[0], -of[1]))
        return {kind: [ratio for _, ratio in of] for kind, of in groupby(found, key=lambda each: each[0])}

    def compared(self, metric: str, reader: ReadBy | None, where: Where, kind: str) -> list[Model]:
        """The enhancers with a metric under a kind of sound: of WER those that one reader read, of sound each once."""
        found: dict[tuple[object, ...], Model] = {}
        for model in self.models:
            rows = [row for row in model.rows if metric in row.result.metrics]
            if not rows or (metric == WER and reader_of(model.about) != reader):
                continue
            key = (tuple(run[0].result.run for run in model.runs), model.about.lips, model.about.lips_seed)
            best = found.setdefault(key, model)
            # Measured with a reader and without one: what was measured at more ratios is shown.
            if len(_under(best, where, kind)) < len(_under(model, where, kind)):
                found[key] = model
        return [model for model in found.values() if _under(model, where, kind)]


def make_enhancer_boards(found: Found) -> list[EnhancerBoard]:
    """A board for each test on which enhancers were measured."""
    groups: dict[Test, dict[tuple[object, ...], list[Row]]] = {}
    for row in found.enhanced:
        result = row.result
        runs = groups.setdefault(_test(result), {})
        runs.setdefault((result.run, result.lips, str(result.lips_seed), *_read_out(result)), []).append(row)
    names = [(test.corpus, test.split) for test in groups]
    return [
        EnhancerBoard(
            test,
            "enhancers",
            tuple(make_models([tuple(mine) for _, mine in sorted(runs.items())])),
            names.count((test.corpus, test.split)) > 1,
            found.failed,
            tuple(row for row in found.rows if _test(row.result) == test),
        )
        for test, runs in sorted(groups.items())
    ]


def _test(result: Result) -> Test:
    """What was measured; whether there were words does not matter to sound."""
    return Test(result.corpus, result.split, result.corpus_fingerprint, result.utterances, 0)


def _read_out(result: Result) -> tuple[str, str, str]:
    return result.reader, result.reader_weights, json.dumps(dict(result.decoding), sort_keys=True)


def reader_of(result: Result) -> ReadBy | None:
    """Who read the output of an enhancer, where somebody did."""
    return ReadBy(*_read_out(result)) if result.reader else None


def lips_of(result: Result) -> str:
    """Whose lips an enhancer was shown."""
    if result.modality == "audio":
        return NO_LIPS
    return LIPS[result.lips]


def _under(model: Model, where: Where, kind: str) -> list[tuple[str, float]]:
    return [each for each in model.noisy(where) if each[0] == kind]


def noisy_sound(models: Sequence[Model], key: Key, metric: str) -> tuple[Mean, Row] | None:
    """What the noisy sound itself has: a metric less its gain, clip by clip, from the result that has most clips."""
    gain = f"{metric}{GAIN}"
    rows = [row for model in models for row in model.rows if key_of(row) == key and gain in row.result.metrics]
    rows = [row for row in rows if metric in row.result.metrics]
    if not rows:
        return None
    row = max(rows, key=lambda each: each.result.metrics[gain].parts.length)
    before = [
        Score(each.key, each.speaker, each.source, {metric: Sums(of.errors - gained.errors, gained.length)})
        for each in scores(row)
        if (of := each.parts.get(metric)) and (gained := each.parts.get(gain)) and gained.length
    ]
    if not before:
        raise Refused(f"{row.path} has {METRICS[metric].label}, but its clips have none")
    value = total(before)[metric].rate
    return Mean(value, interval([before], metric), (value,)), row


def noisy_wer(board: EnhancerBoard, reader: ReadBy, key: Key) -> Row | None:
    """What a reader makes of the sound that nobody enhanced, where that was measured."""
    for row in board.plain:
        settings = json.dumps(dict(row.result.decoding), sort_keys=True)
        if ReadBy(row.result.run, row.result.weights, settings) == reader and key_of(row) == key:
            return row
    return None
