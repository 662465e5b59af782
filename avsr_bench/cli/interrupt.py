"""Ctrl-C ends a command with 130 wherever it falls, in C code and in destructors too."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from types import FrameType, TracebackType

STOPPED = 128 + signal.SIGINT
AGAIN = 0.1  # seconds after which a destructor that Ctrl-C fell into is over


class Interrupted(KeyboardInterrupt):
    """Ctrl-C, in a type of its own.

    CPython remembers a plain KeyboardInterrupt that falls into the text of an exec, of which dataclasses and named
    tuples are made on import, and ends by the signal later on, whatever became of it: not with our exit code.
    """


class Interrupt:
    """Raises Interrupted at Ctrl-C, and keeps in `heard` that it did.

    C code that Ctrl-C falls into may end with an exception of its own in its place: numpy's import_array prints it and
    raises an ImportError, and pybind11, where it converts arguments, raises a TypeError: 4 of 140 moments in
    `transcribe`. Python itself drops what is raised in a destructor.
    """

    def __init__(self) -> None:
        self.heard = False

    def install(self) -> None:
        """Hear Ctrl-C, but where whoever started us ignores it."""
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, self)
            sys.excepthook = _print
            sys.unraisablehook = _dropped

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """What the signal calls."""
        self.heard = True
        raise Interrupted


def _print(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """What C code prints of an exception before it goes on with its own."""
    if kind is not Interrupted:
        sys.__excepthook__(kind, error, trace)


def _dropped(unraisable: sys.UnraisableHookArgs) -> None:
    """Raise Ctrl-C again that fell into a destructor, once that is over."""
    if unraisable.exc_type is not Interrupted:
        sys.__unraisablehook__(unraisable)
        return
    again = threading.Timer(AGAIN, os.kill, (os.getpid(), signal.SIGINT))
    again.daemon = True
    with contextlib.suppress(RuntimeError):  # no thread begins while the interpreter ends
        again.start()
