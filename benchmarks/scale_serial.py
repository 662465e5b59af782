"""When a job begins with its first clip and ends with its last: `prep` and `robustness`, in a process of their own."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from avsr_bench.records import Progress, Sample, Skipped

FEW = 2  # clips of each split of a job that is little more than its beginning and end


@dataclass(frozen=True)
class Timeline:
    """Seconds of one job: four stretches of the clock one after another, then of the processor."""

    count: int  # steps
    before: float  # from the start of the process until work is handed out
    first: float  # until the first outcome
    between: float  # until the last
    after: float  # until the end
    # Of the processor, of all steps: in the process that was started, and in all others; where threads work, the same.
    parent: float
    work: float


class _Clock:
    """Notes when each outcome came, on the clock and by the processor's time of this process."""

    def __init__(self) -> None:
        self.begun: list[tuple[float, float]] = []
        self.steps: list[tuple[float, float]] = []

    def say(self, line: str) -> None: ...

    def begin(self, what: str, total: int, unit: str = "clips", before: int = 0) -> None:
        self.begun.append(self._now())

    def step(self, outcome: Sample | Skipped | None, status: str = "") -> None:
        self.steps.append(self._now())

    def _now(self) -> tuple[float, float]:
        return time.monotonic(), time.process_time()


def timed(job: str, workers: int, limit: int, places: Mapping[str, Path], scratch: Path) -> Timeline:
    """Do a job in a process of its own; workers are started for a few clips before, so that this is no work."""
    found = _timed(job, workers, limit, places, scratch / f"{job}-{workers}")
    if job == "robustness":
        return found
    few = _timed(job, workers, FEW, places, scratch / f"{job}-{workers}-few")
    more = found.count / (found.count - few.count)
    return replace(found, parent=(found.parent - few.parent) * more, work=(found.work - few.work) * more)


def _timed(job: str, workers: int, limit: int, places: Mapping[str, Path], out: Path) -> Timeline:
    named = {name: str(path) for name, path in places.items()}
    asked = {"workers": workers, "limit": limit, "out": str(out), **named}
    reap()
    before = _of_children()
    program = ["-c", "from benchmarks.scale_serial import serve; serve()", job, json.dumps(asked)]
    started = time.monotonic()
    done = subprocess.run([sys.executable, *program], check=True, stdout=subprocess.PIPE, text=True)
    reap()
    took = _of_children() - before
    said = json.loads(done.stdout.splitlines()[-1])
    begun, first, last = (said[name] for name in ("begun", "first", "last"))
    parent = last[1] - begun[1]
    return Timeline(
        count=said["count"],
        before=begun[0] - started,
        first=first[0] - begun[0],
        between=last[0] - first[0],
        after=said["ended"] - last[0],
        parent=parent,
        work=took - said["processor"] if job == "prep" else parent,
    )


def _of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def reap() -> None:
    """Wait for the processes that a command left behind, where they count as ours."""
    with suppress(ChildProcessError):
        while True:
            os.wait()


def serve() -> None:
    """Do the job that the arguments name, and print when what was done."""
    job, asked = sys.argv[1], json.loads(sys.argv[2])
    clock = _Clock()
    {"prep": _prep, "robustness": _robustness}[job](asked, clock)
    ended = time.monotonic()
    found = {"begun": clock.begun[0], "first": clock.steps[0], "last": clock.steps[-1], "count": len(clock.steps)}
    print(json.dumps({**found, "ended": ended, "processor": time.process_time()}))


def _prep(asked: dict, clock: Progress) -> None:
    from avsr_bench.prep.job import PrepRequest, prep

    root, out = Path(asked["root"]), Path(asked["out"])
    prep(PrepRequest("folder", root, out, workers=asked["workers"], limit=asked["limit"]), clock)


def _robustness(asked: dict, clock: Progress) -> None:
    from avsr_bench.cli.shared import quiet_threads
    from avsr_bench.robustness.job import RobustnessRequest, robustness

    quiet_threads()
    robustness(
        RobustnessRequest(
            noise="blur",
            levels="0,3,6,9",
            models=(asked["run"],),
            data=asked["data"],
            decode="ctc",
            device="cpu",
            workers=asked["workers"],
            limit=asked["limit"],
            out=Path(asked["out"]),
        ),
        clock,
    )
