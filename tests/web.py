"""A web server over a folder, good or bad: for tests of what is read over a network."""

from __future__ import annotations

import gzip
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit


class Handler(BaseHTTPRequestHandler):
    """Serves files and parts of them as object stores do, but where the server is told to do otherwise."""

    server: Web

    def do_GET(self):
        path = unquote(urlsplit(self.path).path)
        self.server.asked.append((self.path, self.headers.get("Range"), self.headers.get("Authorization")))
        if self.server.bad is not None and self.server.bad_for in path:
            self.server.bad(self)
        else:
            self.serve()

    def content(self) -> bytes:
        file = self.server.folder / unquote(urlsplit(self.path).path).lstrip("/")
        return file.read_bytes() if file.is_file() else b""

    def serve(self, ranges=True):
        content = self.content()
        wanted = self.headers.get("Range") if ranges else None
        if not content:
            self.send_error(404)
        elif wanted is None:
            self.answer(200, content)
        else:
            first, last = map(int, wanted.removeprefix("bytes=").split("-"))
            if first >= len(content):
                self.answer(416, b"", {"Content-Range": f"bytes */{len(content)}"})
                return
            part = content[first : last + 1]
            self.answer(206, part, {"Content-Range": f"bytes {first}-{first + len(part) - 1}/{len(content)}"})

    def answer(self, status=200, content=b"", headers=None, length=None):
        self.send_response(status)
        self.send_header("Content-Length", str(len(content) if length is None else length))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


class Web(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, folder: Path, host: str) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, 0), Handler)
        self.folder = folder
        self.asked: list[tuple[str, str | None, str | None]] = []  # path, range and credentials of every request
        self.bad: Callable[[Handler], None] | None = None
        self.bad_for = ""  # part of the paths that it is bad for
        self.over = threading.Event()  # for those that stall

    @property
    def url(self) -> str:
        host = self.server_address[0]
        return f"http://{f'[{host}]' if ':' in host else host}:{self.server_port}"

    def handle_error(self, *_):  # a client that has had enough
        pass


@contextmanager
def serving(folder: Path, bad: Callable[[Handler], None] | None = None, bad_for: str = "", host="127.0.0.1"):
    with Web(folder, host) as server:
        server.bad, server.bad_for = bad, bad_for
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        try:
            yield server
        finally:
            server.over.set()
            server.shutdown()


# What bad servers do.


def no_ranges(handler):
    handler.serve(ranges=False)


def in_chunks(handler):
    handler.protocol_version = "HTTP/1.1"
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    content = handler.content()
    sizes = [1] * 1000 + [4096] * (len(content) // 4096 + 1)  # ours is the worst case first
    for size in sizes:
        part, content = content[:size], content[size:]
        handler.wfile.write(b"%x\r\n%b\r\n" % (len(part), part))
        if not part:
            return
    handler.wfile.write(b"0\r\n\r\n")


def stalls(handler):
    handler.server.over.wait(60)


def stalls_inside(handler):
    handler.answer(200, handler.content()[:10], length=10_000)
    handler.server.over.wait(60)


def drips(handler):
    handler.send_response(200)
    handler.send_header("Content-Length", "100000")
    handler.end_headers()
    _drip(handler)


def drips_its_head(handler):
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
    _drip(handler)


def _drip(handler):
    while not handler.server.over.wait(0.05):
        handler.wfile.write(b"x")


def never_ends(handler):
    handler.send_response(200)
    handler.end_headers()
    _flood(handler, b"x" * 2**16)


def never_ends_its_head(handler):
    _flood(handler, b"HTTP/1.1 100 Continue\r\n\r\n" * 1000)


def never_ends_in_chunks(handler):
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    _flood(handler, b"1\r\nx\r\n" * 1000)


def _flood(handler: Handler, block: bytes) -> None:
    while not handler.server.over.is_set():
        handler.wfile.write(block)


def hangs_up(handler):
    handler.close_connection = True


def breaks_off(handler):
    content = handler.content()
    handler.answer(200, content[: len(content) // 2], length=len(content))


def resets(handler):
    handler.answer(200, handler.content()[:10], length=10_000)
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.connection.close()


def says_too_little(handler):
    content = handler.content()
    handler.answer(200, content, length=len(content) // 2)


def other_range(handler):
    handler.answer(206, b"x" * 500, {"Content-Range": "bytes 0-499/1000000"})


def no_content_range(handler):
    handler.answer(206, b"x" * 500)


def compressed(handler):
    content = gzip.compress(handler.content())
    handler.answer(200, content[: len(content) // 2], {"Content-Encoding": "gzip"})


def error_page(handler):
    handler.answer(200, b"<html>Please log in</html>")


def no_http(handler):
    handler.wfile.write(b"220 ftp ready\r\n")


def busy(handler):
    handler.answer(503, b"", {"Retry-After": "0"})


def of_status(status):
    return lambda handler: handler.answer(status, b"<Error><Code>AccessDenied</Code></Error>")


def redirects_to(location):
    return lambda handler: handler.answer(302, b"", {"Location": location})


def only_at_first(bad, times=1):
    turns: Iterator[int] = iter(range(times))
    return lambda handler: bad(handler) if next(turns, None) is not None else handler.serve()
