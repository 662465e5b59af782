"""Which stages a board has. Everything is decided from what lies on this machine: recipes, shards, runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from .. import data, recipes, runs
from ..records import Misused, Refused
from ..training.recipe import TrainRecipe, differences, load_recipe, read_sections, rounds_of
from .settings import BoardSettings

Command = tuple[str, ...]  # words after avsr-bench
LOCAL, SHARED = Path("leaderboards/local"), Path("leaderboards")
ALL = "all"  # of --models: every recipe


@dataclass(frozen=True, slots=True)
class BoardRequest:
    """What the command line asks for."""

    corpus: str = "synth"
    root: Path | None = None  # of the corpus
    models: tuple[str, ...] = ()  # none: those of board.yaml
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
    sections: Mapping[str, Any]  # settings, as they stand in the recipe of a run
    levels: frozenset[int]  # of noise that it is read under

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
        return (self.folder / runs.WEIGHTS).is_file()


@dataclass(frozen=True, slots=True)
class Stage:
    """Commands that belong together; `reads` are given to the last one as --models, as far as they are finished."""

    name: str
    commands: tuple[Command, ...] = ()
    needs: tuple[Path, ...] = ()  # runs that it begins with
    trains: tuple[Wanted, ...] = ()
    reads: tuple[Wanted, ...] = ()


def make_plan(request: BoardRequest, settings: BoardSettings) -> tuple[Stage, ...]:
    """The stages of a board in their order. What cannot work is refused now, before the first one starts."""
    corpus = request.data
    prep = _prep(request, corpus)
    size = corpus.default_size
    systems = _systems(request.models or settings.models, settings, size)
    stages: list[Stage] = [prep]
    all_wanted: list[Wanted] = []
    for system, recipe in systems.items():
        about = runs.About(system=system, corpus=request.corpus, size=size, seed=0)
        wanted = _runs_of(recipe, runs.default_folder(about), system, settings)
        for run in wanted:
            run.is_there()
        all_wanted += wanted
        words = ("train", system, "--data", corpus.location, "--size", size, "--resume", *settings.assignments(system))
        needs = tuple(runs.default_folder(replace(about, system=needed)) for needed in _needed(recipe, size))
        stages.append(Stage(f"train {system}", (words,), needs, wanted))
        clean = _sweep(request, settings, corpus, "none", {0})
        stages.append(Stage(f"read {system}", (clean,), reads=wanted))
    done: frozenset[int] = frozenset({0})
    # Fewest levels first: all runs share those, and the page has a line of each before the long sweep.
    for asked in sorted({run.levels for run in all_wanted} - {done}, key=lambda each: (len(each), sorted(each))):
        its = tuple(run for run in all_wanted if run.levels >= asked)
        told = ", ".join(map(str, sorted(asked - {0}))) if len(asked) < 5 else f"{min(asked - {0})} to {max(asked)}"
        words = _sweep(request, settings, corpus, settings.noise, asked)
        stages.append(Stage(f"read, noise {told}", (words,), reads=its))
    return tuple(stages)


def _prep(request: BoardRequest, corpus: data.Prepared) -> Stage:
    """Prepare the corpus. Shards that are whole and have no source beside them are used as they are."""
    place = Path(corpus.location)
    sheet = Stage("corpus", (("inspect", corpus.location, "--out", str(place / "sheet.png")),))
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
    return replace(sheet, commands=(("prep", request.corpus, *root), *sheet.commands))


def _systems(names: Sequence[str], settings: BoardSettings, size: str) -> dict[str, TrainRecipe]:
    """The recipes of the systems asked for, and of those that they begin with, which go first."""
    found: dict[str, TrainRecipe] = {}

    def add(name: str) -> None:
        if name in found:
            return
        recipe = load_recipe(name, size, settings.assignments(name)).recipe
        for needed in _needed(recipe, size):
            add(needed)
        found[name] = recipe

    for name in recipes.names("models") if tuple(names) == (ALL,) else names:
        add(name)
    return found


def _needed(recipe: TrainRecipe, size: str) -> list[str]:
    """The systems whose runs, of the same size, another begins with or takes the help of."""
    helpers = [name for name, its_size in recipe.helpers(size).values() if its_size == size]
    return [name for name in (recipe.init.run, *helpers) if name in recipes.names("models")]


def _runs_of(recipe: TrainRecipe, folder: Path, system: str, settings: BoardSettings) -> tuple[Wanted, ...]:
    """The run of a recipe, or its rounds, each of which begins where the one before ended."""
    if not recipe.rounds.sparsities:
        return (Wanted(folder, recipe.sections(), settings.levels_for(system, None)),)
    return tuple(
        Wanted(home, this.sections(), settings.levels_for(system, number))
        for number, (home, this) in enumerate(rounds_of(recipe, folder), start=1)
    )


def _sweep(
    request: BoardRequest, settings: BoardSettings, corpus: data.Prepared, noise: str, levels: frozenset[int] | set[int]
) -> Command:
    words = ["robustness", "--data", corpus.location, "--out", str(request.results)]
    words += ["--noise", noise, "--levels", ",".join(map(str, sorted(levels)))]
    words += ["--decode", settings.decode] if settings.decode else []
    words += ["--limit", str(settings.limit)] if settings.limit else []
    return tuple(words)
