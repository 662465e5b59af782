"""What leaderboards/board.yaml says: which networks stand on a board, how long each trains, under what it is read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal

from annotated_types import Interval, Len

from .. import recipes
from ..nn import Modality
from ..noise import sound as ear
from ..records import Misused, Refused, Seed
from ..robustness import parse_levels

ALL = "all"  # of --models: every entry of the board, and every recipe
DEFAULT = "default"  # in `settings`: of every system; a line of its own is laid over it
Assignments = Annotated[tuple[str, ...], Len(0, 1000)]  # key=value
Seconds = Annotated[float, Interval(ge=0, le=10**6)]


@dataclass(frozen=True, slots=True)
class EntrySettings:
    """A network of the board: a system with settings of its own."""

    system: str | None = None  # a recipe of models/; none: the one of the entry's name
    settings: Assignments = ()  # over those of its system and of all
    read: bool = True  # false: it is trained for others to begin with or to be labelled by, and has no row
    modality: Modality | None = None  # none: lips, or what its objective needs
    labels_by: str | None = None  # an entry, whose run of the same seed labels the training clips before
    sound: Annotated[tuple[str, ...], Len(0, 100)] = ()  # of an enhancer: what it is measured under, KIND:DB,DB
    read_by: str | None = None  # of an enhancer: an entry, whose run of the first seed reads the output of all seeds


@dataclass(frozen=True, slots=True)
class SecondsSettings:
    """What was measured before, for the times that are shown at the start; 0 where nobody measured."""

    corpus: Seconds = 0.0  # to prepare it
    update: Seconds = 0.0  # of training, with as many beside it as `jobs` says
    condition: Seconds = 0.0  # to read the test clips under one noise and level
    label: Seconds = 0.0  # to label the training clips
    start: Seconds = 0.0  # of a command, before it does anything


@dataclass(frozen=True, slots=True)
class BoardSettings:
    """A board of one corpus."""

    models: Annotated[tuple[str, ...], Len(1, 1000)]  # entries, in the order of their training, when none are asked for
    entries: dict[str, EntrySettings] = field(default_factory=dict)  # beside the recipes of models/
    seeds: Annotated[tuple[Seed, ...], Len(1, 100)] = (0,)  # of training; each entry is trained with all of them
    jobs: Annotated[int, Interval(ge=1, le=64)] = 1  # trainings at once, where each is content with its share of cores
    # key=value laid over recipes: of all (default), of a system, of an entry.
    settings: dict[str, Assignments] = field(default_factory=dict)
    noise: str = "all"  # families
    levels: str = "0,5,10"  # that a run is read under; 0 are the clean clips
    round_levels: str = "0"  # the same of a round of pruning
    # Of one entry, a round of it, or several: msrs, sparsevsr/round-05, "*-90". A whole name goes before a pattern.
    levels_of: dict[str, str] = field(default_factory=dict)
    decode: Literal["beam", "ctc", "attention"] | None = "ctc"  # greedy, the fastest; none: as each recipe says
    limit: Annotated[int, Interval(ge=1, le=10**7)] | None = None  # of the test clips; none: all
    seconds: SecondsSettings = field(default_factory=SecondsSettings)

    def __post_init__(self) -> None:
        for levels in (self.levels, self.round_levels, *self.levels_of.values()):
            if 0 not in parse_levels(levels):
                raise Misused(f"levels {levels!r} lack 0, the clean clips, which every row has")
        if len(set(self.seeds)) < len(self.seeds):
            raise Misused(f"seeds {list(self.seeds)}: one of them is there twice")
        known = recipes.names("models")
        for name, entry in self.entries.items():
            if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", name):
                raise Misused(f"entries.{name[:60]}: a name is letters, digits and - . _, as its runs are folders")
            if name == ALL:
                raise Misused(f"entries.{ALL}: `--models {ALL}` is every entry: choose another name")
            if name in known and entry.system not in (None, name):
                raise Misused(f"entries.{name} is of the system {entry.system}, but {name} is a recipe: rename it")
            if self.system_of(name) not in known:
                hint = recipes.nearest(self.system_of(name), known)
                raise Misused(f"entries.{name}: no system {self.system_of(name)!r} in models/.{hint}")
            if entry.labels_by not in (None, *self.known):
                hint = recipes.nearest(entry.labels_by or "", self.known)
                raise Misused(f"entries.{name}.labels_by: no entry {entry.labels_by!r}.{hint}")
            if entry.read_by not in (None, *self.known):
                hint = recipes.nearest(entry.read_by or "", self.known)
                raise Misused(f"entries.{name}.read_by: no entry {entry.read_by!r}.{hint}")
            if entry.read_by and not entry.sound:
                raise Misused(f"entries.{name}.read_by: nothing is read without sound: add sound: ['voice:-5,0,5']")
            for sound in entry.sound:
                try:
                    ear.parse(sound)
                except Refused as refused:
                    raise Misused(f"entries.{name}.sound: {refused}") from None

    @property
    def known(self) -> dict[str, None]:
        """Every entry by name: those of the file, and the recipes of models/ under their own names."""
        return dict.fromkeys([*self.entries, *recipes.names("models")])

    def entry(self, name: str) -> EntrySettings:
        """What is said of an entry; nothing of a recipe under its own name."""
        return self.entries.get(name, EntrySettings())

    def system_of(self, name: str) -> str:
        """The recipe that an entry is trained by."""
        return self.entry(name).system or name

    def assignments(self, name: str) -> tuple[str, ...]:
        """What is laid over the recipe of an entry: the settings of all, of its system, its own, those of its name."""
        own = self.entry(name).settings
        of_name = self.settings.get(name, ()) if name != self.system_of(name) else ()
        every = (*self.settings.get(DEFAULT, ()), *self.settings.get(self.system_of(name), ()), *own, *of_name)
        return tuple({each.partition("=")[0]: each for each in every}.values())

    def levels_for(self, name: str, number: int | None) -> frozenset[int]:
        """The levels that the run of an entry, or a round of it, is read under."""
        if not self.entry(name).read:
            return frozenset()
        run = name if number is None else f"{name}/round-{number:02d}"
        fitting = [levels for pattern, levels in self.levels_of.items() if fnmatchcase(run, pattern)]
        every = self.levels if number is None else self.round_levels
        return frozenset(parse_levels(self.levels_of.get(run, next(iter(fitting), every))))


def load_settings(corpus: str) -> BoardSettings:
    """The settings for a corpus: those of all, and its section under `corpora` laid over them."""
    path = recipes.find("leaderboards", "board")
    content = recipes.load(path)
    sections = recipes.section(content, "corpora", path)
    shared = {name: value for name, value in content.items() if name != "corpora"}
    return recipes.build(BoardSettings, _laid_over(shared, recipes.section(sections, corpus, path)), str(path))


def _laid_over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    both = {
        key: {**below[key], **value}
        for key, value in above.items()
        if isinstance(value, Mapping) and isinstance(below.get(key), Mapping)
    }
    return {**below, **above, **both}
