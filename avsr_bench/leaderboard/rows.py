"""Reading results: each becomes a row with a name, or stands apart with the reason why it may not share a table."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from .. import noise
from ..inert import line
from ..noise import sound
from ..recipes import nearest
from ..records import Misused, Refused
from ..scoring import METRICS, SCORER_VERSION, WER, Parts, Result, Score, Sums, merge, read_archive, score
from ..scoring.archive import SUFFIX, is_old
from ..text import TEXT_VERSION
from .failures import Failed, read_failures

CLEAN = "clean"
NOTE = 500  # characters of what is said of a file
NOT_KNOWN = ("", "unknown")  # what stands where nobody wrote it down


@dataclass(frozen=True, slots=True)
class Row:
    """A result under its name."""

    name: str
    path: Path  # of its archive, with its name in it: results/synth/dense-tiny-s0/test.zip/jpeg_7
    result: Result

    @property
    def family(self) -> str:
        """`clean`, a family of visual noise, or a kind of sound."""
        return split_condition(self.result.condition)[0]

    @property
    def strength(self) -> float:
        """The level of visual noise, or the ratio of sound in dB; 0 of clean clips."""
        return split_condition(self.result.condition)[1]


@dataclass(frozen=True, slots=True)
class Apart:
    """A row that may not share a table with others, and why."""

    row: Row
    reason: str


@dataclass(frozen=True, slots=True)
class Found:
    """All that lies in some folders of results."""

    rows: tuple[Row, ...]
    apart: tuple[Apart, ...] = ()
    enhanced: tuple[Row, ...] = ()  # of enhancers, which have tables of their own
    notes: tuple[str, ...] = ()  # files that are no results
    failed: tuple[Failed, ...] = ()  # runs that a board asked for, and that are not there

    @property
    def every(self) -> list[Row]:
        """All rows, those that stand apart among them."""
        return [*self.rows, *self.enhanced, *(each.row for each in self.apart)]


def read_rows(folders: Iterable[Path]) -> Found:
    """Every result below the folders, by name. What cannot be used is reported, and hinders nothing else."""
    every: list[Row] = []
    rows: list[Row] = []
    apart: list[Apart] = []
    notes: list[str] = []
    folders = tuple(folders)
    notes += _old_form(folders)
    for path in sorted({path for folder in folders for path in folder.rglob(f"*{SUFFIX}")}):
        try:
            kept = read_archive(path)
        except Refused as refused:
            notes.append(line(str(refused), NOTE))
            continue
        for name in kept.names:
            try:
                result = kept.result(name)
            except Refused as refused:
                notes.append(line(str(refused), NOTE))
            else:
                every.append(Row(row_name(result), path / name, result))
    for row in every:
        reason = why_apart(row.result)
        if reason is None:
            rows.append(row)
        else:
            apart.append(Apart(row, reason))
    failed, damaged = read_failures(folders)
    notes += [*damaged, *(line(f"{each.run} failed: {each.reason}", NOTE) for each in failed)]
    agreed, conflicts = _settle(rows)
    alike, unknown = _of_one_network(agreed)
    alike.sort(key=lambda row: (row.name, row.path))
    return Found(
        tuple(row for row in alike if not is_of_enhancer(row.result)),
        tuple(sorted([*apart, *conflicts, *unknown], key=lambda each: (each.row.name, each.row.path))),
        tuple(row for row in alike if is_of_enhancer(row.result)),
        tuple(notes),
        failed,
    )


def is_of_enhancer(result: Result) -> bool:
    """Whether a run was measured by what it makes of sound; a recogniser that reads behind one is not meant."""
    return bool(result.reader) or any(METRICS[name].parts is Sums for name in result.metrics)


def _old_form(folders: Iterable[Path]) -> Iterator[str]:
    """A line for each folder with results as they were kept before there were archives."""
    for folder in folders:
        if old := sorted(path for path in folder.rglob("*.jsonl") if is_old(path)):
            yield line(
                f"{folder} has {len(old):,} results of the old form ({old[0].relative_to(folder)} and others), which"
                f" are left out: carry them over with `avsr-bench leaderboard convert {folder}`",
                NOTE,
            )


def row_name(result: Result) -> str:
    """The short name that `verify` and `rerun` take: synth/msrs-tiny-s0/test/gaussian:5.

    It opens with the corpus of the test, which is mostly the one that the run was trained on and named after.
    """
    run = result.run if result.run.startswith(f"{result.corpus}/") else f"{result.corpus}/{result.run}"
    ends = ["frame"] if result.noise_on == "frame" else []
    ends += [f"behind-{result.enhancer.replace('/', '-')}"] if result.enhancer else []
    ends += [f"read-by-{result.reader.replace('/', '-')}"] if result.reader else []
    ends += {"own": [], "other": ["other-lips"], "none": ["no-lips"]}[result.lips]
    return "@".join([f"{run}/{result.split}/{result.condition}", *ends])


def find_row(name: str, found: Found) -> Row:
    """The row of a name, or of its place in an archive; those that stand apart among them."""
    place = Path(name)
    if place.parent.suffix == SUFFIX and place.parent.is_file():
        result = read_archive(place.parent).result(place.name)
        return Row(row_name(result), place, result)
    rows = found.every
    mine = [row for row in rows if row.name == name]
    if not mine:
        hint = nearest(name, {row.name for row in rows}) if rows else " There are no results yet."
        raise Misused(
            f"no row is called {name!r}.{hint}" if len(hint) < 300 else f"no row is called {name!r}: see the page"
        )
    if len(mine) > 1:
        paths = ", ".join(str(row.path) for row in mine)
        raise Misused(f"{name} is the name of {len(mine)} results: give one of {paths}")
    return mine[0]


def split_condition(condition: str) -> tuple[str, float]:
    """Family and level, or kind of sound and ratio; NaN where there is none.

    >>> split_condition("babble:-5"), split_condition("clean")
    (('babble', -5.0), ('clean', 0.0))
    """
    if condition == CLEAN:
        return CLEAN, 0.0
    family, _, strength = condition.rpartition(":")
    try:
        return family, float(strength)
    except ValueError:
        return condition, math.nan


def why_apart(result: Result) -> str | None:
    """Why a result may not share a table with others: what is unknown of it, or made otherwise, or no number."""
    missing = [name for name in ("command", "commit", "corpus_fingerprint") if getattr(result, name) in NOT_KNOWN]
    if missing:
        return f"nobody can measure it again: it has no {' and no '.join(missing).replace('_', ' ')}"
    if result.scorer_version != SCORER_VERSION:
        return f"scored by version {result.scorer_version} of the scorer, not {SCORER_VERSION}"
    if result.text_version != TEXT_VERSION:
        return f"scored by version {result.text_version} of the text rule, not {TEXT_VERSION}"
    if result.enhancer:
        return f"its sound was enhanced by {result.enhancer} before it was read"
    if is_of_enhancer(result):
        return _why_no_enhancer(result) or _why_not_this_noise(result)
    if WER not in result.metrics:
        return "it has no WER"
    if not result.utterances or not result.metrics[WER].parts.length:
        return "no words were scored: its WER is not a number"
    return _why_not_this_noise(result)


def _why_no_enhancer(result: Result) -> str | None:
    """What a result of an enhancer lacks, or has that none of ours has."""
    if not any(METRICS[name].parts is Sums for name in result.metrics):
        return f"it is of an enhancer, read by {result.reader}, but its sound was not measured"
    if bool(result.reader) != (WER in result.metrics):
        return "it has a WER, but does not say who read" if WER in result.metrics else f"{result.reader} read nothing"
    if not all(of.parts.length for of in result.metrics.values()):
        return "no clips were measured, or no words scored: its metrics are not numbers"
    if result.noise_on not in (None, "sound"):
        return f"it is of an enhancer, and its noise is on {result.noise_on}"
    return None


def _why_not_this_noise(result: Result) -> str | None:
    family, strength = split_condition(result.condition)
    if family == CLEAN:
        return None
    if not math.isfinite(strength) or not family:
        return f"its condition {result.condition!r} is not of the form FAMILY:LEVEL"
    if result.noise_on is None or result.noise_seed is None:
        return "it does not say where its noise was applied, or by which seed"
    if result.noise_on == "sound":
        version = sound.VERSION
    else:
        version = noise.VERSION
        if family not in noise.FAMILIES:
            return f"unknown family of noise {family!r}: there is {', '.join(noise.FAMILIES)}"
        if not 1 <= strength <= noise.LEVELS or strength != int(strength):
            return f"level {strength:g} of {family}: levels are 1 to {noise.LEVELS}"
    if result.noise_version != version:
        return f"made with version {result.noise_version} of the noise, not {version}"
    return None


def _settle(rows: Sequence[Row]) -> tuple[list[Row], list[Apart]]:
    """One row of each measurement. Where it was done twice and counts or weights differ, both stand apart."""
    same: dict[tuple[object, ...], list[Row]] = {}
    for row in rows:
        drawn = (row.result.noise_seed, row.result.lips_seed, row.result.reader_weights)
        same.setdefault((row.name, *drawn, *_line(row)), []).append(row)
    agreed: list[Row] = []
    conflicts: list[Apart] = []
    for duplicates in same.values():
        if all(parts_of(row.result) == parts_of(duplicates[0].result) for row in duplicates):
            agreed.append(duplicates[0])
            continue
        told = ", ".join(f"{_headline(row.result)} in {row.path}" for row in duplicates)
        reason = f"results of one row disagree ({told}): remove what is wrong, or measure it again with `rerun`"
        conflicts += [Apart(row, reason) for row in duplicates]
    return agreed, conflicts


def _headline(result: Result) -> str:
    """The first metric of a result."""
    name, of = next(iter(result.metrics.items()))
    return METRICS[name].said(of.value, 1)


def parts_of(result: Result) -> tuple[str, dict[str, Parts]]:
    """What two measurements of one row have in common: the weights, and every count."""
    return result.weights, {name: each.parts for name, each in result.metrics.items()}


def _of_one_network(rows: Sequence[Row]) -> tuple[list[Row], list[Apart]]:
    """A run that was trained anew is two networks: rows of other weights than its clean row, or than most, go apart."""
    lines: dict[tuple[object, ...], list[Row]] = {}
    for row in rows:
        lines.setdefault(_line(row), []).append(row)
    alike: list[Row] = []
    unknown: list[Apart] = []
    for mine in lines.values():
        clean = [row.result.weights for row in mine if row.family == CLEAN]
        [(weights, _)] = Counter(clean or [row.result.weights for row in mine]).most_common(1)
        for row in mine:
            if row.result.weights == weights:
                alike.append(row)
            else:
                whose = "its clean row" if clean else "most of its rows"
                unknown.append(Apart(row, f"of other weights than {whose}: run `robustness` again, which measures it"))
    return alike, unknown


def _line(row: Row) -> tuple[object, ...]:
    """What the rows in one line of a table share: one run on one test, read out in one way."""
    result = row.result
    decoding = json.dumps(dict(result.decoding), sort_keys=True)
    return result.run, result.corpus, result.split, result.corpus_fingerprint, result.utterances, decoding


def scores(row: Row) -> tuple[Score, ...]:
    """The score of every utterance of a row, from its hypotheses."""
    try:
        changed = row.path.parent.stat().st_mtime_ns
    except OSError as error:
        raise Refused(f"the hypotheses of {row.name} are gone: {row.path.parent}: {error.strerror}") from error
    return _scores(row.path, changed)


@lru_cache(maxsize=4096)  # rows of a board: tables and figures ask for each several times; 240 utterances take 0.1 MB
def _scores(path: Path, changed: int) -> tuple[Score, ...]:
    return merge(map(score, read_archive(path.parent).utterances(path.name)))
