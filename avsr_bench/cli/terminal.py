"""The two doors to the terminal: the streams that `print` writes to, and the console that draws tables and bars.

Whatever file a name or a detail came from, nothing in it acts on the terminal, and no locale stops a line.
"""

from __future__ import annotations

import codecs
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from rich.console import Console
from rich.text import Text

from ..inert import escaped, inert


class Unwritable(Exception):
    """Standard output does not take what is written, as on a full disk."""


class _Stream(io.TextIOWrapper):
    """Standard output or standard error. Lines to standard error that find no room are lost, and the work is not."""

    def __init__(self, stream: io.TextIOWrapper, needed: bool) -> None:
        # Of a stream in ASCII typer would open another one behind our back: ours is ASCII within UTF-8.
        self.ascii = codecs.lookup(stream.encoding).name == "ascii"
        self.needed = needed
        encoding = "utf-8" if self.ascii else stream.encoding
        lines, through = stream.line_buffering, stream.write_through
        stream.flush()
        super().__init__(stream.buffer, encoding, _AS_JSON, line_buffering=lines, write_through=through)

    def write(self, text: str) -> int:
        self.draw(inert(text, lines=True))
        return len(text)

    def draw(self, text: str) -> int:
        """Write the codes of our own that a console makes."""
        if self.ascii:
            text = text.encode("ascii", _AS_JSON).decode("ascii")
        try:
            return super().write(text)
        except OSError as error:
            self._fail(error)
        return len(text)

    def flush(self) -> None:
        try:
            super().flush()
        except OSError as error:
            self._fail(error)

    def close(self) -> None:
        """Leave what lies below open: it is Python's."""
        self.flush()

    def _fail(self, error: OSError) -> None:
        if isinstance(error, BrokenPipeError):
            raise error
        if self.needed:
            raise Unwritable(f"standard output cannot be written: {error.strerror}") from None


class _Drawing:
    """A stream that takes the codes of a console."""

    def __init__(self, stream: _Stream) -> None:
        self.stream, self.write = stream, stream.draw
        self.encoding = "ascii" if stream.ascii else stream.encoding

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


class _Console(Console):
    """A console to which every string is text: no markup, no emoji by name, no codes."""

    def render_str(self, text: str, **how: Any) -> Text:
        """What tables and `print` make of a string; the columns it takes are counted afterwards."""
        return super().render_str(inert(text), **how)

    @property
    def plain(self) -> bool:
        """Whether it shows ASCII alone."""
        return not self.encoding.startswith("utf")


def console(stderr: bool = False, soft_wrap: bool = False) -> _Console:
    """A console for standard output, or standard error."""
    stream = sys.stderr if stderr else sys.stdout
    file: Any = _Drawing(stream) if isinstance(stream, _Stream) else stream
    return _Console(file=file, highlight=False, markup=False, emoji=False, soft_wrap=soft_wrap)


@contextmanager
def streams() -> Iterator[None]:
    """Ours in the place of Python's streams, as long as a command runs."""
    codecs.register_error(_AS_JSON, _as_json)
    before = sys.stdout, sys.stderr
    for stream, name in zip(before, ("standard output", "standard error"), strict=True):
        if stream is None:  # the next file that is opened would take its number
            raise Unwritable(f"{name} is closed: give it a file, or send it to /dev/null")
    sys.stdout, sys.stderr = (
        _Stream(stream, needed) if isinstance(stream, io.TextIOWrapper) else stream
        for stream, needed in zip(before, (True, False), strict=True)
    )
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before
        for stream in before:
            try:
                stream.flush()
            except OSError:  # said before, or a pipe that was shut
                give_up(stream)


def give_up(stream: TextIO | None) -> None:
    """Let Python end in peace: what waits for a stream that takes nothing is dropped."""
    if stream is not None:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


_AS_JSON = "as JSON writes it"  # where the locale has no such letter


def _as_json(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return escaped(error.object[error.start : error.end]), error.end
