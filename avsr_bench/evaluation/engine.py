"""Many conditions and networks in one go, with the work shared.

Clips are decoded once, a clip is corrupted once under each condition whatever the number of networks, networks that are
shown the same share the arrays, and batches run over conditions where one condition does not fill them.

Work is shared out by batches, each done from the clip to the text by one thread. On a processor every core so has
batches of its own, with networks that compute on one thread: on two cores that is faster than both cores in one small
product, and nobody waits spinning. On a GPU the threads prepare batches, and one at a time computes.
"""

from __future__ import annotations

import contextlib
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from threading import Lock

from ..data import Example, Place
from ..scoring import Utterance
from .conditions import Condition
from .reading import TOGETHER, Reader, batches, check_lengths, read_clips, utterance, view_of
from .threads import in_threads

FULL = 8  # batches: conditions are joined until they fill as many

Show = Callable[[Place, Condition], Example]  # a clip under a condition; without its mouth where its face is lost


@dataclass(frozen=True, eq=False)
class Task:
    """A condition, and who reads the clips under it."""

    condition: Condition
    readers: tuple[Reader, ...]


@dataclass(frozen=True)
class Heard:
    """What one reader read under one condition: all utterances, by key."""

    condition: Condition
    reader: Reader
    utterances: tuple[Utterance, ...]
    lost: int  # clips without a face under the noise: nothing was read in them
    seconds: float  # of one thread


@dataclass(frozen=True)
class _Job:
    place: Place
    task: Task


def sweep(
    tasks: Sequence[Task],
    places: Sequence[Place],
    show: Show,
    workers: int = 1,
    step: Callable[[], None] = lambda: None,
) -> Iterator[Heard]:
    """What was heard, each condition as soon as all of it is read; `step` is called for each utterance."""
    tasks = [task for task in tasks if task.readers]
    if not tasks:
        return
    check_lengths([(place.entry.key, place.entry.frames) for place in places])
    device = tasks[0].readers[0].device
    turn = Lock() if device.type == "cuda" else contextlib.nullcontext()
    parts: dict[tuple[Task, Reader], list[_Part]] = defaultdict(list)
    missing = dict.fromkeys(tasks, len(places))
    planned = _planned(tasks, places, TOGETHER[device.type])
    for batch, done in in_threads(partial(_work, show=show, turn=turn), planned, workers):
        for each, part in done.items():
            parts[each].append(part)
            for _ in part.utterances:
                step()
        for job in batch:
            missing[job.task] -= 1
        for task in dict.fromkeys(job.task for job in batch):
            if missing[task] == 0:
                for reader in task.readers:
                    yield _joined(task.condition, reader, parts.pop((task, reader)))


@dataclass
class _Part:
    """What one batch adds to a condition and a reader."""

    utterances: list[Utterance]
    lost: int = 0
    seconds: float = 0.0


def _joined(condition: Condition, reader: Reader, parts: list[_Part]) -> Heard:
    utterances = sorted((each for part in parts for each in part.utterances), key=lambda each: each.key)
    lost, seconds = sum(part.lost for part in parts), sum(part.seconds for part in parts)
    return Heard(condition, reader, tuple(utterances), lost, seconds)


def _planned(tasks: Sequence[Task], places: Sequence[Place], together: int) -> Iterator[list[_Job]]:
    """The batches: conditions one after another, or several at once where each is small, so that batches are full."""
    size = sum(place.entry.frames for place in places)
    at_once = max(1, FULL * together // max(size, 1))
    for first in range(0, len(tasks), at_once):
        some = tasks[first : first + at_once]
        yield from batches(
            [_Job(place, task) for task in some for place in places], lambda job: job.place.entry.frames, together
        )


_Done = dict[tuple[Task, Reader], _Part]


def _work(batch: list[_Job], show: Show, turn: contextlib.AbstractContextManager[object]) -> _Done:
    """One batch: corrupt its clips, and let every reader that wants to read them."""
    start = time.perf_counter()
    examples = [show(job.place, job.task.condition) for job in batch]
    lost = [
        job.task.condition.on == "frame" and example.mouth is None for job, example in zip(batch, examples, strict=True)
    ]
    readers = dict.fromkeys(reader for job in batch for reader in job.task.readers)
    shared = (time.perf_counter() - start) / len(readers)
    done: _Done = {}
    for view in dict.fromkeys(reader.view for reader in readers):
        start = time.perf_counter()
        clips = [None if gone else view_of(example, view) for example, gone in zip(examples, lost, strict=True)]
        alike = [reader for reader in readers if reader.view == view]
        prepared = shared + (time.perf_counter() - start) / len(alike)
        for reader in alike:
            mine = [place for place, job in enumerate(batch) if reader in job.task.readers]
            with turn:
                start = time.perf_counter()
                seen = [clip for place in mine if (clip := clips[place]) is not None]
                heard = iter(read_clips(reader, seen) if seen else [])
                seconds = (time.perf_counter() - start + prepared) / len(mine)
            for place in mine:
                part = done.setdefault((batch[place].task, reader), _Part([]))
                part.seconds += seconds
                part.utterances.append(utterance(examples[place], None if lost[place] else next(heard)))
                part.lost += lost[place]
    return done
