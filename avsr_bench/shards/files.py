"""Files that are either whole or not there, and the one line a user reads when the disk says no."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, BinaryIO
from uuid import uuid4

from ..records import Refused

_DENIED = {
    errno.EACCES: "you may not write there",
    errno.EPERM: "you may not write there",
    errno.EROFS: "the file system is read-only",
    errno.ENOTDIR: "a part of that path is a file",
    errno.EEXIST: "a file of that name is in the way",
}


@contextmanager
def refusing(path: Path, needed: int = 0) -> Iterator[None]:
    """Turn an `OSError` met while writing `path`, of at least `needed` bytes, into `Refused`."""
    try:
        yield
    except OSError as error:
        raise Refused(_why(path, needed, error)) from error


def _why(path: Path, needed: int, error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        full = "the disk is full" if error.errno == errno.ENOSPC else "your disk quota is used up"
        free = 0
        with suppress(OSError):
            free = shutil.disk_usage(path.parent).free
        return (
            f"cannot write {path}: {full} (it takes at least {_size(needed)}, {_size(free)} free): make room, "
            "then run the same command again; shards that are finished stay"
        )
    if error.errno in _DENIED:
        return f"cannot write {path}: {_DENIED[error.errno]}; choose another --out"
    return f"cannot write {path}: {error.strerror or error}; run the same command again once that is mended"


def read_file(path: Path) -> bytes:
    """The bytes of a regular file; reading a pipe would wait for ever."""
    with open_file(path) as file:
        return file.read()


def open_file(path: Path) -> BinaryIO:
    """Open a regular file to read it."""
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "it is no regular file")
    return path.open("rb")


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 1e5 else f"{count / 1e3:.1f} kB"


def temporary_name(path: Path) -> Path:
    """A new hidden name beside `path`, never used twice: two runs can never write into the same file."""
    return path.with_name(f".{path.name}.{uuid4().hex}.tmp")


def sweep_temporaries(folder: Path, stem: str) -> None:
    """Remove what a killed run left behind while it wrote files of `folder` whose names begin with `stem`."""
    for leftover in folder.glob(f".{stem}.*.tmp"):
        leftover.unlink(missing_ok=True)


def put_in_place(file: IO[bytes], temporary: Path, path: Path) -> None:
    """Close the written `file` so that its bytes are on the disk before `path` names them."""
    file.flush()
    os.fsync(file.fileno())
    file.close()
    temporary.replace(path)


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` outlast a power cut."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def json_bytes(value: Any, indent: int | None = None) -> bytes:
    """JSON in UTF-8; a text that UTF-8 cannot hold (half a surrogate, from a file name) is escaped."""
    try:
        return json.dumps(value, ensure_ascii=False, indent=indent).encode()
    except UnicodeEncodeError:
        return json.dumps(value, indent=indent).encode()


def write_whole(path: Path, data: bytes) -> None:
    """Write `path` in one step: a reader sees the old file or the new one, never half of it."""
    temporary = temporary_name(path)
    with refusing(path, len(data)):
        try:
            with temporary.open("xb") as file:
                file.write(data)
                put_in_place(file, temporary, path)
            sync_folder(path.parent)
        finally:
            temporary.unlink(missing_ok=True)
