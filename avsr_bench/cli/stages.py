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
    from ..workflow import Outcome


class _Lines:
    """For logs and pipes."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def begin(self, stages: Sequence[str]) -> None:
        self.names = list(stages)

    def start(self, stage: str) -> None:
        self._print(f"[{self.names.index(stage) + 1}/{len(self.names)}] {stage}")

    def say(self, line: str) -> None:
        self._print(f"    {line}")

    def end(self, outcome: Outcome) -> None:
        self._print(f"    {outcome.stage}: {outcome.state}, {duration(outcome.seconds)}{_because(outcome)}")

    def _print(self, line: str) -> None:
        print(one_line(line), file=sys.stderr, flush=True)


class _Table:
    """For people at a terminal: a row a stage, and behind the one at work its newest line."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.over: dict[str, Outcome] = {}
        self.now, self.since, self.line = "", 0.0, ""

    def begin(self, stages: Sequence[str]) -> None:
        self.names = list(stages)

    def start(self, stage: str) -> None:
        self.now, self.since, self.line = stage, time.monotonic(), ""

    def say(self, line: str) -> None:
        self.line = line

    def end(self, outcome: Outcome) -> None:
        self.over[outcome.stage], self.now = outcome, ""

    def __rich__(self) -> Table:
        table = Table(box=None, pad_edge=False, show_header=False)
        table.add_column(no_wrap=True)
        table.add_column(no_wrap=True)
        table.add_column(justify="right", no_wrap=True)
        table.add_column(no_wrap=True, overflow="ellipsis")
        for name in self.names:
            over = self.over.get(name)
            before = over.seconds if over is not None else 0.0
            if name == self.now:
                took = duration(before + time.monotonic() - self.since)
                table.add_row(name, "now", took, self.line, style="bold")
            elif over is not None:
                table.add_row(name, over.state, duration(over.seconds), over.note)
            else:
                table.add_row(name, "", "", "", style="dim")
        return table


@contextmanager
def shown() -> Iterator[_Lines | _Table]:
    """The view that suits where the output goes; it writes to standard error."""
    console = open_console(stderr=True)
    if not console.is_terminal:
        yield _Lines()
        return
    table = _Table()
    with Live(get_renderable=table.__rich__, console=console, refresh_per_second=4):
        yield table


def print_outcomes(outcomes: Sequence[Outcome]) -> None:
    """What each stage took, and all together."""
    width = max(len(outcome.stage) for outcome in outcomes)
    for outcome in outcomes:
        said = f"{outcome.stage:<{width}}  {duration(outcome.seconds):>7}  {outcome.state}{_because(outcome)}"
        print(one_line(said))
    print(f"{'all':<{width}}  {duration(sum(outcome.seconds for outcome in outcomes)):>7}")


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
