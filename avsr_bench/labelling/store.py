"""Labels on disk: a file a shard while they are made, each whole or not there, and in the end one overlay.

    DATA/labels/NAME.parts/
        header.json           whose labels these are: another labeller may not resume them
        train-000002.jsonl    the clips of a shard: {"key", "text", "confidence"}, or {"key", "reason"}
    DATA/labels/NAME.jsonl             the overlay, once all shards are labelled
    DATA/labels/NAME.left_out.jsonl    the clips that have no label, and why
    DATA/labels/NAME.test.jsonl        of another split than train: labels beside what was said, and never an overlay

So a run that is killed loses one shard at most, and several runs can share a corpus.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from .. import data
from ..bounded import read_file
from ..data import FOLDER, FORMAT, LARGEST, TRAIN, Label, LabelHeader, Place, Prepared, parse_label
from ..files import json_bytes, sweep_temporaries, write_whole
from ..records import Refused
from ..shards import checked, in_part, shard_name

HEADER = "header.json"


@dataclass(slots=True)
class Labels:
    """Labels by key, and why other clips have none."""

    texts: dict[str, Label] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)

    def join(self, other: Labels) -> None:
        """Take in those of another shard."""
        self.texts.update(other.texts)
        self.reasons.update(other.reasons)


@dataclass(frozen=True, slots=True)
class Store:
    """Where the labels of a split go."""

    corpus: Prepared
    name: str
    split: str
    header: LabelHeader
    shards: Sequence[Sequence[Place]]

    @property
    def target(self) -> Path:
        """The file that is made in the end."""
        stem = self.name if self.split == TRAIN else f"{self.name}.{self.split}"
        return Path(self.corpus.location) / FOLDER / f"{stem}.jsonl"

    @property
    def parts(self) -> Path:
        """The folder of what is labelled so far."""
        return self.target.with_suffix(".parts")

    def mine(self, part: tuple[int, int]) -> list[int]:
        """The numbers of the shards of a part."""
        return [number for number in range(len(self.shards)) if in_part(self.split, number, *part)]

    def clear(self, part: tuple[int, int]) -> None:
        """Remove what is there: the whole file, and the shards of a part."""
        self.target.unlink(missing_ok=True)
        for number in self.mine(part):
            self._path(number).unlink(missing_ok=True)

    def tidy(self) -> None:
        """Remove what a run that was killed left behind when everything was in the file, or nearly so."""
        for path in (self.target, self.left_out):
            sweep_temporaries(path.parent, path.name)
        shutil.rmtree(self.parts, ignore_errors=True)

    def begin(self) -> None:
        """Refuse to resume labels of somebody else."""
        for path in (self.target, self.left_out):
            sweep_temporaries(path.parent, path.name)
        file = self.parts / HEADER
        content = json_bytes(asdict(self.header))
        if any(self.parts.glob("*.jsonl")) and (not file.exists() or read_file(file) != content):
            raise Refused(
                f"{self.parts} has labels of another labeller, decoding or state of the corpus: give another --name, or"
                " remove that folder"
            )
        write_whole(file, content)

    def write(self, number: int, labels: Labels) -> None:
        """Keep the labels of a shard."""
        lines = [{"key": key, **asdict(label)} for key, label in sorted(labels.texts.items())]
        write_whole(self._path(number), _jsonl([*lines, *_left_out(labels)]))

    def read(self, number: int) -> Labels | None:
        """The labels of a shard; none where it is not labelled yet, or its file is damaged."""
        try:
            labels = _parse(read_file(self._path(number)))
        except (OSError, ValueError):
            return None
        keys = {place.entry.key for place in self.shards[number]}
        return labels if labels.texts.keys() | labels.reasons.keys() == keys else None

    def finished(self) -> Labels | None:
        """All labels, where the file stands there already; one that is not of this labeller is refused."""
        if not self.target.exists():
            return None
        try:
            head, _, rest = read_file(self.target, LARGEST).partition(b"\n")
            kept = checked.load_json(head)
            labels = _parse(rest)
            if self.left_out.exists():
                labels.join(_parse(read_file(self.left_out, LARGEST)))
        except (OSError, ValueError) as error:
            raise Refused(f"{self.target} is damaged ({error}): --force labels again") from None
        if json_bytes(kept) != json_bytes(self._head()):
            raise Refused(
                f"{self.target} is there already, of another labeller, decoding or state of the corpus: give another"
                " --name, or --force to label again"
            )
        return labels

    def finish(self, labels: Labels) -> None:
        """Put everything into one file: an overlay; of another split than train, texts beside what was said."""
        if labels.reasons:
            write_whole(self.left_out, _jsonl(_left_out(labels)))
        else:
            self.left_out.unlink(missing_ok=True)
        if self.split == TRAIN:
            data.write_labels(self.corpus, self.name, self.header, labels.texts)
        else:
            said = {place.entry.key: place.entry.text for shard in self.shards for place in shard}
            rows = [
                {"key": key, "reference": said[key], **asdict(label)} for key, label in sorted(labels.texts.items())
            ]
            write_whole(self.target, _jsonl([self._head(), *rows]))
        self.tidy()

    @property
    def left_out(self) -> Path:
        """The file of the clips that have no label."""
        return self.target.with_suffix(".left_out.jsonl")

    def _head(self) -> dict[str, Any]:
        return {"format": FORMAT, **({} if self.split == TRAIN else {"split": self.split}), **asdict(self.header)}

    def _path(self, number: int) -> Path:
        return self.parts / f"{shard_name(self.split, number)}.jsonl"


def _parse(lines: bytes) -> Labels:
    labels = Labels()
    for line in lines.splitlines():
        record = checked.load_json(line)
        if "reason" in record:
            labels.reasons[checked.text(record, "key")] = checked.text(record, "reason")
        else:
            key, label = parse_label(record)
            labels.texts[key] = label
    return labels


def _left_out(labels: Labels) -> list[dict[str, str]]:
    return [{"key": key, "reason": reason} for key, reason in sorted(labels.reasons.items())]


def _jsonl(lines: Iterable[Mapping[str, Any]]) -> bytes:
    return b"".join(json_bytes(line) + b"\n" for line in lines)
