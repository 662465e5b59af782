"""How fast an update is on a processor: against the arithmetic in it, and against another checkout of this repository.

    make bench ONLY=update_speed
    python -m benchmarks.update_speed --against CHECKOUT     beside it, the same for the package in CHECKOUT

Each turn is a process of its own. It makes a network of the recipe and trains it on random clips of fixed lengths, so
no corpus is read and no batches are waited for.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

from .one_update import FORMS, MATRIX
from .results import record, table

HERE = Path(__file__).resolve().parent.parent


def main(grid: Path | None = None, against: Path | None = None) -> None:
    """Measure and record; no clip is read."""
    rows, ratios = [], []
    for name, form in FORMS.items():
        ways = {"": (HERE, [name])}
        if against:
            ways["before"] = (against, [name])
        if name == "large":
            ways["in the plain form of public code"] = (HERE, [name, "plain"])
        turns: dict[str, list[dict[str, float]]] = {way: [] for way in ways}
        for _ in range(form.turns):
            for way, (folder, words) in ways.items():
                turns[way].append(_turn(folder, words))
        for way, found in turns.items():
            middle = {key: statistics.median(turn[key] for turn in found) for key in found[0]}
            rows.append(
                [
                    f"{name}, {way}" if way else name,
                    f"{1000 * middle['update']:.0f}",
                    f"{1000 * middle['forward']:.0f}",
                    f"{1000 * middle['backward']:.0f}",
                    f"{1000 * middle['step']:.1f}",
                    f"{middle['frames'] / middle['update']:,.0f}",
                    f"{middle['flops'] / 1e9:.1f}",
                    f"{middle['speed'] / 1e9:.0f}",
                    f"{statistics.median(map(_share, found)):.0%}",
                    f"{middle['peak'] / 2**30:.1f}",
                ]
            )
            if way:
                pairs = zip(found, turns[""], strict=True)
                each = sorted(_meanwhile(other) / _meanwhile(ours) for other, ours in pairs)
                ratios.append(f"{name}, {way}: **{statistics.median(each):.2f}x** ({each[0]:.2f} to {each[-1]:.2f})")
    head = [
        "",
        "ms an update",
        "forward",
        "backward",
        "AdamW",
        "frames/s",
        "GFLOP",
        "GFLOP/s of a product",
        "share",
        "peak, GiB",
    ]
    option = " --against CHECKOUT" if against else ""
    before = f" Before: commit {_commit(against)}." if against else ""
    notes = [f"Frames/s of ours, at one speed of a product, turn by turn. {'; '.join(ratios)}.{before}"]
    tiny, large = FORMS["tiny"].turns, FORMS["large"].turns
    notes.append(
        f"Share: the operations that torch counts in an update, at the speed of one {MATRIX} x {MATRIX} product of"
        " float32 on as many threads (the fastest of the turn), as a part of its time. Shares are compared and not"
        " times, since this machine's speed changes by a third from one minute to the next. Tiny has one thread and"
        f" large two. Medians of {tiny} and {large} turns, in each all of them one after another, wall time."
    )
    body = f"{table(head, rows)}\n\n" + "\n".join(notes)
    record("train: an update on a processor", f"python -m benchmarks.update_speed{option}", body)


def _meanwhile(turn: dict[str, float]) -> float:
    """The operations of a product that this machine would have done in the time of an update."""
    return turn["update"] * turn["speed"]


def _share(turn: dict[str, float]) -> float:
    """The part of an update that its operations would take at the speed of a product."""
    return turn["flops"] / _meanwhile(turn)


def _turn(folder: Path, words: list[str]) -> dict[str, float]:
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    script = [sys.executable, str(HERE / "benchmarks" / "one_update.py"), *words]
    done = subprocess.run(script, env=environment, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def _commit(folder: Path) -> str:
    words = ["git", "-C", str(folder), "rev-parse", "--short", "HEAD"]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.update_speed")
    parser.add_argument("--against", type=Path, help="another checkout of this repository")
    main(against=parser.parse_args().against)
