"""How fast training batches come: our loader with two workers, against two processes that only decode the mouths.

python -m benchmarks loader_speed
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import torch

from avsr_bench import data, media
from avsr_bench.data import AugmentSettings, BatchSettings, Clip, Example, Place, Planner, Position, Prepared, Stream
from avsr_bench.training.machine import keep_memory

from .results import record, table

DATA = Path("data/synth")
WORKERS = 2
TURNS = 5
GOALS = (0.75, 0.85)


def main(grid: Path) -> None:
    """Measure and record; GRID is not read."""
    if not (DATA / "prep.json").is_file():
        print(f"loader_speed: left out, it reads {DATA}, which is not there: avsr-bench prep synth")
        return
    keep_memory()  # as `train` does before its workers begin
    corpus = Prepared(str(DATA))
    places = data.places(corpus, "train", "video")
    sizes = {"tiny, 48 pixels": (48, 480), "large, 88 pixels": (88, 1600)}
    bare: list[float] = []
    ours: dict[str, list[float]] = {name: [] for name in sizes}
    for _ in range(TURNS):
        bare.append(_bare(corpus, places))
        for name, (side, frames) in sizes.items():
            ours[name].append(_loaded(corpus, places, side, frames))
    rows = [["decoding alone, two processes", f"{statistics.median(bare):,.0f}", "1"]]
    shares = {}
    for name, speeds in ours.items():
        shares[name] = statistics.median(o / b for o, b in zip(speeds, bare, strict=True))
        rows.append(
            [
                f"batches for {name}: decoded, scaled, cropped, masked",
                f"{statistics.median(speeds):,.0f}",
                f"{shares[name]:.2f}",
            ]
        )
    record(
        "Loader: speed against decoding",
        "make bench ONLY=loader_speed",
        table(["two workers, training split of synth", "frames/s", "share"], rows)
        + f"\n\nGoals: {GOALS[0]:.0%} and {GOALS[1]:.0%} of decoding alone, in the first epoch; what it decodes is"
        f" kept for later ones. Medians of {TURNS} turns, in each all of them one after another.",
    )


def _bare(corpus: Prepared, places: Sequence[Place]) -> float:
    """Frames a second when two processes decode every clip and do nothing else."""
    halves = [places[k::WORKERS] for k in range(WORKERS)]
    with get_context("fork").Pool(WORKERS) as pool:
        pool.map(_nothing, range(WORKERS))
        start = time.monotonic()
        frames = sum(pool.map(partial(_decode, corpus), halves, chunksize=1))
        return frames / (time.monotonic() - start)


def _nothing(number: int) -> int:
    return number


def _decode(corpus: Prepared, places: Sequence[Place]) -> int:
    members = data.read_members(corpus, places, ("mouth.mp4",))
    return sum(len(media.decode_mouth(each["mouth.mp4"])) for each in members.values())


def _loaded(corpus: Prepared, places: Sequence[Place], side: int, frames: int) -> float:
    """Frames a second as training gets them, from the first batch on."""
    lengths = tuple(place.entry.frames for place in places)
    planner = Planner(lengths, tuple(place.shard for place in places), BatchSettings(frames=frames), seed=0)
    show = partial(_show, side=side)
    stream = Stream(corpus, places, [(1,)] * len(places), "video", planner, (show,))
    # One epoch: what is decoded in it stays in memory, and later ones would be measured without decoding.
    with data.Loader(stream, 0, Position(), planner.batches(1), WORKERS) as loader:
        batches = iter(loader)
        next(batches)
        start, count = time.monotonic(), 0
        for (batch,) in batches:
            count += int(batch.lengths.sum())
        return count / (time.monotonic() - start)


def _show(example: Example, tokens: tuple[int, ...], epoch: int, *, side: int) -> Clip:
    return data.augmented(example, tokens, side, AugmentSettings(), 0, epoch)


torch.set_num_threads(1)
