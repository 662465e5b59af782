"""What a network learns: to recognise transcripts, alone or with a teacher, or to predict itself without any."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from .. import recipes
from ..data import DataSettings, StreamSettings, View
from ..nn import READS_NOTHING, LossSettings, Network, NetworkSettings, Reads, Recogniser
from ..records import Misused, Refused
from .braven import Braven, BravenSettings
from .distil import Distil, DistilSettings
from .enhance import Enhance, EnhanceSettings
from .objective import Batches, Objective
from .recognise import Recognise, RecogniseSettings
from .unified import UnifiedObjective, UnifiedSettings
from .unified_prediction import UnifiedPrediction, UnifiedPredictionSettings
from .vocode import Vocode, taught


@dataclass(frozen=True, slots=True)
class ObjectiveEntry:
    """An objective for those who plan a run: its settings, and what it needs before there is a network."""

    settings: type[Any]
    objective: Callable[..., Objective]
    helpers: tuple[str, ...] = ()  # settings of it that name a trained run
    reads: tuple[Reads, ...] = ("video", "audio", "av")  # what its network may read; the first if nothing is asked for
    textless: tuple[str, ...] = ()  # streams whose clips need no text
    compiles: bool = True  # whether its losses go through torch.compile
    leaves: Literal["recogniser", "encoder", "enhancer"] = "recogniser"  # what its network is good for when trained
    shown: tuple[View, ...] = ("plain",)  # how it is shown validation clips

    def streams(self, settings: Any) -> dict[str, StreamSettings]:
        """The streams that it needs, as they are where a recipe says nothing of them."""
        found: dict[str, StreamSettings] = settings.streams()
        return found


# What `objective.name` in a recipe may say.
OBJECTIVES: dict[str, ObjectiveEntry] = {
    "recognise": ObjectiveEntry(RecogniseSettings, Recognise),
    "distil": ObjectiveEntry(DistilSettings, Distil, helpers=("teacher",)),
    "unified": ObjectiveEntry(
        UnifiedSettings, UnifiedObjective, reads=("unified",), textless=("unlabelled",), compiles=False
    ),
    "braven": ObjectiveEntry(
        BravenSettings, Braven, reads=("av",), textless=("unlabelled",), compiles=False, leaves="encoder"
    ),
    "enhance": ObjectiveEntry(
        EnhanceSettings,
        taught,
        reads=("av", "audio"),
        textless=("clips",),
        compiles=False,
        leaves="enhancer",
        shown=("noisy", "clean"),
    ),
    "unified-prediction": ObjectiveEntry(
        UnifiedPredictionSettings,
        UnifiedPrediction,
        reads=("unified",),
        textless=("unlabelled",),
        compiles=False,
        leaves="encoder",
    ),
}


def entry_of(section: Mapping[str, Any], where: str) -> ObjectiveEntry:
    """The objective that a recipe's section `objective` names; without a name, `recognise`."""
    name = section.get("name", "recognise")
    if name not in OBJECTIVES:
        raise Misused(f"{where}: unknown objective.name {name!r}.{recipes.nearest(str(name), OBJECTIVES)}")
    return OBJECTIVES[name]


def settings_of(section: Mapping[str, Any], where: str) -> Any:
    """The typed settings of the section."""
    said = {key: value for key, value in section.items() if key != "name"}
    return recipes.build(entry_of(section, where).settings, said, f"{where}: objective")


def whole_section(section: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The section with its name and all settings, as it stands in the recipe of a run."""
    return {"name": section.get("name", "recognise"), **asdict(settings_of(section, where))}


def check_recognises(section: Mapping[str, Any] | None, run: str) -> None:
    """Refuse to use a run as a recogniser that is none; `section` is its `objective`."""
    entry = OBJECTIVES.get((section or {}).get("name", "recognise"))
    if entry is not None and entry.leaves == "enhancer":
        raise Refused(f"{run} {READS_NOTHING}")
    if entry is not None and entry.leaves == "encoder":
        raise Refused(
            f"{run} has learnt without text, and its heads are untrained: fine-tune it, `avsr-bench train dense"
            f" init.run={run} init.part=encoder`"
        )


def check_network(section: Mapping[str, Any], settings: NetworkSettings, where: str) -> None:
    """Refuse an objective for a network of another kind."""
    name, enhances = section.get("name", "recognise"), entry_of(section, where).leaves == "enhancer"
    if enhances and settings.enhancer is None:
        raise Misused(f"{where}: objective.name={name} trains an enhancer: give network.enhancer (models/enhance.yaml)")
    if not enhances and settings.enhancer is not None:
        raise Misused(f"{where}: network.enhancer is for objective.name=enhance, not {name}: leave it out")
    if enhances and not settings.low_rank.whole:
        raise Misused(f"{where}: network.low_rank means nothing to an enhancer: leave it out")


def check_streams(section: Mapping[str, Any], settings: DataSettings, where: str) -> None:
    """Refuse streams that the objective cannot learn from."""
    name, entry = section.get("name", "recognise"), entry_of(section, where)
    needed = entry.streams(settings_of(section, where))
    for stream, its in settings.streams.items():
        if entry.textless and stream not in needed:
            raise Misused(
                f"{where}: data.streams.{stream}: {name} has the streams {' and '.join(needed)}, and no other"
            )
        if entry.textless and its.views not in (StreamSettings().views, needed[stream].views):
            raise Misused(
                f"{where}: data.streams.{stream}.views: {name} shows its clips in ways of its own: leave it out"
            )
        if its.take in ("unlabelled", "all") and stream not in entry.textless:
            raise Misused(
                f"{where}: data.streams.{stream}.take={its.take}: {name} learns from transcripts alone; take labelled,"
                " own or automatic clips"
            )
        if its.take == "automatic" and settings.labels is None:
            raise Misused(f"{where}: data.streams.{stream}.take=automatic: give data.labels, the name of an overlay")


def build(
    section: Mapping[str, Any], where: str, network: Network, loss: LossSettings, helpers: Mapping[str, Recogniser]
) -> Objective:
    """The objective of a recipe for a network; `helpers` are the trained networks that it asks for, by setting."""
    entry = entry_of(section, where)
    if missing := [name for name in entry.helpers if name not in helpers]:
        raise Misused(f"{where}: {section['name']} needs a trained network for objective.{missing[0]}")
    return entry.objective(network, loss, settings_of(section, where), **helpers)


__all__ = [
    "OBJECTIVES",
    "Batches",
    "Braven",
    "Distil",
    "Enhance",
    "Objective",
    "ObjectiveEntry",
    "Recognise",
    "UnifiedObjective",
    "UnifiedPrediction",
    "Vocode",
    "build",
    "check_network",
    "check_recognises",
    "check_streams",
    "entry_of",
    "settings_of",
    "whole_section",
]
