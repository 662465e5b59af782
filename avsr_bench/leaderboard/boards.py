"""Boards: the rows that may be compared with one another, ordered by test and by what the networks perceive."""

from __future__ import annotations

import json
import re
import shlex
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import blake2b

from ..scoring import WER, Result, same_budget
from .failures import Failed, without_seed
from .rows import CLEAN, Row

CLEAN_KEY: tuple[None, str, float] = (None, CLEAN, 0.0)
ROUNDED = 0.05  # of the weights: more than rounding to 8 bits makes zero, which is 0.8 % at tiny
LONGEST = 80  # characters of a name of a file, before what tells it from others
# Words of a command that need not stand behind a system's name: options, and settings that a column shows.
SHOWN = ("-", "train.steps=", "train.epochs=", "method.sparsity=", "augment.noise=", "rounds.")
DENSE = "dense"  # the system that all others are compared with
CONTINUED = "dense-continued"  # and rounds with this one: dense, trained on for as many with nothing removed


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


Key = tuple["Where | None", str, float]  # a condition: its noise, and family and strength


@dataclass(frozen=True, eq=False)  # itself is its identity: results hold mappings, which have no hash
class Model:
    """One system, decoded in one way: its runs, which differ in nothing but their training seed, and all their rows."""

    runs: tuple[tuple[Row, ...], ...]
    variant: str = ""  # the settings by which it differs from others of its name; empty where there are none

    @cached_property
    def rows(self) -> tuple[Row, ...]:
        """All rows of all runs."""
        return tuple(row for run in self.runs for row in run)

    @property
    def about(self) -> Result:
        """One of its results, for what they have in common."""
        return self.rows[0].result

    @property
    def run(self) -> str:
        """The name of its first run."""
        return self.about.run

    @property
    def system(self) -> str:
        """The recipe it was trained by; the last part of the run's name where that is unknown."""
        return self.about.system or self.about.folder.rpartition("/")[2]

    @property
    def home(self) -> str:
        """The corpus that it was trained on, as runs are named after it."""
        return self.run.partition("/")[0]

    @property
    def sparse(self) -> bool:
        """Whether weights were removed: rounding to 8 bits makes some zero too."""
        return self.about.sparsity > ROUNDED

    @property
    def noisy_training(self) -> bool:
        """Whether its training clips had visual noise; of old results nobody knows, and there was no such board."""
        return bool(self.about.trained_with_noise)

    @property
    def trained(self) -> str:
        """The system, that it was trained with noise where it was, and what tells it from others."""
        return f"{self.system}{self._behind}"

    @property
    def label(self) -> str:
        """System, sparsity and noise of training, for people."""
        sparsity = f" {self.about.sparsity:.0%}".replace("%", " %") if self.sparse else ""
        return f"{self.system}{sparsity}{self._behind}"

    @property
    def _behind(self) -> str:
        return "".join(f", {each}" for each in ("trained with noise" * self.noisy_training, self.variant) if each)

    @property
    def seeds(self) -> set[int | None]:
        """The training seeds of its runs."""
        return {run[0].result.train_seed for run in self.runs}

    @property
    def decoding(self) -> str:
        """How its answers were found."""
        return decoding_of(self.about.decoding)

    @property
    def frames(self) -> int | None:
        """Frames that it was trained on, ancestors included; none where nobody knows."""
        return self.about.budget.total if self.about.budget else None

    def have(self, keys: Sequence[Key], seeds: Collection[int | None] | None = None) -> list[tuple[Row, ...]]:
        """For each condition the rows of the runs that have all of them, of some training seeds or of any."""
        found = []
        for run in self.runs:
            by_key = {key_of(row): row for row in run}
            if all(key in by_key for key in keys) and (seeds is None or run[0].result.train_seed in seeds):
                found.append([by_key[key] for key in keys])
        return list(zip(*found, strict=True))

    @cached_property
    def clean(self) -> tuple[Row, ...]:
        """Its rows on clean clips."""
        return next(iter(self.have([CLEAN_KEY])), ())

    def noisy(self, where: Where) -> set[tuple[str, float]]:
        """Family and strength of the conditions under one noise that all of its runs have which were under any."""
        found = [{(row.family, row.strength) for row in run if where_of(row.result) == where} for run in self.runs]
        return set.intersection(*filter(None, found)) if any(found) else set()


@dataclass(frozen=True, slots=True)
class Board:
    """The models that read one test with the same senses."""

    test: Test
    modality: str
    models: tuple[Model, ...]
    shared_name: bool = False  # other clips or other words go by the same names of corpus and split
    failed: tuple[Failed, ...] = ()  # runs of any model

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

    def failed_seeds(self, model: Model) -> set[int]:
        """The training seeds that a model lacks because their training failed."""
        name = without_seed(model.about.folder)
        mine = {
            each.seed
            for each in self.failed
            if name == without_seed(each.run) or name.startswith(f"{without_seed(each.run)}/")
        }
        return mine - model.seeds


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


def make_boards(rows: Iterable[Row], failed: Sequence[Failed] = ()) -> tuple[list[Board], list[str]]:
    """All boards by name, and a line wherever one name stands for several tests."""
    groups: dict[tuple[Test, str], dict[tuple[str, str], list[Row]]] = {}  # the rows of each run
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
            tuple(make_models([tuple(mine) for _, mine in sorted(models.items())])),
            len(tests[test.corpus, test.split]) > 1,
            tuple(failed),
        )
        for (test, modality), models in sorted(groups.items(), key=lambda item: (-sizes[item[0][0]], *_order(*item[0])))
    ]
    return boards, notes


def make_models(runs: Sequence[tuple[Row, ...]]) -> Iterator[Model]:
    """Runs that differ in their training seed alone are one model: same settings, round, decoding and budget."""
    groups: list[list[tuple[Row, ...]]] = []
    for run in sorted(runs, key=lambda run: (run[0].result.budget and run[0].result.budget.total) or 0):
        mine = next((group for group in groups if _one_more_seed(run[0].result, [of[0].result for of in group])), None)
        if mine is None:
            groups.append([run])
        else:
            mine.append(run)
    found = [Model(tuple(sorted(group, key=lambda run: run[0].result.train_seed or 0))) for group in groups]
    return _told_apart(sorted(found, key=lambda model: (model.run, model.decoding)))


def _told_apart(models: Sequence[Model]) -> Iterator[Model]:
    """Models of one name get the settings in which they differ behind it; those that have a column are no news."""
    alike: dict[tuple[str, str, str], list[set[str]]] = {}
    given = []
    for model in models:
        words = {word for word in _settings(model.about) if "=" in word and not word.startswith(SHOWN)}
        given.append((words, alike.setdefault((model.label, model.about.size, model.decoding), [])))
        given[-1][1].append(words)
    for model, (words, of_all) in zip(models, given, strict=True):
        own = {word for word in words if not all(word in each for each in of_all)}
        names = {word.partition("=")[0] for each in of_all for word in each}
        ends = Counter(map(_last_part, names))
        said = {word if ends[_last_part(word.partition("=")[0])] > 1 else _last_part(word) for word in own}
        yield replace(model, variant=", ".join(sorted(said))) if own else model


def _last_part(setting: str) -> str:
    """A setting without its sections: strategy=hard of data.selection.strategy=hard."""
    name, equals, value = setting.partition("=")
    if name == "init.run" and value:
        return f"begun with {value.rpartition('/')[2]}"
    return f"{name.rpartition('.')[2]}{equals}{value}"


def _one_more_seed(about: Result, others: Sequence[Result]) -> bool:
    """Whether a run is one more seed of the system of others."""
    if about.train_seed is None or about.train_seed in {other.train_seed for other in others}:
        return False
    if any(_same(about) != _same(other) for other in others):
        return False
    return all(about.budget is other.budget is None or same_budget(about.budget, other.budget) for other in others)


def _same(about: Result) -> tuple[object, ...]:
    """What the seeds of a system have in common."""
    name = without_seed(about.folder)  # synth/dense-tiny, and the round of its pruning where it is one
    decoding = json.dumps(dict(about.decoding), sort_keys=True)
    noisy = bool(about.trained_with_noise)
    behind = (about.reader, about.reader_weights, about.lips, about.lips_seed)  # of an enhancer
    return name, about.system, about.size, round(about.sparsity, 2), noisy, _settings(about), decoding, *behind


def _settings(about: Result) -> tuple[str, ...]:
    """The words of the command that trained a run, but for those that may differ between seeds."""
    kept: list[str] = []
    words = iter(_words(about.recipe_command))
    for word in words:
        if word in ("--seed", "--out", "--data"):
            next(words, None)
        elif word != "--resume":
            kept.append(without_seed(word))  # init.run=runs/synth/dense-half-tiny-s1 is that of the seed
    return tuple(sorted(kept))


def _words(command: str) -> list[str]:
    try:
        return shlex.split(command)
    except ValueError:  # of a result that others wrote
        return command.split()


def key_of(row: Row) -> Key:
    """The condition of a row."""
    return where_of(row.result), row.family, row.strength


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
