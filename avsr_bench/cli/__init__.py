"""The command line: it parses, calls one function and prints. Nothing heavy is imported before a verb needs it."""

from __future__ import annotations

import sys

import typer

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
from .interrupt import STOPPED, Interrupt
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


def main() -> None:
    """Run a command; what goes wrong ends in one line and an exit code: 1 could not, 2 wrong usage, 130 stopped."""
    interrupt = Interrupt()
    interrupt.install()
    try:
        with terminal.streams():
            code = _run(interrupt)
    except terminal.Unwritable as closed:
        print(f"{PROGRAM}: {closed}", file=sys.stderr or sys.stdout)
        code = 1
    except BrokenPipeError:  # the reader of our output, `head` for one, has had enough
        terminal.give_up(sys.stdout)
        terminal.give_up(sys.stderr)
        code = 1
    except KeyboardInterrupt:  # before the command began, or while what it printed went out
        terminal.give_up(sys.stdout)
        code = STOPPED
    sys.exit(code)


def _run(interrupt: Interrupt) -> int:
    """The exit code, once all that was printed has found its place."""
    try:
        try:
            typer.main.get_command(app)()  # what app() does, but for its own sys.excepthook
            code = 0
        except SystemExit as end:
            code = int(end.code or 0)
        except Refused as refused:
            print(f"{PROGRAM}: {line(str(refused))}", file=sys.stderr)
            code = 2 if isinstance(refused, Misused) else 1
        except Exception:
            if not interrupt.heard:
                raise
            print(f"{PROGRAM}: stopped", file=sys.stderr)
            code = STOPPED
        finally:
            interrupt.over = True
        if code and interrupt.heard:
            code = STOPPED
        sys.stdout.flush()
    except terminal.Unwritable as unwritable:
        print(f"{PROGRAM}: {unwritable}", file=sys.stderr)
        terminal.give_up(sys.stdout)
        code = 1
    return code
