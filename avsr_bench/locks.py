"""One run for each part of a folder: a lock that kill -9 releases, and that other hosts see too.

`prep`, `train` and `robustness` hold the folder that they write. A run holds `<out>/.locks/part-i-of-n.lock` with
`flock`, which the kernel drops with the process. On a shared file system `flock` may not reach other hosts, so the file
also says who holds it, and its time stamp beats every 15 seconds: a lock from another host counts as held until it has
been silent for two minutes.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from math import gcd
from pathlib import Path
from typing import BinaryIO

from .files import refusing, sweep_temporaries, temporary_name
from .records import Refused

BEAT = 15.0  # seconds between two heartbeats
SILENCE = 120.0  # seconds without one until another host's lock is dead; NFS may show a time stamp 60 s late
_NO_FLOCK = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP)  # as on Lustre mounted without -o flock

# flock belongs to the open file, which a forked child shares: a worker that outlived its killed parent would keep the
# lock, so children close it.
_held: set[int] = set()


def _close_in_child() -> None:
    for descriptor in _held:
        os.close(descriptor)
    _held.clear()


os.register_at_fork(after_in_child=_close_in_child)


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a part, as it stands in a lock file."""

    part: int
    parts: int
    host: str = "an unknown host"
    kernel: str = ""  # flock is valid for every process under this kernel, whatever host name its container has
    pid: int = 0
    since: str = "an unknown time"

    def __str__(self) -> str:
        part = f"part {self.part}/{self.parts}, " if self.parts > 1 else ""
        return f"{part}process {self.pid} on {self.host} since {self.since}"


@dataclass(frozen=True, slots=True)
class Hold:
    """A part of a folder while it is ours."""

    path: Path
    descriptor: int

    def is_ours(self) -> bool:
        """Whether the lock file is still the one we made."""
        try:
            return os.path.samestat(self.path.stat(), os.fstat(self.descriptor))
        except FileNotFoundError:
            return False

    def check(self) -> None:
        """Refuse to go on once another host took the lock over, as it may after this run stood still for minutes."""
        if not self.is_ours():
            raise Refused(
                f"{self.path} is no longer ours: another run took over while this one stood still; let that one finish"
            )


def parts_overlap(part: int, parts: int, other: int, others: int) -> bool:
    """Whether some shard belongs both to part/parts and to other/others (the Chinese remainder theorem)."""
    return (part - other) % gcd(parts, others) == 0


@contextmanager
def guard(out: Path) -> Iterator[bool]:
    """Keep every other run out of the shared files of `out` for a moment; yields false where the file system cannot."""
    path = out / ".locks" / "guard"
    with refusing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("ab")
    with file:
        with refusing(path):
            alone = _flock(file.fileno(), fcntl.LOCK_EX)
        yield alone


def _flock(descriptor: int, operation: int) -> bool:
    try:
        fcntl.flock(descriptor, operation)
    except OSError as error:
        if error.errno in _NO_FLOCK:
            return False
        raise
    return True


@contextmanager
def hold_part(out: Path, part: int = 1, parts: int = 1, advice: str = "or stop it") -> Iterator[Hold]:
    """Hold part `part` of `parts` of the folder, or refuse and name the run that holds a part in common with it.

    `advice` is what else the user can do than wait.
    """
    path = out / ".locks" / f"part-{part}-of-{parts}.lock"
    with guard(out):
        _refuse_overlap(out, part, parts, advice)
        with refusing(path):
            sweep_temporaries(path.parent, path.name)
            temporary = temporary_name(path)  # so that no lock file ever stands there without its holder's name
            descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        hold = Hold(path, descriptor)
        with ExitStack() as undo:
            undo.callback(_release, hold)
            undo.callback(temporary.unlink, missing_ok=True)
            with refusing(path):
                _flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.write(descriptor, json.dumps(asdict(_ourselves(part, parts))).encode())
                temporary.replace(path)
            _refuse_overlap(
                out, part, parts, advice, ours=path
            )  # where the guard does not reach, both starters may back off
            undo.pop_all()
    _held.add(descriptor)
    done = threading.Event()
    heart = threading.Thread(target=_beat, args=(descriptor, done), name="lock heartbeat", daemon=True)
    heart.start()
    try:
        yield hold
    finally:
        done.set()
        heart.join()
        if descriptor in _held:  # not in a forked child, whose parent continues
            _held.remove(descriptor)
            _release(hold)


def _ourselves(part: int, parts: int) -> Holder:
    since = datetime.now().astimezone().isoformat(" ", "seconds")
    return Holder(part, parts, socket.gethostname(), _kernel(), os.getpid(), since)


def _kernel() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _beat(descriptor: int, done: threading.Event) -> None:
    while not done.wait(BEAT):
        with suppress(OSError):  # a file server that is away for a moment: the next beat comes soon
            os.utime(descriptor)


def _release(hold: Hold) -> None:
    with suppress(OSError):  # a lock file that cannot be removed is harmless: without flock on it, it counts as dead
        if hold.is_ours():
            hold.path.unlink()
    os.close(hold.descriptor)  # after unlinking, so that nobody can take the name over in between


def _refuse_overlap(out: Path, part: int, parts: int, advice: str, ours: Path | None = None) -> None:
    folder = out / ".locks"
    with refusing(folder / "guard"):
        os.utime(folder / "guard")
        now = (folder / "guard").stat().st_mtime  # the file server's clock, which also stamps the heartbeats
    for path in sorted(folder.glob("part-*-of-*.lock")):
        match = re.fullmatch(r"part-(\d+)-of-(\d+)\.lock", path.name)
        if path == ours or match is None or not parts_overlap(part, parts, int(match[1]), int(match[2])):
            continue
        try:
            with path.open("rb") as file:
                holder = _read_holder(file, int(match[1]), int(match[2]))
                silent = now - os.fstat(file.fileno()).st_mtime
                held = _is_held(file, holder, silent)
        except FileNotFoundError:  # released just now
            continue
        if held:
            wait = f"; if it is dead, its lock ends {SILENCE:.0f} s after its last sign of life" * (
                holder.kernel != _kernel()
            )
            raise Refused(f"another run is at work in {out}: {holder}; wait for it, {advice}{wait}")


def _read_holder(file: BinaryIO, part: int, parts: int) -> Holder:
    try:
        return Holder(**json.load(file))
    except (ValueError, TypeError):  # cut short by a full disk or a power cut
        return Holder(part, parts)


def _is_held(file: BinaryIO, holder: Holder, silent: float) -> bool:
    try:
        free = _flock(file.fileno(), fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    if free and holder.kernel == _kernel():
        return False
    return silent < SILENCE
