"""The command line: it parses, calls one function and prints. Nothing heavy is imported before a verb needs it."""

from __future__ import annotations

import signal
import sys
from types import FrameType

from ..inert import line
from ..records import Misused, Refused
from . import (
    enhance,
    evaluate,
    export,
    importing,
    label,
    leaderboard,
    noise,
    prep,
    robustness,
    setup,
    terminal,
    train,
    transcribe,
)
from .words import PROGRAM, App

app = App(
    "Data preparation and benchmarks for lip reading: from talking-head video to WER against sparsity and noise.",
    name=PROGRAM,
    no_args_is_help=True,
)
prep.add_to(app)
label.add_to(app)
train.add_to(app)
evaluate.add_to(app)
robustness.add_to(app)
noise.add_to(app)
transcribe.add_to(app)
enhance.add_to(app)
importing.add_to(app)
export.add_to(app)
leaderboard.add_to(app)
setup.add_to(app)


class Interrupted(KeyboardInterrupt):
    """Ctrl-C, in a type of its own.

    CPython remembers a plain KeyboardInterrupt that falls into the text of an exec, of which dataclasses and named
    tuples are made on import, and ends by the signal later on, whatever became of it: not with our exit code.
    """


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise Interrupted


def main() -> None:
    """Run a command; what goes wrong ends in one line and an exit code: 1 could not, 2 wrong usage, 130 stopped."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # not where whoever started us ignores it
        signal.signal(signal.SIGINT, _interrupt)
    try:
        with terminal.streams():
            code = _run()
    except terminal.Unwritable as closed:
        print(f"{PROGRAM}: {closed}", file=sys.stderr or sys.stdout)
        code = 1
    except BrokenPipeError:  # the reader of our output, `head` for one, has had enough
        terminal.give_up(sys.stdout)
        terminal.give_up(sys.stderr)
        code = 1
    sys.exit(code)


def _run() -> int:
    """The exit code, once all that was printed has found its place."""
    try:
        try:
            app()
            code = 0
        except SystemExit as end:
            code = int(end.code or 0)
        except Refused as refused:
            print(f"{PROGRAM}: {line(str(refused))}", file=sys.stderr)
            code = 2 if isinstance(refused, Misused) else 1
        sys.stdout.flush()
    except terminal.Unwritable as unwritable:
        print(f"{PROGRAM}: {unwritable}", file=sys.stderr)
        terminal.give_up(sys.stdout)
        code = 1
    return code
