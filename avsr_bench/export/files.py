"""What both formats do with files: open a finished run, and write a file whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import safetensors

from ..records import Refused
from ..runs import WEIGHTS, Run, open_run


def open_finished(folder: Path) -> Run:
    """A run that has its weights."""
    run = open_run(folder)
    if not (folder / WEIGHTS).is_file():
        raise Refused(f"{folder} is not finished: it has no {WEIGHTS} yet; train it to its end first")
    return run


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A name to write to beside `path`; what was written takes its place at the end, and is removed if that fails."""
    unfinished = path.with_name(f".{path.name}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield unfinished
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)
    except (OSError, safetensors.SafetensorError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise Refused(f"cannot write {path}: {reason}; make room, or choose another --out") from error
