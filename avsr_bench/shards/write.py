"""Writing one shard: the tar, the face tracks and, last of all, the index that declares the shard whole."""

from __future__ import annotations

import hashlib
import tarfile
from pathlib import Path
from types import TracebackType
from typing import IO

from ..files import (
    anything,
    check_target,
    put_in_place,
    refusing,
    sweep_temporaries,
    sync_folder,
    temporary_name,
    write_whole,
)
from ..records import FaceTrack, Sample, Skipped
from .index import Entry, Member, format_entry
from .plan import PlannedShard
from .tracks import pack_tracks


def tar_header(name: str, size: int) -> bytes:
    """The tar header of one member: the same for the same name and size, with no clock and no user in it.

    GNU form, because a percent-encoded key may pass the 100 characters of plain tar; every tar program reads it.
    """
    info = tarfile.TarInfo(name)  # mtime, uid and gid are 0 and the names of user and group empty by default
    info.size, info.mode = size, 0o644
    return info.tobuf(tarfile.GNU_FORMAT, "ascii", "strict")


def tar_padding(size: int) -> bytes:
    """The zeros that fill a member of `size` bytes up to a whole block."""
    return bytes(-size % tarfile.BLOCKSIZE)


def tar_tail(size: int) -> bytes:
    """The zeros that end a tar whose members take `size` bytes: two blocks, then up to a whole record as tar does."""
    end = 2 * tarfile.BLOCKSIZE
    return bytes(end + -(size + end) % tarfile.RECORDSIZE)


class ShardWriter:
    """Writes one planned shard, whole or not at all.

        with ShardWriter(out, shard) as writer:
            for outcome in outcomes:  # a Sample or a Skipped for every clip of the shard, in plan order
                writer.add(outcome)
            writer.commit()

    Leaving the block without `commit` removes everything it wrote. Of a shard in work only its tracks are in memory.
    """

    def __init__(self, out: Path, shard: PlannedShard) -> None:
        self._shard = shard
        self._folder = out / shard.split
        self._tar = self._path("tar")
        self._temporary = temporary_name(self._tar)
        self._file: IO[bytes] | None = None
        self._size = 0
        self._entries: list[Entry] = []
        self._tracks: dict[str, FaceTrack] = {}

    def _path(self, extension: str) -> Path:
        return self._folder / f"{self._shard.name}.{extension}"

    def __enter__(self) -> ShardWriter:
        with refusing(self._folder):
            self._folder.mkdir(parents=True, exist_ok=True)
        check_target(self._tar, anything)
        with refusing(self._tar):
            sweep_temporaries(self._folder, self._shard.name)
            self._file = self._temporary.open("xb")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is None:
            return
        self._temporary.unlink(missing_ok=True)  # before closing, which may fail once more on a full disk
        try:
            self._file.close()
        except OSError:
            if error is None:
                raise

    def add(self, outcome: Sample | Skipped) -> None:
        """Append what became of the next clip of the plan."""
        if len(self._entries) == len(self._shard.clips):
            raise ValueError(f"{self._shard.name} is complete: there is no place for {outcome.key}")
        clip = self._shard.clips[len(self._entries)]
        if (outcome.key, outcome.split) != (clip.key, clip.split):
            raise ValueError(
                f"{self._shard.name} continues with {clip.split} {clip.key}, not with {outcome.split} {outcome.key}"
            )
        if isinstance(outcome, Skipped):
            self._entries.append(Entry(clip.key, clip.text, clip.speaker, reason=outcome.reason))
            return
        members = {
            extension: self._append(f"{clip.key}.{extension}", data) for extension, data in outcome.members.items()
        }
        has_track = outcome.track is not None
        self._entries.append(Entry(clip.key, outcome.text, outcome.speaker, outcome.frames, members, has_track))
        if outcome.track is not None:
            self._tracks[clip.key] = outcome.track

    def _append(self, name: str, data: bytes) -> Member:
        header = tar_header(name, len(data))
        member = Member(self._size + len(header), len(data), hashlib.sha256(data).hexdigest())
        self._write(header + data + tar_padding(len(data)))
        return member

    def _write(self, data: bytes) -> None:
        assert self._file is not None, "ShardWriter is used in a with block"
        with refusing(self._tar, self._size + len(data)):
            self._file.write(data)
        self._size += len(data)

    def commit(self) -> bool:
        """Put the shard in place; false if a machine reason keeps it from being whole, so that the next run redoes it.

        Such a shard keeps its tar and says why in `<name>.unfinished.jsonl`; its `<name>.jsonl` is not written.
        """
        if len(self._entries) < len(self._shard.clips):
            raise ValueError(
                f"{self._shard.name} has {len(self._shard.clips)} clips, of which {len(self._entries)} were added"
            )
        assert self._file is not None, "ShardWriter is used in a with block"
        self._write(tar_tail(self._size))
        whole = all(entry.reason is None or entry.reason.kind == "clip" for entry in self._entries)
        index, unfinished = self._path("jsonl"), self._path("unfinished.jsonl")
        # Each step leaves a state that the next run can start from: no index ever stands beside a tar it does not
        # describe, and the names of tar and tracks are on the disk before that of the index.
        with refusing(self._tar, self._size):
            index.unlink(missing_ok=True)
            unfinished.unlink(missing_ok=True)
            sync_folder(self._folder)
            put_in_place(self._file, self._temporary, self._tar)
            self._file = None
        write_whole(self._path("tracks.npz"), pack_tracks(self._tracks))
        write_whole(index if whole else unfinished, b"".join(map(format_entry, self._entries)))
        return whole
