"""Seconds of an update of a network on random clips, and the operations in it: a turn of update_speed.py.

A script by itself, so that PYTHONPATH says which checkout of avsr_bench is measured. It prints JSON.

    python benchmarks/one_update.py large [plain]     plain: the same network in the form of public code
"""

from __future__ import annotations

import json
import resource
import statistics
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.utils.flop_counter import FlopCounterMode

from avsr_bench.nn import AVSR, Batch, NetworkSettings
from avsr_bench.training import machine
from avsr_bench.training.recipe import load_recipe

if TYPE_CHECKING:
    from .plain_network import PlainNetwork

MATRIX = 1024  # sides of the matrices whose product says what the machine can do


@dataclass(frozen=True)
class Form:
    """What is trained, and on what."""

    size: str
    threads: int
    clips: tuple[tuple[int, int], ...]  # batches: clips, and frames of each
    rounds: int  # over all batches, that are timed
    turns: int
    tokens: int


FORMS = {
    "tiny": Form("tiny", 1, ((4, 60), (5, 48), (3, 75)), 20, 5, 13),  # 225 to 240 frames, as the recipe's batches
    "large": Form("large", 2, ((4, 75),), 2, 3, 5049),
}


def measure(form: Form, plain: bool) -> dict[str, float]:
    """Seconds of an update and its parts, and what is in it."""
    torch.set_num_threads(form.threads)
    torch.manual_seed(0)
    if not plain and hasattr(machine, "keep_memory"):
        machine.keep_memory()
    recipe = load_recipe("dense", form.size, ()).recipe
    network = _plain(recipe.network, form.tokens) if plain else AVSR("video", recipe.network, form.tokens)
    network.train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4, fused=True)
    side = recipe.network.mouth
    batches = []
    for clips, frames in form.clips:
        video = torch.randn(clips, frames, side, side)
        tokens = torch.randint(1, form.tokens - 1, (clips, 6))
        batches.append(Batch(torch.full((clips,), frames), tokens, video=video))

    times: dict[str, list[float]] = {"forward": [], "backward": [], "step": []}

    def update(batch: Batch) -> None:
        clock = [time.perf_counter()]
        loss = network.loss(batch, recipe.loss).total
        clock.append(time.perf_counter())
        loss.backward()
        clock.append(time.perf_counter())
        optimizer.step()
        optimizer.zero_grad()
        clock.append(time.perf_counter())
        for name, begin, end in zip(times, clock, clock[1:], strict=False):
            times[name].append(end - begin)

    with FlopCounterMode(display=False) as counter:
        for batch in batches:
            update(batch)
    for taken in times.values():
        taken.clear()
    speeds = []
    for _ in range(form.rounds):
        for batch in batches:
            update(batch)
        speeds.append(_product_speed(torch.randn(MATRIX, MATRIX)))
    middle = {name: statistics.median(taken) for name, taken in times.items()}
    whole = statistics.median(map(sum, zip(*times.values(), strict=True)))
    shown = statistics.fmean(clips * frames for clips, frames in form.clips)
    flops = counter.get_total_flops() / len(batches)
    peak = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        **middle,
        "update": whole,
        "frames": shown,
        "flops": flops,
        "speed": max(speeds),
        "peak": peak,
    }


def _plain(settings: NetworkSettings, tokens: int) -> AVSR | PlainNetwork:
    from benchmarks.plain_network import PlainNetwork  # other checkouts may not have it

    return PlainNetwork(settings, tokens)


def _product_speed(matrix: torch.Tensor) -> float:
    matrix @ matrix
    begin = time.perf_counter()
    matrix @ matrix
    return 2 * MATRIX**3 / (time.perf_counter() - begin)


if __name__ == "__main__":
    print(json.dumps(measure(FORMS[sys.argv[1]], sys.argv[2:] == ["plain"])))
