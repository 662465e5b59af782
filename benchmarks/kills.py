"""SIGKILL at random moments: `python -m benchmarks.kills --rounds 10`.

Each command does its work once undisturbed; then, in a fresh folder, it is killed with all its processes at moments
drawn from the time in which it writes, three times a round, and run to its end. What it leaves must be what the
undisturbed one left, with no temporary file beside it and nothing changed that is not its own.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from avsr_bench.scoring import read_archive

from .mutations.cases import good_files
from .results import record, table

KILLS = 3  # a round
TIMED = ("seconds", "command", "device", "commit")  # of a result: when and where it was measured


@dataclass(frozen=True)
class Work:
    """A command, and what of its output must be the same each time."""

    name: str
    words: tuple[str, ...]  # OUT stands for its own folder
    digest: Callable[[Path], dict[str, object]]


def shards_of(out: Path) -> dict[str, object]:
    """The bytes of every shard, and the counts."""
    kept = [path for path in sorted(out.rglob("*")) if path.is_file() and ".locks" not in path.parts]
    return {str(path.relative_to(out)): _digest(path) for path in kept if path.name != "prep.json"}


def run_of(out: Path) -> dict[str, object]:
    """Weights, and the figures of every update but for how long it took."""
    with (out / "metrics.csv").open() as file:
        rows = [{name: value for name, value in row.items() if name != "seconds"} for row in csv.DictReader(file)]
    return {"weights": _digest(out / "model.safetensors"), "metrics": rows}


def results_of(out: Path) -> dict[str, object]:
    """Hypotheses and results, but for when they were measured."""
    found: dict[str, object] = {}
    untimed: dict[str, Any] = dict.fromkeys(TIMED, "")
    for path in sorted(out.rglob("*.zip")):
        kept = read_archive(path)
        for name in kept.names:
            result = replace(kept.result(name), **untimed)
            found[str((path / name).relative_to(out))] = result, kept.utterances(name)
    return found


def board_of(out: Path) -> dict[str, object]:
    """The table of a board: every row with its numbers. How long training took counts not: it may have been killed."""
    timed = (*TIMED, "train_seconds")
    with (out / "results.csv").open() as file:
        rows = [{name: value for name, value in row.items() if name not in timed} for row in csv.DictReader(file)]
    return {"rows": rows, "page": (out / "index.html").is_file()}


TRAIN = ("train", "mine", "--size", "mine", "--modality", "av", "--data", "data/small", "--resume")
WORK = (
    Work("prep", ("prep", "folder", "--root", "listed", "--out", "OUT", "--min-yield", "0"), shards_of),
    Work("train", (*TRAIN, "--out", "OUT", "train.steps=60", "train.save_minutes=0.002", "train.workers=1"), run_of),
    Work(
        "robustness",
        ("robustness", "--models", "runs/small/mine", "--data", "data/small", "--decode", "ctc", "--out", "OUT"),
        results_of,
    ),
    Work("leaderboard make", ("leaderboard", "make", "--corpus", "small", "--models", "mine"), board_of),
)


def main() -> int:
    """Kill, resume, compare."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.kills", description=__doc__)
    parser.add_argument("--rounds", type=int, default=10, help=f"of {KILLS} kills each, for every command")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=[work.name for work in WORK])
    asked = parser.parse_args()
    rows, wrong = [], 0
    with tempfile.TemporaryDirectory(prefix="avsr-kills-") as scratch:
        world = good_files(Path(scratch))
        for work in WORK:
            if asked.only in (None, work.name):
                kills, other, touched = campaign(work, world, asked.rounds, random.Random(asked.seed))
                rows.append([work.name, str(asked.rounds), str(kills), str(other), str(touched)])
                wrong += other + touched
    body = table(["command", "rounds", "kills", "other output than undisturbed", "files of others touched"], rows)
    record("Killed at random moments", f"python -m benchmarks.kills --rounds {asked.rounds}", body)
    return int(wrong > 0)


def campaign(work: Work, world: Path, rounds: int, rng: random.Random) -> tuple[int, int, int]:
    """Kills, rounds that ended otherwise than undisturbed, and files of others that were touched."""
    place = world.parent / work.name.replace(" ", "-")
    home, out = fresh(work, world, place / "whole")
    before = untouched(home, out)
    first, end = undisturbed(command(work, out), home, out)
    expected = work.digest(out)
    kills = other = touched = 0
    for number in range(rounds):
        home, out = fresh(work, world, place / str(number))
        for _ in range(KILLS):
            kills += killed(command(work, out), home, rng.uniform(first, end))
        done = subprocess.run(command(work, out), cwd=home, capture_output=True, text=True, check=False)
        left = list(out.rglob(".*.tmp")) if out.exists() else []
        if done.returncode or work.digest(out) != expected or left:
            other += 1
            print(
                f"{work.name}, round {number}: exit {done.returncode}, left {left}\n{done.stderr[-2000:]}", flush=True
            )
        touched += untouched(home, out) != before
        print(f"{work.name}: round {number + 1} of {rounds}, {kills} kills, {other} wrong", file=sys.stderr, flush=True)
    return kills, other, touched


def fresh(work: Work, world: Path, place: Path) -> tuple[Path, Path]:
    """A copy of the world, and where the command writes in it."""
    place.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["cp", "-a", str(world), str(place)], check=True)
    return place, place / ("leaderboards/local" if work.name == "leaderboard make" else "out")


def command(work: Work, out: Path) -> list[str]:
    """The command as it is typed."""
    return [sys.executable, "-m", "avsr_bench", *(str(out) if word == "OUT" else word for word in work.words)]


def undisturbed(words: list[str], home: Path, out: Path) -> tuple[float, float]:
    """Run it; seconds until it wrote first, and until it ended."""
    begin, first = time.monotonic(), 0.0
    process = subprocess.Popen(words, cwd=home, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    while process.poll() is None:
        if not first and out.exists() and any(path.is_file() for path in out.rglob("*")):
            first = time.monotonic() - begin
        time.sleep(0.01)
    if process.returncode:
        assert process.stderr is not None
        raise RuntimeError(f"{words} ended with {process.returncode}: {process.stderr.read()}")
    return first, time.monotonic() - begin


def killed(words: list[str], home: Path, seconds: float) -> int:
    """Start it, and kill it with all its processes after so long; 0 where it was faster."""
    process = subprocess.Popen(
        words, cwd=home, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        for group in _groups(process.pid):
            os.killpg(group, signal.SIGKILL)
        process.wait()
        return 1
    return 0


def _groups(pid: int) -> set[int]:
    """The process groups of a process and of all that it started: a board gives each command a session of its own."""
    found, family = {os.getpgid(pid)}, {pid}
    for path in sorted(Path("/proc").glob("[0-9]*"), key=lambda path: int(path.name)):
        try:
            parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
            if parent in family:
                family.add(int(path.name))
                found.add(os.getpgid(int(path.name)))
        except (OSError, ProcessLookupError):
            continue
    return found


def untouched(home: Path, out: Path) -> dict[str, str]:
    """A digest of every file that is not the command's own."""
    of_board = ("leaderboards/local", "runs/small/mine-tiny-s0", "data/small/sheet.png")
    own = (out, *(home / name for name in of_board))
    paths = [path for path in sorted(home.rglob("*")) if path.is_file() and not any(map(path.is_relative_to, own))]
    return {str(path.relative_to(home)): _digest(path) for path in paths if ".locks" not in path.parts}


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


if __name__ == "__main__":
    sys.exit(main())
