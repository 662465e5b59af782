"""The epoch plan: which clips make which batch, on which rank, in which order; planned, not discovered.

A pure function of which clips the epoch has, their lengths, the seed, the epoch and the number of ranks. Shards are
shuffled and taken in groups; inside a group clips of like length are put together, so that little is padding, and the
batches are shuffled. Every rank gets equally many, and every clip is in exactly one batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
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
    taken = chosen.clips.tolist()
    shards = [planner.shards[clip] for clip in taken]
    planned = plan_epoch(chosen.frames[taken].tolist(), shards, planner.settings, planner.seed, epoch, planner.ranks)
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
    frames: Sequence[int], shards: Sequence[int], settings: BatchSettings, seed: int, epoch: int, ranks: int = 1
) -> tuple[tuple[PlannedBatch, ...], ...]:
    """The batches of every rank; `frames` and `shards` say of each clip how long it is and where it lies."""
    rng = rng_for(seed, "epoch", str(epoch))
    lengths, homes = np.asarray(frames), np.asarray(shards)
    order = rng.permutation(np.unique(homes))
    batches: list[PlannedBatch] = []
    for group, start in enumerate(range(0, len(order), settings.group)):
        clips = np.flatnonzero(np.isin(homes, order[start : start + settings.group]))
        clips = clips[rng.permutation(len(clips))]
        clips = clips[np.argsort(lengths[clips], kind="stable")]  # so clips of one length stay shuffled
        batches += [PlannedBatch(group, tuple(batch)) for batch in _packed(clips.tolist(), lengths, settings)]
    batches = _divisible(batches, lengths, ranks)
    # A step is one batch for every rank, of like length, so that none waits for another; steps are shuffled in a group.
    steps = [batches[place : place + ranks] for place in range(0, len(batches), ranks)]
    chance = rng.permutation(len(steps))
    steps = [steps[k] for k in sorted(range(len(steps)), key=lambda k: (steps[k][0].group, chance[k]))]
    return tuple(tuple(step[rank] for step in steps) for rank in range(ranks))


def plan_split(frames: Sequence[int], settings: BatchSettings, ranks: int = 1) -> tuple[tuple[PlannedBatch, ...], ...]:
    """The batches of a split that is not trained on: by length, the same every time; ranks may differ by one batch."""
    lengths = np.asarray(frames)
    order = np.argsort(lengths, kind="stable").tolist()
    batches = [PlannedBatch(0, tuple(batch)) for batch in _packed(order, lengths, settings)]
    return tuple(tuple(batches[rank::ranks]) for rank in range(ranks))


def _packed(clips: Sequence[int], lengths: np.ndarray, settings: BatchSettings) -> Iterator[list[int]]:
    """Clips in rising length, as many in a batch as fit when all are padded to the last."""
    batch: list[int] = []
    for clip in clips:
        full = (len(batch) + 1) * lengths[clip] > settings.frames
        if batch and (full or len(batch) == settings.clips):
            yield batch
            batch = []
        batch.append(clip)
    if batch:
        yield batch


def _divisible(batches: list[PlannedBatch], lengths: np.ndarray, ranks: int) -> list[PlannedBatch]:
    """The same clips in a multiple of `ranks` batches: the largest are halved until it is."""
    while len(batches) % ranks:
        largest = max(range(len(batches)), key=lambda k: (len(batches[k].clips), lengths[list(batches[k].clips)].sum()))
        group, clips = batches[largest].group, batches[largest].clips
        if len(clips) == 1:
            raise Refused(f"{len(batches)} clips, each a batch of its own, cannot be shared among {ranks} devices")
        half = len(clips) // 2
        batches[largest : largest + 1] = [PlannedBatch(group, clips[:half]), PlannedBatch(group, clips[half:])]
    return batches
