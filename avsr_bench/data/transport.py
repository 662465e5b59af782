"""One GET over http(s), whatever the server does: an answer stalls, drips or grows only so far.

Every request has a connection of its own. Nothing stays open, so nothing breaks when a process forks its workers.
"""

from __future__ import annotations

import http.client
import io
import ssl
import time
from collections.abc import Mapping
from functools import cache
from typing import Any
from urllib.parse import quote, urljoin, urlsplit
from urllib.request import HTTPHandler, HTTPSHandler, OpenerDirector, ProxyHandler, Request

TIMEOUT = 30.0  # seconds: until there is a connection, between two pieces of an answer, and for SLOWEST
SLOWEST = 1000  # bytes a second over TIMEOUT: a clip of 50 kB would take 50 s, and nobody trains so
HEAD = 2**20  # bytes of an answer beside its content
REDIRECTS = 5

_MOVED = (301, 302, 303, 307, 308)


class Failed(Exception):
    """A request that came to nothing; `again`: another may go better, after a pause in seconds."""

    def __init__(self, what: str, again: bool = False, pause: float = 0.0) -> None:
        super().__init__(what)
        self.again, self.pause = again, pause


class _Paced(io.RawIOBase):
    """What comes out of a socket, as long as it comes fast enough and no more than is allowed."""

    def __init__(self, raw: io.RawIOBase) -> None:
        self.raw, self.allowed = raw, HEAD
        self.since, self.came = time.monotonic(), 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        now = time.monotonic()
        if now - self.since > TIMEOUT:
            if self.came < SLOWEST * TIMEOUT:
                raise TimeoutError
            self.since, self.came = now, 0
        count = self.raw.readinto(buffer) or 0
        self.came += count
        self.allowed -= count
        if self.allowed < 0:
            raise Failed("the answer does not end")
        return count

    def close(self) -> None:
        self.raw.close()
        super().close()


class Answer(http.client.HTTPResponse):
    """The answer to one request, its head read."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.paced = _Paced(self.fp.detach())
        self.fp = io.BufferedReader(self.paced)

    def allow(self, count: int) -> None:
        """Expect so many bytes of content more; sent in chunks of one byte they are six times as many."""
        self.paced.allowed += 6 * count

    @property
    def size(self) -> int | None:
        """The bytes of content that the server announced."""
        return number(self.headers.get("Content-Length"))


class _Connection(http.client.HTTPConnection):
    response_class = Answer


class _SecureConnection(http.client.HTTPSConnection):
    response_class = Answer


class _Plain(HTTPHandler):
    def http_open(self, request: Request) -> http.client.HTTPResponse:
        return self.do_open(_Connection, request)


class _Secure(HTTPSHandler):
    def https_open(self, request: Request) -> http.client.HTTPResponse:
        return self.do_open(_SecureConnection, request, context=_certificates())


@cache
def _certificates() -> ssl.SSLContext:
    return ssl.create_default_context()


@cache
def _opener() -> OpenerDirector:
    opener = OpenerDirector()  # no handlers but these: no ftp: and file:, and redirects are ours to judge
    for handler in (ProxyHandler(), _Plain(), _Secure()):
        opener.add_handler(handler)
    return opener


def get(url: str, headers: Mapping[str, str]) -> Answer:
    """The answer of any status but a redirect; those are followed. Credentials are for the first host alone."""
    headers = dict(headers)
    for _ in range(REDIRECTS + 1):
        answer: Answer = _opener().open(Request(url, headers=headers), timeout=TIMEOUT)
        if answer.status not in _MOVED:
            return answer
        answer.close()
        there = quote(urljoin(url, answer.headers.get("Location", "")), safe="%/:=&?~#+!$,;'@()*[]")
        before, after = urlsplit(url), urlsplit(there)
        if after.scheme not in ("http", "https") or not after.netloc or "@" in after.netloc:
            raise Failed(f"the server redirects to {after.scheme}:, and only http: and https: are followed")
        if after[:2] != before[:2]:
            headers.pop("Authorization", None)
        url = there
    raise Failed(f"the server redirects more than {REDIRECTS} times")


def number(text: str | None) -> int | None:
    """The number in a header, if it is one."""
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 19 else None
