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
from ..evaluation import CLEAN, Condition, Provenance, Reader, Task
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
from ..nn import VIEWS, Modality
from ..records import Misused, Refused
from ..runs import Run
from ..scoring import Result, Score, archive, merge, score

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


@dataclass(frozen=True, slots=True)
class Model:
    """A run in the sweep."""

    name: str  # as tables call it
    reader: Reader
    about: Provenance
    archive: Path  # of its results


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


def robustness(request: RobustnessRequest, progress: Progress) -> Swept:
    """Read what has not been read yet, and gather everything."""
    check_used(
        request.noise != "none", bool(request.sounds), request.assignments, request.apply_to, request.root, request.seed
    )
    corpus = find_corpus(request.data, request.models)
    opened = [seen for run in open_runs(request.models, corpus) for seen in _views(run, request.modality)]
    modalities: list[Modality] = [run.modality for run in opened]
    conditions = asked_for(request, corpus)
    check_met(modalities, conditions)
    union: Modality = modalities[0] if len(set(modalities)) == 1 else "av"
    places, split = chosen(corpus, request.split, union, request.limit)
    models = [_model(run, request, corpus, split) for run in opened]
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
        _measure(request, mine, models, places, union, progress)
    return _gather(models, conditions, request, places, reference, corpus.name)


def _measure(
    request: RobustnessRequest,
    mine: Sequence[Condition],
    models: Sequence[Model],
    places: Sequence[Place],
    union: Modality,
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
    with showing(corpus, places, union, wanted, request.root, request.seed, request.workers) as show:
        progress.begin("robustness", sum(len(task.readers) for task in tasks) * len(places), "utterances")
        for heard in evaluation.sweep(tasks, places, show, request.workers, lambda: progress.step(None)):
            model = by_reader[heard.reader]
            about = replace(model.about, command=command_of(request, model, heard.condition))
            name = evaluation.result_name(heard.condition, request.seed)
            archive.write(model.archive, name, evaluation.make_result(heard, about), heard.utterances)


def open_runs(names: Sequence[str], corpus: Prepared) -> list[Run]:
    """The runs named, or every finished one on the corpus; two of one name are refused."""
    opened = [runs.open_run(runs.find_run(name, corpus.name)) for name in names or default_models(corpus.name)]
    seen: dict[str, Run] = {}
    for run in opened:
        if run.name in seen:
            raise Misused(f"--models names {run.name} twice ({seen[run.name].folder} and {run.folder}): give it once")
        seen[run.name] = run
    return opened


def _views(run: Run, modality: Modality | None) -> list[Run]:
    """A run in each of the ways in which it is read."""
    if run.about.modality != "unified":
        return [run]
    return [run.seen_as(view) for view in ((modality,) if modality else VIEWS)]


def default_models(corpus: str, root: Path = runs.ROOT) -> list[str]:
    """Every finished run on a corpus, dense ones first; rounds of pruning have to be named."""
    found = sorted(path.parent for path in root.glob(f"{corpus}/*/{runs.WEIGHTS}"))
    if not found:
        raise Refused(
            f"no finished run is in {root}/{corpus}: train one with `avsr-bench train dense`, or give --models"
        )
    return [str(path) for path in sorted(found, key=lambda path: (not path.name.startswith("dense-"), path.name))]


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


def _model(run: Run, request: RobustnessRequest, corpus: Prepared, split: str) -> Model:
    reader = open_reader(run, evaluation.pick_device(request.device), request.decode, request.beam)
    about = Provenance(run=run, weights=evaluation.weights_digest(run), corpus=corpus, split=split, seed=request.seed)
    short = run.name.removeprefix(f"{corpus.name}/")
    how = "" if reader.settings == run.decode else f"-{reader.settings.kind}"
    if how and reader.settings.kind == "beam":
        how += str(reader.settings.beam)
    path = request.out / corpus.name / short / f"{split}{how}{archive.SUFFIX}"
    return Model(run.name, reader, about, path)


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
    """The command that measures one result again, alone."""
    words = ["avsr-bench", "evaluate", str(model.about.run.folder)]
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
