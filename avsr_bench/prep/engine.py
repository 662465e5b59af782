"""Engines: work done on many clips at once, results in the order of the tasks, whatever happens to a worker.

`run_local` uses processes of this machine. A worker that crashes, is killed or outlives its time limit costs one clip:
that clip is tried once more with no other work beside it, and if it fails again its result is a machine `Reason`.
"""

from __future__ import annotations

import multiprocessing
import signal
import time
import traceback
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerContext, ForkServerProcess
from typing import TypeVar

import cv2

from ..records import Reason

Task = TypeVar("Task")
Result = TypeVar("Result")

# Work on one task. The second argument is called with the clip's length in seconds as soon as that is known, or again
# and again with as much of it as was seen.
Work = Callable[[Task, Callable[[float], None]], Result]

# Does the work on tasks and yields the results in their order.
Engine = Callable[[Work[Task, Result], Iterable[Task]], Generator[Result | Reason, None, None]]

OPENING_SECONDS = 60  # the time limit of a clip: this to open it, and then
LIMIT_PER_SECOND = 10  # this many seconds for each second of its length

# How far ahead of the oldest unfinished task work may run, for each worker: results wait in memory for their turn.
AHEAD = 8


def attempt(work: Work[Task, Result], task: Task) -> Result | Reason:
    """Do one task under its time limit; what goes wrong unforeseen becomes a machine reason.

    The limit is the kernel's alarm with its default action, death: no code of ours has to run for it, so that it also
    ends a worker that hangs inside a codec.
    """

    begun = time.monotonic()

    def limit(seconds: float) -> None:
        left = begun + OPENING_SECONDS + LIMIT_PER_SECOND * seconds - time.monotonic()
        signal.setitimer(signal.ITIMER_REAL, max(left, 1e-3))  # 0 would switch it off

    cv2.setNumThreads(1)  # workers are as many as cores; OpenCV's own threads would only get in their way
    try:
        limit(0)
        return work(task, limit)
    except MemoryError:
        return Reason("out-of-memory", "the worker could not get the memory it asked for")
    except Exception as error:  # noqa: BLE001  the reason is filed with the clip
        where = traceback.extract_tb(error.__traceback__)[-1]
        detail = (
            f"{type(error).__name__}: {' '.join(str(error).split())} ({where.filename.split('/')[-1]}:{where.lineno})"
        )
        return Reason("failed", detail[:300])
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def died(exit_code: int | None) -> Reason:
    """The reason for a worker that ended in the middle of a clip."""
    if exit_code == -signal.SIGALRM:
        return Reason("time-limit", f"no end after {OPENING_SECONDS} s + {LIMIT_PER_SECOND} x its length, twice")
    if exit_code == -signal.SIGKILL:
        return Reason("worker-died", "the worker was killed twice; the kernel does this when memory runs out")
    name = signal.Signals(-exit_code).name if exit_code and exit_code < 0 else f"exit code {exit_code}"
    return Reason("worker-died", f"the worker ended with {name}, twice")


def run_local(work: Work[Task, Result], tasks: Iterable[Task], workers: int) -> Generator[Result | Reason, None, None]:
    """Do the tasks in `workers` processes and yield their results in order."""
    pool = _Pool(work, workers)
    try:
        yield from pool.run(tasks)
    finally:
        pool.close()


class _Worker:
    """One process and the pipe to it."""

    def __init__(self, context: ForkServerContext, work: Work) -> None:
        self.pipe, theirs = context.Pipe()
        self.process: ForkServerProcess = context.Process(target=_serve, args=(theirs, work), daemon=True)
        self.process.start()
        theirs.close()
        self.index: int | None = None  # the task in hand

    def close(self) -> int | None:
        self.pipe.close()
        self.process.kill()  # it holds nothing that could be lost
        self.process.join()
        return self.process.exitcode


@dataclass(frozen=True, slots=True)
class _Death:
    exit_code: int | None


def _serve(pipe: Connection, work: Work) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):  # the parent is gone: so are we
        while True:
            pipe.send(attempt(work, pipe.recv()))


class _Pool:
    def __init__(self, work: Work, workers: int) -> None:
        # Not fork: the parent has threads. The fork server imports the heavy libraries once for all workers.
        self.context = multiprocessing.get_context("forkserver")
        self.context.set_forkserver_preload([getattr(work, "func", work).__module__, "mediapipe", "av"])
        resource_tracker.ensure_running()  # which lets signals through again
        heard = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # else Ctrl-C tears the server's imports
        try:
            forkserver.ensure_running()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, heard)
        self.work, self.size = work, workers
        self.workers: list[_Worker] = []

    def run(self, tasks: Iterable[Task]) -> Iterator[Result | Reason]:
        source = enumerate(tasks)
        upcoming = next(source, None)
        in_hand: dict[int, Task] = {}
        again: deque[tuple[int, Task]] = deque()  # tasks whose worker died: each is tried once more, alone
        done: dict[int, Result | Reason] = {}
        following = 0  # the next result to yield
        while upcoming or in_hand or again:
            if again and not in_hand:
                self._give(*again[0], in_hand)
            while upcoming and not again and len(in_hand) < self.size and upcoming[0] < following + AHEAD * self.size:
                self._give(*upcoming, in_hand)
                upcoming = next(source, None)
            for index, outcome in self._collect():
                task = in_hand.pop(index)
                second_try = bool(again) and again[0][0] == index
                if isinstance(outcome, _Death) and not second_try:
                    again.append((index, task))
                    continue
                if second_try:
                    again.popleft()
                done[index] = died(outcome.exit_code) if isinstance(outcome, _Death) else outcome
            while following in done:
                yield done.pop(following)
                following += 1

    def _give(self, index: int, task: Task, in_hand: dict[int, Task]) -> None:
        """Hand a task to a worker that is free, made now if there is none."""
        worker = next((worker for worker in self.workers if worker.index is None), None)
        if worker is None:
            worker = _Worker(self.context, self.work)
            self.workers.append(worker)
        worker.index = index
        in_hand[index] = task
        with suppress(
            BrokenPipeError, ConnectionResetError
        ):  # it died between two tasks: seen when its result is awaited
            worker.pipe.send(task)

    def _collect(self) -> list[tuple[int, Result | Reason | _Death]]:
        """Wait for results."""
        busy = {worker.pipe: worker for worker in self.workers if worker.index is not None}
        collected: list[tuple[int, Result | Reason | _Death]] = []
        for pipe in wait(list(busy)):
            worker = busy[pipe]  # type: ignore[index]
            index = worker.index
            assert index is not None
            try:
                collected.append((index, worker.pipe.recv()))
                worker.index = None
            except (EOFError, OSError):
                worker.process.join(5)  # so that its exit code is its own and not that of our kill
                self.workers.remove(worker)
                collected.append((index, _Death(worker.close())))
        return collected

    def close(self) -> None:
        """End the workers, wherever they are."""
        for worker in self.workers:
            worker.close()
        self.workers.clear()
