"""Batches for training: what the plan says, read by workers from the shards, from any position on.

    stream = Stream(corpus, chosen, tokens, "video", planner, (plain, augmented))
    with Loader(stream, rank=0, start=Position(), batches=800, workers=2) as batches:
        for clear, disturbed in batches: ...

A position is (epoch, batch). What an epoch has is asked when it begins, after the last batch of the one before was
taken, so that it may depend on what came of that. Workers take turns, batch by batch, so that the order is the plan's
whatever their number; each reads its fraction of a group's shards forward once, and keeps it undecoded until the group
is done. What a small corpus is when it is decoded stays in memory for the epochs that follow.
"""

from __future__ import annotations

import multiprocessing
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import groupby
from multiprocessing.process import BaseProcess
from typing import Any, Protocol

import torch
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from ..nn import Batch, Modality
from ..records import Refused, rng_for
from .examples import Example, Place, decode, members_of, read_members
from .inputs import Clip, collate
from .plan import Pass, PlannedBatch, Planner, Position
from .prepared import Prepared
from .selection import SelectionSettings, some_frames
from .waiting import waiting

# Bytes of decoded clips, of all workers of a stream. Half an hour of mouths is 400 MB; of the 0.12 ms that a worker
# takes for a frame, decoding it is 0.09.
KEPT = 1 << 29
DIED = "a process that reads clips died, maybe for lack of memory: take fewer with train.workers, and resume the run"


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
    selection: SelectionSettings = field(default_factory=SelectionSettings)

    def batches(
        self, planned: Sequence[PlannedBatch], epoch: int, chosen: Pass, decoded: Decoded
    ) -> Iterator[tuple[Batch, ...]]:
        """The batches of an epoch that were planned so, each one batch a view, of the same clips in the same order."""
        for _, same_group in groupby(planned, key=lambda batch: batch.group):
            group = list(same_group)
            wanted = [self.places[clip] for batch in group for clip in batch.clips if clip not in decoded.kept]
            members = read_members(self.corpus, wanted, members_of(self.modality))
            for batch in group:
                clips = [self._shown(number, epoch, chosen, members, decoded) for number in batch.clips]
                yield tuple(collate(view) for view in zip(*clips, strict=True))

    def _shown(
        self, number: int, epoch: int, chosen: Pass, members: dict[str, dict[str, bytes]], decoded: Decoded
    ) -> list[Clip]:
        """A clip in each of the ways in which it is shown."""
        example = decoded.kept.get(number)
        if example is None:
            place = self.places[number]
            example = decoded.add(number, decode(self.corpus, place, members.pop(place.entry.key)))
        rng = rng_for(self.planner.seed, "frames", example.key, str(epoch))
        example = some_frames(example, int(chosen.frames[number]), self.selection, rng)
        clips = [show(example, self.tokens[number], epoch) for show in self.views]
        return [replace(clip, weight=float(chosen.weights[number])) for clip in clips]


class Decoded:
    """Decoded clips by number, as many as there is room for."""

    def __init__(self, room: int) -> None:
        self.kept: dict[int, Example] = {}
        self.room = room

    def add(self, number: int, example: Example) -> Example:
        """Keep a clip where it fits; the clip."""
        if example.nbytes <= self.room:
            self.kept[number] = example
            self.room -= example.nbytes
        return example


class _Turns(IterableDataset[tuple[Batch, ...] | Refused]):
    """What one worker makes of each epoch. A refusal travels as the last of it: torch would wrap it in a traceback.

    The loader says in shared memory which epoch comes next, from which batch on, how many of them, and of which clips.
    A worker looks when it begins the epoch; the loader begins none before all workers have ended the one before.
    """

    def __init__(self, stream: Stream, rank: int) -> None:
        self.stream, self.rank = stream, rank
        self.now = torch.zeros(3, dtype=torch.int64).share_memory_()
        self.weights = torch.zeros(len(stream.places)).share_memory_()
        self.frames = torch.zeros(len(stream.places), dtype=torch.int64).share_memory_()
        self.decoded: Decoded | None = None

    def begin(self, epoch: int, first: int, count: int, chosen: Pass) -> None:
        """Say what the next epoch is."""
        self.now.copy_(torch.tensor([epoch, first, count]))
        self.weights.copy_(torch.from_numpy(chosen.weights))
        self.frames.copy_(torch.from_numpy(chosen.frames))

    def __iter__(self) -> Iterator[tuple[Batch, ...] | Refused]:
        worker = get_worker_info()
        turn, turns = (worker.id, worker.num_workers) if worker is not None else (0, 1)
        if self.decoded is None:
            self.decoded = Decoded(KEPT // turns)
        epoch, first, count = self.now.tolist()
        chosen = Pass(self.weights.numpy().copy(), self.frames.numpy().copy())
        mine = self.stream.planner.plan(epoch, chosen)[self.rank][first : first + count][turn::turns]
        try:
            yield from self.stream.batches(mine, epoch, chosen, self.decoded)
        except Refused as refused:
            yield refused


class Loader:
    """The next `batches` of a rank; with 0 workers they are made where they are asked for.

    `begin` says what each epoch has; none: everything. Leaving its `with` ends the workers, whatever they wait for.
    """

    def __init__(
        self,
        stream: Stream,
        rank: int,
        start: Position,
        batches: int,
        workers: int,
        begin: Callable[[int], Pass] | None = None,
    ) -> None:
        self.stream, self.rank, self.start, self.count = stream, rank, start, batches
        self.begin = begin or stream.planner.everything
        self.stopping = multiprocessing.RawValue("b", 0)
        self.workers: set[BaseProcess] = set()
        self.turns = _Turns(stream, rank)
        self.batches = DataLoader(
            self.turns,
            batch_size=None,
            num_workers=workers,
            generator=torch.Generator(),  # else making an iterator would take a number from the network's dropout
            pin_memory=torch.cuda.is_available(),
            worker_init_fn=partial(_prepare_worker, stopping=self.stopping),
            prefetch_factor=4 if workers else None,
            persistent_workers=workers > 0,  # they keep what they decoded
        )

    def __iter__(self) -> Iterator[tuple[Batch, ...]]:
        epoch, first, left = self.start.epoch, self.start.batch, self.count
        while left:
            chosen = self.begin(epoch)
            count = min(left, len(self.stream.planner.plan(epoch, chosen)[self.rank]) - first)
            if count:
                self.turns.begin(epoch, first, count, chosen)
                yield from self._epoch()
            epoch, first, left = epoch + 1, 0, left - count

    def _epoch(self) -> Iterator[tuple[Batch, ...]]:
        before = set(multiprocessing.active_children())
        with self._answers():
            made = iter(self.batches)
        self.workers |= set(multiprocessing.active_children()) - before
        while True:
            with self._answers():
                batch = next(made, None)
            if batch is None:
                return
            if isinstance(batch, Refused):
                raise batch
            yield batch

    @contextmanager
    def _answers(self) -> Iterator[None]:
        """Wait for workers. One that ends while it hands a batch over closes the socket that the batch comes by."""
        try:
            with waiting():
                yield
        except (EOFError, ConnectionError, FileNotFoundError):
            if not self.workers:
                raise
            raise Refused(DIED) from None

    def __enter__(self) -> Loader:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self.stopping.value = 1
        try:
            self._end_workers()
        except RuntimeError as late:
            if not _is_torchs(late):
                raise
            self._end_workers()  # said once for each worker that died
        if _is_torchs(error):
            raise Refused(DIED) from None

    def _end_workers(self) -> None:
        for worker in self.workers:
            worker.terminate()
        for worker in self.workers:
            worker.join(5)
            if worker.is_alive():
                worker.kill()


def _is_torchs(error: BaseException | None) -> bool:
    """Whether these are torch's words for a worker that a signal ended: raised by a handler, whatever is under way."""
    return isinstance(error, RuntimeError) and "DataLoader worker" in str(error)


def _prepare_worker(worker: int, stopping: Any) -> None:
    torch.set_num_threads(1)  # decoding beside training: more threads would only wait for one another

    def end(number: int, frame: object) -> None:
        if stopping.value:
            sys.exit()

    # Ctrl-C and batch queues signal all processes; workers continue until training has finished its update and lets go.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, end)
