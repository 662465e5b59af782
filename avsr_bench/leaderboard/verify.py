"""A row checked: its metrics from the hypotheses, and the measures of sound, that were kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ..scoring import METRICS, SCORER_VERSION, WER, Edits, Interval, Measure, Result, Score, interval, total
from ..text import TEXT_VERSION
from .rows import Row, scores

ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class Verified:
    """What a row says, and what its hypotheses say."""

    row: Row
    utterances: int
    metrics: dict[str, Measure]

    @property
    def alike(self) -> bool:
        """Whether both say the same: every count, and the intervals."""
        return self.counted_alike and self.drawn_alike

    @property
    def counted_alike(self) -> bool:
        """Whether every count is the same."""
        kept = self.row.result
        now, then = ({name: of.parts for name, of in each.items()} for each in (self.metrics, kept.metrics))
        return (self.utterances, now) == (kept.utterances, then)

    @property
    def drawn_alike(self) -> bool:
        """Whether intervals are the same, but for rounding: machines add in other orders."""
        return not any(self._drawn_otherwise())

    def _drawn_otherwise(self) -> Iterator[tuple[str, Interval, Interval]]:
        """Intervals that are not the same but for rounding: of which metric, as kept, and as drawn now."""
        for name, measure in self.row.result.metrics.items():
            then, now = measure.interval, self.metrics[name].interval
            if (now.over, now.groups) != (then.over, then.groups) or (
                max(abs(now.low - then.low), abs(now.high - then.high)) >= ROUNDING
            ):
                yield name, then, now

    @property
    def said(self) -> str:
        """One line for people."""
        kept = self.row.result
        if self.alike:
            what = "hypotheses" if WER in kept.metrics else "clips"
            return f"{self.row.name}: {_headline(kept)} as its {self.utterances:,} {what} say"
        if self.counted_alike:
            name, then, now = next(self._drawn_otherwise())
            made = _span(name, now)
            what = "hypotheses" if METRICS[name].parts is Edits else "clips"
            return f"{self.row.name}: kept is an interval of {_span(name, then)}; its {what} make {made}"
        if WER not in kept.metrics and WER in self.metrics:
            return f"{self.row.name}: it was kept without its WER, which its hypotheses do make"
        if WER not in kept.metrics or WER not in self.metrics:
            return f"{self.row.name}: kept are {_values(kept.metrics)}; its clips make {_values(self.metrics)}"
        why = ""
        if (kept.scorer_version, kept.text_version) != (SCORER_VERSION, TEXT_VERSION):
            why = f" (scored by version {kept.scorer_version} and text rule {kept.text_version} then)"
        then_of, now_of = kept.metrics[WER].parts, self.metrics[WER].parts
        return (
            f"{self.row.name}: kept are {then_of.errors:,} errors of {then_of.length:,} words, {percent(kept)};"
            f" its {self.utterances:,} hypotheses have {now_of.errors:,} of {now_of.length:,},"
            f" {100 * now_of.rate:.2f} %{why}"
        )


def verify(row: Row, heard: tuple[Score, ...] | None = None) -> Verified:
    """Score the kept hypotheses of a row anew; `heard` are their scores where they are kept elsewhere."""
    again = scores(row) if heard is None else heard
    metrics = {name: Measure(parts, interval([again], name)) for name, parts in total(again).items()}
    return Verified(row, len(again), metrics)


def _span(name: str, span: Interval) -> str:
    low, high = (METRICS[name].said(end).removesuffix(METRICS[name].unit).rstrip() for end in (span.low, span.high))
    return f"[{low}, {high}] over {span.groups:,} {span.over}"


def _headline(result: Result) -> str:
    """The WER of a row, or what it has in place of one."""
    return f"WER {percent(result)}" if WER in result.metrics else _values(result.metrics)


def _values(metrics: Mapping[str, Measure]) -> str:
    said = (f"{METRICS[name].label} {METRICS[name].said(each.value)}" for name, each in metrics.items())
    return ", ".join(said) or "no metrics"


def percent(result: Result) -> str:
    """WER with its interval."""
    span = result.metrics[WER].interval
    return f"{100 * result.wer:.2f} % [{100 * span.low:.2f}, {100 * span.high:.2f}]"
