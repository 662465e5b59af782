"""How long this process has been waiting for clips: a stop that was asked for does not wait with it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

_since: float | None = None


@contextmanager
def waiting() -> Iterator[None]:
    """From here on clips are waited for."""
    global _since
    before, _since = _since, _since or time.monotonic()
    try:
        yield
    finally:
        _since = before


def waited() -> float:
    """Seconds, so far."""
    return time.monotonic() - _since if _since is not None else 0.0
