"""Ctrl-C ends a command with 130 wherever it falls, in C code and in destructors too."""

from __future__ import annotations

import _thread
import signal
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType, TracebackType

STOPPED = 128 + signal.SIGINT
AGAIN = 0.1  # seconds after which the code that Ctrl-C fell into is over


class Interrupted(KeyboardInterrupt):
    """Ctrl-C, in a type of its own, which says when nothing holds it any more.

    CPython remembers a plain KeyboardInterrupt that falls into the text of an exec, of which dataclasses and named
    tuples are made on import, and ends by the signal later on, whatever became of it: not with our exit code.
    """

    def __init__(self, gone: Callable[[], None]) -> None:
        super().__init__()
        self.gone = gone

    def __del__(self) -> None:
        self.gone()


class Interrupt:
    """Raises Interrupted at Ctrl-C, and raises it again where it was lost before the command ended.

    Python drops what is raised in a destructor, and PyAV what is raised while it notes a line of a traceback, which
    Cython does in Python: 4 of 96 runs of `enhance`. Other C code ends with an exception of its own in its place:
    numpy's import_array prints it and raises an ImportError, and pybind11, where it converts arguments, raises a
    TypeError: 4 of 140 moments in `transcribe`.
    """

    def __init__(self) -> None:
        self.heard = False
        self.over = False  # the command has ended, in whatever way

    def install(self) -> None:
        """Hear Ctrl-C, but where whoever started us ignores it."""
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, self)
            sys.excepthook = _print
            sys.unraisablehook = _drop

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """What the signal calls."""
        self.heard = True
        raise Interrupted(self._gone)  # held by no name here: the traceback would hold it then, and it the traceback

    def _gone(self) -> None:
        if not self.over:
            _thread.start_new_thread(self._again, ())  # not threading's, whose locks may be held where this is called

    def _again(self) -> None:
        time.sleep(AGAIN)
        if not self.over:
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)


def _print(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """What C code prints of an exception before it goes on with its own."""
    if kind is not Interrupted:
        sys.__excepthook__(kind, error, trace)


def _drop(unraisable: sys.UnraisableHookArgs) -> None:
    """What Python prints of an exception in a destructor before it drops it."""
    if unraisable.exc_type is not Interrupted:
        sys.__unraisablehook__(unraisable)
