"""A row made again: its WER from the hypotheses that were kept, or from its command."""

from __future__ import annotations

import shlex
import subprocess
import sys
import tempfile
from dataclasses import dataclass

from ..records import Refused
from ..scoring import SCORER_VERSION, Edits, Interval, Result, interval, parse_result, total
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


@dataclass(frozen=True, slots=True)
class Rerun:
    """A row as it was kept and as its command measured it now."""

    row: Row
    now: Result

    @property
    def alike(self) -> bool:
        """Whether every count is the same."""
        kept = self.row.result
        return (self.now.words, self.now.characters) == (kept.words, kept.characters)


def verify(row: Row) -> Verified:
    """Score the kept hypotheses of a row anew."""
    again = scores(row)
    words, characters = total(again)
    return Verified(row, len(again), words, characters, interval([again]), interval([again], "characters"))


def rerun(row: Row) -> Rerun:
    """Run the command of a row, its result in a folder of its own, and read what it prints. What was kept stays."""
    with tempfile.TemporaryDirectory() as out:
        command = [sys.executable, "-m", "avsr_bench", *_arguments(row), "--out", out, "--json"]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise Refused(f"`{row.result.command}` ended with exit code {done.returncode}: what it said stands above")
    return Rerun(row, answer(done.stdout, row))


def _arguments(row: Row) -> list[str]:
    """The words behind `avsr-bench`; no other program is ever started from a file of results."""
    try:
        words = shlex.split(row.result.command)
    except ValueError as error:
        raise Refused(f"the command of {row.name} cannot be read: {error}") from None
    if words[:2] != ["avsr-bench", "evaluate"]:
        raise Refused(f"{row.name} has no command `avsr-bench evaluate ...` to run: {row.result.command!r}")
    return words[1:]


def answer(text: str, row: Row) -> Result:
    """The result in what the command of a row printed."""
    where = f"the answer of `{row.result.command}`"
    now = parse_result(text, where)
    if (now.split, now.condition) != (row.result.split, row.result.condition):
        raise Refused(f"{where} is about {now.split}, {now.condition}: not {row.name}")
    return now


def _span(span: Interval) -> str:
    return f"[{100 * span.low:.2f}, {100 * span.high:.2f}] over {span.groups:,} {span.over}"


def percent(result: Result) -> str:
    """WER with its interval."""
    span = result.wer_interval
    return f"{100 * result.wer:.2f} % [{100 * span.low:.2f}, {100 * span.high:.2f}]"
