"""`evaluate` of an enhancer: one run, one split, clean clips and several conditions. Reads top to bottom as it happens.

The output is held against the clean sound, and a fixed recogniser may read it. What is in the archive is kept.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from .. import runs
from ..data import Place, Prepared
from ..nn import Modality
from ..records import Misused, Progress
from ..runs import Run
from ..scoring import Utterance, archive, sound
from .clips import Clips
from .conditions import CLEAN, Condition, corrupted, open_sound
from .device import pick_device
from .enhancing import FULL_SCALE, Cleaner, ShownLips, open_cleaner
from .job import RESULTS, Evaluated, EvaluateRequest, chosen, notes, opened, sound_settings
from .reading import Reader, check_lengths, open_reader, read_clips, utterance, view_of
from .results import Other, Provenance, result_name, result_of, stored_result, weights_digest
from .threads import in_threads

NO_PESQ = "PESQ is left out, as its package is not installed: pip install 'avsr-bench[enhance]', with a C compiler"


@dataclass(frozen=True, slots=True)
class _Ears:
    """What becomes of a clip: who cleans it, whose lips it is shown with, who reads it."""

    cleaner: Cleaner
    clips: Clips
    seed: int
    lips: ShownLips
    reader: Reader | None

    def __call__(self, job: tuple[Place, Condition]) -> tuple[Utterance, float]:
        """One clip under one condition, and the seconds that it took."""
        start = time.perf_counter()
        place, condition = job
        clean = self.clips(place)
        noisy = corrupted(clean, condition, self.seed)
        done = self.cleaner(noisy, self.lips(place))
        assert clean.sound is not None and noisy.sound is not None and done.sound is not None
        before = noisy.sound / FULL_SCALE if condition.sound else None
        parts = sound.measure(done.sound / FULL_SCALE, clean.sound / FULL_SCALE, before)
        if self.reader is None:
            found = Utterance(clean.key, clean.text, None, clean.speaker, clean.source, parts=parts)
        else:
            with self.cleaner.turn:
                [heard] = read_clips(self.reader, [view_of(done, self.reader.view)])
            found = replace(utterance(clean, heard), parts=parts)
        return found, time.perf_counter() - start


def evaluate_enhancer(request: EvaluateRequest, progress: Progress) -> tuple[Evaluated, ...]:
    """What an enhancer makes of clean clips and of every condition asked for, each measured once."""
    corpus, run = opened(request)
    run.check_enhances()
    _check_asked(request, run)
    device = pick_device(request.device)
    reader, reading = _reader(request, corpus.name)
    cleaner = open_cleaner(run, device)
    sounds = [request.sound] if request.sound else []
    heard = open_sound(sounds, corpus, request.split, request.seed, sound_settings(request.assignments))
    conditions = list(dict.fromkeys([CLEAN, *heard]))
    modalities: list[Modality] = [cleaner.network.modality, *([reading.modality] if reading else [])]
    senses: Modality = "av" if "av" in modalities else "audio"
    places, split = chosen(corpus, request.split, senses, request.limit, need_text=reader is not None)
    check_lengths([(place.entry.key, place.entry.frames) for place in places])
    clips = Clips(corpus, places, senses)
    lips = ShownLips.of(request.lips, clips, places, request.seed)
    for note in _notes(run, corpus, reading, reader, places):
        progress.say(note)
    read_by = Other(reading.name, weights_digest(reading)) if reading else Other()
    about = Provenance(
        run=run,
        weights=cleaner.weights,
        corpus=corpus,
        split=split,
        seed=request.seed,
        command=request.command,
        reader=read_by,
        lips=request.lips,
    )
    by = f"-read-by-{reading.name.replace('/', '-')}" if reading else ""
    path = (request.out or run.folder / RESULTS) / f"{split}{by}{archive.SUFFIX}"
    archive.check(path)

    found: dict[Condition, Evaluated] = {}
    for condition in conditions:
        if kept := stored_result(path, condition, reader, about, len(places)):
            found[condition] = Evaluated(kept[0], path / _name(condition, about), kept[1])
    if found:
        progress.say(f"{len(found):,} of {len(conditions):,} results are there already")
    jobs = [(place, condition) for condition in conditions if condition not in found for place in places]
    ears = _Ears(cleaner, clips, request.seed, lips, reader)
    done: dict[Condition, list[tuple[Utterance, float]]] = defaultdict(list)
    progress.begin(f"{run.name} on {corpus.name} {split}", len(jobs), "clips")
    for (_, condition), measured in in_threads(ears, jobs, request.workers):
        progress.step(None)
        mine = done[condition]
        mine.append(measured)
        if len(mine) == len(places):
            utterances = tuple(sorted((each for each, _ in mine), key=lambda each: each.key))
            seconds = sum(seconds for _, seconds in mine)
            result = result_of(condition, reader, utterances, about, device, seconds)
            archive.write(path, _name(condition, about), result, utterances)
            found[condition] = Evaluated(result, path / _name(condition, about), utterances)
    return tuple(found[condition] for condition in conditions)


def _name(condition: Condition, about: Provenance) -> str:
    return result_name(condition, about.seed, about.lips)


def _check_asked(request: EvaluateRequest, run: Run) -> None:
    """Refuse what means nothing to an enhancer."""
    if request.noise is not None:
        raise Misused(f"--noise is for the eye, and {run.name} is an enhancer, which cleans sound: use --sound")
    if request.lips != "own" and run.about.modality == "audio":
        raise Misused(f"--lips {request.lips}: {run.name} only hears, whatever lips there are; leave it out")
    if request.read is None:
        for option, value in (("--decode", request.decode), ("--beam", request.beam), ("--modality", request.modality)):
            if value is not None:
                raise Misused(f"{option} {value} is for the recogniser that reads the output: add --read RUN")


def _reader(request: EvaluateRequest, corpus: str) -> tuple[Reader | None, Run | None]:
    """Who reads the output, where somebody does."""
    if request.read is None:
        return None, None
    run = runs.open_run(runs.find_run(request.read, corpus))
    run.check_reads()
    run = run.seen_as(request.modality)
    if run.modality == "video":
        raise Misused(f"--read {request.read}: {run.name} only sees, and would not notice: give a run that hears")
    return open_reader(run, pick_device(request.device), request.decode, request.beam), run


def _notes(
    run: Run, corpus: Prepared, reading: Run | None, reader: Reader | None, places: Sequence[Place]
) -> Iterator[str]:
    """What the user should know."""
    if run.about.corpus and run.about.corpus != corpus.name:
        yield f"{run.name} was trained on {run.about.corpus}, and cleans {corpus.name} here"
    if reading is not None and reader is not None:
        yield from notes(reading, corpus, reader, places)
    if "pesq" not in sound.computable():
        yield NO_PESQ
