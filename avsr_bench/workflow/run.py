"""A board, stage by stage, those that need not wait for one another side by side."""

from __future__ import annotations

import fcntl
import re
import signal
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal, Protocol

from .. import leaderboard, recipes, runs
from ..files import sweep_temporaries
from ..records import Refused
from .commands import Commands
from .entries import Wanted
from .kept import measured_run
from .plan import Stage, make_plan
from .request import LOCAL, BoardRequest
from .schedule import expected, ready
from .settings import BoardSettings, load_settings

State = Literal["done", "done before", "left out", "failed"]
LOGS = LOCAL / "logs"
PAGES = "pages"  # as the stage is called that comes after every other
PAUSE = 20  # times as long as pages took they are left alone: a large board needs a core for a quarter of a minute


class Stopped(Exception):
    """A signal ended the board; what was under way has saved what it could."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


@dataclass(frozen=True, slots=True)
class Announced:
    """A stage that is going to run, and how long it should take."""

    name: str
    seconds: float | None = None


class View(Protocol):
    """How a board shows itself; `cli.stages` has several. Several stages may run at once."""

    def begin(self, stages: Sequence[Announced], seconds: float | None, jobs: int) -> None:
        """All stages in order, and how long all of them should take, so many at once."""

    def start(self, stage: str) -> None:
        """A stage starts, or continues: pages are made many times."""

    def say(self, stage: str, line: str) -> None:
        """A line of a stage that runs."""

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
    seconds: float  # less than those of all stages, of which some ran side by side
    pages: Path
    rows: int


def make_board(request: BoardRequest, view: View) -> Made:
    """Carry out every stage that is not done; an entry that fails leaves the others be."""
    begin = time.monotonic()
    settings = load_settings(request.corpus)
    plan = make_plan(request, settings)
    announced = [Announced(stage.name, stage.seconds) for stage in plan.stages]
    view.begin([*announced, Announced(PAGES)], expected(plan.stages, plan.jobs), plan.jobs)
    outcomes: dict[str, Outcome] = {}
    running: dict[Future[Outcome], Stage] = {}
    with _alone() as lock, ThreadPoolExecutor(plan.jobs) as pool, Commands(lock) as commands:
        for folder in (request.pages, request.pages / "figures"):
            if folder.is_dir():
                sweep_temporaries(folder)  # of a board that was killed
        pages = _Pages(request, view)
        while True:
            if not commands.asked:
                at_work = [stage.name for stage in running.values()]
                for stage in ready(plan.stages, outcomes, at_work, plan.jobs):
                    view.start(stage.name)
                    unmet = [outcomes[name] for name in stage.needs if outcomes[name].state in ("failed", "left out")]
                    running[pool.submit(_carry_out, stage, unmet, request, settings, view, commands)] = stage
            if not running:
                break
            if not any(future.done() for future in running):
                pages.make()  # while others work
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                stage, outcome = running.pop(future), future.result()
                if commands.asked:
                    continue  # it was stopped, and has not failed
                outcomes[stage.name] = outcome
                view.end(outcome)
                _keep_failures(stage, outcome, request)
                if outcome.state == "failed" and stage is plan.stages[0]:
                    raise Refused(f"{stage.name}: {outcome.note}")
                pages.stale |= bool(stage.reads or stage.measures) and outcome.state != "left out"
        if commands.asked:
            raise Stopped(commands.asked[0])
        pages.stale |= pages.outcome.state == "left out"  # nothing could be read: pages say so too
        pages.make(last=True)
        if commands.asked:
            raise Stopped(commands.asked[0])
    ordered = tuple(outcomes[stage.name] for stage in plan.stages)
    return Made((*ordered, pages.outcome), time.monotonic() - begin, request.pages, pages.rows)


def _carry_out(
    stage: Stage,
    unmet: Sequence[Outcome],
    request: BoardRequest,
    settings: BoardSettings,
    view: View,
    commands: Commands,
) -> Outcome:
    begin = time.monotonic()
    state, note = _state_of(stage, unmet, request, settings, view, commands)
    return Outcome(stage.name, state, time.monotonic() - begin, note)


def _state_of(
    stage: Stage,
    unmet: Sequence[Outcome],
    request: BoardRequest,
    settings: BoardSettings,
    view: View,
    commands: Commands,
) -> tuple[State, str]:
    runs_of_it = stage.serves if stage.kept else stage.reads or stage.measures
    if runs_of_it and all(_is_kept(run, request, settings) for run in runs_of_it):
        return "done before", ""
    readable = [str(run.folder) for run in stage.reads if _may_be_read(run, request)]
    if stage.reads and not readable:
        return "left out", "there is no run to read with"
    try:
        if stage.serves:
            fingerprint = request.data.fingerprint
            if all(run.is_there(fingerprint) for run in stage.serves):
                return "done before", ""
        if unmet:
            return "left out", f"it needs what did not end well: {unmet[0].stage}"
        for words in stage.commands:
            command = (*words, "--models", ",".join(readable)) if readable else words
            log = LOGS / f"{_slug(stage.name)}.log"
            problem = commands.run(command, log, lambda line: view.say(stage.name, line))
            if problem is not None:
                return "failed", problem
    except Refused as refused:
        return "failed", str(refused)
    return "done", ""


def _keep_failures(stage: Stage, outcome: Outcome, request: BoardRequest) -> None:
    """Write down beside the results that a seed failed, or that it did not this time."""
    if stage.folder is None:
        return
    name = runs.name_of(stage.folder)
    if outcome.state in ("failed", "left out"):
        reason = outcome.note.partition(" (all of it:")[0]
        leaderboard.keep_failure(request.results, leaderboard.Failed(name, stage.trains[0].seed, reason))
    else:
        leaderboard.forget_failure(request.results, name)


def _is_kept(run: Wanted, request: BoardRequest, settings: BoardSettings) -> bool:
    """Whether there is nothing to do for a run, which is not here itself: its results stand, if it has any."""
    here = (run.folder / runs.RECIPE).is_file()
    return not here and (not run.is_measured or measured_run(run, request, settings, request.data.fingerprint))


def _may_be_read(run: Wanted, request: BoardRequest) -> bool:
    """Whether a run is finished and the one that is meant; where it is another, the stage that trains it said so."""
    try:
        return run.is_there(request.data.fingerprint)
    except Refused:
        return False


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
    """The pages, rendered when something new was read, and seldom; one stage for people."""

    def __init__(self, request: BoardRequest, view: View) -> None:
        self.request, self.view = request, view
        self.stale = False  # whether there is something that they do not show yet
        self.outcome = Outcome(PAGES, "left out", 0.0)
        self.rows = 0
        self.due = 0.0  # not again before this moment

    def make(self, last: bool = False) -> None:
        """Render what there is by now, where that is more than before."""
        if not self.stale or (not last and time.monotonic() < self.due):
            return
        self.stale = False
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
        end = time.monotonic()
        self.due = end + PAUSE * (end - begin)
        self.outcome = Outcome(PAGES, state, self.outcome.seconds + end - begin, note)
        self.view.end(self.outcome)


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
