"""From frames at any times to a constant 25 a second; and times for people."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import TypeVar

from ..records import FPS

T = TypeVar("T")
_TICK = 1e-6  # seconds; container clocks are coarser, rounding of floats is finer


def frame_count(seconds: float) -> int:
    """How many frames of the constant rate a stretch of time holds.

    >>> frame_count(3.0), frame_count(0.1), frame_count(75 / 23.976)
    (75, 3, 78)
    """
    return int(max(seconds, 0.0) * FPS + 0.5 + _TICK)


def constant_rate(
    frames: Iterable[tuple[float, float, T]], start: float = 0.0, end: float | None = None
) -> Iterator[T]:
    """Choose, for every 1/25 s from `start`, the frame whose time is nearest; the earlier one of two equally near.

    `frames` yields (time, duration, frame) with rising times. The last frame lasts for its duration, any other until
    the next: a gap holds the frame before it and then the one after. As many frames come out as fit between `start`
    and the earlier of `end` and the end of the last frame, at least one.

    >>> fifty = [(n / 50, 1 / 50, n) for n in range(10)]
    >>> list(constant_rate(fifty))
    [0, 2, 4, 6, 8]
    """
    limit = None if end is None else frame_count(end - start)
    chosen: deque[T] = deque()  # decided, but not yet known to lie before the end
    count = given = 0
    before: tuple[float, float, T] | None = None
    for now in frames:
        if before is not None:
            middle = (before[0] + now[0]) / 2 + _TICK
            while start + count / FPS <= middle:
                chosen.append(before[2])
                count += 1
            while chosen and given < frame_count(now[0] - start):
                yield chosen.popleft()
                given += 1
                if given == limit:
                    return
        before = now
    if before is None:
        return
    finish = before[0] + before[1]
    total = max(1, frame_count((finish if end is None else min(finish, end)) - start))
    while given < total:
        yield chosen.popleft() if chosen else before[2]
        given += 1


def in_words(seconds: float) -> str:
    """A time of a video for people: hours, minutes, seconds.

    >>> in_words(3723.44), in_words(123.44)
    ('1:02:03.4', '2:03.4')
    """
    tenths = round(seconds * 10)
    hours, minutes, rest = tenths // 36_000, tenths // 600 % 60, f"{tenths % 600 // 10:02d}.{tenths % 10}"
    return f"{hours}:{minutes:02d}:{rest}" if hours else f"{minutes}:{rest}"
