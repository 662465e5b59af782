"""What a network learns: to recognise transcripts, alone or with a trained network beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from .. import recipes
from ..data import DataSettings
from ..nn import AVSR, LossSettings
from ..records import Misused
from .distil import Distil, DistilSettings
from .objective import Batches, Objective
from .recognise import Recognise, RecogniseSettings


@dataclass(frozen=True, slots=True)
class ObjectiveEntry:
    """An objective for those who plan a run: its settings, and what it needs before there is a network."""

    settings: type[Any]
    objective: type[Recognise]
    streams: tuple[str, ...] = ("labelled",)  # all of these, of clips that have text
    helpers: tuple[str, ...] = ()  # settings of it that name a trained run


# What `objective.name` in a recipe may say.
OBJECTIVES: dict[str, ObjectiveEntry] = {
    "recognise": ObjectiveEntry(RecogniseSettings, Recognise),
    "distil": ObjectiveEntry(DistilSettings, Distil, helpers=("teacher",)),
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


def check_streams(section: Mapping[str, Any], settings: DataSettings, where: str) -> None:
    """Refuse streams that the objective cannot learn from: all of today's need text."""
    name = section.get("name", "recognise")
    for stream, its in settings.streams.items():
        if its.take in ("unlabelled", "all"):
            raise Misused(
                f"{where}: data.streams.{stream}.take={its.take}: {name} learns from transcripts alone; take labelled,"
                " own or automatic clips"
            )
        if its.take == "automatic" and settings.labels is None:
            raise Misused(f"{where}: data.streams.{stream}.take=automatic: give data.labels, the name of an overlay")


def build(
    section: Mapping[str, Any], where: str, network: AVSR, loss: LossSettings, helpers: Mapping[str, AVSR]
) -> Recognise:
    """The objective of a recipe for a network; `helpers` are the trained networks that it asks for, by setting."""
    entry = entry_of(section, where)
    if missing := [name for name in entry.helpers if name not in helpers]:
        raise Misused(f"{where}: {section['name']} needs a trained network for objective.{missing[0]}")
    return entry.objective(network, loss, settings_of(section, where), **helpers)


__all__ = [
    "OBJECTIVES",
    "Batches",
    "Distil",
    "Objective",
    "ObjectiveEntry",
    "Recognise",
    "build",
    "check_streams",
    "entry_of",
    "settings_of",
    "whole_section",
]
