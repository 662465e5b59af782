"""Reading every byte of a folder back: is each shard exactly what its index says, and is all of the plan there?"""

from __future__ import annotations

import hashlib
import os
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

from ..bounded import open_file, read_file
from .about import parse_about
from .checked import load_json
from .index import Entry, parse_index
from .plan import keys_digest, shard_name
from .store import read_prep
from .tracks import read_tracks
from .write import tar_header, tar_padding, tar_tail

# Given a sample's entry and its members by extension, says what is wrong with the media inside, or nothing.
Decode = Callable[[Entry, Mapping[str, bytes]], str | None]


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: in which shard, and in which clip and member where it lies in one."""

    shard: str
    what: str
    key: str | None = None
    member: str | None = None
    checked: bool = True  # false: the check itself came to no end, and the shard may be sound

    def __str__(self) -> str:
        return ", ".join(part for part in (self.shard, self.key, self.member) if part) + f": {self.what}"


@dataclass(frozen=True, slots=True)
class Report:
    """What was read, and everything that is wrong with it."""

    shards: int
    samples: int
    skipped: int
    problems: tuple[Problem, ...]

    @property
    def repair(self) -> tuple[str, ...]:
        """What to do, one line for each shard with a problem."""
        return tuple(
            f"{name}: delete {name.rpartition('-')[0]}/{name}.jsonl and run the same prep command again: "
            "this shard is made anew and no other"
            if checked
            else f"{name}: it may be sound, keep it: run validate again when the machine has less to do"
            for name, checked in {problem.shard: problem.checked for problem in self.problems}.items()
        )

    def to_json(self) -> dict[str, Any]:
        """Plain values for `--json`."""
        counts = {"shards": self.shards, "samples": self.samples, "skipped": self.skipped}
        problems = [asdict(problem) for problem in self.problems]
        return {"whole": not self.problems, **counts, "problems": problems, "repair": list(self.repair)}


def validate(out: Path, decode: Decode | None = None) -> Report:
    """Check every shard of `out`, one after another, and its media where `decode` is given."""
    return join_reports(check_shard(out, *shard, decode) for shard in planned_shards(out))


def planned_shards(out: Path) -> tuple[tuple[str, int, str], ...]:
    """Split, number and digest of the keys of every shard that the folder should hold."""
    splits = read_prep(out)["splits"]
    return tuple((split, number, keys) for split in splits for number, keys in enumerate(splits[split]["keys"]))


def join_reports(reports: Iterable[Report]) -> Report:
    """The reports of several shards as one."""
    reports = tuple(reports)
    return Report(
        sum(report.shards for report in reports),
        sum(report.samples for report in reports),
        sum(report.skipped for report in reports),
        tuple(problem for report in reports for problem in report.problems),
    )


def check_shard(out: Path, split: str, number: int, keys: str, decode: Decode | None = None) -> Report:
    """Check one shard; `keys` is the digest of the keys that the plan gives it. Shards can be checked in parallel."""
    name = shard_name(split, number)
    stem = out / split / name
    index = stem.with_name(f"{name}.jsonl")
    try:
        before = read_file(index)
        entries = parse_index(before)
    except FileNotFoundError:
        tried = stem.with_name(f"{name}.unfinished.jsonl").exists()
        return Report(1, 0, 0, (Problem(name, "was tried and is not whole yet" if tried else "is not made yet"),))
    except (OSError, ValueError) as error:
        return Report(1, 0, 0, (Problem(name, f"its index cannot be read: {error}"),))
    samples = [entry for entry in entries if entry.reason is None]
    problems = []
    if keys_digest(entry.key for entry in entries) != keys:
        problems.append(Problem(name, "the clips of its index are not those of the plan"))
    try:
        with open_file(stem.with_name(f"{name}.tar")) as file:
            problems += _check_tar(file, name, samples, decode)
    except OSError as error:
        problems.append(Problem(name, f"its tar cannot be read: {error.strerror}"))
    problems += _check_tracks(stem.with_name(f"{name}.tracks.npz"), name, samples)
    if problems and not _is_still(index, before):
        problems = [Problem(name, "was made anew while it was read", checked=False)]
    return Report(1, len(samples), len(entries) - len(samples), tuple(problems))


def _is_still(index: Path, before: bytes) -> bool:
    """Whether the index is the one that was read: a run of prep removes it before it changes anything else."""
    try:
        return read_file(index) == before
    except OSError:
        return False


def _check_tar(file: BinaryIO, name: str, samples: Sequence[Entry], decode: Decode | None) -> Iterator[Problem]:
    """Compare the tar, byte by byte from its beginning, with what the writer makes of these samples."""
    size = os.fstat(file.fileno()).st_size
    position = 0
    for entry in samples:
        members = {}
        for extension, member in entry.members.items():
            header = tar_header(f"{entry.key}.{extension}", member.bytes)
            padding = tar_padding(member.bytes)
            start, position = position, position + len(header) + member.bytes + len(padding)
            if position > size:
                yield Problem(
                    name, f"the tar ends in it, after {size:,} bytes: all further clips are lost", entry.key, extension
                )
                return
            if member.offset != start + len(header):
                yield Problem(name, "its place in the tar is not where the index says", entry.key, extension)
            file.seek(start)
            if file.read(len(header)) != header:
                yield Problem(name, "its tar header is damaged", entry.key, extension)
            data = file.read(member.bytes)
            if hashlib.sha256(data).hexdigest() != member.sha256:
                yield Problem(name, "its bytes are not those that were written", entry.key, extension)
            else:
                members[extension] = data
            if file.read(len(padding)) != padding:
                yield Problem(name, "the filling zeros after it are damaged", entry.key, extension)
        yield from _check_sample(name, entry, members, decode)
    file.seek(position)
    tail = tar_tail(position)
    if file.read(len(tail) + 1) != tail:
        yield Problem(name, "the end of its tar is damaged or missing")


def _check_sample(name: str, entry: Entry, members: Mapping[str, bytes], decode: Decode | None) -> Iterator[Problem]:
    if "json" in members:
        yield from _check_record(name, entry, members["json"])
    if decode is not None and members.keys() == entry.members.keys():  # damaged bytes were reported already
        wrong = decode(entry, members)
        if wrong:
            yield Problem(name, wrong, entry.key)


def _check_record(name: str, entry: Entry, data: bytes) -> Iterator[Problem]:
    try:
        described = load_json(data)
        parse_about(data)
    except ValueError as error:
        yield Problem(name, f"it cannot be read: {error}", entry.key, "json")
        return
    for field in ("frames", "text", "speaker"):
        if field in described and described[field] != getattr(entry, field):
            what = f"{field} is {described[field]!r} in it, but {getattr(entry, field)!r} in the index"
            yield Problem(name, what, entry.key, "json")


def _check_tracks(path: Path, name: str, samples: Sequence[Entry]) -> Iterator[Problem]:
    try:
        tracks = read_tracks(path)
    except FileNotFoundError:
        yield Problem(name, "its tracks.npz is missing")
        return
    except (OSError, ValueError, EOFError, NotImplementedError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        yield Problem(name, f"its tracks.npz cannot be read: {error}")
        return
    expected = {entry.key: entry for entry in samples if entry.track}
    for key in tracks.keys() - expected.keys():
        yield Problem(name, "has a face track that the index does not name", key, "tracks.npz")
    for key, entry in expected.items():
        if key not in tracks:
            yield Problem(name, "its face track is missing", key, "tracks.npz")
        elif len(tracks[key]) != entry.frames:
            yield Problem(name, f"its face track has {len(tracks[key])} frames, not {entry.frames}", key, "tracks.npz")
