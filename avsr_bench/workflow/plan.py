"""Which stages a board has. Everything is decided from what lies on this machine: recipes, shards, runs."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from .. import data, recipes, runs
from ..noise import FAMILIES
from ..noise import sound as ear
from ..records import Misused, Refused
from .entries import Entry, Wanted, make_entries
from .kept import kept_entries, measured_run
from .request import BoardRequest
from .settings import BoardSettings

Command = tuple[str, ...]  # words after avsr-bench


@dataclass(frozen=True, slots=True)
class Stage:
    """Commands that belong together; `reads` are given to the last one as --models, as far as they are finished."""

    name: str
    commands: tuple[Command, ...] = ()
    after: tuple[str, ...] = ()  # stages that have to be over
    needs: tuple[str, ...] = ()  # those among them that have to end well
    folder: Path | None = None  # of what it trains
    trains: tuple[Wanted, ...] = ()  # that run, or its rounds
    labels: tuple[Wanted, ...] = ()  # or the runs that are trained on the labels that it makes
    kept: bool = False  # the results of these stand, and nothing that has to be trained needs them
    reads: tuple[Wanted, ...] = ()
    measures: tuple[Wanted, ...] = ()  # enhancers
    share: int = 1  # of the jobs that run at once: a training that takes every core takes all
    seconds: float | None = None  # expected; none where nobody knows

    @property
    def serves(self) -> tuple[Wanted, ...]:
        """The runs without which there would be no such stage: once they are finished, there is nothing to do."""
        return self.trains or self.labels


@dataclass(frozen=True, slots=True)
class BoardPlan:
    """The stages of a board in their order, and how many of them run at once."""

    stages: tuple[Stage, ...]
    jobs: int


def make_plan(request: BoardRequest, settings: BoardSettings) -> BoardPlan:
    """The stages of a board in their order. What cannot work is refused now, before the first one starts."""
    corpus = request.data
    prep = _prep(request, corpus, settings)
    size = corpus.default_size
    jobs = min(settings.jobs, len(os.sched_getaffinity(0)))
    entries = make_entries(request, settings, size)
    seeds = {seed for of in entries.values() for seed in of}
    readers = [
        (each.reader.seed, each.reader.name)
        for of in entries.values()
        for each in of.values()
        if each.reader and not all(measured_run(run, request, settings) for run in each.wanted)
    ]
    kept = {
        seed: kept_entries(
            [of[seed] for of in entries.values()], request, settings, {name for at, name in readers if at == seed}
        )
        for seed in seeds
    }
    stages: list[Stage] = [prep]
    all_wanted: list[Wanted] = []
    for name, trained in entries.items():
        several = len(trained) > 1
        for seed, entry in trained.items():
            stage = _training(entry, request, settings, size, jobs, several)
            is_kept = name in kept[seed]
            stages.append(replace(stage, kept=is_kept, seconds=0.0 if is_kept else stage.seconds))
            pupils = [of[seed] for of in entries.values() if of[seed].labels_by == name]
            if pupils:
                stages.append(_labelling(entry, pupils, kept[seed], request, settings, several))
            if settings.entry(name).sound:
                stages.append(_measuring(entry, request, settings, several))
        wanted = tuple(run for entry in trained.values() for run in entry.wanted if run.levels)
        all_wanted += wanted
        if wanted:
            after = tuple(_named("train", entry, several) for entry in trained.values())
            clean = _sweep(request, settings, corpus, "none", {0})
            stages.append(Stage(f"read {name}", (clean,), after, reads=wanted, seconds=_reading(settings, wanted)))
    done: frozenset[int] = frozenset({0})
    # Fewest levels first: all runs share those, and the page has a line of each before the long sweep. One sweep after
    # the other: each has the archives of its runs for itself.
    for asked in sorted({run.levels for run in all_wanted} - {done}, key=lambda each: (len(each), sorted(each))):
        its = tuple(run for run in all_wanted if run.levels >= asked)
        said = ", ".join(map(str, sorted(asked - {0}))) if len(asked) < 5 else f"{min(asked - {0})} to {max(asked)}"
        words = _sweep(request, settings, corpus, settings.noise, asked)
        after = tuple(stage.name for stage in stages)
        seconds = _reading(settings, its, asked - done)
        stages.append(Stage(f"read, noise {said}", (words,), after, reads=its, share=jobs, seconds=seconds))
        done |= asked
    return BoardPlan(tuple(stages), jobs)


def _prep(request: BoardRequest, corpus: data.Prepared, settings: BoardSettings) -> Stage:
    """Prepare the corpus. Shards that are whole and have no source beside them are used as they are."""
    place = Path(corpus.location)
    sheet = Stage("corpus", (("inspect", corpus.location, "--out", str(place / "sheet.png")),), seconds=0.0)
    whole = (place / "prep.json").is_file() and all(
        (split["counts"] or {}).get("finished") == split["shards"]  # none: prep was interrupted
        for split in corpus.prep["splits"].values()
    )
    known = recipes.names("pipelines")
    if request.corpus not in known:
        if whole and request.root is not None:
            raise Misused(f"--root {request.root} has no effect: no recipe prepares {request.corpus}, {place} is used")
        if whole:
            return sheet
        hint = recipes.nearest(request.corpus, known)
        raise Refused(f"there is no recipe pipelines/{request.corpus}.yaml, and no whole corpus in {place}.{hint}")
    source = recipes.section(recipes.load(known[request.corpus]), "corpus", request.corpus).get("root")
    if request.root is None and whole and not (source and Path(source).is_dir()):
        return sheet
    root = () if request.root is None else ("--root", str(request.root))
    seconds = 0.0 if whole else settings.seconds.corpus or None
    return replace(sheet, commands=(("prep", request.corpus, *root), *sheet.commands), seconds=seconds)


def _training(
    entry: Entry, request: BoardRequest, settings: BoardSettings, size: str, jobs: int, several: bool
) -> Stage:
    """The stage that trains an entry with one seed."""
    there = [run.is_there() for run in entry.wanted]  # each of them: one that is another run is refused
    modality = settings.entry(entry.name).modality
    words = ["train", entry.system, "--data", request.data.location, "--size", size]
    words += ["--modality", modality] if modality else []
    words += ["--seed", str(entry.seed)] if entry.seed else []
    words += ["--out", str(entry.folder)] if entry.name != entry.system else []
    threads, updates = entry.recipe.train.threads, entry.recipe.train.steps
    pace = settings.seconds
    alone = threads is None or threads * jobs > len(os.sched_getaffinity(0))
    known = 0.0 if all(there) else None
    if not all(there) and updates and pace.update:
        known = pace.start + updates * pace.update * len(entry.wanted)
    needs = [_of_seed("train", name, entry.seed, several) for name in entry.begins_with]
    needs += [_of_seed("label by", entry.labels_by, entry.seed, several)] if entry.labels_by else []
    return Stage(
        _named("train", entry, several),
        ((*words, "--resume", *entry.assignments),),
        after=("corpus", *needs),
        needs=tuple(needs),
        folder=entry.folder,
        trains=entry.wanted,
        share=jobs if alone else 1,
        seconds=known,
    )


def _labelling(
    labeller: Entry,
    pupils: Sequence[Entry],
    kept: Collection[str],
    request: BoardRequest,
    settings: BoardSettings,
    several: bool,
) -> Stage:
    """The stage in which the run of an entry labels the training clips for others; `kept` are not trained."""
    left = [each for each in pupils if each.name not in kept]
    serves = tuple(run for each in left or pupils for run in each.wanted)
    run = labeller.wanted[-1]
    words = ["label", request.data.location, "--with", str(run.folder), "--name", labeller.overlay]
    words += ["--modality", "av"] if run.reads == "unified" else []  # it reads best what it sees and hears
    words += ["--decode", settings.decode] if settings.decode else []
    pace = settings.seconds
    known = pace.start + pace.label if pace.label else None
    trained = _named("train", labeller, several)
    return Stage(
        _named("label by", labeller, several),
        (tuple(words),),
        after=("corpus", trained),
        needs=(trained,),
        labels=serves,
        kept=not left,
        seconds=0.0 if all(run.is_there() for run in serves) or not left else known,
    )


def _measuring(entry: Entry, request: BoardRequest, settings: BoardSettings, several: bool) -> Stage:
    """The stage that measures an enhancer, with its clips' own lips, others' and none, and what its reader hears."""
    same = ["--data", request.data.location]
    same += ["--decode", settings.decode] if settings.decode and entry.reader else []
    same += ["--limit", str(settings.limit)] if settings.limit else []
    reader = entry.reader.wanted[-1].folder if entry.reader else None
    commands: list[Command] = []
    for run in entry.wanted:
        for sound in run.sounds:
            words = ("evaluate", str(run.folder), *same, f"--sound={sound}")
            words += ("--out", str(request.results / runs.name_of(run.folder)))
            words += ("--read", str(reader)) if reader else ()
            commands.append(words)
            if run.reads != "audio":
                commands += [(*words, "--lips", shown) for shown in ("other", "none")]
    pace = settings.seconds
    ratios = sum(len(ear.parse(sound)) for run in entry.wanted for sound in run.sounds)
    ways = 1 if entry.reads == "audio" else 3
    known = len(commands) * pace.start + (ways * (ratios + 1)) * pace.condition if pace.condition else None
    if reader:
        sounds = [f"--sound={sound}" for sound in entry.wanted[-1].sounds]
        words = ("robustness", *same, "--models", str(reader), "--noise", "none", *sounds)
        commands.append((*words, "--out", str(request.results)))
    trained = [_named("train", entry, several)]
    trained += [_named("train", entry.reader, several)] if entry.reader else []
    return Stage(
        _named("measure", entry, several),
        tuple(commands),
        after=tuple(trained),
        needs=tuple(trained),
        measures=entry.wanted,
        seconds=known,
    )


def _named(work: str, entry: Entry, several: bool) -> str:
    return _of_seed(work, entry.name, entry.seed, several)


def _of_seed(work: str, name: str, seed: int, several: bool) -> str:
    return f"{work} {name}, seed {seed}" if several else f"{work} {name}"


def _reading(settings: BoardSettings, wanted: Sequence[Wanted], levels: frozenset[int] = frozenset()) -> float | None:
    """Seconds to read runs, on clean clips or under levels of noise, if nothing is there yet."""
    pace = settings.seconds
    families = len(FAMILIES) if settings.noise == "all" else settings.noise.count(",") + 1
    asked = [of & levels if levels else of & {0} for run in wanted for of in run.views.values()]
    conditions = sum(families * len(each) if levels else len(each) for each in asked)
    return pace.start + conditions * pace.condition if pace.condition else None


def _sweep(
    request: BoardRequest, settings: BoardSettings, corpus: data.Prepared, noise: str, levels: frozenset[int] | set[int]
) -> Command:
    words = ["robustness", "--data", corpus.location, "--out", str(request.results)]
    words += ["--noise", noise, "--levels", ",".join(map(str, sorted(levels)))]
    words += ["--decode", settings.decode] if settings.decode else []
    words += ["--limit", str(settings.limit)] if settings.limit else []
    return tuple(words)
