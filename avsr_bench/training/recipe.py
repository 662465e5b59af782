"""A model recipe: what `models/sizes/` and `models/` say, with the user's settings laid over, as typed settings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Interval, Len

from .. import data, methods, objectives, recipes
from ..data import AugmentSettings, DataSettings, StreamSettings
from ..decoding import DecodeSettings
from ..nn import LossSettings, NetworkSettings
from ..objectives import ObjectiveEntry
from ..records import Fraction, Misused, PartOfAll
from ..text import TokenizerSettings

# What may differ when a run is resumed: where and how fast it runs, which changes no number but by float rounding.
FREE = ("train.device", "train.workers", "train.save_minutes", "train.wait_minutes", "train.log", "train.threads")


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """How long and how fast; the defaults are the published recipe's (Auto-AVSR) where it has a number."""

    epochs: Annotated[float, Interval(gt=0, le=10_000)] = 75  # of the training split
    steps: Annotated[int, Interval(ge=1, le=10**8)] | None = None  # updates of the weights, instead of epochs
    lr: Annotated[float, Interval(gt=0, le=1000)] = 1e-3  # at its highest
    warmup: PartOfAll = 5 / 75  # fraction of the updates in which the rate rises to it; then it falls as a cosine to 0
    betas: tuple[PartOfAll, PartOfAll] = (0.9, 0.98)
    weight_decay: Annotated[float, Interval(ge=0, le=1000)] = 0.03
    clip: Annotated[float, Interval(ge=0, le=10**9)] = 10.0  # greatest norm of the gradient; 0: none
    accumulate: Annotated[int, Interval(ge=1, le=10_000)] = 1  # batches an update
    # Snapshots whose mean is the result, evenly over the last updates; 1: the last weights alone.
    average: Annotated[int, Interval(ge=1, le=1000)] = 10
    average_fraction: Fraction = 10 / 75  # of the updates: the stretch that they are taken from

    precision: Literal["32", "bf16"] = "32"  # bf16: matrix products in 16 bits, weights and losses in 32
    compile: bool = False  # torch.compile: less memory, minutes to start
    device: Literal["auto", "cpu", "cuda"] = "auto"
    # GPUs of this machine; processes, on a CPU.
    devices: Annotated[int, Interval(ge=1, le=1024)] | Literal["auto"] = "auto"
    # Machines; under torchrun or Slurm each finds its place by itself.
    nodes: Annotated[int, Interval(ge=1, le=10_000)] = 1
    # That a process waits for one that does not answer. It covers what rank 0 does alone, such as writing weights.
    wait_minutes: Annotated[float, Interval(gt=0, le=10_000)] = 10.0
    threads: Annotated[int, Interval(ge=1, le=1024)] | None = None  # of a CPU for the network; none: all of them
    workers: Annotated[int, Interval(ge=0, le=256)] = 1  # processes that read and augment clips, for each device

    validate_every: Annotated[int, Interval(ge=1, le=10**8)] | None = None  # updates; none: 10 times a run
    validate_clips: Annotated[int, Interval(ge=1, le=10**7)] | None = 200  # of the validation split; none: all
    save_minutes: Annotated[float, Interval(ge=0, le=10_000)] = 5.0  # between two checkpoints
    log: Annotated[tuple[Literal["tensorboard", "wandb"], ...], Len(0, 2)] = ()  # beside metrics.csv

    @property
    def ranks(self) -> int:
        """Processes that train together, once it is known how many devices there are."""
        return int(self.devices) * self.nodes


@dataclass(frozen=True, slots=True)
class CurriculumSettings:
    """Short clips first: the published way to make a large network start to learn."""

    epochs: Annotated[int, Interval(ge=0, le=10_000)] = 0  # of nothing but clips of at most `frames`
    frames: Annotated[int, Interval(ge=1, le=10**6)] = 100  # 4 s, as in the published recipe for LRS3


@dataclass(frozen=True, slots=True)
class InitSettings:
    """Weights to begin with instead of random ones."""

    run: str | None = None  # a run, its folder, a file of weights, or a system, which is trained first if need be
    part: Literal["all", "encoder", "frontend"] = "all"


@dataclass(frozen=True, slots=True)
class RoundSettings:
    """Training in rounds, each a run that begins with the last weights of the one before and a schedule of its own."""

    sparsities: Annotated[tuple[PartOfAll, ...], Len(0, 99)] = ()  # of each round, of the original weights


@dataclass(frozen=True, slots=True)
class TrainRecipe:
    """The sections of a model recipe, resolved: what is learnt, by which network, from what, and the weights' fate."""

    network: NetworkSettings = field(default_factory=NetworkSettings)
    # Name, and settings that the objective itself checks.
    objective: dict[str, Any] = field(default_factory=lambda: {"name": "recognise"})
    loss: LossSettings = field(default_factory=LossSettings)
    text: TokenizerSettings = field(default_factory=TokenizerSettings)
    data: DataSettings = field(default_factory=DataSettings)
    augment: AugmentSettings = field(default_factory=AugmentSettings)
    train: TrainSettings = field(default_factory=TrainSettings)
    curriculum: CurriculumSettings = field(default_factory=CurriculumSettings)
    decode: DecodeSettings = field(default_factory=DecodeSettings)
    init: InitSettings = field(default_factory=InitSettings)
    rounds: RoundSettings = field(default_factory=RoundSettings)
    method: dict[str, Any] = field(default_factory=dict)  # name, and settings that the method itself checks

    @property
    def entry(self) -> ObjectiveEntry:
        """What is known of its objective before there is a network."""
        return objectives.entry_of(self.objective, "objective")

    def helpers(self, size: str) -> dict[str, tuple[str, str]]:
        """The runs that the objective takes the help of, by its setting: name and size."""
        settings = objectives.settings_of(self.objective, "objective")
        named = {name: getattr(settings, name) for name in self.entry.helpers}
        return {name: (helper.run, helper.size or size) for name, helper in named.items()}

    def alone(self) -> TrainRecipe:
        """The same recipe without helpers, for which there may be no run yet."""
        return replace(self, objective={"name": "recognise"})

    def streams(self) -> dict[str, StreamSettings]:
        """The streams of clips that feed an update; those that are not set are of all clips with text."""
        entry = self.entry
        needed = entry.streams(objectives.settings_of(self.objective, "objective"))
        said = {
            name: replace(stream, views=needed[name].views) if entry.textless else stream
            for name, stream in self.data.streams.items()
        }
        return {**needed, **said}

    def sections(self) -> dict[str, Any]:
        """All settings as plain values: what stands in a run's recipe.yaml."""
        objective = objectives.whole_section(self.objective, "objective")
        method = methods.whole_section(self.method, "method")
        return _plain({**asdict(self), "objective": objective, "method": method})


@dataclass(frozen=True, slots=True)
class Loaded:
    """A recipe as it was found: the file of the system, and where each setting comes from that is no default."""

    recipe: TrainRecipe
    path: Path
    origins: Mapping[str, str]  # by dotted name


def load_recipe(system: str, size: str, assignments: Iterable[str]) -> Loaded:
    """The recipe of a system at a size.

    Laid over one another: models/sizes/SIZE.yaml, models/SYSTEM.yaml, its section SIZE, the user's `key=value`.
    """
    sizes = recipes.names("models/sizes")
    if size not in sizes:
        raise Misused(f"--size {size}: no such size.{recipes.nearest(size, sizes)}")
    path, path_of_size = recipes.find("models", system), recipes.find("models/sizes", size)
    said = recipes.load(path)
    if isinstance(said.get("init"), str):
        said["init"] = {"run": said["init"]}
    by_size = {name: recipes.section(said, name, path) for name in sizes}
    assignments = [f"init.run={a.removeprefix('init=')}" if a.startswith("init=") else a for a in assignments]
    layers = {
        str(path_of_size): recipes.load(path_of_size),
        str(path): {key: value for key, value in said.items() if key not in by_size},
        f"{path}, section {size}": by_size[size],
        "command line": recipes.override({}, assignments),
    }
    content: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for origin, layer in layers.items():
        content = _laid_over(content, layer)
        origins |= dict.fromkeys(_dotted(layer), origin)
    recipe = recipes.build(TrainRecipe, content, str(path))
    objectives.settings_of(recipe.objective, str(path))  # so that what is wrong with them is reported now
    methods.settings_of(recipe.method, str(path))
    data.check_selection(recipe.data.selection, str(path))
    if recipe.data.selection.selects and len(streams := recipe.streams()) > 1:
        raise Misused(f"{path}: data.selection chooses among the clips of one stream, and there are {len(streams)}")
    return Loaded(recipe, path, origins)


def read_sections(sections: Mapping[str, Any], where: str) -> dict[str, Any]:
    """All settings of a run that was trained earlier: with the defaults of what it could not know yet."""
    known = {key: value for key, value in sections.items() if key in {each.name for each in fields(TrainRecipe)}}
    train = dict(known.get("train") or {})
    if "average_share" in train:
        known["train"] = {"average_fraction": train.pop("average_share"), **train}
    teacher, method = sections.get("teacher", {}), dict(known.get("method") or {})
    if method.get("name") == "distilled":  # before the second format of checkpoints distillation was a method
        known["objective"] = {**method, "name": "distil", "teacher": teacher}
        known["method"] = {}
    return recipes.build(TrainRecipe, known, where).sections()


def rounds_of(recipe: TrainRecipe, folder: Path) -> tuple[tuple[Path, TrainRecipe], ...]:
    """The folder and the recipe of each round of a run: it begins with the weights of the one before."""
    found: list[tuple[Path, TrainRecipe]] = []
    for number, sparsity in enumerate(recipe.rounds.sparsities, start=1):
        init = replace(recipe.init, run=str(found[-1][0]), part="all") if found else recipe.init
        method = {**recipe.method, "sparsity": sparsity} if recipe.method else {}
        found.append((folder / f"round-{number:02d}", replace(recipe, init=init, method=method)))
    return tuple(found)


def differences(before: Any, now: Mapping[str, Any], prefix: str = "") -> list[str]:
    """The settings in which a run differs from what would be trained; where and how fast it ran does not count.

    Nor does what is left to the machine: the run says what `auto` came to there.
    """
    found = []
    for key, value in now.items():
        name, old = f"{prefix}{key}", before.get(key) if isinstance(before, Mapping) else None
        if isinstance(value, Mapping):
            found += differences(old or {}, value, f"{name}.")
        elif old != value and value != "auto" and name not in FREE:
            found.append(f"{name}={old}, not {value}")
    return found


def _laid_over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(below)
    for key, value in above.items():
        old = result.get(key)
        result[key] = _laid_over(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return result


def _dotted(content: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in content.items():
        if isinstance(value, Mapping) and value:
            yield from _dotted(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return value
