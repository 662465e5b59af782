"""A run on disk: the folder in which training, or importing, leaves a network and all that it takes to use it.

    runs/synth/dense-tiny-s0/
        recipe.yaml          every setting, resolved, under the sections below, and `run`: what the network is
        model.safetensors    the weights, by the plain names of `nn.AVSR`
        tokenizer.*          from text to tokens and back

Training keeps more beside them: metrics.csv, last.ckpt, figures/, rounds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, get_args

import safetensors.torch
import torch
from annotated_types import Interval
from torch import Tensor

from . import nn, recipes
from .decoding import DecodeSettings
from .files import make_folder, whole, write_whole
from .inert import inert
from .nn import Enhancer, Modality, Network, NetworkSettings, Reads, Recogniser, Unified
from .records import Budget, Fraction, Misused, Refused, Seed
from .text import Tokenizer, load_tokenizer

ROOT = Path("runs")
RECIPE, WEIGHTS = "recipe.yaml", "model.safetensors"
LAST = "last.safetensors"  # of a round, beside the mean of its snapshots: what the next round begins with
READS_ALL = "reads lips, hears and does both"
SENSES = {"video": "lips (video)", "audio": "sound (audio)", "av": "both (av)"}
Count = Annotated[int, Interval(ge=0, le=10**12)]


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What a run is: the section `run` of its recipe."""

    system: str  # the recipe in models/ it was trained by, or the name under which weights were imported
    corpus: str
    size: str  # tiny, small or large; empty for imported weights of no size of ours
    modality: Reads = "video"
    seed: Seed | None = None  # of training; none for weights that others trained
    corpus_fingerprint: str = ""  # of the training data
    labels: str = ""  # a fingerprint of the automatic labels it was trained on, and of what was hidden
    sparsity: Fraction = 0.0  # fraction of the prunable weights that are exactly zero
    parameters: Count = 0
    nonzero: Count = 0  # parameters that are not zero
    hours: Annotated[float, Interval(ge=0, le=10**9)] = 0.0  # of training data
    budget: Budget | None = None  # none for weights that others trained, and for runs of before budgets were kept
    command: str = ""
    commit: str = ""

    @property
    def inputs(self) -> Modality:
        """What its network is shown of a clip."""
        return "av" if self.modality == "unified" else self.modality


@dataclass(frozen=True, slots=True)
class _Sections:
    """The sections of a recipe that using a network takes; training has more."""

    run: About
    network: NetworkSettings
    decode: DecodeSettings = field(default_factory=DecodeSettings)


@dataclass(frozen=True, slots=True)
class Run:
    """An opened run: its settings; weights and tokenizer are read when asked for."""

    folder: Path
    about: About
    network: NetworkSettings
    decode: DecodeSettings
    recipe: Mapping[str, Any]  # all sections as plain values
    view: Modality | None = None  # of a unified network, which of its modalities is meant

    @property
    def name(self) -> str:
        """The run for people and in results: its folder below `runs/`, or as it was given; `@` stands before a view."""
        return seen_name(name_of(self.folder), self.view)

    @property
    def modality(self) -> Modality:
        """What is read by it."""
        if self.about.modality != "unified":
            return self.about.modality
        if self.view is None:
            raise Misused(f"{self.name} {READS_ALL}: say which with --modality video, audio or av")
        return self.view

    def seen_as(self, modality: Modality | None) -> Run:
        """The run as the reader of one modality; only of a unified network there is a choice."""
        if self.about.modality == "unified":
            seen = replace(self, view=modality)
            _ = seen.modality  # refused where there is none
            return seen
        if modality not in (None, self.about.modality):
            raise Misused(f"--modality {modality}: {self.name} reads {SENSES[self.about.modality]} alone; leave it out")
        return self

    def tokenizer(self) -> Tokenizer:
        """Its tokenizer."""
        return load_tokenizer(self.folder)

    def whole(self, device: torch.device | str = "cpu") -> Network:
        """Its network with its weights."""
        weights = nn.read(self.folder / WEIGHTS)
        tokens = 0 if self.network.enhancer is not None else len(self.tokenizer())
        network, _ = nn.network_of(weights, self.about.modality, self.network, tokens)
        return network.to(device).eval()

    def load(self, device: torch.device | str = "cpu") -> Recogniser:
        """Its network, ready to read what is meant."""
        self.check_reads()
        network = self.whole(device)
        assert not isinstance(network, Enhancer)
        return network.view(self.modality) if isinstance(network, Unified) else network

    def enhancer(self, device: torch.device | str = "cpu") -> Enhancer:
        """Its network, ready to clean sound."""
        self.check_enhances()
        network = self.whole(device)
        assert isinstance(network, Enhancer)
        return network

    def check_reads(self) -> None:
        """Refuse an enhancer."""
        if self.network.enhancer is not None:
            raise Refused(f"{self.name} {nn.READS_NOTHING}")

    def check_enhances(self) -> None:
        """Refuse a recogniser."""
        if self.network.enhancer is None:
            raise Refused(
                f"{self.name} is a recogniser, which reads and makes no sound: train an enhancer with `avsr-bench train"
                " enhance`"
            )


def name_of(folder: Path) -> str:
    """A run's folder as results name it: `synth/dense-tiny-s0` for `runs/synth/dense-tiny-s0`, wherever runs/ is."""
    parts = folder.resolve().parts
    return inert("/".join(parts[parts.index("runs") + 1 :]) if "runs" in parts else folder.name)


def seen_name(name: str, view: Modality | None) -> str:
    """A run's name in results, of a unified network with the view that reads: `scoring.Result.folder` is without it.

    >>> seen_name("synth/usr-tiny-s0", "audio"), seen_name("synth/dense-tiny-s0", None)
    ('synth/usr-tiny-s0@audio', 'synth/dense-tiny-s0')
    """
    return f"{name}@{view}" if view else name


def default_folder(about: About) -> Path:
    """Where a run goes unless --out says otherwise."""
    modality = f"-{about.modality}" if about.modality in ("audio", "av") else ""
    return ROOT / about.corpus / f"{about.system}-{about.size}{modality}-s{about.seed}"


def check_name(name: str) -> None:
    """Refuse what no file system could hold: it would be asked for it, and fail."""
    if len(name) > 4000 or any(len(part.encode(errors="replace")) > 255 for part in Path(name).parts):
        raise Refused(f"no run {name[:60]!r} ...: its name has {len(name):,} letters, more than a file's may have")


def find_run(name: str, corpus: str | None = None, root: Path = ROOT) -> Path:
    """The folder of a run, given as a folder or as a bare name: `dense` is the newest run, or round, of that system."""
    check_name(name)
    if folder := given_folder(name, root):
        return folder
    if Path(name).is_dir():
        raise Refused(f"{name} holds no {RECIPE}: it is not a run, or one that was never begun")
    run, at, view = name.rpartition("@")
    if at and view in get_args(Modality):
        raise Misused(f"no run {name!r}: results call so what {run} reads as {view}: give {run}, and --modality {view}")
    places = (f"{corpus or '*'}/*/{RECIPE}", f"{corpus or '*'}/*/round-*/{RECIPE}")
    found = [path.parent for place in places for path in root.glob(place)]
    mine = [folder for folder in found if name in (folder.name, _system(folder))]
    finished = [folder for folder in mine if (folder / WEIGHTS).is_file()]
    if not finished:
        on = f" on {corpus}" if corpus else ""
        why = f"its run {mine[0]} is not finished" if mine else f"no run of that name{on} is in {root}/"
        if found and not mine:
            known = {word for folder in found for word in (name_of(folder), folder.name, _system(folder)) if word}
            raise Misused(f"no run {name!r}: {why}.{recipes.nearest(name, known)} Or give a run's folder")
        raise Refused(f"no run {name!r}: {why}. Train one with `avsr-bench train`, or give a run's folder")
    return max(finished, key=lambda folder: (folder / WEIGHTS).stat().st_mtime_ns)


def given_folder(name: str, root: Path = ROOT) -> Path | None:
    """The folder of a run that is named by it, or by its place among the runs; none of a bare name."""
    return next((folder for folder in (Path(name), root / name) if (folder / RECIPE).is_file()), None)


def open_run(folder: Path) -> Run:
    """A run's settings, checked."""
    path = folder / RECIPE
    if not path.is_file():
        raise Refused(f"{folder} holds no {RECIPE}: it is not a run")
    recipe = recipes.load(path)
    for name, section in recipe.items():
        if not isinstance(section, dict | None):
            raise Refused(
                f"{path}: {name} is no section: it is damaged or of another version; import or train it again"
            )
    try:
        known = recipes.build(
            _Sections, {key: recipe[key] for key in ("run", "network", "decode") if key in recipe}, ""
        )
    except Misused as misused:
        raise Refused(f"{path}{misused}: it is damaged or of another version; import or train it again") from None
    return Run(folder, known.run, known.network, known.decode, recipe)


def open_finished(folder: Path) -> Run:
    """A run that has its weights."""
    run = open_run(folder)
    if not (folder / WEIGHTS).is_file():
        raise Refused(f"{folder} is not finished: it has no {WEIGHTS} yet; train it to its end first")
    return run


def write_recipe(folder: Path, about: About, sections: Mapping[str, Any]) -> None:
    """Write `recipe.yaml`: what the run is, and the settings of each section (dataclasses as plain values)."""
    make_folder(folder)
    write_whole(folder / RECIPE, recipes.dump({"run": asdict(about), **sections}))


def write_weights(folder: Path, weights: Mapping[str, Tensor], file: str = WEIGHTS) -> None:
    """Write `model.safetensors`, or `file`, whole or not at all: weights by the plain names of the network."""
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}
    make_folder(folder)
    with whole(folder / file) as path:
        safetensors.torch.save_file(plain, path)


def _system(folder: Path) -> str:
    try:
        return open_run(folder).about.system
    except Refused:
        return ""
