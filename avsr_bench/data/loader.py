"""Batches for training: what the plan says, read by workers from the shards, from any position on.

    stream = Stream(corpus, chosen, tokens, "video", planner, (plain, augmented))
    with Loader(stream, rank=0, start=Position(), batches=800, workers=2) as batches:
        for clear, disturbed in batches: ...

A position is (epoch, batch). Workers take turns, batch by batch, so that the order is the plan's whatever their number;
each reads its fraction of a group's shards forward once, and keeps it undecoded until the group is done. What a small
corpus is when it is decoded stays in memory for the epochs that follow.
"""

from __future__ import annotations

import multiprocessing
import signal
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache, partial
from itertools import groupby, islice
from multiprocessing.process import BaseProcess
from typing import Any, Protocol

import torch
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from ..nn import Batch, Modality
from ..records import Refused
from .examples import Example, Place, decode, members_of, read_members
from .inputs import Clip, collate
from .plan import BatchSettings, PlannedBatch, plan_epoch
from .prepared import Prepared
from .waiting import waiting

# Bytes of decoded clips, of all workers of a stream. Half an hour of mouths is 400 MB; of the 0.12 ms that a worker
# takes for a frame, decoding it is 0.09.
KEPT = 1 << 29
DIED = "a process that reads clips died, maybe for lack of memory: take fewer with train.workers, and resume the run"


@dataclass(frozen=True, slots=True)
class Position:
    """Where training stands: the batch that comes next."""

    epoch: int = 0
    batch: int = 0


@dataclass(frozen=True, eq=False)  # known by itself: comparing the lengths of all clips would cost more than a plan
class Planner:
    """All epochs of a run, each planned when it is asked for."""

    frames: tuple[int, ...]
    shards: tuple[int, ...]
    settings: BatchSettings
    seed: int
    ranks: int = 1
    short_epochs: int = 0  # the curriculum: so many epochs of nothing but clips of at most `short_frames`
    short_frames: int = 0

    def plan(self, epoch: int) -> tuple[tuple[PlannedBatch, ...], ...]:
        """The batches of every rank in one epoch, by the numbers of all clips."""
        return _plan(self, epoch)

    def batches(self, epochs: int) -> int:
        """How many batches a rank has in the first `epochs`."""
        return sum(_length(self, epoch) for epoch in range(epochs))

    def after(self, position: Position, batches: int) -> Position:
        """The position so many batches later."""
        epoch, batch = position.epoch, position.batch + batches
        while batch >= (length := _length(self, epoch)):
            epoch, batch = epoch + 1, batch - length
        return Position(epoch, batch)


@lru_cache(maxsize=4)
def _plan(planner: Planner, epoch: int) -> tuple[tuple[PlannedBatch, ...], ...]:
    taken = [
        number
        for number, length in enumerate(planner.frames)
        if epoch >= planner.short_epochs or length <= planner.short_frames
    ]
    frames, shards = [planner.frames[k] for k in taken], [planner.shards[k] for k in taken]
    planned = plan_epoch(frames, shards, planner.settings, planner.seed, epoch, planner.ranks)
    return tuple(
        tuple(PlannedBatch(batch.group, tuple(taken[k] for k in batch.clips)) for batch in rank) for rank in planned
    )


@cache
def _length(planner: Planner, epoch: int) -> int:
    """Kept for all epochs: where an update stands is asked at each, and counted from the beginning."""
    return len(planner.plan(epoch)[0])


class Show(Protocol):
    """How a clip is shown to the network in an epoch; it travels to workers."""

    def __call__(self, example: Example, tokens: tuple[int, ...], epoch: int) -> Clip:
        """The clip as it is shown."""


@dataclass(frozen=True, slots=True)
class Stream:
    """Everything that decides what is in each batch."""

    corpus: Prepared
    places: Sequence[Place]
    tokens: Sequence[tuple[int, ...]]
    modality: Modality
    planner: Planner
    views: tuple[Show, ...]  # the same clips, shown in each of these ways

    def batches(
        self, rank: int, start: Position, count: int, turn: int = 0, turns: int = 1
    ) -> Iterator[tuple[Batch, ...]]:
        """Of the `count` batches of a rank from `start` on every `turns`-th, beginning with number `turn`.

        Each is one batch a view, of the same clips in the same order.
        """
        extensions = members_of(self.modality)
        kept: dict[int, Example] = {}
        room = KEPT // turns
        planned = islice(self._planned(rank, start), count)
        mine = (each for number, each in enumerate(planned) if number % turns == turn)
        for _, same_group in groupby(mine, key=lambda each: (each[0], each[1].group)):
            group = list(same_group)
            wanted = [self.places[clip] for _, batch in group for clip in batch.clips if clip not in kept]
            members = read_members(self.corpus, wanted, extensions)
            for epoch, batch in group:
                clips = []
                for number in batch.clips:
                    example = kept.get(number)
                    if example is None:
                        place = self.places[number]
                        example = decode(self.corpus, place, members.pop(place.entry.key))
                        if example.nbytes <= room:
                            kept[number] = example
                            room -= example.nbytes
                    clips.append([show(example, self.tokens[number], epoch) for show in self.views])
                yield tuple(collate(view) for view in zip(*clips, strict=True))

    def _planned(self, rank: int, start: Position) -> Iterator[tuple[int, PlannedBatch]]:
        epoch, first = start.epoch, start.batch
        while True:
            yield from ((epoch, batch) for batch in self.planner.plan(epoch)[rank][first:])
            epoch, first = epoch + 1, 0


class _Turns(IterableDataset[tuple[Batch, ...] | Refused]):
    """What one worker makes of a stream. A refusal travels as the last of it: torch would wrap it in a traceback."""

    def __init__(self, stream: Stream, rank: int, start: Position, count: int) -> None:
        self.stream, self.rank, self.start, self.count = stream, rank, start, count

    def __iter__(self) -> Iterator[tuple[Batch, ...] | Refused]:
        worker = get_worker_info()
        turn, turns = (worker.id, worker.num_workers) if worker is not None else (0, 1)
        try:
            yield from self.stream.batches(self.rank, self.start, self.count, turn, turns)
        except Refused as refused:
            yield refused


class Loader:
    """The next `batches` of a rank; with 0 workers they are made where they are asked for.

    Leaving its `with` ends the workers, whatever they wait for.
    """

    def __init__(self, stream: Stream, rank: int, start: Position, batches: int, workers: int) -> None:
        self.stopping = multiprocessing.RawValue("b", 0)
        self.workers: set[BaseProcess] = set()
        self.batches = DataLoader(
            _Turns(stream, rank, start, batches),
            batch_size=None,
            num_workers=workers,
            generator=torch.Generator(),  # else making an iterator would take a number from the network's dropout
            pin_memory=torch.cuda.is_available(),
            worker_init_fn=partial(_prepare_worker, stopping=self.stopping),
            prefetch_factor=4 if workers else None,
        )

    def __iter__(self) -> Iterator[tuple[Batch, ...]]:
        before = set(multiprocessing.active_children())
        made = iter(self.batches)
        self.workers |= set(multiprocessing.active_children()) - before
        while True:
            try:
                with waiting():
                    batch = next(made, None)
            except (EOFError, ConnectionError, FileNotFoundError):
                if not self.workers:
                    raise
                # A worker that ends while it hands a batch over closes the socket that the batch's memory comes by.
                raise Refused(DIED) from None
            if batch is None:
                return
            if isinstance(batch, Refused):
                raise batch
            yield batch

    def __enter__(self) -> Loader:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self.stopping.value = 1
        for worker in self.workers:
            worker.terminate()
        for worker in self.workers:
            worker.join(5)
            if worker.is_alive():
                worker.kill()
        # torch's words for a worker that a signal ended, raised by a handler of its own, whatever was under way.
        if isinstance(error, RuntimeError) and "DataLoader worker" in str(error):
            raise Refused(DIED) from None


def _prepare_worker(worker: int, stopping: Any) -> None:
    torch.set_num_threads(1)  # decoding beside training: more threads would only wait for one another

    def end(number: int, frame: object) -> None:
        if stopping.value:
            sys.exit()

    # Ctrl-C and batch queues signal all processes; workers continue until training has finished its update and lets go.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, end)
