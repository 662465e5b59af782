"""`robustness`: many runs, one split, many conditions. Reads top to bottom as it happens.

What is in the archive of a run and answers the request is kept; the rest is read in one sweep. Parts share the work by
conditions, so that no result has to be put together from pieces.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from .. import evaluation, noise, recipes, runs
from ..data import Place, Prepared
from ..evaluation import CLEAN, Cleaner, Condition, Provenance, Reader, Task
from ..evaluation.job import (
    Kind,
    Progress,
    check_met,
    check_used,
    chosen,
    find_corpus,
    notes,
    open_reader,
    showing,
    sound_settings,
)
from ..files import make_folder
from ..locks import hold_part
from ..nn import Modality
from ..records import Misused
from ..runs import Run
from ..scoring import Result, Score, archive, merge, score
from .models import open_runs, views, who_hear

OUT = Path("leaderboards/local/results")


@dataclass(frozen=True, slots=True, kw_only=True)
class RobustnessRequest:
    """What the user asked for."""

    noise: str = "all"  # none, or families
    levels: str = "0-10"
    sounds: tuple[str, ...] = ()  # KIND:DB[,DB...] each
    models: tuple[str, ...] = ()  # none: every finished run on the corpus
    modality: Modality | None = None  # of unified networks; none: each of the three ways in which they read
    reference: str | None = None  # of the models; none: the dense one, else the first
    data: str | None = None
    split: str = "test"
    apply_to: Literal["mouth", "frame"] = "mouth"
    root: Path | None = None  # of the source videos
    decode: Kind | None = None
    beam: int | None = None
    part: tuple[int, int] = (1, 1)
    limit: int | None = None
    seed: int = 0
    device: str = "auto"
    workers: int = 1
    out: Path = OUT
    assignments: tuple[str, ...] = ()
    enhance: str | None = None  # the run that cleans the sound before the models read it


@dataclass(frozen=True, slots=True)
class Model:
    """A run in the sweep."""

    name: str  # as tables call it
    reader: Reader
    about: Provenance
    archive: Path  # of its results
    cleaner: Cleaner | None = None  # of the sound that it reads


@dataclass(frozen=True, slots=True)
class Measured:
    """A result, and the score of each of its utterances."""

    result: Result
    scores: tuple[Score, ...]


@dataclass(frozen=True, slots=True)
class Swept:
    """All results of the request that there are, by model and condition, both in order."""

    models: tuple[str, ...]
    conditions: tuple[str, ...]
    found: dict[tuple[str, str], Measured]
    missing: int  # of other parts
    reference: str
    corpus: str
    folder: Path
    enhancer: str = ""  # what cleaned the sound before it was read


def robustness(request: RobustnessRequest, progress: Progress) -> Swept:
    """Read what has not been read yet, and gather everything."""
    check_used(
        request.noise != "none", bool(request.sounds), request.assignments, request.apply_to, request.root, request.seed
    )
    _check_enhanced(request)
    corpus = find_corpus(request.data, request.models)
    opened = [seen for run in open_runs(request.models, corpus) for seen in views(run, request.modality)]
    cleaner = None
    if request.enhance is not None:
        opened = who_hear(opened, bool(request.models), progress)
        enhancer = runs.open_run(runs.find_run(request.enhance, corpus.name))
        cleaner = evaluation.open_cleaner(enhancer, evaluation.pick_device(request.device))
    modalities: list[Modality] = [run.modality for run in opened]
    conditions = asked_for(request, corpus)
    check_met(modalities, conditions)
    senses = {*modalities, *([cleaner.network.modality] if cleaner else [])}
    union: Modality = modalities[0] if len(senses) == 1 else "av"
    places, split = chosen(corpus, request.split, union, request.limit)
    models = [_model(run, request, corpus, split, cleaner) for run in opened]
    reference = _reference(request.reference, opened, models)
    for model in models:
        for note in notes(model.about.run, corpus, model.reader, places):
            progress.say(note)
        if any(map(archive.is_old, model.archive.with_suffix("").glob("*.jsonl"))):
            progress.say(
                f"{model.archive.with_suffix('')} has results of the old form, which are measured again: stop, and"
                f" run `avsr-bench leaderboard convert {request.out}` first, to keep them"
            )

    first, parts = request.part
    mine = conditions[first - 1 :: parts]
    with ExitStack() as held:
        for model in models:
            folder = model.archive.parent
            make_folder(folder)
            archive.check(model.archive)
            held.enter_context(hold_part(folder, *request.part, advice="or give each a --part of its own"))
        _measure(request, mine, models, places, union, cleaner, progress)
    swept = _gather(models, conditions, request, places, reference, corpus.name)
    return replace(swept, enhancer=cleaner.run.name) if cleaner else swept


def _check_enhanced(request: RobustnessRequest) -> None:
    """Refuse --enhance where there is nothing that an enhancer would clean."""
    if request.enhance is None:
        return
    if request.noise != "none":
        raise Misused(f"--noise {request.noise} is for the eye, and --enhance cleans sound: leave one of them out")
    if not request.sounds:
        raise Misused("--enhance cleans sound, and no --sound is asked for: add --sound voice:5,0,-5, or leave it out")


def _measure(
    request: RobustnessRequest,
    mine: Sequence[Condition],
    models: Sequence[Model],
    places: Sequence[Place],
    union: Modality,
    cleaner: Cleaner | None,
    progress: Progress,
) -> None:
    """Read what is missing of this part; each result is kept as soon as it is there."""
    corpus = models[0].about.corpus
    by_reader = {model.reader: model for model in models}
    tasks = [
        Task(condition, tuple(m.reader for m in models if _to_do(m, condition, len(places)))) for condition in mine
    ]
    _say_what_is_left(tasks, mine, models, progress)
    wanted = [task.condition for task in tasks if task.readers]
    with showing(corpus, places, union, wanted, request.root, request.seed, request.workers, cleaner) as show:
        progress.begin("robustness", sum(len(task.readers) for task in tasks) * len(places), "utterances")
        for heard in evaluation.sweep(tasks, places, show, request.workers, lambda: progress.step(None)):
            model = by_reader[heard.reader]
            about = replace(model.about, command=command_of(request, model, heard.condition))
            name = evaluation.result_name(heard.condition, request.seed)
            archive.write(model.archive, name, evaluation.make_result(heard, about), heard.utterances)


def asked_for(request: RobustnessRequest, corpus: Prepared) -> list[Condition]:
    """The conditions of a request, clean once and first."""
    levels = parse_levels(request.levels)
    names = [] if request.noise == "none" else [name.strip() for name in request.noise.split(",")]
    families = list(noise.FAMILIES) if names == ["all"] else names
    seen = [evaluation.visual(family, level, request.apply_to) for family in families for level in levels]
    heard = evaluation.open_sound(
        request.sounds, corpus, request.split, request.seed, sound_settings(request.assignments)
    )
    clean = [CLEAN] if 0 in levels else []
    found = dict.fromkeys([*clean, *seen, *heard])
    if not found:
        raise Misused(
            f"--noise {request.noise} --levels {request.levels} asks for nothing: add level 0, the clean clips"
        )
    return list(found)


def parse_levels(text: str) -> list[int]:
    """The levels that `0-10`, `5` or `0,5,10` ask for, in order, each once.

    >>> parse_levels("0,5-7")
    [0, 5, 6, 7]
    """
    found: set[int] = set()
    for piece in text.split(","):
        low, dash, high = piece.strip().partition("-")
        if not all(end.isascii() and end.isdecimal() and len(end) < 4 for end in (low, high if dash else low)):
            raise Misused(f"--levels {text!r}: say 0-10, 5, or 0,5,10")
        first, last = int(low), int(high if dash else low)
        if first > last or last > noise.LEVELS:
            raise Misused(f"--levels {text!r}: levels rise from 0 (clean) to {noise.LEVELS}")
        found |= set(range(first, last + 1))
    return sorted(found)


def _model(run: Run, request: RobustnessRequest, corpus: Prepared, split: str, cleaner: Cleaner | None) -> Model:
    reader = open_reader(run, evaluation.pick_device(request.device), request.decode, request.beam)
    about = Provenance(
        run=run,
        weights=evaluation.weights_digest(run),
        corpus=corpus,
        split=split,
        seed=request.seed,
        enhancer=cleaner.named if cleaner else evaluation.NOBODY,
    )
    short = run.name.removeprefix(f"{corpus.name}/")
    how = "" if reader.settings == run.decode else f"-{reader.settings.kind}"
    if how and reader.settings.kind == "beam":
        how += str(reader.settings.beam)
    behind = f"-behind-{cleaner.run.name.replace('/', '-')}" if cleaner else ""
    path = request.out / corpus.name / short / f"{split}{how}{behind}{archive.SUFFIX}"
    return Model(run.name, reader, about, path, cleaner)


def _reference(name: str | None, opened: Sequence[Run], models: Sequence[Model]) -> str:
    """The model that others are compared with."""
    if name is None:
        dense = [model.name for run, model in zip(opened, models, strict=True) if run.about.system == "dense"]
        return (dense or [models[0].name])[0]
    for run, model in zip(opened, models, strict=True):
        if name in (model.name, run.about.system, str(run.folder), run.folder.name):
            return model.name
    known = [model.name for model in models]
    raise Misused(f"--reference {name} is none of the models.{recipes.nearest(name, known)}")


def _to_do(model: Model, condition: Condition, utterances: int) -> bool:
    """Whether a model meets a condition, and no result of it is there."""
    if not condition.met_by(model.about.run.modality):
        return False
    return evaluation.stored_result(model.archive, condition, model.reader, model.about, utterances) is None


def _say_what_is_left(
    tasks: Sequence[Task], mine: Sequence[Condition], models: Sequence[Model], progress: Progress
) -> None:
    pairs = sum(condition.met_by(model.about.run.modality) for condition in mine for model in models)
    unmet = len(mine) * len(models) - pairs
    if unmet:
        progress.say(
            f"{unmet:,} conditions are left out: noise that a model without eyes, or without ears, never meets"
        )
    kept = pairs - sum(len(task.readers) for task in tasks)
    if kept:
        progress.say(f"{kept:,} of {pairs:,} results are there already")


def command_of(request: RobustnessRequest, model: Model, condition: Condition) -> str:
    """The command that measures one result again, alone: behind an enhancer, among what is measured of that."""
    run = str(model.about.run.folder)
    words = ["avsr-bench", "evaluate", *([str(model.cleaner.run.folder), "--read", run] if model.cleaner else [run])]
    words += request.assignments if condition.sound else ()
    words += ["--modality", model.about.run.modality] if model.about.run.view else []
    words += ["--data", model.about.corpus.location, "--split", request.split]
    words += ["--decode", model.reader.settings.kind]
    if model.reader.settings.kind == "beam":
        words += ["--beam", str(model.reader.settings.beam)]
    if condition.visual:
        words += ["--noise", condition.name]
    if condition.on == "frame":
        words += ["--apply-to", "frame", "--root", str(request.root)]
    if condition.sound:
        words += ["--sound", condition.asked]
    if condition.on:
        words += ["--seed", str(request.seed)]
    if request.limit:
        words += ["--limit", str(request.limit)]
    return shlex.join(words)


def _gather(
    models: Sequence[Model],
    conditions: Sequence[Condition],
    request: RobustnessRequest,
    places: Sequence[Place],
    reference: str,
    corpus: str,
) -> Swept:
    found: dict[tuple[str, str], Measured] = {}
    missing = 0
    for model, condition in _pairs(models, conditions):
        stored = evaluation.stored_result(model.archive, condition, model.reader, model.about, len(places))
        if stored is None:
            missing += 1
            continue
        result, heard = stored
        found[model.name, condition.name] = Measured(result, merge(map(score, heard)))
    names = tuple(model.name for model in models)
    return Swept(names, tuple(each.name for each in conditions), found, missing, reference, corpus, request.out)


def _pairs(models: Sequence[Model], conditions: Sequence[Condition]) -> Iterator[tuple[Model, Condition]]:
    for model in models:
        for condition in conditions:
            if condition.met_by(model.about.run.modality):
                yield model, condition
