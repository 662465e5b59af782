"""Ctrl-C and SIGTERM end a run between two updates."""

from __future__ import annotations

import signal
from types import FrameType
from typing import Any

from .. import data

PATIENCE = 5.0  # seconds that a stop waits for clips, which may never come from a server that stalls


class Stopped(Exception):
    """A signal ended the run: after an update that was saved, or at once."""

    def __init__(self, number: int, at_once: bool = False) -> None:
        super().__init__(signal.Signals(number).name)
        self.number, self.at_once = number, at_once


class Signals:
    """While it is entered, the first signal is kept in `received`; a second Ctrl-C ends the run at once.

    So does the first where no clips come for the next update.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self.before: dict[int, Any] = {}

    def __enter__(self) -> Signals:
        numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)
        self.before = {number: signal.getsignal(number) for number in numbers}
        signal.signal(signal.SIGALRM, self.look)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self.ask)
        return self

    def __exit__(self, *_: object) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def ask(self, number: int, frame: FrameType | None) -> None:
        """A signal asks for a stop."""
        if self.received == signal.SIGINT == number:
            raise Stopped(number, at_once=True)
        self.received = number
        signal.setitimer(signal.ITIMER_REAL, PATIENCE, 1)

    def look(self, number: int, frame: FrameType | None) -> None:
        """A stop was asked for some time ago."""
        if self.received is not None and data.waited() > PATIENCE:
            raise Stopped(self.received, at_once=True)
