"""A board, stage by stage. Each command is a process of its own; its lines are passed on, and kept in a log."""

from __future__ import annotations

import fcntl
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import IO, Literal, Protocol

from .. import leaderboard, recipes, runs
from ..files import sweep_temporaries
from ..inert import inert
from ..records import Refused
from .plan import LOCAL, BoardRequest, Command, Stage, Wanted, make_plan
from .settings import load_settings

State = Literal["done", "done before", "left out", "failed"]
LOGS = LOCAL / "logs"
PAGES = "pages"  # as the stage is called that comes after every other


class Stopped(Exception):
    """A signal ended the board; what was under way has saved what it could."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


class View(Protocol):
    """How a board shows itself; `cli.stages` has several."""

    def begin(self, stages: Sequence[str]) -> None:
        """The names of all stages, in order."""

    def start(self, stage: str) -> None:
        """A stage starts, or goes on: pages are made many times."""

    def say(self, line: str) -> None:
        """A line of what is running."""

    def end(self, outcome: Outcome) -> None:
        """A stage is over."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a stage ended."""

    stage: str
    state: State
    seconds: float
    note: str = ""  # why it was left out or failed


@dataclass(frozen=True, slots=True)
class Made:
    """What came of a board."""

    outcomes: tuple[Outcome, ...]
    pages: Path
    rows: int


def make_board(request: BoardRequest, view: View) -> Made:
    """Carry out every stage that is not done; a system that fails leaves the others be."""
    stages = make_plan(request, load_settings(request.corpus))
    view.begin([*(stage.name for stage in stages), PAGES])
    outcomes: list[Outcome] = []
    with _alone() as lock:
        for folder in (request.pages, request.pages / "figures"):
            if folder.is_dir():
                sweep_temporaries(folder)  # of a board that was killed
        pages = _Pages(request, view)
        for stage in stages:
            view.start(stage.name)
            begin = time.monotonic()
            state, note = _carry_out(stage, request, view, lock)
            outcomes.append(Outcome(stage.name, state, time.monotonic() - begin, note))
            view.end(outcomes[-1])
            if state == "failed" and stage is stages[0]:
                raise Refused(f"{stage.name}: {note}")
            if stage.reads and state != "left out":
                pages.make()
        if pages.outcome.state == "left out":  # nothing could be read: pages say so too
            pages.make()
    return Made((*outcomes, pages.outcome), request.pages, pages.rows)


def _carry_out(stage: Stage, request: BoardRequest, view: View, lock: int) -> tuple[State, str]:
    missing = [runs.name_of(folder) for folder in stage.needs if not (folder / runs.WEIGHTS).is_file()]
    if missing:
        return "left out", f"it begins with {missing[0]}, which is not there"
    readable = [str(run.folder) for run in stage.reads if _may_be_read(run, request)]
    if stage.reads and not readable:
        return "left out", "there is no run to read with"
    try:
        if stage.trains:
            fingerprint = request.data.fingerprint
            if all(run.is_there(fingerprint) for run in stage.trains):
                return "done before", ""
        for words in stage.commands:
            command = (*words, "--models", ",".join(readable)) if readable else words
            problem = _run(command, LOGS / f"{_slug(stage.name)}.log", view, lock)
            if problem is not None:
                return "failed", problem
    except Refused as refused:
        return "failed", str(refused)
    return "done", ""


def _may_be_read(run: Wanted, request: BoardRequest) -> bool:
    """Whether a run is finished and the one that is meant; where it is another, the stage that trains it said so."""
    try:
        return run.is_there(request.data.fingerprint)
    except Refused:
        return False


def _run(words: Command, log: Path, view: View, lock: int) -> str | None:
    """Run one command of ours; its last line where it did not end well."""
    log.parent.mkdir(parents=True, exist_ok=True)
    last = ""
    with log.open("a", encoding="utf-8") as kept:
        kept.write(inert(f"$ avsr-bench {shlex.join(words)}") + "\n")
        kept.flush()
        # A session of its own: Ctrl-C reaches it once, through us, and not its workers. Who goes on while an orphan of
        # a killed board is still at work finds the lock held.
        child = subprocess.Popen(
            [sys.executable, "-m", "avsr_bench", *words],
            stdin=subprocess.DEVNULL,
            stdout=kept,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
            pass_fds=(lock,),
        )
        assert child.stderr is not None
        with _forwarding(child) as asked:
            for line in child.stderr:  # the libraries below ours write there too
                kept.write(inert(line, lines=True))
                if line.strip():
                    last = line.strip()
                    view.say(last)
            code = child.wait()
    if asked:
        raise Stopped(asked[0])
    if code == 0:
        return None
    return f"{last.removeprefix('avsr-bench: ') or f'exit code {code}'} (all of it: {log})"


@contextmanager
def _forwarding(child: subprocess.Popen[str]) -> Iterator[list[int]]:
    """Hand Ctrl-C and SIGTERM on to a child, which saves and ends; the signals that came."""
    asked: list[int] = []

    def forward(number: int, frame: FrameType | None) -> None:
        asked.append(number)
        child.send_signal(number)

    before = {number: signal.signal(number, forward) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _alone() -> Iterator[int]:
    """Keep a second board out of this folder; the lock is also held by the command that runs."""
    path = LOGS / "lock"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file: IO[bytes] = path.open("ab")
    except OSError as error:
        raise Refused(f"cannot write {path}: {error.strerror}") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Refused(
                f"another leaderboard is being made here, or a command of one that was killed still runs ({path} is"
                " held): wait for it, or end it"
            ) from None
        yield file.fileno()


class _Pages:
    """The pages, rendered again and again; one stage for people."""

    def __init__(self, request: BoardRequest, view: View) -> None:
        self.request, self.view = request, view
        self.outcome = Outcome(PAGES, "left out", 0.0)
        self.rows = 0

    def make(self) -> None:
        """Render what there is by now."""
        self.view.start(PAGES)
        begin = time.monotonic()
        place = self.request.pages
        found = [self.request.results if self.request.publish else place]
        state: State = "done"
        note = ""
        try:
            made = leaderboard.render(found, recipes.find("leaderboards", "published"), place, runs.ROOT)
            self.rows = made.rows
        except Refused as refused:
            state, note = "failed", str(refused)
        self.outcome = Outcome(PAGES, state, self.outcome.seconds + time.monotonic() - begin, note)
        self.view.end(self.outcome)


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
