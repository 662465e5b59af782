"""What several verbs share."""

from __future__ import annotations

import os
from enum import StrEnum

from ..records import Misused


class Decode(StrEnum):
    """How tokens are found."""

    beam = "beam"
    ctc = "ctc"
    attention = "attention"


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
