"""A row checked: its WER from the hypotheses that were kept."""

from __future__ import annotations

from dataclasses import dataclass

from ..scoring import SCORER_VERSION, Edits, Interval, Result, Score, interval, total
from ..text import TEXT_VERSION
from .rows import Row, scores

ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class Verified:
    """What a row says, and what its hypotheses say."""

    row: Row
    utterances: int
    words: Edits
    characters: Edits
    wer_interval: Interval
    cer_interval: Interval

    @property
    def alike(self) -> bool:
        """Whether both say the same: every count, and the intervals."""
        return self.counted_alike and self.drawn_alike

    @property
    def counted_alike(self) -> bool:
        """Whether every count is the same."""
        kept = self.row.result
        return (self.utterances, self.words, self.characters) == (kept.utterances, kept.words, kept.characters)

    @property
    def drawn_alike(self) -> bool:
        """Whether intervals are the same, but for rounding: machines add in other orders."""
        kept = self.row.result
        pairs = ((self.wer_interval, kept.wer_interval), (self.cer_interval, kept.cer_interval))
        return all(
            (now.over, now.groups) == (then.over, then.groups)
            and max(abs(now.low - then.low), abs(now.high - then.high)) < ROUNDING
            for now, then in pairs
        )

    @property
    def said(self) -> str:
        """One line for people."""
        kept = self.row.result
        if self.alike:
            return f"{self.row.name}: WER {percent(kept)} as its {self.utterances:,} hypotheses say"
        if self.counted_alike:
            spans = ((kept.wer_interval, self.wer_interval), (kept.cer_interval, self.cer_interval))
            then, now = next(pair for pair in spans if pair[0] != pair[1])
            return f"{self.row.name}: kept is an interval of {_span(then)}; its hypotheses make {_span(now)}"
        why = ""
        if (kept.scorer_version, kept.text_version) != (SCORER_VERSION, TEXT_VERSION):
            why = f" (scored by version {kept.scorer_version} and text rule {kept.text_version} then)"
        return (
            f"{self.row.name}: kept are {kept.words.errors:,} errors of {kept.words.length:,} words, {percent(kept)};"
            f" its {self.utterances:,} hypotheses have {self.words.errors:,} of {self.words.length:,},"
            f" {100 * self.words.rate:.2f} %{why}"
        )


def verify(row: Row, heard: tuple[Score, ...] | None = None) -> Verified:
    """Score the kept hypotheses of a row anew; `heard` are their scores where they are kept elsewhere."""
    again = scores(row) if heard is None else heard
    words, characters = total(again)
    return Verified(row, len(again), words, characters, interval([again]), interval([again], "characters"))


def _span(span: Interval) -> str:
    return f"[{100 * span.low:.2f}, {100 * span.high:.2f}] over {span.groups:,} {span.over}"


def percent(result: Result) -> str:
    """WER with its interval."""
    span = result.wer_interval
    return f"{100 * result.wer:.2f} % [{100 * span.low:.2f}, {100 * span.high:.2f}]"
