"""The epoch plan: which clips make which batch, on which rank, in which order; planned, not discovered.

A pure function of which clips the epoch has, their lengths, the seed, the epoch and the number of ranks. Shards are
shuffled and taken in groups; inside a group clips of like length are put together, so that little is padding, and the
batches are shuffled. Every rank gets equally many, and every clip is in exactly one batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from heapq import heapify, heappop, heappush
from typing import Annotated

import numpy as np
from annotated_types import Interval

from ..records import FPS, Refused, rng_for


@dataclass(frozen=True, slots=True)
class BatchSettings:
    """How large batches are, and from how far apart their clips come."""

    # A rank and batch, padding included: 1,600 is the published recipe's (without its padding).
    frames: Annotated[int, Interval(ge=1, le=10**7)] = 1600
    clips: Annotated[int, Interval(ge=1, le=10**5)] | None = None  # a rank and batch, at most
    # Frames: longer clips are left out, and counted; none: they are an error.
    longest: Annotated[int, Interval(ge=1, le=10**7)] | None = None
    # Shards: so many lie in memory, undecoded, shared among a rank's workers.
    group: Annotated[int, Interval(ge=1, le=10**5)] = 8


@dataclass(frozen=True, slots=True)
class PlannedBatch:
    """Clips by their numbers, and the group of shards that they come from."""

    group: int
    clips: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Position:
    """Where training stands: the batch that comes next."""

    epoch: int = 0
    batch: int = 0


@dataclass(frozen=True, eq=False)  # known by itself, as a planner is
class Pass:
    """What one epoch has of the clips."""

    weights: np.ndarray  # float32 clips: what the loss of each counts; 0: it is left out
    frames: np.ndarray  # int64 clips: how many of its frames are shown

    @property
    def clips(self) -> np.ndarray:
        """The numbers of the clips that it has."""
        return np.flatnonzero(self.weights)


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

    def everything(self, epoch: int) -> Pass:
        """All clips and all their frames; while the curriculum lasts, all short clips."""
        frames = np.asarray(self.frames)
        allowed = (frames <= self.short_frames) | (epoch >= self.short_epochs)
        return Pass(allowed.astype(np.float32), frames)

    def plan(self, epoch: int, chosen: Pass | None = None) -> tuple[tuple[PlannedBatch, ...], ...]:
        """The batches of every rank in one epoch, of what was chosen for it or of everything."""
        return _plan(self, epoch, chosen)

    def batches(self, epochs: int) -> int:
        """How many batches a rank has in the first `epochs` of everything."""
        return sum(_length(self, epoch) for epoch in range(epochs))

    def after(self, position: Position, batches: int) -> Position:
        """The position so many batches later, where every epoch has everything."""
        epoch, batch = position.epoch, position.batch + batches
        while batch >= (length := _length(self, epoch)):
            epoch, batch = epoch + 1, batch - length
        return Position(epoch, batch)


@lru_cache(maxsize=4)
def _plan(planner: Planner, epoch: int, chosen: Pass | None) -> tuple[tuple[PlannedBatch, ...], ...]:
    chosen = chosen or planner.everything(epoch)
    clips, shards = chosen.clips, np.asarray(planner.shards)
    planned = plan_epoch(chosen.frames[clips], shards[clips], planner.settings, planner.seed, epoch, planner.ranks)
    if len(clips) == len(shards):  # all of them: their numbers are those of the plan
        return planned
    taken = clips.tolist()
    return tuple(
        tuple(PlannedBatch(batch.group, tuple(taken[k] for k in batch.clips)) for batch in rank) for rank in planned
    )


@cache
def _length(planner: Planner, epoch: int) -> int:
    """Kept for all epochs: where an update stands is asked at each, and counted from the beginning."""
    return len(planner.plan(epoch)[0])


def left_out(frames: Sequence[int], keys: Sequence[str], settings: BatchSettings) -> tuple[int, ...]:
    """The numbers of clips longer than `longest`; one longer than a batch may be is refused."""
    longest = settings.longest
    for length, key in zip(frames, keys, strict=True):
        if length > settings.frames and (longest is None or length <= longest):
            raise Refused(
                f"{key} has {length:,} frames ({length / FPS:.0f} s), and a batch takes data.frames={settings.frames}:"
                f" raise data.frames, or leave long clips out with data.longest={settings.frames}"
            )
    return tuple(number for number, length in enumerate(frames) if longest is not None and length > longest)


def plan_epoch(
    frames: Sequence[int] | np.ndarray,
    shards: Sequence[int] | np.ndarray,
    settings: BatchSettings,
    seed: int,
    epoch: int,
    ranks: int = 1,
) -> tuple[tuple[PlannedBatch, ...], ...]:
    """The batches of every rank; `frames` and `shards` say of each clip how long it is and where it lies."""
    rng = rng_for(seed, "epoch", str(epoch))
    lengths, (names, homes) = np.asarray(frames), np.unique(shards, return_inverse=True)
    place = np.argsort(rng.permutation(len(names)))  # of each shard in the order in which shards are taken
    groups = place[homes] // settings.group
    by_group = np.argsort(groups, kind="stable")
    batches: list[PlannedBatch] = []
    for group, clips in enumerate(np.split(by_group, np.cumsum(np.bincount(groups))[:-1])):
        clips = clips[rng.permutation(len(clips))]
        clips = clips[np.argsort(lengths[clips], kind="stable")]  # so clips of one length stay shuffled
        batches += [PlannedBatch(group, tuple(batch)) for batch in _packed(clips, lengths, settings)]
    batches = _divisible(batches, lengths, ranks)
    # A step is one batch for every rank, of like length, so that none waits for another; steps are shuffled in a group.
    steps = [batches[place : place + ranks] for place in range(0, len(batches), ranks)]
    chance = rng.permutation(len(steps))
    order = np.lexsort((chance, np.array([step[0].group for step in steps]))).tolist()
    return tuple(tuple(steps[k][rank] for k in order) for rank in range(ranks))


def plan_split(frames: Sequence[int], settings: BatchSettings, ranks: int = 1) -> tuple[tuple[PlannedBatch, ...], ...]:
    """The batches of a split that is not trained on: by length, the same every time; ranks may differ by one batch."""
    lengths = np.asarray(frames)
    order = np.argsort(lengths, kind="stable")
    batches = [PlannedBatch(0, tuple(batch)) for batch in _packed(order, lengths, settings)]
    return tuple(tuple(batches[rank::ranks]) for rank in range(ranks))


def _packed(clips: np.ndarray, lengths: np.ndarray, settings: BatchSettings) -> Iterator[list[int]]:
    """Clips in rising length, as many in a batch as fit when all are padded to the last."""
    batch: list[int] = []
    for clip, length in zip(clips.tolist(), lengths[clips].tolist(), strict=True):
        full = (len(batch) + 1) * length > settings.frames
        if batch and (full or len(batch) == settings.clips):
            yield batch
            batch = []
        batch.append(clip)
    if batch:
        yield batch


def _divisible(batches: list[PlannedBatch], lengths: np.ndarray, ranks: int) -> list[PlannedBatch]:
    """The same clips in a multiple of `ranks` batches: the largest are halved until it is."""
    missing = -len(batches) % ranks
    if not missing:
        return batches
    # The largest first, and of equals the one that comes first. Halves take the place of the whole: (4, 0) and (4, 1)
    # lie between (3,) and (5,).
    waiting = [_by_size(batch, lengths, (number,)) for number, batch in enumerate(batches)]
    heapify(waiting)
    for _ in range(missing):
        *_, place, batch = heappop(waiting)
        clips, half = batch.clips, len(batch.clips) // 2
        if not half:
            raise Refused(f"{len(waiting) + 1} clips, each a batch of its own, cannot be shared among {ranks} devices")
        for side, some in enumerate((clips[:half], clips[half:])):
            heappush(waiting, _by_size(PlannedBatch(batch.group, some), lengths, (*place, side)))
    return [batch for *_, batch in sorted(waiting, key=lambda each: each[2])]


def _by_size(
    batch: PlannedBatch, lengths: np.ndarray, place: tuple[int, ...]
) -> tuple[int, int, tuple[int, ...], PlannedBatch]:
    return -len(batch.clips), -int(lengths[list(batch.clips)].sum()), place, batch
