"""Reading shards: one member by its offset, or every sample of a split in order."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO

from ..bounded import open_file
from ..records import Refused
from .about import About, parse_about
from .index import Entry, Member, read_index
from .plan import shard_name


def shard_indexes(out: Path, split: str) -> tuple[Path, ...]:
    """The indexes of the finished shards of a split, by number; the tar of each is `path.with_suffix(".tar")`."""
    return _numbered(out / split, split, "jsonl")


def unfinished_indexes(out: Path, split: str) -> tuple[Path, ...]:
    """The indexes of shards that a machine reason kept from being whole and that the next run redoes."""
    return _numbered(out / split, split, "unfinished.jsonl")


def _numbered(folder: Path, split: str, extension: str) -> tuple[Path, ...]:
    form = re.compile(rf"{re.escape(split)}-([0-9]{{6,12}})\.{re.escape(extension)}")
    try:
        names = [path.name for path in folder.iterdir()]
    except OSError:  # not there, or removed by prep --force just now
        return ()
    numbers = sorted(int(match[1]) for name in names if (match := form.fullmatch(name)))
    return tuple(folder / f"{shard_name(split, number)}.{extension}" for number in dict.fromkeys(numbers))


def read_member(tar: Path, entry: Entry, extension: str) -> bytes:
    """The bytes of one member, such as "mouth.mp4", without reading what lies before it."""
    with _open(tar) as file:
        return _read(file, tar, entry, extension)


def read_about(tar: Path, entry: Entry, data: bytes) -> About:
    """The record of a sample, from the bytes of its json."""
    try:
        return parse_about(data)
    except ValueError as error:
        raise Refused(f"{tar}: {entry.key}.json is damaged: {error}; see `avsr-bench validate`") from None


def check_bytes(data: bytes, member: Member, where: str) -> bytes:
    """The bytes of a member, which are those that its index names: a shard made anew has others at the same place."""
    if sha256(data).digest() != bytes.fromhex(member.sha256):
        raise Refused(f"{where} is not what its index says: damaged, or being made anew; see `avsr-bench validate`")
    return data


def _open(tar: Path) -> BinaryIO:
    try:
        return open_file(tar)
    except OSError as error:
        raise Refused(f"cannot read {tar}: {error.strerror}; run the same prep command again") from error


def _read(file: BinaryIO, tar: Path, entry: Entry, extension: str) -> bytes:
    member = entry.members[extension]
    if member.offset + member.bytes > os.fstat(file.fileno()).st_size:
        raise Refused(f"{tar} ends inside {entry.key}.{extension}: see `avsr-bench validate`")
    file.seek(member.offset)
    return check_bytes(file.read(member.bytes), member, f"{tar}: {entry.key}.{extension}")


def iterate(out: Path, split: str, *extensions: str) -> Iterator[tuple[Entry, dict[str, bytes]]]:
    """Every sample of the finished shards of a split with its members (only `extensions`, where any are given)."""
    for index in shard_indexes(out, split):
        yield from samples(index, read_index(index), *extensions)


def samples(index: Path, entries: Sequence[Entry], *extensions: str) -> Iterator[tuple[Entry, dict[str, bytes]]]:
    """Every sample of one finished shard, given the entries of its index."""
    tar = index.with_suffix(".tar")
    with _open(tar) as file:
        for entry in entries:
            if entry.reason is None:
                wanted = [extension for extension in entry.members if not extensions or extension in extensions]
                yield entry, {extension: _read(file, tar, entry, extension) for extension in wanted}
