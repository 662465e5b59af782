"""Which stages a board has. Everything is decided from what lies on this machine: recipes, shards, runs."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from .. import data, objectives, recipes, runs
from ..evaluation import weights_digest
from ..nn import VIEWS, Modality
from ..noise import FAMILIES
from ..records import Misused, Refused
from ..training.recipe import TrainRecipe, differences, load_recipe, read_sections, rounds_of
from .kept import is_measured, to_train
from .settings import ALL, BoardSettings

Command = tuple[str, ...]  # words after avsr-bench
LOCAL, SHARED = Path("leaderboards/local"), Path("leaderboards")


@dataclass(frozen=True, slots=True)
class BoardRequest:
    """What the command line asks for."""

    corpus: str = "synth"
    root: Path | None = None  # of the corpus
    models: tuple[str, ...] = ()  # entries; none: those of board.yaml
    seeds: tuple[int, ...] = ()  # of training; none: those of board.yaml
    publish: bool = False  # write what is committed, not what is a user's own

    @property
    def data(self) -> data.Prepared:
        """Its shards: made, or going to be."""
        return data.Prepared(f"data/{self.corpus}")

    @property
    def pages(self) -> Path:
        """Where the pages go."""
        return SHARED if self.publish else LOCAL

    @property
    def results(self) -> Path:
        """Where the results go."""
        return self.pages / "results"


@dataclass(frozen=True, slots=True)
class Wanted:
    """A run as a recipe makes it."""

    folder: Path
    seed: int
    sections: Mapping[str, Any]  # settings, as they stand in the recipe of a run
    levels: frozenset[int]  # of noise that it is read under; none: it is for others to begin with

    @property
    def views(self) -> tuple[Modality | None, ...]:
        """The ways in which it is read: of a unified network each of the three, with results of its own."""
        unified = objectives.entry_of(self.sections.get("objective") or {}, str(self.folder)).reads == ("unified",)
        return VIEWS if unified else (None,)

    def is_there(self, fingerprint: str | None = None) -> bool:
        """Whether it is finished; a run of that name that is another one is refused."""
        if not (self.folder / runs.RECIPE).is_file():
            return False
        run = runs.open_run(self.folder)
        unlike = differences(read_sections(run.recipe, str(self.folder)), self.sections)
        if unlike:
            raise Refused(
                f"{self.folder} was trained with {'; '.join(unlike[:3])}: a board compares runs of its own settings"
                " (leaderboards/board.yaml); move that folder away, or leave the system out with --models"
            )
        if fingerprint not in (None, run.about.corpus_fingerprint):
            raise Refused(
                f"{self.folder} was trained on another state of {run.about.corpus}: move that folder away, or prepare"
                " the corpus as it was"
            )
        if not (self.folder / runs.WEIGHTS).is_file():
            return False
        for ancestor in run.about.budget.ancestors if run.about.budget else ():
            place = runs.ROOT / ancestor.run
            there = ancestor.weights and (place / runs.WEIGHTS).is_file()
            if there and weights_digest(runs.open_run(place)) != ancestor.weights:
                raise Refused(
                    f"{self.folder} was begun with other weights than {place} has now, which was trained anew since:"
                    f" move {self.folder} away, so that it is trained again"
                )
        return True


@dataclass(frozen=True, slots=True)
class Stage:
    """Commands that belong together; `reads` are given to the last one as --models, as far as they are finished."""

    name: str
    commands: tuple[Command, ...] = ()
    after: tuple[str, ...] = ()  # stages that have to be over
    needs: tuple[Path, ...] = ()  # runs that it begins with
    folder: Path | None = None  # of what it trains
    trains: tuple[Wanted, ...] = ()  # that run, or its rounds
    kept: bool = False  # its results stand, and nothing that has to be trained begins with it
    reads: tuple[Wanted, ...] = ()
    share: int = 1  # of the jobs that run at once: a training that takes every core takes all
    seconds: float | None = None  # expected; none where nobody knows


@dataclass(frozen=True, slots=True)
class BoardPlan:
    """The stages of a board in their order, and how many of them run at once."""

    stages: tuple[Stage, ...]
    jobs: int


@dataclass(frozen=True, slots=True)
class _Entry:
    """An entry with one seed: its recipe, the assignments that make it, and its runs."""

    name: str
    seed: int
    recipe: TrainRecipe
    assignments: tuple[str, ...]
    folder: Path
    needs: tuple[str, ...]  # entries
    wanted: tuple[Wanted, ...]  # one, or one a round


def make_plan(request: BoardRequest, settings: BoardSettings) -> BoardPlan:
    """The stages of a board in their order. What cannot work is refused now, before the first one starts."""
    corpus = request.data
    prep = _prep(request, corpus, settings)
    size = corpus.default_size
    jobs = min(settings.jobs, len(os.sched_getaffinity(0)))
    stages: list[Stage] = [prep]
    all_wanted: list[Wanted] = []
    seeds = request.seeds or settings.seeds
    entries = {
        name: [_entry(name, seed, request, settings, size) for seed in seeds]
        for name in _names(request, settings, size)
    }
    kept = {
        seed: _kept([each[turn] for each in entries.values()], request, settings) for turn, seed in enumerate(seeds)
    }
    for name, trained in entries.items():
        for entry in trained:
            stage = _training(entry, request, settings, size, jobs, len(trained) > 1)
            is_kept = name in kept[entry.seed]
            stages.append(replace(stage, kept=is_kept, seconds=0.0 if is_kept else stage.seconds))
        wanted = tuple(run for entry in trained for run in entry.wanted if run.levels)
        all_wanted += wanted
        if wanted:
            after = tuple(stage.name for stage in stages[-len(trained) :])
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


def _names(request: BoardRequest, settings: BoardSettings, size: str) -> list[str]:
    """The entries asked for, and those that they begin with, which go first."""
    asked = request.models or settings.models
    known = settings.known
    found: dict[str, None] = {}

    def add(name: str) -> None:
        if name in found:
            return
        if name not in known:
            hint = recipes.nearest(name, known)
            raise Misused(f"no entry {name!r} in leaderboards/board.yaml, and no recipe in models/.{hint}")
        recipe = load_recipe(settings.system_of(name), size, settings.assignments(name)).recipe
        for needed in _needed(recipe, size, settings):
            add(needed)
        found[name] = None

    for name in known if tuple(asked) == (ALL,) else asked:
        add(name)
    return list(found)


def _needed(recipe: TrainRecipe, size: str, settings: BoardSettings) -> tuple[str, ...]:
    """The entries whose runs, of the same size and seed, another begins with or takes the help of."""
    helpers = [name for name, its_size in recipe.helpers(size).values() if its_size == size]
    return tuple(name for name in (recipe.init.run, *helpers) if name in settings.known)


def _entry(name: str, seed: int, request: BoardRequest, settings: BoardSettings, size: str) -> _Entry:
    """The runs of an entry with one seed. `train` knows systems: other entries that it begins with are folders."""
    system, given = settings.system_of(name), settings.assignments(name)
    needs = _needed(load_recipe(system, size, given).recipe, size, settings)
    for needed in set(needs) - set(recipes.names("models")):
        last = _entry(needed, seed, request, settings, size).wanted[-1].folder
        given = tuple(f"{key}={last}" if value == needed else f"{key}={value}" for key, _, value in map(_parted, given))
    recipe = load_recipe(system, size, given).recipe
    about = runs.About(system=name, corpus=request.corpus, size=size, seed=seed, modality=recipe.entry.reads[0])
    folder = runs.default_folder(about)
    wanted: tuple[Wanted, ...]
    if recipe.rounds.sparsities:
        wanted = tuple(
            Wanted(home, seed, this.sections(), settings.levels_for(name, number))
            for number, (home, this) in enumerate(rounds_of(recipe, folder), start=1)
        )
    else:
        wanted = (Wanted(folder, seed, recipe.sections(), settings.levels_for(name, None)),)
    return _Entry(name, seed, recipe, given, folder, needs, wanted)


def _parted(assignment: str) -> tuple[str, str, str]:
    return assignment.partition("=")


def _training(
    entry: _Entry, request: BoardRequest, settings: BoardSettings, size: str, jobs: int, several: bool
) -> Stage:
    """The stage that trains an entry with one seed."""
    there = [run.is_there() for run in entry.wanted]  # each of them: one that is another run is refused
    system = settings.system_of(entry.name)
    words = ["train", system, "--data", request.data.location, "--size", size]
    words += ["--seed", str(entry.seed)] if entry.seed else []
    words += ["--out", str(entry.folder)] if entry.name != system else []
    needed = [_entry(name, entry.seed, request, settings, size) for name in entry.needs]
    threads, updates = entry.recipe.train.threads, entry.recipe.train.steps
    pace = settings.seconds
    alone = threads is None or threads * jobs > len(os.sched_getaffinity(0))
    known = 0.0 if all(there) else None
    if not all(there) and updates and pace.update:
        known = pace.start + updates * pace.update * len(entry.wanted)
    return Stage(
        _named(entry.name, entry.seed, several),
        ((*words, "--resume", *entry.assignments),),
        after=("corpus", *(_named(each.name, each.seed, several) for each in needed)),
        needs=tuple(each.wanted[-1].folder for each in needed),
        folder=entry.folder,
        trains=entry.wanted,
        share=jobs if alone else 1,
        seconds=known,
    )


def _kept(entries: Sequence[_Entry], request: BoardRequest, settings: BoardSettings) -> set[str]:
    """The entries of a seed that need not be trained, because their results stand."""
    there = {each.name for each in entries if all(run.is_there() for run in each.wanted)}
    measured = {
        each.name
        for each in entries
        if all(not run.levels or measured_run(run, request, settings) for run in each.wanted)
    }
    left = to_train({each.name: each.needs for each in entries}, there, measured)
    return {each.name for each in entries} - left - there


def measured_run(run: Wanted, request: BoardRequest, settings: BoardSettings, fingerprint: str | None = None) -> bool:
    """Whether the results of a run stand where the board keeps them."""
    place = request.results / request.corpus
    name = runs.name_of(run.folder).removeprefix(f"{request.corpus}/")
    return all(
        is_measured(
            place / runs.seen_name(name, view), run.sections, run.levels, settings.noise, settings.limit, fingerprint
        )
        for view in run.views
    )


def _named(name: str, seed: int, several: bool) -> str:
    return f"train {name}, seed {seed}" if several else f"train {name}"


def _reading(settings: BoardSettings, wanted: Sequence[Wanted], levels: frozenset[int] = frozenset()) -> float | None:
    """Seconds to read runs, on clean clips or under levels of noise, if nothing is there yet."""
    pace = settings.seconds
    families = len(FAMILIES) if settings.noise == "all" else settings.noise.count(",") + 1
    conditions = sum(len(run.views) for run in wanted) * (families * len(levels) if levels else 1)
    return pace.start + conditions * pace.condition if pace.condition else None


def _sweep(
    request: BoardRequest, settings: BoardSettings, corpus: data.Prepared, noise: str, levels: frozenset[int] | set[int]
) -> Command:
    words = ["robustness", "--data", corpus.location, "--out", str(request.results)]
    words += ["--noise", noise, "--levels", ",".join(map(str, sorted(levels)))]
    words += ["--decode", settings.decode] if settings.decode else []
    words += ["--limit", str(settings.limit)] if settings.limit else []
    return tuple(words)
