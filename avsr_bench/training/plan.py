"""From a request to a plan: everything that is decided before anything is read or trained.

A plan is a list of runs in the order in which they are trained: those that others begin with or learn from, then what
was asked for, its rounds among it.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from .. import data, methods, nn, objectives, provenance, recipes, runs
from ..data import Prepared
from ..nn import Modality, Reads
from ..records import Misused, Refused
from ..runs import About
from .average import moments
from .logs import check_logs
from .machine import check_memory, check_started_outside, devices_for
from .recipe import TrainRecipe, load_recipe, rounds_of

# Updates of a run by epochs, which are counted, and checked again, when its clips are read: so many that fractions of
# them compare as they will then, and that a setting which is a number of updates is not too large.
UNKNOWN = 10**12
PLACEMENT = ("train.device", "train.devices", "train.nodes")
LATER = "leave it out, and say --modality when you use it"
LEARNS: dict[tuple[Reads, ...], str] = {
    ("av",): f"learns from lips and sound at once: {LATER}",
    ("unified",): f"learns to read lips, to hear and to do both: {LATER}",
    ("av", "audio"): "makes sound of lips and sound (av), or of sound alone (audio)",
}
FORM = {"init": ("network", "text"), "helper": ("text",)}  # sections in which a run must be like the one it needs


@dataclass(frozen=True, slots=True)
class TrainRequest:
    """What the command line asks for."""

    system: str
    data: str | None = None
    size: str | None = None
    modality: Modality | None = None  # none: lips, or what the objective needs
    seed: int = 0
    out: Path | None = None
    resume: bool = False
    assignments: tuple[str, ...] = ()
    command: str = ""


@dataclass(frozen=True, slots=True)
class PlannedRun:
    """One run, decided."""

    title: str  # the line that announces it
    about: About
    recipe: TrainRecipe
    path: Path  # of its recipe
    origins: Mapping[str, str]  # of its settings
    folder: Path
    resume: bool
    initial: Path | None = None  # a run, or a file of weights, that it begins with
    helpers: Mapping[str, Path] = field(default_factory=dict)  # runs by the setting of the objective
    follows: bool = False  # whether it is a round after another, and so begins with the last weights of that
    followed: bool = False  # whether another round begins with its last weights


@dataclass(frozen=True, slots=True)
class Plan:
    """What a request comes to."""

    corpus: Prepared
    runs: tuple[PlannedRun, ...]
    asked: tuple[Path, ...]  # folders of the runs that were asked for


def make_plan(request: TrainRequest) -> Plan:
    """Decide everything about a request; what cannot be trained is refused here, by name."""
    corpus = data.find_data(request.data)
    planner = _Planner(request, corpus)
    asked = planner.add(request, ())
    if planner.unlike:
        raise Refused(planner.unlike[0])
    if len(planner.runs) > 1:
        for run in planner.runs:
            check_started_outside(run.recipe.train)
    return Plan(corpus, tuple(planner.runs), asked)


def check_average(recipe: TrainRecipe, where: str) -> None:
    """Refuse a method that would change masks between the snapshots of a run."""
    train = recipe.train
    steps = train.steps or UNKNOWN
    first = min(moments(steps, train.average, train.average_fraction))
    methods.check_average(recipe.method, where, steps, first)


@dataclass(slots=True)
class _Planner:
    request: TrainRequest
    corpus: Prepared
    runs: list[PlannedRun] = field(default_factory=list)
    unlike: list[str] = field(default_factory=list)  # why runs that would be trained first would not do

    def add(self, request: TrainRequest, chain: tuple[tuple[str, str], ...], why: str = "") -> tuple[Path, ...]:
        """Plan what a request needs and then its own run, or its rounds; their folders."""
        size = request.size or self.corpus.default_size
        loaded = load_recipe(request.system, size, request.assignments)
        devices = devices_for(loaded.recipe.train)[1]
        check_logs(loaded.recipe.train.log)
        # The epoch plan is made for so many ranks: a run is resumed with as many.
        recipe = replace(loaded.recipe, train=replace(loaded.recipe.train, devices=devices))
        entry = recipe.entry
        if request.modality is not None and request.modality not in entry.reads:
            raise Misused(f"--modality {request.modality}: {request.system} {LEARNS[entry.reads]}")
        if recipe.train.compile and not entry.compiles:
            raise Misused(f"train.compile=true: not with objective.name={recipe.objective.get('name')}; leave it out")
        modality: Reads = request.modality or entry.reads[0]
        if recipe.augment.video_dropout and modality in ("video", "unified"):
            raise Misused(
                f"augment.video_dropout={recipe.augment.video_dropout:g} hides whole clips from a network that reads"
                " lips alone: leave it out, or train one of lips and sound (--modality av)"
            )
        about = About(
            system=request.system,
            corpus=self.corpus.name,
            size=size,
            modality=modality,
            seed=request.seed,
            corpus_fingerprint=self.corpus.fingerprint,
            command=request.command,
            commit=provenance.commit(),
        )
        nn.check_size(about.modality, recipe.network, recipe.text.units)
        check_memory(nn.parameters_of(about.modality, recipe.network, recipe.text.units), recipe.train)
        objectives.check_network(recipe.objective, recipe.network, str(loaded.path))
        objectives.check_streams(recipe.objective, recipe.data, str(loaded.path))
        check_average(recipe, str(loaded.path))
        chain = (*chain, (request.system, size))
        initial = None
        if recipe.init.run is not None:
            initial = self.needed(recipe.init.run, size, FORM["init"], request, about, chain)
            own_text = [given for given in request.assignments if given.startswith("text.")]
            if own_text and recipe.init.part == "all" and not initial.is_file():
                self.unlike.append(f"{own_text[0]} is for new tokens, and {initial} comes with its own: leave it out")
            self.check_initial(initial, recipe)
        helpers = {
            name: self.needed(run, its_size, FORM["helper"], request, about, chain)
            for name, (run, its_size) in recipe.helpers(size).items()
        }
        for helper in helpers.values():
            objectives.check_recognises(self.section(helper, "objective"), str(helper))
        folder = request.out or runs.default_folder(about)
        title = f"{request.system}: {loaded.path}, size {size}, {modality}, seed {request.seed},"
        run = PlannedRun(
            title=f"{why}{title} corpus {self.corpus.location}",
            about=about,
            recipe=recipe,
            path=loaded.path,
            origins=loaded.origins,
            folder=folder,
            resume=request.resume,
            initial=initial,
            helpers=helpers,
        )
        rounds = rounds_of(recipe, folder)
        if not rounds:
            self.runs.append(run)
            return (folder,)
        for number, (home, its_recipe) in enumerate(rounds, start=1):
            sparsity = recipe.rounds.sparsities[number - 1]
            begun = request.resume and (home / runs.RECIPE).is_file()
            self.runs.append(
                replace(
                    run,
                    title=f"{run.title}; round {number} of {len(rounds)}, sparsity {sparsity:.0%}",
                    recipe=its_recipe,
                    folder=home,
                    resume=begun,
                    initial=rounds[number - 2][0] if number > 1 else initial,
                    follows=number > 1,
                    followed=number < len(rounds),
                )
            )
        return tuple(home for home, _ in rounds)

    def check_initial(self, initial: Path, recipe: TrainRecipe) -> None:
        """Refuse heads that nobody trained, and a method that would undo what the run was trained for."""
        whole = recipe.init.part == "all"
        if whole and recipe.entry.leaves == "recogniser":
            objectives.check_recognises(self.section(initial, "objective"), str(initial))
        before, now = (said.get("name", "") for said in (self.section(initial, "method"), recipe.method))
        if before == "int8" and now in methods.METHODS and methods.METHODS[now].sparse and whole:
            raise Refused(
                f"{now} cannot begin with {initial}, an 8-bit run: training would undo the rounding of its weights;"
                " begin with a dense run"
            )

    def section(self, folder: Path, name: str) -> Mapping[str, Any]:
        """A section of the recipe of a run that is there, or planned; empty where it says nothing."""
        planned = next((run.recipe.sections()[name] for run in self.runs if run.folder == folder), None)
        if planned is None and folder.is_dir():
            planned = runs.open_run(folder).recipe.get(name)
        return planned or {}

    def needed(
        self,
        name: str,
        size: str,
        form: tuple[str, ...],
        request: TrainRequest,
        about: About,
        chain: tuple[tuple[str, str], ...],
    ) -> Path:
        """A run's folder, a file of weights, or the run of a system, which is planned first where it is missing."""
        runs.check_name(name)
        if Path(name).is_file():
            return Path(name)
        is_system = name in recipes.names("models")
        reads = load_recipe(name, size, ()).recipe.entry.reads if is_system else (about.modality,)
        modality = about.modality if about.modality in reads else reads[0]
        folder = runs.default_folder(replace(about, system=name, size=size, modality=modality))
        if is_folder := (Path(name) / runs.RECIPE).is_file():
            folder = Path(name)
        elif not is_system:
            folder = runs.find_run(name, about.corpus)
        elif rounds := rounds_of(load_recipe(name, size, ()).recipe, folder):
            folder = rounds[-1][0]
        if (folder / runs.WEIGHTS).is_file():
            before = runs.open_run(folder).about
            if before.corpus == about.corpus and before.corpus_fingerprint not in ("", about.corpus_fingerprint):
                raise Refused(
                    f"{folder} was trained on another state of {about.corpus}, whose training clips may be test clips"
                    " now: move it away and train it again, or give the --data it was trained on"
                )
            return folder
        if is_folder or not is_system:
            raise Refused(
                f"{folder} has no {runs.WEIGHTS}: the run is not finished; resume it with its train command and"
                " --resume"
            )
        if (name, size) in chain:
            way = " -> ".join(system for system, _ in (*chain, (name, size)))
            raise Refused(
                f"{name}, size {size}, cannot be trained: it needs itself first ({way}); name a finished run in its"
                " init.run or objective.teacher.run, or nothing"
            )
        if any(run.folder == folder for run in self.runs):  # planned already
            return folder
        # By its own recipe, since a run of this name must be the same whoever asked for it; but by the same processes.
        placed = tuple(given for given in request.assignments if given.partition("=")[0] in PLACEMENT)
        where = data.without_secrets(self.request.data or f"data/{about.corpus}")
        words = ["train", name, "--data", where, "--size", size]
        asked = None if modality == "unified" or len(reads) == 1 else modality
        words += ["--modality", asked] if asked else []
        words += ["--seed", str(request.seed), *placed]
        command = shlex.join(["avsr-bench", *words])
        first = TrainRequest(name, self.request.data, size, asked, request.seed, None, True, placed, command)
        why = f"{request.system} needs {name}, which is not trained yet on {about.corpus}: first {folder}\n"
        trained = self.add(first, chain, why)[-1]
        if given := [given for given in request.assignments if given.partition(".")[0] in form]:
            self.unlike.append(
                f"{request.system} needs {name}, which is not trained yet on {about.corpus}; by its own recipe it would"
                f" not fit {given[0]}: train it first, with `{command} {shlex.join(given)}`"
            )
        return trained
