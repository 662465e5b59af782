"""The one door to the disk: a file is written whole, in one step, and never over one that somebody else made.

`whole` gives a name to write to and puts the file in its place when the block ends; `write_whole` does so with bytes.
Both refuse a target that is a folder, a device or a pipe, and one that exists unless `ours` says that it is ours to
replace: `marked` knows files that carry our header, `nothing` asks for --force, `anything` is for folders that are ours
as a whole (a run, a prepared corpus). The path `-` is standard output.
"""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any
from uuid import uuid4

from PIL.PngImagePlugin import PngInfo
from safetensors import SafetensorError

from .records import Refused

STDOUT = Path("-")
MARK = "Made by avsr-bench"  # in the header of every file that `marked` knows
_HEADER = 1 << 16  # bytes at either end in which the mark is sought
_LONGEST_STEM = 200  # bytes; a temporary name adds 38 to it, and file systems allow 255

Ours = Callable[[Path], bool]
BY_FORCE = "give another name, or --force to replace it"

_DENIED = {
    errno.EACCES: "you may not write there",
    errno.EPERM: "you may not write there",
    errno.EROFS: "the file system is read-only",
    errno.ENOENT: "its folder does not exist",
    errno.ENOTDIR: "a part of that path is a file",
    errno.EISDIR: "that is a folder",
    errno.EEXIST: "a file of that name is in the way",
    errno.ENAMETOOLONG: "the name is too long",
    errno.ELOOP: "the link leads back to itself",
}


def anything(path: Path) -> bool:
    """Every file may be replaced: its folder is ours."""
    return True


def nothing(path: Path) -> bool:
    """No file may be replaced: people edit files of this kind, and a header would stay in them."""
    return False


def marked(path: Path) -> bool:
    """Files with `MARK` near their beginning or end may be replaced."""
    with path.open("rb") as file:
        head = file.read(_HEADER)
        file.seek(max(0, path.stat().st_size - _HEADER))
        return MARK.encode() in head or MARK.encode() in file.read(_HEADER)


def png_header() -> PngInfo:
    """The mark, for a PNG that Pillow saves."""
    header = PngInfo()
    header.add_text("Software", MARK)
    return header


def check_target(path: Path, ours: Ours, advice: str = BY_FORCE) -> Path:
    """The file that `path` leads to, or `Refused` where writing it would destroy what is not ours."""
    if path == STDOUT:
        return path
    with refusing(path):
        real = Path(os.path.realpath(path))  # Path.resolve raises RuntimeError on a loop
        try:
            mode = real.stat().st_mode
        except FileNotFoundError:
            return real
        if stat.S_ISDIR(mode):
            raise Refused(f"cannot write {path}: that is a folder; give the name of a file")
        if not stat.S_ISREG(mode):
            raise Refused(f"cannot write {path}: it is not a regular file; `-` is standard output")
        if not ours(real):
            raise Refused(f"{path} exists, and avsr-bench did not make it: {advice}")
    return real


@contextmanager
def whole(path: Path, ours: Ours = anything, advice: str = BY_FORCE) -> Iterator[Path]:
    """A temporary name to write to; what was written there takes the place of `path` when the block ends well."""
    if path == STDOUT:
        with tempfile.TemporaryDirectory() as folder:
            yield Path(folder) / "out"
            _copy_to_stdout(Path(folder) / "out")
        return
    real = check_target(path, ours, advice)
    temporary = temporary_name(real)
    with refusing(path):
        real.parent.stat()  # raises where there is no folder to write into: before the work, and in plain words
        try:
            temporary.touch()
            rights = temporary.stat().st_mode
            yield temporary
            if temporary.stat().st_mode != rights:  # safetensors makes a file that its owner alone may read
                temporary.chmod(stat.S_IMODE(rights))
            check_target(path, ours, advice)  # somebody may have made a file of that name in the meantime
            settle(temporary, real)
        except SafetensorError as error:  # a full disk, in the words of safetensors
            raise Refused(f"cannot write {path}: {error}; make room, then run the same command again") from error
        finally:
            temporary.unlink(missing_ok=True)


def write_whole(
    path: Path,
    data: bytes | str,
    ours: Ours = anything,
    advice: str = BY_FORCE,
) -> None:
    """Write `path` in one step: a reader sees the old file or the new one, never half of it."""
    content = data.encode() if isinstance(data, str) else data
    with whole(path, ours, advice) as temporary, refusing(path, len(content)), temporary.open("wb") as file:
        file.write(content)


def make_folder(path: Path) -> None:
    """A folder for what is written, and those above it."""
    if path == STDOUT:
        raise Refused("several files cannot go to standard output: give a folder")
    with refusing(path):
        path.mkdir(parents=True, exist_ok=True)


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
        takes = f"it takes at least {_size(needed)}, " if needed else ""
        return f"cannot write {path}: {full} ({takes}{_size(free)} free): make room, then run the same command again"
    if error.errno in _DENIED:
        return f"cannot write {path}: {_DENIED[error.errno]}; choose another --out"
    return f"cannot write {path}: {error.strerror or error}; run the same command again once that is repaired"


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 1e5 else f"{count / 1e3:.1f} kB"


def temporary_name(path: Path) -> Path:
    """A new hidden name beside `path`, never used twice: two runs can never write into the same file."""
    stem = os.fsdecode(os.fsencode(path.name)[:_LONGEST_STEM])
    return path.with_name(f".{stem}.{uuid4().hex}.tmp")


def sweep_temporaries(folder: Path, stem: str = "") -> None:
    """Remove what a killed run left behind while it wrote files of `folder` whose names begin with `stem`.

    Only for folders that a lock keeps other writers out of.
    """
    ours = re.compile(rf"\.{re.escape(stem)}.*\.[0-9a-f]{{32}}\.tmp", re.DOTALL)
    for leftover in folder.iterdir():
        if ours.fullmatch(leftover.name):
            leftover.unlink(missing_ok=True)


def put_in_place(file: IO[bytes], temporary: Path, path: Path) -> None:
    """Close the written `file` so that its bytes are on the disk before `path` names them."""
    if file.writable():
        file.flush()
    os.fsync(file.fileno())
    file.close()
    temporary.replace(path)


def settle(temporary: Path, path: Path) -> None:
    """Put what was written by name in its place, once it is on the disk."""
    with temporary.open("rb") as file:
        put_in_place(file, temporary, path)
    sync_folder(path.parent)


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


def _copy_to_stdout(path: Path) -> None:
    sys.stdout.flush()
    with path.open("rb") as file:
        shutil.copyfileobj(file, sys.stdout.buffer)
    sys.stdout.buffer.flush()
