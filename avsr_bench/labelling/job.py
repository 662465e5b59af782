"""`label`: from clips to an overlay of automatic texts. Reads top to bottom as it happens."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from .. import data, recipes, runs
from ..data import TRAIN, DataSettings, Label, LabelHeader, Place, Prepared
from ..decoding import Kind
from ..evaluation import LONGEST, Clips, open_reader, pick_device
from ..files import make_folder
from ..locks import guard, hold_part
from ..nn import Modality
from ..records import Misused, Progress, Refused
from ..shards import shard_name
from ..text import plain
from .agreement import Agreement, Labelling, agreement
from .labeller import Labeller
from .leaks import check_speakers
from .of_run import RunLabeller
from .programs import PROGRAMS, open_program
from .store import Labels, Store

NOTHING = "nothing was recognised"


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelRequest:
    """What the user asked for."""

    data: str
    labeller: str  # a run, or a name of PROGRAMS
    name: str
    modality: Modality | None = None  # of a unified network
    split: str = TRAIN
    decode: Kind | None = None
    beam: int | None = None
    device: str = "auto"
    part: tuple[int, int] = (1, 1)
    workers: int = 1
    force: bool = False


@dataclass(frozen=True, slots=True)
class Labelled:
    """What stands there now."""

    path: Path | None  # none as long as other parts have shards to label
    header: LabelHeader
    labels: Labels
    waiting: tuple[str, ...]  # names of shards that have no labels yet
    # Of clips whose text is known: those that the labeller was trained on with their texts, and all others.
    seen: Agreement | None
    unseen: Agreement | None


def label(request: LabelRequest, progress: Progress) -> Labelled:
    """Label a split; what an earlier run finished is kept."""
    name = data.checked_name(request.name)
    corpus = data.find_data(request.data)
    if corpus.is_remote:
        raise Refused(f"{corpus.location} is not a folder, and labels are written beside the shards: copy it first")
    if request.split not in (known := corpus.prep["splits"]):
        nearest = recipes.nearest(request.split, known)
        raise Misused(f"--split {request.split}: {corpus.location} has no such split.{nearest}")
    labeller, trained_on = _open(request, corpus, progress)
    shards = [
        [Place(request.split, number, entry) for entry in entries]
        for number, entries in enumerate(corpus.shards(request.split))
    ]
    header = replace(labeller.header, corpus=corpus.fingerprint)
    store = Store(corpus, name, request.split, header, shards)
    labels, waiting = _label(labeller, store, request, progress)
    seen, unseen = _agreements(shards, labels, trained_on)
    return Labelled(None if waiting else store.target, header, labels, waiting, seen, unseen)


def _label(
    labeller: Labeller, store: Store, request: LabelRequest, progress: Progress
) -> tuple[Labels, tuple[str, ...]]:
    """Label what this part has still to do, and join all shards once none is missing."""
    make_folder(store.target.parent)
    if not request.force and (labels := store.finished()) is not None:
        progress.say(f"{store.target} is whole already")
        store.tidy()
        return labels, ()
    make_folder(store.parts)
    mine = store.mine(request.part)
    with hold_part(store.parts, *request.part, advice="or give each a --part of its own"):
        with guard(store.parts):
            if request.force:
                store.clear(request.part)
            store.begin()
        missing = [number for number in mine if store.read(number) is None]
        clips = {number: len(store.shards[number]) for number in mine}
        done = sum(count for number, count in clips.items() if number not in missing)
        progress.begin(f"label by {store.header.labeller}", sum(clips.values()), before=done)
        for number in missing:
            store.write(number, _label_shard(labeller, store, number, request.workers, progress))
        with guard(store.parts):
            if (labels := store.finished()) is not None:  # another part was the last, and has joined them
                return labels, ()
            labels, waiting = Labels(), []
            for number in range(len(store.shards)):
                if (found := store.read(number)) is None:
                    waiting.append(shard_name(store.split, number))
                else:
                    labels.join(found)
            if not waiting:
                store.finish(labels)
            return labels, tuple(waiting)


def _open(request: LabelRequest, corpus: Prepared, progress: Progress) -> tuple[Labeller, set[str]]:
    """The labeller, and the clips of this corpus that it was trained on with their own texts."""
    if request.labeller in PROGRAMS:
        run_only = (("--modality", request.modality), ("--decode", request.decode), ("--beam", request.beam))
        for option, given in run_only:
            if given is not None:
                raise Misused(f"{option} {given} is for runs, and {request.labeller} is a program: leave it out")
        if request.device != "auto":
            raise Misused(f"--device {request.device} is for runs, and {request.labeller} is a program: leave it out")
        return open_program(request.labeller), set()
    run = runs.open_run(runs.find_run(request.labeller, corpus.name)).seen_as(request.modality)
    for note in check_speakers(run, corpus):
        progress.say(note)
    reader = open_reader(run, pick_device(request.device), request.decode, request.beam)
    return RunLabeller(run, reader), _trained_on(run, corpus)


def _trained_on(run: runs.Run, corpus: Prepared) -> set[str]:
    """The training clips of which a run knew the text; none where it was trained on another corpus."""
    if run.about.corpus_fingerprint != corpus.fingerprint:
        return set()
    settings = recipes.build(DataSettings, run.recipe.get("data") or {}, f"{run.folder}: data")
    try:
        chosen = data.choose(corpus, run.about.inputs, settings)
    except Refused:  # the labels that it was trained on are gone; its own texts are what is asked for
        chosen = data.choose(corpus, run.about.inputs, DataSettings(hide=settings.hide))
    return {clip.place.entry.key for clip in chosen.clips if clip.kind == "labelled"}


def _label_shard(labeller: Labeller, store: Store, number: int, workers: int, progress: Progress) -> Labels:
    """The labels of a shard, in plain form, and why other clips have none."""
    labels, readable = Labels(), []
    for place in store.shards[number]:
        if why := _unreadable(place, store.header.modality):
            labels.reasons[place.entry.key] = why
            progress.step(None)
        else:
            readable.append(place)
    if not readable:
        return labels
    clips = Clips(store.corpus, readable, store.header.modality)
    for place, found in labeller.label(readable, clips, workers):
        if text := plain(found.text):
            labels.texts[place.entry.key] = Label(text, found.confidence)
        else:
            labels.reasons[place.entry.key] = NOTHING
        progress.step(None)
    return labels


def _unreadable(place: Place, modality: Modality) -> str:
    """Why a clip cannot be shown to a labeller; empty where it can."""
    if why := data.unreadable(place, modality):
        return why
    if place.entry.frames > LONGEST:
        return f"it has {place.entry.frames:,} frames, more than the {LONGEST:,} that are read at once"
    return ""


def _agreements(
    shards: Sequence[Sequence[Place]], labels: Labels, trained_on: set[str]
) -> tuple[Agreement | None, Agreement | None]:
    """How far labels agree with texts that are known: of clips that the labeller was trained on, and of all others."""

    def of(seen: bool) -> Iterator[Labelling]:
        for shard in shards:
            for place in shard:
                entry = place.entry
                if (entry.text or "").strip() and entry.key in labels.texts and (entry.key in trained_on) == seen:
                    yield Labelling(entry.key, entry.text or "", entry.speaker, labels.texts[entry.key])

    return agreement(list(of(True))), agreement(list(of(False)))
