"""Which runs a board has: its entries with every seed, and which others each of them needs first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import recipes, runs
from ..evaluation import weights_digest
from ..nn import VIEWS, Modality, Reads
from ..records import Misused, Refused
from ..training.recipe import TrainRecipe, differences, load_recipe, read_sections, rounds_of
from .request import BoardRequest
from .settings import ALL, BoardSettings


@dataclass(frozen=True, slots=True)
class Wanted:
    """A run as a recipe makes it."""

    folder: Path
    seed: int
    sections: Mapping[str, Any]  # settings, as they stand in the recipe of a run
    levels: frozenset[int]  # of noise that it is read under; none: it is for others to begin with
    reads: Reads
    sounds: tuple[str, ...] = ()  # of an enhancer: what it is measured under
    read_by: str = ""  # the run that reads its output then

    @property
    def is_measured(self) -> bool:
        """Whether there are to be results of it."""
        return bool(self.levels or self.sounds)

    @property
    def views(self) -> dict[Modality | None, frozenset[int]]:
        """The ways in which it is read, each with results of its own, and the levels of each: a unified run has three.

        Noise of a board is on pictures: who only hears has clean clips alone.
        """
        if self.reads == "unified":
            return {view: self.levels & {0} if view == "audio" else self.levels for view in VIEWS}
        return {None: self.levels}

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
class Entry:
    """An entry with one seed: its recipe, the assignments that make it, and its runs."""

    name: str
    seed: int
    system: str
    recipe: TrainRecipe
    reads: Reads
    assignments: tuple[str, ...]
    folder: Path
    begins_with: tuple[str, ...]  # entries whose runs of the same seed it begins with, or that help it
    labels_by: str | None  # the entry whose run labels clips for it
    reader: Entry | None  # whose run reads what it makes of sound; one for all seeds, which are one row then
    wanted: tuple[Wanted, ...]  # one, or one a round

    @property
    def needs(self) -> tuple[str, ...]:
        """All entries that are trained before it."""
        return (*self.begins_with, *filter(None, (self.labels_by,)))

    @property
    def overlay(self) -> str:
        """The name of the labels that its run gives: of the run, so that seeds and sizes have labels of their own."""
        return self.folder.name.replace(".", "_")


def make_entries(request: BoardRequest, settings: BoardSettings, size: str) -> dict[str, dict[int, Entry]]:
    """The entries asked for and those that they need, which go first: by name, then by seed."""
    found: dict[str, dict[int, Entry]] = {}
    readers: dict[str, Entry] = {}
    for name in _names(request, settings, size):
        found[name] = {
            seed: _entry(name, seed, request, settings, size, {other: of[seed] for other, of in found.items()}, readers)
            for seed in request.seeds or settings.seeds
        }
        readers[name] = next(iter(found[name].values()))
    return found


def _names(request: BoardRequest, settings: BoardSettings, size: str) -> list[str]:
    asked = request.models or settings.models
    known = settings.known
    found: dict[str, None] = {}

    def add(name: str, chain: tuple[str, ...]) -> None:
        if name in found:
            return
        if name not in known:
            hint = recipes.nearest(name, known)
            raise Misused(f"no entry {name!r} in leaderboards/board.yaml, and no recipe in models/.{hint}")
        if name in chain:
            raise Misused(
                f"{name} cannot be trained: it needs itself first ({' -> '.join((*chain, name))}); change an init.run,"
                " a teacher, a labels_by or a read_by in leaderboards/board.yaml"
            )
        recipe = load_recipe(settings.system_of(name), size, settings.assignments(name)).recipe
        own = settings.entry(name)
        for needed in (*_begins_with(recipe, size, settings), *filter(None, (own.labels_by, own.read_by))):
            add(needed, (*chain, name))
        found[name] = None

    for name in known if tuple(asked) == (ALL,) else asked:
        add(name, ())
    return list(found)


def _begins_with(recipe: TrainRecipe, size: str, settings: BoardSettings) -> tuple[str, ...]:
    """The entries whose runs, of the same size and seed, another begins with or takes the help of."""
    helpers = [name for name, its_size in recipe.helpers(size).values() if its_size == size]
    return tuple(name for name in (recipe.init.run, *helpers) if name in settings.known)


def _entry(
    name: str,
    seed: int,
    request: BoardRequest,
    settings: BoardSettings,
    size: str,
    before: Mapping[str, Entry],
    readers: Mapping[str, Entry],
) -> Entry:
    """The runs of an entry with one seed. `train` knows systems: other entries that it begins with are folders."""
    system, own = settings.system_of(name), settings.entry(name)
    given = settings.assignments(name)
    begins_with = _begins_with(load_recipe(system, size, given).recipe, size, settings)
    for needed in set(begins_with) - set(recipes.names("models")):
        last = before[needed].wanted[-1].folder
        given = tuple(f"{key}={last}" if value == needed else f"{key}={value}" for key, _, value in map(_parted, given))
    if own.labels_by:
        given = (*given, f"data.labels={_labeller(name, before[own.labels_by], given).overlay}")
    recipe = load_recipe(system, size, given).recipe
    if own.modality and own.modality not in recipe.entry.reads:
        raise Misused(f"entries.{name}.modality: {system} is never of {own.modality}: leave it out")
    reads: Reads = own.modality or recipe.entry.reads[0]
    for needed in begins_with:
        if before[needed].reads not in (reads, "av", "unified"):
            raise Misused(
                f"entries.{name}: it is of the modality {reads}, and {needed}, which it begins with or learns from, of"
                f" {before[needed].reads}: name an entry of its modality, or give {needed} one (modality)"
            )
    about = runs.About(system=name, corpus=request.corpus, size=size, seed=seed, modality=reads)
    folder = runs.default_folder(about)
    homes = rounds_of(recipe, folder) or ((folder, recipe),)
    reader = _reader(name, recipe, readers[own.read_by] if own.read_by else None, own.sound)
    read_by = runs.name_of(reader.wanted[-1].folder) if reader else ""
    wanted = []
    for number, (home, this) in enumerate(homes, start=1):
        levels = settings.levels_for(name, number if recipe.rounds.sparsities else None)
        levels = levels & {0} if reads == "audio" else levels
        levels = levels if recipe.entry.leaves == "recogniser" else frozenset()  # the others read nothing
        wanted.append(Wanted(home, seed, this.sections(), levels, reads, own.sound, read_by))
    return Entry(name, seed, system, recipe, reads, given, folder, begins_with, own.labels_by, reader, tuple(wanted))


def _labeller(name: str, labeller: Entry, given: tuple[str, ...]) -> Entry:
    """Who labels for an entry; one that cannot is refused."""
    if labeller.recipe.entry.leaves != "recogniser":
        raise Misused(f"entries.{name}.labels_by: {labeller.name} learns without text, and reads nothing: name another")
    if any(key == "data.labels" for key, _, _ in map(_parted, given)):
        raise Misused(f"entries.{name} has labels_by and data.labels, and a run has labels of one kind: leave one out")
    return labeller


def _reader(name: str, recipe: TrainRecipe, reader: Entry | None, sounds: Sequence[str]) -> Entry | None:
    """Who reads what an entry makes of sound; refused where it makes none, or where its reader does not hear."""
    if sounds and recipe.entry.leaves != "enhancer":
        raise Misused(f"entries.{name}.sound is for enhancers, and it is none: leave it out")
    if reader and (reader.recipe.entry.leaves != "recogniser" or reader.reads not in ("audio", "av")):
        raise Misused(f"entries.{name}.read_by: {reader.name} is no recogniser that hears: name one (modality: audio)")
    return reader


def _parted(assignment: str) -> tuple[str, str, str]:
    return assignment.partition("=")
