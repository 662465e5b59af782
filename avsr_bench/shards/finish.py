"""What came of a plan, counted from the indexes: the end of every prep run, and the ground of `avsr-bench inspect`."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..files import json_bytes, write_whole
from ..locks import guard
from ..records import FPS, REASONS, Skipped
from .index import Entry, read_index
from .read import read_about, samples, shard_indexes, unfinished_indexes
from .store import SKIPPED, read_prep, write_prep


@dataclass(frozen=True, slots=True)
class SplitSummary:
    """One split: what was planned, what came through, what was left out."""

    clips: int  # planned
    shards: int  # planned
    whole: Mapping[str, int]  # samples of each shard that is whole, by its name
    words: int
    without_text: int  # samples
    lengths: tuple[int, ...]  # frames of each sample, in plan order
    detected: tuple[float, ...]  # share of frames in which a face was detected, of the samples that say so
    speakers: Mapping[str, int]  # samples of each
    skipped: Mapping[str, int]  # clips for each reason code, the most frequent first
    odd: Mapping[str, int]  # samples for each note: used, but not as they should be

    @property
    def finished(self) -> int:
        """Shards that are whole."""
        return len(self.whole)

    @property
    def samples(self) -> int:
        """Clips that came through, in shards that are whole."""
        return len(self.lengths)

    @property
    def frames(self) -> int:
        """Frames of all samples."""
        return sum(self.lengths)

    @property
    def hours(self) -> float:
        """Hours of all samples."""
        return self.frames / FPS / 3600

    @property
    def waiting(self) -> int:
        """Clips of shards that are not whole, which the next run works on."""
        final = sum(count for code, count in self.skipped.items() if REASONS[code][0] == "clip")
        return self.clips - self.samples - final

    def to_json(self) -> dict[str, Any]:
        """The counts as they stand in `prep.json`."""
        return {
            "samples": self.samples,
            "frames": self.frames,
            "hours": round(self.hours, 4),
            "words": self.words,
            "without_text": self.without_text,
            "speakers": len(self.speakers),
            "detected": round(sum(self.detected) / len(self.detected), 4) if self.detected else None,
            "skipped": dict(self.skipped),
            "odd": dict(self.odd),
            "waiting": self.waiting,
            "finished": self.finished,
        }


@dataclass(frozen=True, slots=True)
class Summary:
    """All splits of a folder, and every clip that was left out with its reason."""

    splits: Mapping[str, SplitSummary]
    skipped: tuple[Skipped, ...]


def summarise(out: Path) -> Summary:
    """Count what is in the folder now; changes nothing."""
    splits: dict[str, SplitSummary] = {}
    skipped: list[Skipped] = []
    for split, planned in read_prep(out)["splits"].items():
        # One clip at a time: a million entries take more than a gigabyte, what is counted of them a few megabytes.
        lengths, rates, words, without_text = array("q"), array("d"), 0, 0
        speakers, odd = Counter[str](), Counter[str]()
        whole: dict[str, int] = {}
        left_out: list[Skipped] = []
        for index in shard_indexes(out, split):
            entries = read_index(index)  # once: parsing it is most of what a clip takes here
            left_out += _left_out(split, entries)
            whole[index.stem] = sum(entry.reason is None for entry in entries)
            for entry, members in samples(index, entries, "json"):
                about = read_about(out / split, entry, members.get("json", b"{}"))
                lengths.append(entry.frames)
                words += len((entry.text or "").split())
                without_text += not entry.text
                speakers[entry.speaker] += 1
                odd.update(about.notes)
                if about.detected is not None:
                    rates.append(about.detected)
        for index in unfinished_indexes(out, split):
            left_out += _left_out(split, read_index(index))
        splits[split] = SplitSummary(
            clips=planned["clips"],
            shards=planned["shards"],
            whole=whole,
            words=words,
            without_text=without_text,
            lengths=tuple(lengths),
            detected=tuple(rates),
            speakers=dict(sorted(speakers.items())),
            skipped=_most_frequent_first(Counter(clip.reason.code for clip in left_out)),
            odd=_most_frequent_first(odd),
        )
        skipped += sorted(left_out, key=lambda clip: clip.key)
    return Summary(splits, tuple(skipped))


def _left_out(split: str, entries: Iterable[Entry]) -> list[Skipped]:
    return [Skipped(entry.key, split, entry.reason) for entry in entries if entry.reason is not None]


def _most_frequent_first(counts: Counter[str]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def finish(out: Path) -> Summary:
    """Write `skipped.jsonl` and the counts in `prep.json`; called at the end of a run, whichever part it was."""
    with guard(out):  # through the counting too, so that of two runs that end together the later one sees all
        summary = summarise(out)
        lines = [
            {
                "split": clip.split,
                "key": clip.key,
                "kind": clip.reason.kind,
                "code": clip.reason.code,
                "detail": clip.reason.detail,
            }
            for clip in summary.skipped
        ]
        write_whole(out / SKIPPED, b"".join(json_bytes(line) + b"\n" for line in lines))
        prep = read_prep(out)
        for split, counts in summary.splits.items():
            prep["splits"][split]["counts"] = counts.to_json()
        write_prep(out, prep)
    return summary
