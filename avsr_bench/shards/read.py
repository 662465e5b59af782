"""Reading shards: one member by its offset, or every sample of a split in order."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from ..records import Refused
from .index import Entry, read_index


def shard_indexes(out: Path, split: str) -> tuple[Path, ...]:
    """The indexes of the finished shards of a split, by number; the tar of each is `path.with_suffix(".tar")`."""
    return _numbered(out / split, re.compile(rf"{re.escape(split)}-(\d{{6,}})\.jsonl"))


def unfinished_indexes(out: Path, split: str) -> tuple[Path, ...]:
    """The indexes of shards that a machine reason kept from being whole and that the next run redoes."""
    return _numbered(out / split, re.compile(rf"{re.escape(split)}-(\d{{6,}})\.unfinished\.jsonl"))


def _numbered(folder: Path, name: re.Pattern[str]) -> tuple[Path, ...]:
    if not folder.is_dir():
        return ()
    found = {path: match for path in folder.iterdir() if (match := name.fullmatch(path.name))}
    return tuple(sorted(found, key=lambda path: int(found[path][1])))


def read_member(tar: Path, entry: Entry, extension: str) -> bytes:
    """The bytes of one member, such as "mouth.mp4", without reading what lies before it."""
    with tar.open("rb") as file:
        return _read(file, tar, entry, extension)


def _read(file: BinaryIO, tar: Path, entry: Entry, extension: str) -> bytes:
    member = entry.members[extension]
    file.seek(member.offset)
    data = file.read(member.bytes)
    if len(data) < member.bytes:
        raise Refused(f"{tar} ends inside {entry.key}.{extension}: see `avsr-bench validate`")
    return data


def iterate(out: Path, split: str, *extensions: str) -> Iterator[tuple[Entry, dict[str, bytes]]]:
    """Every sample of the finished shards of a split with its members (only `extensions`, where any are given)."""
    for index in shard_indexes(out, split):
        tar = index.with_suffix(".tar")
        samples = [entry for entry in read_index(index) if entry.reason is None]
        try:
            file = tar.open("rb")
        except OSError as error:
            raise Refused(f"cannot read {tar}: {error.strerror}; run the same prep command again") from error
        with file:
            for entry in samples:
                wanted = [extension for extension in entry.members if not extensions or extension in extensions]
                yield entry, {extension: _read(file, tar, entry, extension) for extension in wanted}
