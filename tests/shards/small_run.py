"""A small prep run without any video: made-up clips become shards through the same calls as real ones.

    python small_run.py OUT [--part i/n] [--die-at LINE]

`--die-at` kills the process (SIGKILL) at the given one of all lines executed in shards/, files.py and locks.py.
"""

import argparse
import hashlib
import json
import os
import re
import signal
import sys
from pathlib import Path

import numpy as np

from avsr_bench.locks import hold_part
from avsr_bench.records import Clip, FaceTrack, Reason, Sample, Skipped, make_key
from avsr_bench.shards import (
    ShardSettings,
    ShardWriter,
    finish,
    make_plan,
    missing_shards,
    open_store,
    parse_part,
    take_part,
)

WORDS = ["bin", "blue", "at", "f", "two", "now", "place", "red", "with", "j", "nine", "soon"]
SPLITS = {"test": 5, "train": 9, "val": 2}
SETTINGS = ShardSettings(max_samples=3)
RECIPE = {"corpus": "folder", "mouth": {"size": 96, "crf": 10}}


def make_clips(splits=SPLITS):
    return [make_clip(split, number) for split, count in splits.items() for number in range(count)]


def make_clip(split, number, /, **changes):
    name = f"{split}/s{number % 3}/clip {number:02d}.mp4"
    text = f"{WORDS[number % 12]} {WORDS[number * 5 % 12]} {'naïve 嘴 ' * (number % 2)}now"
    values = {"key": make_key(name), "video": Path("/corpus") / name, "split": split, "speaker": f"s{number % 3}"}
    return Clip(**(values | {"text": text} | changes))


def make_outcome(clip):
    """A sample whose bytes follow from its key alone; every seventh or so clip has no face."""
    if clip.problem is not None:
        return Skipped(clip.key, clip.split, clip.problem)
    digest = hashlib.sha256(clip.key.encode()).digest()
    if digest[0] % 7 == 0:
        return Skipped(clip.key, clip.split, Reason("no-face", "0 of 75 frames"))
    rng = np.random.default_rng(list(digest))
    frames = 20 + digest[1] % 30
    described = {"text": clip.text, "speaker": clip.speaker, "frames": frames, "faces": {"detected": digest[2] / 255}}
    members = {
        "mouth.mp4": rng.bytes(40 * frames),
        "flac": rng.bytes(1000 + digest[3]),
        "json": json.dumps(described).encode(),
    }
    return Sample(clip.key, clip.split, frames, clip.text, clip.speaker, members, make_track(rng, frames))


def make_track(rng, frames, points=4):
    shapes = [(frames, 4), (frames, points, 2), (frames,)]
    return FaceTrack(*(rng.random(shape, dtype=np.float32) for shape in shapes), 640, 480)


def make_small_plan(clips=None, recipe=RECIPE, settings=SETTINGS, sizes=None):
    return make_plan(make_clips() if clips is None else clips, settings, recipe, Path("/corpus"), sizes or {})


def write_shard(out, shard, outcome_of=make_outcome):
    with ShardWriter(out, shard) as writer:
        for clip in shard.clips:
            writer.add(outcome_of(clip))
        return writer.commit()


def prepare(out, plan=None, part=(1, 1), outcome_of=make_outcome):
    """What a prep run does, but for the work on the clips; gives the names of the shards that it made."""
    plan = plan or make_small_plan()
    with hold_part(out, *part) as hold:
        open_store(out, plan, {"avsr-bench": "0.1.0"}, ["two clips lie twice"])
        shards = missing_shards(out, take_part(plan.shards, *part))
        for shard in shards:
            hold.check()
            write_shard(out, shard, outcome_of)
        finish(out)
    return [shard.name for shard in shards]


def contents(out):
    """Every file under `out` by its relative path, but for the locks."""
    files = (path for path in out.rglob("*") if path.is_file() and ".locks" not in path.parts)
    return {str(path.relative_to(out)): path.read_bytes() for path in sorted(files)}


def count_lines(stop_at=None):
    """Count the lines that run in shards/, files.py and locks.py from now on, and die at one of them."""
    seen = [0]

    def on_line(frame, event, argument):
        if event == "line":
            seen[0] += 1
            if seen[0] == stop_at:
                os.kill(os.getpid(), signal.SIGKILL)
        return on_line

    traced = re.compile(r"/avsr_bench/(shards/|files\.py|locks\.py)")
    sys.settrace(lambda frame, event, argument: on_line if traced.search(frame.f_code.co_filename) else None)
    return seen


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=Path)
    parser.add_argument("--part", type=parse_part, default=(1, 1))
    parser.add_argument("--die-at", type=int)
    given = parser.parse_args()
    plan = make_small_plan()
    seen = count_lines(given.die_at)
    prepare(given.out, plan, given.part)
    sys.settrace(None)
    print(seen[0])


if __name__ == "__main__":
    main()
