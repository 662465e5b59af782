"""Cutting a long clip into segments by the times of its words.

Every word lands in one segment and no two segments overlap. A segment is as long as allowed or shorter, unless it is
one single word. Stretches without words between segments are left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .lrs_text import Word

# Both are ours. Lips move before the sound does and word times are no better than a few frames: five frames of room.
ROOM = 0.2  # s before the first and after the last word
LONGEST_PAUSE = 2.0  # s; a longer one is always cut out: it teaches nothing and may show someone else


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of a clip, in seconds, and the words spoken in it."""

    text: str
    start: float
    end: float


def segments(words: Sequence[Word], longest: float, seconds: float | None = None) -> list[Segment]:
    """Cut `words` into segments of at most `longest` seconds, with a little room round their words.

    The room ends half-way to the neighbouring word, and with the clip, which lasts `seconds`. Where that is not known
    there is no room after the last word.
    """
    cuts = cut(words, longest)
    result = []
    for first, stop in zip(cuts, [*cuts[1:], len(words)], strict=True):
        start, end = words[first].start, words[stop - 1].end
        room = min(ROOM, max(0.0, (longest - (end - start)) / 2))
        # Where two words overlap, half-way lies inside both, and there the two segments meet.
        earliest = (words[first - 1].end + start) / 2 if first else 0.0
        latest = (end + words[stop].start) / 2 if stop < len(words) else max(end, seconds or 0.0)
        text = " ".join(word.text for word in words[first:stop])
        result.append(Segment(text, round(max(start - room, earliest), 3), round(min(end + room, latest), 3)))
    return result


def cut(words: Sequence[Word], longest: float) -> list[int]:
    """The index of the first word of each segment: as few segments as can be, cut where the pauses are longest.

    Greedy packing needs as many segments but cuts wherever one is full, in the middle of a phrase.
    """
    # best[n], for the first n words: how many segments, minus the seconds of pause at the cuts, where the last begins.
    best: list[tuple[int, float, int]] = [(0, 0.0, 0)]
    earliest = 0  # where the last segment may begin
    for stop in range(1, len(words) + 1):
        last = words[stop - 1]
        if stop > 1 and last.start - words[stop - 2].end > LONGEST_PAUSE:
            earliest = stop - 1
        while earliest < stop - 1 and last.end - words[earliest].start > longest:
            earliest += 1
        fewest = best[earliest][0]  # more words never need fewer segments
        options = []
        for first in range(earliest, stop):
            count, pauses, _ = best[first]
            if count > fewest:
                break
            pause = words[first].start - words[first - 1].end if first else 0.0
            options.append((count + 1, pauses - pause, first))
        best.append(min(options))
    cuts: list[int] = []
    stop = len(words)
    while stop:
        stop = best[stop][2]
        cuts.append(stop)
    return cuts[::-1]
