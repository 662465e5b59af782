"""How a board shows itself: one table in a terminal that lives as long as the work, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.live import Live
from rich.table import Table

from ..inert import line as one_line
from .terminal import console as open_console

if TYPE_CHECKING:
    from ..workflow import Announced, Outcome

WORST = ("failed", "left out")


class _Lines:
    """For logs and pipes. Stages run side by side, so each line opens with its own."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def begin(self, stages: Sequence[Announced], seconds: float | None, jobs: int) -> None:
        self.names = [stage.name for stage in stages]
        width = max(map(len, self.names))
        for stage in stages:
            self._print(f"    {stage.name:<{width}}  {expectation(stage.seconds):>9}".rstrip())
        self._print(in_all(seconds, jobs))

    def start(self, stage: str) -> None:
        self._print(f"[{self.names.index(stage) + 1}/{len(self.names)}] {stage}")

    def say(self, stage: str, line: str) -> None:
        self._print(f"    {stage}: {line}")

    def end(self, outcome: Outcome) -> None:
        self._print(f"    {outcome.stage}: {outcome.state}, {duration(outcome.seconds)}{_because(outcome)}")

    def _print(self, line: str) -> None:
        sys.stderr.write(one_line(line) + "\n")  # in one piece: two stages speak at once
        sys.stderr.flush()


class _Table:
    """For people at a terminal: a row a stage, and behind those at work their newest line."""

    def __init__(self, height: int = 24) -> None:
        self.height = height  # rows of the terminal: a longer board shows what is near its present
        self.stages: list[Announced] = []
        self.over: dict[str, Outcome] = {}
        self.since: dict[str, float] = {}  # of the stages at work
        self.lines: dict[str, str] = {}
        self.total, self.begun = "", time.monotonic()

    def begin(self, stages: Sequence[Announced], seconds: float | None, jobs: int) -> None:
        self.stages, self.total, self.begun = list(stages), in_all(seconds, jobs), time.monotonic()

    def start(self, stage: str) -> None:
        self.lines[stage] = ""
        self.since[stage] = time.monotonic()

    def say(self, stage: str, line: str) -> None:
        self.lines[stage] = line

    def end(self, outcome: Outcome) -> None:
        self.over[outcome.stage] = outcome
        self.since.pop(outcome.stage, None)

    def __rich__(self) -> Table:
        table = Table(box=None, pad_edge=False, show_header=False)
        for name in ("stage", "state", "time", "line"):
            table.add_column(justify="right" if name == "time" else "left", no_wrap=True, overflow="ellipsis")
        now = dict(self.since)  # other threads end stages meanwhile
        shown = self._shown(now)
        before = None
        for place in shown:
            self._gap(table, before, place)
            before = place
            stage, since = self.stages[place], now.get(self.stages[place].name)
            over = self.over.get(stage.name)
            spent = over.seconds if over is not None else 0.0
            if since is not None:
                took = f"{duration(spent + time.monotonic() - since)} of {expectation(stage.seconds) or '?'}"
                table.add_row(stage.name, "now", took, self.lines.get(stage.name, ""), style="bold")
            elif over is not None:
                table.add_row(stage.name, over.state, duration(over.seconds), over.note)
            else:
                table.add_row(stage.name, "", expectation(stage.seconds), "", style="dim")
        self._gap(table, before, len(self.stages))
        table.add_row("", "", duration(time.monotonic() - self.begun), self.total)
        return table

    def _shown(self, now: dict[str, float]) -> list[int]:
        """The stages that fit: those at work, then what failed, then those nearest to the work."""
        room = max(self.height - 4, 4)  # but for the last line and what is said of those between
        places = range(len(self.stages))
        at_work = [place for place in places if self.stages[place].name in now and self.stages[place].name != "pages"]
        middle = at_work[0] if at_work else len(self.over)

        def far(place: int) -> tuple[int, int]:
            name = self.stages[place].name
            bad = name in self.over and self.over[name].state in WORST
            return 0 if name in now else 1 if bad else 2, abs(place - middle)

        return sorted(sorted(places, key=far)[:room])

    def _gap(self, table: Table, before: int | None, place: int) -> None:
        """What is said of the stages that find no room."""
        left = self.stages[(-1 if before is None else before) + 1 : place]
        done = sum(stage.name in self.over for stage in left)
        said = [f"{done} done" if done else "", f"{len(left) - done} to come" if len(left) > done else ""]
        if left:
            table.add_row(f"... {', '.join(filter(None, said))}", "", "", "", style="dim")


@contextmanager
def shown() -> Iterator[_Lines | _Table]:
    """The view that suits where the output goes; it writes to standard error."""
    console = open_console(stderr=True)
    if not console.is_terminal:
        yield _Lines()
        return
    table = _Table(console.height)
    with Live(get_renderable=table.__rich__, console=console, refresh_per_second=4):
        yield table


def print_outcomes(outcomes: Sequence[Outcome], seconds: float) -> None:
    """What each stage took, and all together: less than their sum, where some ran side by side."""
    width = max(len(outcome.stage) for outcome in outcomes)
    for outcome in outcomes:
        said = f"{outcome.stage:<{width}}  {duration(outcome.seconds):>7}  {outcome.state}{_because(outcome)}"
        print(one_line(said))
    print(f"{'all':<{width}}  {duration(seconds):>7}")


def in_all(seconds: float | None, jobs: int) -> str:
    """How long a board should take.

    >>> in_all(1000, 2), in_all(None, 1)
    ('about 17 min in all, two at once', 'how long it takes is not known')
    """
    if seconds is None:
        return "how long it takes is not known"
    words = {1: "one after the other", 2: "two at once"}.get(jobs, f"{jobs} at once")
    hours = f"{seconds / 3600:.1f} h" if seconds > 5400 else f"{max(1, round(seconds / 60))} min"
    return f"about {hours} in all, {words}"


def expectation(seconds: float | None) -> str:
    """About how long a stage takes; nothing where that is not known, or it is done.

    >>> expectation(74), expectation(0), expectation(None)
    ('~1:14', '', '')
    """
    return f"~{duration(seconds)}" if seconds else ""


def duration(seconds: float) -> str:
    """Minutes and seconds; hours where there are any.

    >>> duration(75), duration(3725)
    ('1:15', '1:02:05')
    """
    whole = round(seconds)
    hours, minutes = whole // 3600, whole // 60 % 60
    return f"{hours}:{minutes:02d}:{whole % 60:02d}" if hours else f"{minutes}:{whole % 60:02d}"


def _because(outcome: Outcome) -> str:
    return f": {outcome.note}" if outcome.note else ""
