"""`validate`: every byte of prepared shards read back, on all cores."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path

from .. import media, shards
from ..records import FPS, SAMPLES_PER_FRAME, Progress, Reason, Refused, Unusable
from .engine import run_local


def validate(out: Path, progress: Progress, workers: int) -> shards.Report:
    """Check sizes, digests, tar structure and index of every shard, and decode every member."""
    planned = shards.planned_shards(out)
    progress.begin("validate", len(planned), "shards")
    reports = []
    for shard, report in zip(planned, run_local(partial(_check, out), planned, workers), strict=True):
        if isinstance(report, Reason):
            name = shards.shard_name(shard[0], shard[1])
            report = shards.Report(1, 0, 0, (shards.Problem(name, f"could not be checked, {report}", checked=False),))
        reports.append(report)
        progress.step(None)
    return shards.join_reports(reports)


def _check(out: Path, shard: tuple[str, int, str], limit: Callable[[float], None]) -> shards.Report:
    split, number, _ = shard
    with suppress(Refused):  # an index that cannot be read is a finding of the check
        entries = shards.read_index(out / split / f"{shards.shard_name(split, number)}.jsonl")
        limit(sum(entry.frames for entry in entries) / FPS)
    return shards.check_shard(out, *shard, _decode)


def _decode(entry: shards.Entry, members: Mapping[str, bytes]) -> str | None:
    try:
        if "mouth.mp4" in members:
            frames = len(media.decode_mouth(members["mouth.mp4"]))
            if frames != entry.frames:
                return f"mouth.mp4 has {frames} frames, the index says {entry.frames}"
        if "flac" in members:
            samples = len(media.decode_flac(members["flac"]))
            if samples != entry.frames * SAMPLES_PER_FRAME:
                return f"flac has {samples} samples for {entry.frames} frames of {SAMPLES_PER_FRAME}"
    except Unusable as unusable:
        return str(unusable.reason)
    return None
