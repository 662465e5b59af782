"""Boards: the rows that may be compared with one another, ordered by test and by what the networks perceive."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b

from .. import noise
from ..records import Refused
from ..scoring import WER, Comparison, Interval, Result, compare, interval
from .rows import CLEAN, Row, scores

LONGEST = 80  # characters of a name of a file, before what tells it from others
DENSE = "dense"  # the system that all others are compared with


@dataclass(frozen=True, slots=True, order=True)
class Test:
    """What was read: the same clips and the same words."""

    corpus: str
    split: str
    fingerprint: str
    utterances: int
    words: int


@dataclass(frozen=True, slots=True)
class Where:
    """Which noise: on what it was applied, and the seed of its draws. Others never share a table."""

    on: str
    seed: int


@dataclass(frozen=True, eq=False)  # itself is its identity: results hold mappings, which have no hash
class Model:
    """One network, read out in one way, and all its rows on one test."""

    rows: tuple[Row, ...]

    @property
    def about(self) -> Result:
        """One of its results, for what they have in common."""
        return self.rows[0].result

    @property
    def run(self) -> str:
        """Its name."""
        return self.about.run

    @property
    def system(self) -> str:
        """The recipe it was trained by; the last part of the run's name where that is unknown."""
        return self.about.system or self.run.rpartition("/")[2]

    @property
    def home(self) -> str:
        """The corpus that it was trained on, as runs are named after it."""
        return self.run.partition("/")[0]

    @property
    def label(self) -> str:
        """System and sparsity, for people."""
        return f"{self.system} {self.about.sparsity:.0%}".replace("%", " %") if self.about.sparsity else self.system

    @property
    def decoding(self) -> str:
        """How its answers were found."""
        return decoding_of(self.about.decoding)

    @cached_property
    def clean(self) -> Row | None:
        """Its row on clean clips."""
        return next((row for row in self.rows if row.family == CLEAN), None)

    def noisy(self, where: Where) -> dict[tuple[str, float], Row]:
        """Its rows under one noise by family and strength."""
        return {(row.family, row.strength): row for row in self.rows if where_of(row.result) == where}


@dataclass(frozen=True, slots=True)
class Board:
    """The models that read one test with the same senses."""

    test: Test
    modality: str
    models: tuple[Model, ...]
    shared_name: bool = False  # other clips or other words go by the same names of corpus and split

    @property
    def title(self) -> str:
        """Corpus and split, and the fingerprint where the names do not tell."""
        test = f"{self.test.corpus}, {self.test.split}"
        return f"{test} ({short(self.test)})" if self.shared_name else test

    @property
    def words(self) -> tuple[str, ...]:
        """What tells it from others, for names of files."""
        test = (self.test.corpus, self.test.split, self.modality)
        return (*test, self.test.fingerprint, str(self.test.utterances)) if self.shared_name else test

    @property
    def noises(self) -> list[Where]:
        """The noises of this board."""
        found = {where for model in self.models for row in model.rows if (where := where_of(row.result))}
        return sorted(found, key=lambda where: (("mouth", "frame", "sound").index(where.on), where.seed))

    def dense(self, model: Model) -> Model | None:
        """The dense model to compare with: of the same size and reading, best of the same seed and training corpus."""
        alike = [
            other
            for other in self.models
            if other.system == DENSE
            and other.about.size == model.about.size
            and other.about.decoding == model.about.decoding
        ]
        alike.sort(
            key=lambda other: (other.about.train_seed != model.about.train_seed, other.home != model.home, other.run)
        )
        return alike[0] if alike and alike[0] is not model and model.system != DENSE else None


def file_name(*words: str) -> str:
    """A name of safe characters for a file; no other words have it.

    >>> file_name("synth", "test", "video", "tiny"), file_name("a/b", "test") == file_name("a_b", "test")
    ('synth-test-video-tiny', False)
    """
    name = "-".join(words)
    if all(re.fullmatch("[a-z0-9]+", word) for word in words) and len(name) <= LONGEST:
        return name
    digest = blake2b(json.dumps(words).encode(), digest_size=8).hexdigest()
    return f"{re.sub('[^a-z0-9]+', '-', name.lower())[:LONGEST].strip('-')}-{digest}".strip("-")


def short(test: Test) -> str:
    """What tells a test from others of its name."""
    return f"{test.fingerprint[:8]}, {test.utterances:,} utterances"


def make_boards(rows: Iterable[Row]) -> tuple[list[Board], list[str]]:
    """All boards by name, and a line wherever one name stands for several tests."""
    groups: dict[tuple[Test, str], dict[tuple[str, str], list[Row]]] = {}
    for row in rows:
        result = row.result
        test = Test(
            result.corpus,
            result.split,
            result.corpus_fingerprint,
            result.utterances,
            int(result.metrics[WER].parts.length),
        )
        models = groups.setdefault((test, result.modality), {})
        models.setdefault((result.run, json.dumps(dict(result.decoding), sort_keys=True)), []).append(row)
    tests: dict[tuple[str, str], set[Test]] = {}
    sizes: Counter[Test] = Counter()  # the test with most rows comes first
    for (test, _), models in groups.items():
        tests.setdefault((test.corpus, test.split), set()).add(test)
        sizes[test] += sum(map(len, models.values()))
    notes = [
        f"{corpus}, {split} is {len(several)} different tests, told apart below:"
        f" {'; '.join(f'{short(test)}, {test.words:,} words' for test in sorted(several))}"
        for (corpus, split), several in sorted(tests.items())
        if len(several) > 1
    ]
    boards = [
        Board(
            test,
            modality,
            tuple(Model(tuple(mine)) for _, mine in sorted(models.items())),
            len(tests[test.corpus, test.split]) > 1,
        )
        for (test, modality), models in sorted(groups.items(), key=lambda item: (-sizes[item[0][0]], *_order(*item[0])))
    ]
    return boards, notes


def where_of(result: Result) -> Where | None:
    """The noise of a result; none of clean clips."""
    if result.noise_on is None or result.noise_seed is None or result.condition == CLEAN:
        return None
    return Where(result.noise_on, result.noise_seed)


def decoding_of(settings: Mapping[str, object]) -> str:
    """How answers were found, in two words."""
    kind = str(settings.get("kind", "unknown"))
    return {"beam": f"beam {settings.get('beam', '?')}", "ctc": "greedy CTC", "attention": "greedy attention"}.get(
        kind, kind
    )


def _order(test: Test, modality: str) -> tuple[Test, int, str]:
    known = ("video", "audio", "av")
    return test, known.index(modality) if modality in known else len(known), modality


@dataclass(frozen=True, slots=True)
class Mean:
    """The mean WER over some conditions, with its interval."""

    wer: float
    interval: Interval


def mean_of(rows: Sequence[Row]) -> Mean:
    """The mean WER of several rows of one model; its interval draws the same speakers in all of them."""
    if len(rows) == 1:
        return Mean(rows[0].result.wer, rows[0].result.metrics[WER].interval)
    wer = sum(row.result.wer for row in rows) / len(rows)
    return Mean(wer, interval([scores(row) for row in rows]))


def against(reference: Sequence[Row], rows: Sequence[Row]) -> Comparison | str:
    """How much higher the mean WER of `rows` is than that of `reference`, or why that cannot be said."""
    try:
        return compare([scores(row) for row in reference], [scores(row) for row in rows])
    except Refused as refused:
        return str(refused)


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
