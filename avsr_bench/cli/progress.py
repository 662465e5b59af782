"""How long work shows itself: a bar in a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich import progress as rich

from ..inert import line as one_line
from ..records import FPS, SILENCE, Progress, Sample, Skipped
from .terminal import console as open_console

LINE_SECONDS = 10.0  # between two plain lines


class Meter:
    """Counts what is done since `begin`, and says it in words; `before` was done in an earlier run."""

    def __init__(self, clock: float, total: int = 0, unit: str = "clips", before: int = 0) -> None:
        self.started, self.total, self.unit, self.before = clock, total, unit, before
        self.clips, self.frames, self.skipped = before, 0, 0

    def add(self, outcome: Sample | Skipped | None) -> None:
        """One clip more."""
        self.clips += 1
        self.frames += outcome.frames if isinstance(outcome, Sample) else 0
        self.skipped += isinstance(outcome, Skipped)

    def rates(self, clock: float) -> str:
        """Hours of video, speed, and what was left out so far."""
        seconds = max(clock - self.started, 1e-3)
        words = []
        if self.frames:
            video = self.frames / FPS
            words += [f"{video / 3600:.2f} h of video", f"{video / seconds:.0f}x real time"]
        else:
            words.append(f"{(self.clips - self.before) / seconds:.1f} {self.unit}/s")
        if self.skipped:
            words.append(f"{self.skipped:,} skipped")
        return ", ".join(words)

    def left(self, clock: float) -> str:
        """Time left, by the rate so far."""
        seconds = (clock - self.started) / max(self.clips - self.before, 1) * (self.total - self.clips)
        return f"{int(seconds) // 3600}:{int(seconds) // 60 % 60:02d}:{int(seconds) % 60:02d} left"


class _Lines:
    """For logs and pipes: plain lines."""

    def __init__(self) -> None:
        self.what, self.meter, self.spoken = "", Meter(0.0), 0.0

    def say(self, line: str) -> None:
        print(one_line(line), file=sys.stderr, flush=True)

    def begin(self, what: str, total: int, unit: str = "clips", before: int = 0) -> None:
        self.what, self.meter, self.spoken = what, Meter(time.monotonic(), total, unit, before), time.monotonic()

    def step(self, outcome: Sample | Skipped | None, status: str = "") -> None:
        self.meter.add(outcome)
        now, finished = time.monotonic(), self.meter.clips == self.meter.total
        if now - self.spoken >= LINE_SECONDS or finished:
            self.spoken = now
            left = "" if finished else f", {self.meter.left(now)}"
            done = f"{self.meter.clips:,}/{self.meter.total:,} {self.meter.unit}"
            self.say(f"{self.what} {done}, {status or self.meter.rates(now)}{left}")


class _Bar:
    """For people at a terminal: one bar a piece of work."""

    def __init__(self, bars: rich.Progress) -> None:
        self.bars, self.meter = bars, Meter(0.0)
        self.task: rich.TaskID | None = None

    def say(self, line: str) -> None:
        self.bars.console.print(one_line(line), soft_wrap=True)

    def begin(self, what: str, total: int, unit: str = "clips", before: int = 0) -> None:
        self.meter = Meter(time.monotonic(), total, unit, before)
        self.task = self.bars.add_task(one_line(what), total=total, completed=before, rates="") if total else None

    def step(self, outcome: Sample | Skipped | None, status: str = "") -> None:
        self.meter.add(outcome)
        if self.task is not None:
            self.bars.update(self.task, advance=1, rates=one_line(status or self.meter.rates(time.monotonic())))


@contextmanager
def shown(quiet: bool = False) -> Iterator[Progress]:
    """The progress view that suits where the output goes; it writes to standard error."""
    console = open_console(stderr=True)
    if quiet:
        yield SILENCE
    elif not console.is_terminal:
        yield _Lines()
    else:
        columns = (
            rich.TextColumn("{task.description}", markup=False),
            rich.BarColumn(bar_width=None),
            rich.MofNCompleteColumn(),
            rich.TextColumn("{task.fields[rates]}", markup=False),
            rich.TimeRemainingColumn(),
        )
        with rich.Progress(*columns, console=console) as bars:
            yield _Bar(bars)
