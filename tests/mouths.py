"""Prepared corpora that take a moment to make: moving patterns for mouths, tones for voices, written as prep writes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from avsr_bench import media, shards
from avsr_bench.data import Prepared
from avsr_bench.locks import hold_part
from avsr_bench.records import SAMPLES_PER_FRAME, Clip, Sample

WORDS = ("bin", "blue", "at", "now")


def said(number: int) -> str:
    """What a clip says: two words."""
    return f"{WORDS[number % 4]} {WORDS[number // 4 % 4]}"


def mouth(number: int, frames: int) -> np.ndarray:
    """A bar for each of the two words, one after the other, in a place of its own: uint8 T, 96, 96."""
    clip = np.full((frames, 96, 96), 90, np.uint8)
    for half, word in enumerate((number % 4, number // 4 % 4)):
        start, end = half * frames // 2, (half + 1) * frames // 2
        clip[start:end, 10 + 20 * word : 26 + 20 * word, 10:86] = 220
    return clip


def make_shards(
    out: Path,
    clips: Mapping[str, int],
    *,
    length: Callable[[int], int] = lambda number: 12 + number * 7 % 14,
    text: Callable[[int], str | None] = said,
    sound: Callable[[int], bool] = lambda number: True,
    per_shard: int = 6,
) -> Prepared:
    """So many clips of each split."""
    listed = [
        Clip(f"{split}{number:03d}", Path(f"{split}{number:03d}.mp4"), split, f"{split}-{number % 3}", text(number))
        for split, count in clips.items()
        for number in range(count)
    ]
    plan = shards.make_plan(listed, shards.ShardSettings(max_samples=per_shard), {"made": "for tests"}, Path(), {})
    with hold_part(out, 1, 1):
        shards.open_store(out, plan, {"test": "1"})
        for shard in plan.shards:
            with shards.ShardWriter(out, shard) as writer:
                for clip in shard.clips:
                    writer.add(_sample(clip, int(clip.key[-3:]), length, sound(int(clip.key[-3:]))))
                writer.commit()
        shards.finish(out)
    return Prepared(str(out))


def _sample(clip: Clip, number: int, length: Callable[[int], int], sound: bool) -> Sample:
    frames = length(number)
    members = {"mouth.mp4": media.encode_mouth(mouth(number, frames))}
    if sound:
        times = np.arange(frames * SAMPLES_PER_FRAME) / 16_000
        members["flac"] = media.encode_flac((8000 * np.sin(times * 6.28 * (200 + 20 * number))).astype(np.int16))
    about = {"text": clip.text, "speaker": clip.speaker, "source": {"recording": f"tape{number % 2}"}}
    members["json"] = json.dumps(about).encode()
    return Sample(clip.key, clip.split, frames, clip.text, clip.speaker, members)
