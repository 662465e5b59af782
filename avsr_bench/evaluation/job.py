"""`evaluate`: one run, one split, one condition, one result. Reads top to bottom as it happens."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from .. import data, noise, recipes, runs
from ..data import Place, Prepared
from ..decoding import Kind
from ..nn import Modality
from ..noise.sound import SoundSettings
from ..records import Misused, Progress, Refused
from ..runs import Run
from ..scoring import Result, Utterance, WhoseLips, archive
from ..text import check_coverage
from .clips import Clips
from .conditions import CLEAN, Condition, corrupted, open_sound, visual
from .device import pick_device
from .engine import Show, Task, sweep
from .enhancing import Cleaner
from .frames import NoisyFrames
from .reading import Reader, open_reader
from .results import Provenance, make_result, result_name, weights_digest

RESULTS = "results"  # inside the folder of a run


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluateRequest:
    """What the user asked for."""

    run: str
    modality: Modality | None = None  # of a unified network
    data: str | None = None
    split: str = "test"
    decode: Kind | None = None  # none: as the run's recipe says, as the beam
    beam: int | None = None
    noise: str | None = None  # FAMILY:LEVEL
    sound: str | None = None  # KIND:DB
    assignments: tuple[str, ...] = ()  # sound.snr_over=speech
    apply_to: Literal["mouth", "frame"] = "mouth"
    root: Path | None = None  # of the source videos, for noise on frames
    seed: int = 0
    device: str = "auto"
    limit: int | None = None  # only so many clips
    workers: int = 1
    out: Path | None = None  # folder of the archive of results
    command: str = ""
    read: str | None = None  # of an enhancer: the run that reads its output
    lips: WhoseLips = "own"  # that an enhancer is shown


@dataclass(frozen=True, slots=True)
class Evaluated:
    """The result, its archive and its name in it, and what was heard."""

    result: Result
    path: Path
    utterances: tuple[Utterance, ...]


def evaluate(request: EvaluateRequest, progress: Progress) -> Evaluated:
    """Read a split and score what was read; an earlier result of the same condition is replaced."""
    corpus, run = opened(request)
    run.check_reads()
    for option, given in (("--read", request.read is not None), (f"--lips {request.lips}", request.lips != "own")):
        if given:
            raise Misused(f"{option} is for enhancers, and {run.name} is a recogniser: leave it out")
    run = run.seen_as(request.modality)
    modality = run.modality
    condition = _condition(request, corpus)
    check_met([modality], [condition])
    reader = open_reader(run, pick_device(request.device), request.decode, request.beam)
    places, split = chosen(corpus, request.split, modality, request.limit)
    for note in notes(run, corpus, reader, places):
        progress.say(note)
    seed = request.seed
    about = Provenance(
        run=run, weights=weights_digest(run), corpus=corpus, split=split, seed=seed, command=request.command
    )
    view = f"-{run.view}" if run.view else ""
    path = (request.out or run.folder / RESULTS) / f"{split}{view}{archive.SUFFIX}"
    archive.check(path)
    what = f"{run.name} on {corpus.name} {split}, {condition.name}"
    with showing(corpus, places, modality, [condition], request.root, seed, request.workers) as show:
        progress.begin(what, len(places), "utterances")
        [heard] = sweep([Task(condition, (reader,))], places, show, request.workers, lambda: progress.step(None))
    result = make_result(heard, about)
    name = result_name(condition, seed)
    archive.write(path, name, result, heard.utterances)
    return Evaluated(result, path / name, heard.utterances)


def opened(request: EvaluateRequest) -> tuple[Prepared, Run]:
    """The corpus and the run, a recogniser or an enhancer, of a request whose options fit one another."""
    _check_used(request)
    corpus = find_corpus(request.data, (request.run,))
    return corpus, runs.open_run(runs.find_run(request.run, corpus.name))


def find_corpus(place: str | None, names: Sequence[str]) -> Prepared:
    """The corpus at the place given; else that on which runs given by their folders were trained; else the only one."""
    if place is None:
        homes = {runs.open_run(folder).about.corpus for name in names if (folder := runs.given_folder(name))}
        if len(homes) == 1 and ((home := data.ROOT / homes.pop()) / "prep.json").is_file():
            return Prepared(str(home))
    return data.find_data(place)


def _check_used(request: EvaluateRequest) -> None:
    if request.noise is not None and request.sound is not None:
        raise Misused("--noise and --sound are two conditions, and a result is of one: ask for them one by one")
    seen, heard = request.noise is not None, request.sound is not None
    seed = 0 if request.lips == "other" else request.seed  # it draws the lips of others too
    check_used(seen, heard, request.assignments, request.apply_to, request.root, seed)


def check_used(
    seen: bool,
    heard: bool,
    assignments: Sequence[str],
    apply_to: Literal["mouth", "frame"],
    root: Path | None,
    seed: int,
) -> None:
    """Refuse what would have no effect with the noise asked for: for the eye (`seen`), for the ear (`heard`)."""
    sound_settings(assignments)  # a misspelt setting first
    if assignments and not heard:
        raise Misused(f"{assignments[0]} is a setting of the sound, and no --sound is asked for: leave it out")
    if apply_to == "frame" and not seen:
        raise Misused("--apply-to frame is for visual noise, and no --noise is asked for: add it, or leave it out")
    if root is not None and apply_to != "frame":
        raise Misused("--root is for noise on the source videos: add --noise and --apply-to frame, or leave it out")
    if seed and not seen and not heard:
        raise Misused(f"--seed {seed} draws noise, and none is asked for: add --noise or --sound, or leave it out")


def _condition(request: EvaluateRequest, corpus: Prepared) -> Condition:
    if request.noise is not None:
        return visual(*noise.parse(request.noise), request.apply_to)
    if request.sound is not None:
        found = open_sound([request.sound], corpus, request.split, request.seed, sound_settings(request.assignments))
        if len(found) > 1:
            raise Misused(
                f"--sound {request.sound} names {len(found)} conditions: `avsr-bench robustness` takes several"
            )
        return found[0]
    return CLEAN


@dataclass(frozen=True, slots=True)
class _Settings:
    sound: SoundSettings = field(default_factory=SoundSettings)


def sound_settings(assignments: Sequence[str]) -> SoundSettings:
    """What `sound.babble=synth` and the like say."""
    return recipes.build(_Settings, recipes.override({}, assignments), "settings of the command").sound


def check_met(modalities: Sequence[Modality], conditions: Sequence[Condition]) -> None:
    """Refuse a condition that none of the networks would notice."""
    for condition in conditions:
        if not any(condition.met_by(modality) for modality in modalities):
            what, option = ("only sees", "--noise") if condition.sound else ("only hears", "--sound")
            raise Misused(f"{condition.name} means nothing to a network that {what}: use {option}, or another run")


def chosen(
    corpus: Prepared, split: str, modality: Modality, limit: int | None, need_text: bool = True
) -> tuple[list[Place], str]:
    """The clips of a split, or some, and what results call them: some are another test than all.

    Some are the first by key of every speaker in turn: of a test of several speakers, a few clips still have them all.
    """
    known = corpus.prep["splits"]
    if split not in known:
        raise Misused(f"--split {split}: {corpus.location} has no such split.{recipes.nearest(split, known)}")
    places = data.places(corpus, split, modality, need_text)
    if limit is None or limit >= len(places):
        return places, split
    turns: Counter[str] = Counter()
    in_turn = []
    for place in sorted(places, key=lambda place: place.entry.key):
        in_turn.append((turns[place.entry.speaker], place.entry.key, place))
        turns[place.entry.speaker] += 1
    return [place for *_, place in sorted(in_turn, key=lambda each: each[:2])[:limit]], f"{split}-some{limit}"


def notes(run: Run, corpus: Prepared, reader: Reader, places: Sequence[Place]) -> Iterator[str]:
    """What the user should know about a run on this corpus."""
    about = run.about
    if about.corpus and about.corpus != corpus.name:
        yield f"{run.name} was trained on {about.corpus}, and reads {corpus.name} here"
    elif about.corpus_fingerprint and about.corpus_fingerprint != corpus.fingerprint:
        yield f"{run.name} was trained on another preparation of {corpus.name} than {corpus.location}"
    try:
        check_coverage(reader.tokenizer, (place.entry.text or "" for place in places), "the references' characters")
    except Refused as refused:
        yield f"{run.name} cannot write all that is said, which counts as errors: {refused}"


@contextmanager
def showing(
    corpus: Prepared,
    places: Sequence[Place],
    modality: Modality,
    conditions: Sequence[Condition],
    root: Path | None,
    seed: int,
    workers: int,
    cleaner: Cleaner | None = None,
) -> Iterator[Show]:
    """The clips of a split under any of the conditions, for `sweep`: with a cleaner, their sound enhanced then."""
    clips = Clips(corpus, places, modality)
    with ExitStack() as stack:
        frames: NoisyFrames | None = None
        if any(condition.on == "frame" for condition in conditions):
            frames = stack.enter_context(NoisyFrames(corpus, places, root, seed, workers))

        def show(place: Place, condition: Condition) -> data.Example:
            example = clips(place)
            if frames is None or condition.on != "frame" or condition.visual is None:
                noisy = corrupted(example, condition, seed)
                return cleaner(noisy) if cleaner else noisy
            return replace(example, mouth=frames.mouth(place, *condition.visual))

        yield show
