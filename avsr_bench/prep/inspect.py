"""`inspect`: what is in a prepared folder, in numbers. `sheet` beside it draws what is in there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import shards
from ..inert import inert
from ..records import FPS, NOTES, REASONS

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table

# Frames between two edges of the length histogram, 0.2 s to a day; the finest that needs at most 12 bars is taken.
LENGTH_STEPS = (5, 10, 25, 50, 125, 250, 750, 1500, 7500, 90_000, 2_160_000)
MOST_BARS = 12
# Detection is all or nothing on most clips, so the bars are narrow near the top, where corpora differ.
DETECTION_EDGES = (0.0, 0.5, 0.8, 0.9, 0.95, 0.99, 1.0)


@dataclass(frozen=True, slots=True)
class Histogram:
    """How many values lie from each edge up to the next; the last edge belongs to the last bar."""

    edges: tuple[float, ...]
    counts: tuple[int, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain values for `--json`."""
        return {"edges": list(self.edges), "counts": list(self.counts)}


@dataclass(frozen=True, slots=True)
class Inspection:
    """What is in a prepared folder."""

    out: Path
    recipe: Mapping[str, Any]
    versions: tuple[Mapping[str, str], ...]
    notes: tuple[str, ...]
    summary: shards.Summary

    @property
    def lengths(self) -> Histogram:
        """Seconds of the samples of all splits."""
        return length_histogram([length for split in self.summary.splits.values() for length in split.lengths])

    @property
    def detection(self) -> Histogram:
        """Share of frames with a detected face, over the samples of all splits that say it."""
        return detection_histogram([rate for split in self.summary.splits.values() for rate in split.detected])

    @property
    def shared_speakers(self) -> dict[tuple[str, str], int]:
        """How many speakers two splits have in common, for the pairs that have any."""
        pairs = combinations(self.summary.splits.items(), 2)
        shared = {(one, other): len(a.speakers.keys() & b.speakers.keys()) for (one, a), (other, b) in pairs}
        return {pair: count for pair, count in shared.items() if count}

    def to_json(self) -> dict[str, Any]:
        """Plain values for `--json`."""
        return {
            "folder": str(self.out),
            "splits": {name: _split_json(split) for name, split in self.summary.splits.items()},
            "lengths": self.lengths.to_json(),
            "detection": self.detection.to_json(),
            "shared_speakers": {f"{one}, {other}": count for (one, other), count in self.shared_speakers.items()},
            "notes": list(self.notes),
            "recipe": dict(self.recipe),
            "versions": [dict(versions) for versions in self.versions],
        }


def _split_json(split: shards.SplitSummary) -> dict[str, Any]:
    return {
        "clips": split.clips,
        "shards": split.shards,
        **split.to_json(),
        "samples_of_speaker": dict(split.speakers),
        "lengths": length_histogram(split.lengths).to_json(),
        "detection": detection_histogram(split.detected).to_json(),
    }


def inspect(out: Path) -> Inspection:
    """Count what is in `out`; finished or not, nothing is changed."""
    prep = shards.read_prep(out)
    return Inspection(out, prep["recipe"], tuple(prep["versions"]), tuple(prep["notes"]), shards.summarise(out))


def length_histogram(frames: Sequence[int]) -> Histogram:
    """Lengths in seconds, in bars of a round width."""
    if not frames:
        return Histogram((), ())
    low, high = min(frames), max(frames)
    step = next((step for step in LENGTH_STEPS if high // step - low // step < MOST_BARS), LENGTH_STEPS[-1])
    counts = np.bincount(np.asarray(frames) // step)[low // step :]
    edges = range(low // step, high // step + 2)
    return Histogram(tuple(edge * step / FPS for edge in edges), tuple(counts.tolist()))


def detection_histogram(rates: Sequence[float]) -> Histogram:
    """Shares of frames with a detected face, in `DETECTION_EDGES`; a bar of its own for the clips without a miss."""
    if not rates:
        return Histogram((), ())
    below, _ = np.histogram([rate for rate in rates if rate < 1], DETECTION_EDGES)
    return Histogram((*DETECTION_EDGES, 1.0), (*below.tolist(), sum(rate >= 1 for rate in rates)))


def render(inspection: Inspection, plain: bool = False) -> Group:
    """The inspection as tables and bars for a terminal; `plain` is one that shows ASCII alone."""
    from rich.console import Group
    from rich.text import Text

    splits = inspection.summary.splits
    parts: list[Table] = [_counts_table(inspection)]
    if any(split.skipped for split in splits.values()):
        parts.append(_skip_table(splits))
    lengths, detection = inspection.lengths, inspection.detection
    if lengths.counts:
        labels = [f"{low:g}-{high:g} s" for low, high in pairwise(lengths.edges)]
        parts.append(_bars("Length", labels, lengths.counts, plain))
    if detection.counts:
        labels = [f"{low:.0%}-{high:.0%}" for low, high in pairwise(detection.edges[:-1])]
        parts.append(_bars("Face detected, of the frames looked at", [*labels, "100%"], detection.counts, plain))
    remarks = [Text(inert(f"- {line}")) for line in _remarks(inspection)]
    return Group(*(line for part in parts for line in (part, Text())), *remarks)


def _table(title: str) -> Table:
    from rich.table import Table
    from rich.text import Text

    # Without lines the counts of a corpus like LRS3 fit into 80 columns.
    return Table(
        title=Text(inert(title)),
        title_justify="left",
        title_style="bold",
        header_style="dim",
        box=None,
        pad_edge=False,
    )


def _counts_table(inspection: Inspection) -> Table:
    table = _table(str(inspection.out))
    table.add_column("split", no_wrap=True)
    for heading in ("clips", "samples", "left out", "to do", "hours", "words", "speakers", "face"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, split in inspection.summary.splits.items():
        table.add_row(
            name,
            f"{split.clips:,}",
            f"{split.samples:,}",
            f"{split.clips - split.samples - split.waiting:,}",
            f"{split.waiting:,}",
            f"{split.hours:.2f}",
            f"{split.words:,}",
            f"{len(split.speakers):,}",
            f"{np.mean(split.detected):.1%}" if split.detected else "-",
        )
    return table


def _skip_table(splits: Mapping[str, shards.SplitSummary]) -> Table:
    codes = sorted(
        {code for split in splits.values() for code in split.skipped},
        key=lambda code: (-sum(split.skipped.get(code, 0) for split in splits.values()), code),
    )
    table = _table("Left out")
    table.add_column("reason", no_wrap=True)
    for name in splits:
        table.add_column(name, justify="right")
    table.add_column("what it means")
    for code in codes:
        counts = [f"{split.skipped.get(code, 0):,}" for split in splits.values()]
        kind, meaning = REASONS[code]
        table.add_row(code, *counts, meaning + "; tried again by the next run" * (kind == "machine"))
    return table


def _bars(title: str, labels: Sequence[str], counts: Sequence[int], plain: bool, width: int = 40) -> Table:
    table = _table(title)
    table.show_header = False
    table.add_column(justify="right")
    table.add_column(justify="right")
    table.add_column(no_wrap=True)
    first = next(place for place, count in enumerate(counts) if count)
    for label, count in zip(labels[first:], counts[first:], strict=True):
        eighths = -(-count * width * 8 // max(counts))  # rounded up: one clip among thousands is still seen
        bar = "#" * -(-eighths // 8) if plain else "█" * (eighths // 8) + " ▏▎▍▌▋▊▉"[eighths % 8].strip()
        table.add_row(label, f"{count:,}", bar)
    return table


def _remarks(inspection: Inspection) -> list[str]:
    splits = inspection.summary.splits
    remarks = [
        f"{name}: {split.finished} of {split.shards} shards are finished: run the same prep command again for the rest"
        for name, split in splits.items()
        if split.finished < split.shards
    ]
    textless = [f"{split.without_text:,} of {name}" for name, split in splits.items() if split.without_text]
    if textless:
        remarks.append(f"samples without text: {', '.join(textless)}")
    odd = Counter[str]()
    for split in splits.values():
        odd.update(split.odd)
    remarks += [f"{count:,} samples are used but odd, {NOTES.get(note, note)}" for note, count in odd.most_common()]
    shared = [f"{one} and {other} {count:,}" for (one, other), count in inspection.shared_speakers.items()]
    if shared:
        remarks.append(f"speakers in common: {', '.join(shared)}")
    return [*remarks, *inspection.notes]
