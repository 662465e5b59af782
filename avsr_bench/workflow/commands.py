"""Commands of ours as processes: several at once, each with a log, and Ctrl-C for all of them."""

from __future__ import annotations

import shlex
import signal
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

from ..inert import inert
from .forks import Forks
from .plan import Command


class Commands:
    """While it is entered, SIGINT and SIGTERM go on to every command that runs: each saves what it can and ends.

    Signals come to the main thread; `run` is for others.
    """

    def __init__(self, lock: int) -> None:
        self.lock = lock  # that keeps a second board out: held by every command too
        self.asked: list[int] = []  # signals that came
        self.running: set[subprocess.Popen[str]] = set()
        self.guard = threading.Lock()
        self.before: dict[int, Any] = {}
        self.forks: Forks | None = None  # from the first command on
        self.starting = threading.Lock()

    def __enter__(self) -> Commands:
        for number in (signal.SIGINT, signal.SIGTERM):
            self.before[number] = signal.signal(number, self._forward)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._end(signal.SIGTERM)
        for number, handler in self.before.items():
            signal.signal(number, handler)
        if self.forks is not None:
            self.forks.close()

    def run(self, words: Command, log: Path, say: Callable[[str], None]) -> str | None:
        """Run one command; its last line where it did not end well."""
        log.parent.mkdir(parents=True, exist_ok=True)
        last = ""
        with self.starting:
            self.forks = self.forks or Forks()
        with log.open("a", encoding="utf-8") as kept:
            kept.write(inert(f"$ avsr-bench {shlex.join(words)}") + "\n")
            kept.flush()
            with self.guard:
                if self.asked:
                    return "stopped"
                # A session of its own: Ctrl-C reaches it once, through us, and not its workers.
                child = subprocess.Popen(
                    [*self.forks.words, *words],
                    stdin=subprocess.DEVNULL,
                    stdout=kept,
                    stderr=subprocess.PIPE,
                    text=True,
                    errors="replace",
                    start_new_session=True,
                    pass_fds=(self.lock,),
                )
                self.running.add(child)
                if self.asked:  # in this very moment
                    child.send_signal(self.asked[-1])
            assert child.stderr is not None
            for line in child.stderr:  # the libraries below ours write there too
                kept.write(inert(line, lines=True))
                if line.strip():
                    last = line.strip()
                    say(last)
            code = child.wait()
            with self.guard:
                self.running.discard(child)
        if code == 0:
            return None
        return f"{last.removeprefix('avsr-bench: ') or f'exit code {code}'} (all of it: {log})"

    def _forward(self, number: int, frame: FrameType | None) -> None:
        self.asked.append(number)
        self._end(number)

    def _end(self, number: int) -> None:
        for child in tuple(self.running):  # without the guard: the main thread waits for nobody
            child.send_signal(number)
