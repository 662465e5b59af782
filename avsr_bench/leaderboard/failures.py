"""Runs of a board that failed, kept beside the results, so that a row says of how many seeds it should be.

<results>/<run>/failed.json    run, seed, and the reason; gone as soon as the run is trained
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator

from .. import recipes
from ..bounded import parse_json, read_text
from ..files import make_folder, write_whole
from ..inert import inert, line
from ..records import Refused, Seed

FAILED = "failed.json"
MOST_BYTES = 2**16
NOTE = 500  # characters of a reason


def _plain(text: str) -> str:
    return line(text, NOTE)


@dataclass(frozen=True, slots=True, order=True)
class Failed:
    """A run that was asked for and is not there."""

    run: Annotated[str, AfterValidator(_plain)]  # as results name it
    seed: Seed
    reason: Annotated[str, AfterValidator(_plain)]


def keep_failure(results: Path, failed: Failed) -> None:
    """Write down that a run failed."""
    folder = results / failed.run
    make_folder(folder)
    write_whole(folder / FAILED, inert(json.dumps(asdict(failed), indent=2, ensure_ascii=False), lines=True) + "\n")


def forget_failure(results: Path, run: str) -> None:
    """The run is there now."""
    (results / run / FAILED).unlink(missing_ok=True)


def read_failures(folders: Iterable[Path]) -> tuple[tuple[Failed, ...], list[str]]:
    """Every run that failed, and a line for each file that is damaged."""
    found: set[Failed] = set()
    notes = []
    for path in sorted({path for folder in folders for path in folder.rglob(FAILED)}):
        try:
            content = parse_json(read_text(path, MOST_BYTES))
            if not isinstance(content, dict):
                raise Refused(f"{path} says nothing of a run that failed")
            found.add(recipes.build(Failed, content, str(path)))
        except (Refused, ValueError) as error:
            notes.append(line(f"{path}: {error}" if isinstance(error, ValueError) else str(error), NOTE))
    return tuple(sorted(found)), notes


def without_seed(run: str) -> str:
    """The name that the seeds of a run share.

    >>> without_seed("synth/rigl-tiny-s12/round-02")
    'synth/rigl-tiny/round-02'
    """
    return re.sub(r"-s[0-9]+(?=/|$)", "", run)
