"""The files of a corpus behind http(s), s3:// and gs://, whole or in parts.

Nothing is believed of a server but bytes that were asked for; what goes wrong ends in one line after three tries.
"""

from __future__ import annotations

import http.client
import re
import socket
import ssl
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from ..records import Refused
from . import transport
from .sources import Source
from .transport import Answer, Failed, number

LARGEST = 2**29  # bytes of a prep.json, an index or labels: as many as the labels of 4 million clips take
SKIPPED = 2**17  # bytes between two members that are read through: they cost less time than another request
BLOCK = 2**16  # bytes read at a time: an index that claims too much never has its memory
TRIES = 3
PAUSE = 1.0  # seconds before the second try, four times as many before the third
LONGEST_PAUSE = 30.0  # seconds, whatever a server asks for

_LATER = (408, 425, 429)  # statuses that pass, as those from 500 on do
_CHANGED = "it was cut short or made again; run `avsr-bench validate` where it lies"

T = TypeVar("T")


class Missing(Exception):
    """The server says that there is no such file."""


@dataclass(frozen=True)
class Remote:
    """Where the files are, and how people know the place."""

    source: Source
    location: str

    def read(self, name: str) -> bytes:
        """A whole file."""
        return self._try(name, lambda: _whole(self._open(name)))

    def read_ranges(self, name: str, wanted: Sequence[tuple[int, int]]) -> list[bytes]:
        """Parts of one file, (offset, bytes) each in rising order; neighbours come with one request.

        Of a server that knows no ranges the file is read forward, once, up to the last part.
        """
        pieces: list[bytes] = []
        while len(pieces) < len(wanted):
            self._try(name, lambda: self._read_some(name, wanted[len(pieces) :], pieces))
        return pieces

    def _read_some(self, name: str, wanted: Sequence[tuple[int, int]], pieces: list[bytes]) -> None:
        """Add the next pieces, as many as lie together; those that came before a failure stay."""
        near = 1
        while near < len(wanted) and 0 <= wanted[near][0] - sum(wanted[near - 1]) <= SKIPPED:
            near += 1
        start, end = wanted[0][0], sum(wanted[near - 1])
        if start == end:
            pieces.extend([b""] * near)
            return
        with self._open(name, f"bytes={start}-{end - 1}") as answer:
            position = 0
            if answer.status == 206:
                position, wanted = start, wanted[:near]
            size = answer.size if answer.status == 200 else _check_range(answer, start, end)
            for offset, length in wanted:
                if size is not None and size < offset + length:
                    raise Failed(f"it has {size:,} bytes, its index says at least {offset + length:,}: {_CHANGED}")
                if offset < position:
                    return
                answer.allow(offset - position + length)
                _take(answer, offset - position, keep=False)
                pieces.append(_take(answer, length))
                position = offset + length

    def _open(self, name: str, part: str = "") -> Answer:
        """An answer with content: 200, or also 206 where a part was asked for."""
        url, headers = self.source.ask(name)
        answer = transport.get(url, headers | ({"Range": part} if part else {}))
        try:
            if answer.status not in ((200, 206) if part else (200,)):
                raise self._refusal(answer)
            coding = answer.headers.get("Content-Encoding", "identity").strip().lower()
            if coding not in ("identity", ""):
                raise Failed(f"the server sends it compressed ({coding}), which was not asked for")
        except BaseException:
            answer.close()
            raise
        return answer

    def _refusal(self, answer: Answer) -> Exception:
        """What a status means that brings no file."""
        if answer.status in (404, 410):
            return Missing()
        if answer.status == 416:
            return Failed(f"it ends before what its index says: {_CHANGED}")
        found = re.search(rb"<Code>(\w{1,60})</Code>", answer.read(BLOCK))  # how object stores say it
        reason = found[1].decode() if found else re.sub(r"[^ -~]", "?", answer.reason[:60])
        what = f"the server answers {answer.status} {reason}".rstrip()
        if answer.status in _LATER or answer.status >= 500:
            return Failed(what, again=True, pause=number(answer.headers.get("Retry-After")) or 0)
        return Failed(f"{what}: {self.source.hint}" if answer.status in (400, 401, 403) else what)

    def _try(self, name: str, once: Callable[[], T]) -> T:
        """Three times, where what fails may pass."""
        for turn in range(1, TRIES + 1):
            try:
                return once()
            except Failed as error:
                failed = error
            except (OSError, http.client.HTTPException, ValueError) as error:  # all that urllib and its like raise
                failed = _failure(error)
            if not failed.again:
                raise Refused(f"cannot read {self.location}/{name}: {failed}") from None
            if turn < TRIES:
                time.sleep(min(max(failed.pause, PAUSE * 4 ** (turn - 1)), LONGEST_PAUSE))
        raise Refused(
            f"cannot read {self.location}/{name}: {failed}, {TRIES} times in a row; run the same command again when"
            " the server is well, or copy the corpus here"
        )


def _check_range(answer: Answer, start: int, end: int) -> int | None:
    """The size of the whole file, where the answer says it; an answer with other bytes than asked for is of no use."""
    said = answer.headers.get("Content-Range", "")
    found = re.fullmatch(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)", said.strip(), re.ASCII)
    size = number(found[3]) if found else None
    cut_short = size is not None and size < end
    if not found or int(found[1]) != start or (int(found[2]) != end - 1 and not cut_short):
        raise Failed(f"bytes {start}-{end - 1} were asked for, and the server sends {said[:60] or 'something else'}")
    return size


def _whole(answer: Answer) -> bytes:
    too_large = Failed(f"it has more than {LARGEST:,} bytes, which no prep.json and no index has")
    with answer:
        if (answer.size or 0) > LARGEST:
            raise too_large
        size, content = answer.size, bytearray()
        answer.allow(LARGEST + 1)
        while block := answer.read(BLOCK):
            content += block
            if len(content) > LARGEST:
                raise too_large
    if size is not None and len(content) < size:
        raise Failed(f"the connection broke after {len(content):,} of {size:,} bytes", again=True)
    return bytes(content)


def _take(answer: Answer, length: int, keep: bool = True) -> bytes:
    """The next bytes of an answer, or their passing by."""
    content, left = bytearray(), length
    while left:
        block = answer.read(min(left, BLOCK))
        if not block:
            raise Failed(f"the connection broke {left:,} bytes before the end of a clip", again=True)
        left -= len(block)
        if keep:
            content += block
    return bytes(content)


def _failure(error: Exception) -> Failed:
    """What an exception says to a user, and whether it may pass."""
    cause = getattr(error, "reason", error)  # urllib wraps what happened before the answer
    if isinstance(cause, ssl.SSLCertVerificationError):
        return Failed(
            f"its certificate is not accepted ({cause.verify_message}): SSL_CERT_FILE names other authorities"
        )
    if isinstance(cause, TimeoutError):
        return Failed(f"no answer, or less than {transport.SLOWEST:,} bytes/s, for {transport.TIMEOUT:g} s", again=True)
    if isinstance(cause, socket.gaierror):
        return Failed("the host is not known", again=True)
    if isinstance(cause, ConnectionRefusedError):
        return Failed("no server listens there", again=True)
    return Failed(f"the connection broke ({type(cause).__name__})", again=True)
