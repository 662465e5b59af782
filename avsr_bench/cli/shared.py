"""What several verbs share."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TextIO

import typer

from ..records import Misused

if TYPE_CHECKING:
    from ..files import Ours

Decode = Literal["beam", "ctc", "attention"]  # decoding.Kind, without torch
ApplyTo = Literal["mouth", "frame"]  # where visual noise is applied
View = Annotated[
    Literal["video", "audio", "av"] | None, typer.Option("--modality", help="What a unified run reads here.")
]
Force = Annotated[bool, typer.Option("--force", help="Replace a file that exists, whoever made it.")]


def replaceable(force: bool, kept: Ours) -> Ours:
    """Which files may be replaced: with --force any, else those that `kept` says."""
    from ..files import anything

    return anything if force else kept


def beside(out: Path | None) -> TextIO:
    """Where a command says what it did: standard error when standard output is the file."""
    from ..files import STDOUT

    return sys.stderr if out == STDOUT else sys.stdout


def listed(option: str, text: str | None) -> tuple[str, ...]:
    """The names of an option that takes several, such as `--models dense,msrs`."""
    names = tuple(name.strip() for name in text.split(",")) if text is not None else ()
    if not all(names):
        raise Misused(f"{option} {text!r}: a name is missing before or after a comma")
    return names


def quiet_threads() -> None:
    """Before numpy and torch are loaded: threads that wait sleep, and do not take the cores from those that work.

    Clips are decoded beside the network by processes or threads of ours; with threads that spin, training on two cores
    is several times slower.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def command_line() -> str:
    """The command as recipes and results keep it: without passwords and tokens."""
    from ..data import without_secrets

    return shlex.join(["avsr-bench", *map(without_secrets, sys.argv[1:])])
