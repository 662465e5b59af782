"""Text of others for a terminal: names, paths and details that come from files may hold codes that it would act on."""

from __future__ import annotations

import json
import re

LONGEST = 2_000  # characters of a line: 25 rows of a terminal, longer than any path
# Controls of ASCII and Latin 1 (ESC and its 8-bit forms among them), separators of lines, marks that turn the direction
# of writing around, bytes of a file name that are no UTF-8, and two that no XML may hold. Letters of every script stay,
# and so do the joiners that Persian, Hindi and emoji are written with.
_ACTS = "\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff"
_ANY = re.compile(f"[{_ACTS}]")
_BUT_LINES = re.compile(f"(?![\n\t])[{_ACTS}]")


def inert(text: str, lines: bool = False) -> str:
    """The text with everything that a terminal acts on as JSON writes it; `lines` keeps line breaks and tabs.

    JSON in which that was done is the same JSON, since its strings alone can hold such characters.

    >>> print(inert("a\\x1b[31mb"))
    a\\u001b[31mb
    """
    return (_BUT_LINES if lines else _ANY).sub(lambda found: escaped(found[0]), text)


def line(text: str, longest: int = LONGEST) -> str:
    """One inert line; of a long one its beginning, which says what it is about, and its end, which says what to do."""
    text = inert(" ".join(text.split("\n")))
    if len(text) <= longest:
        return text
    return f"{text[: longest * 2 // 3]} [...] {text[-longest // 3 :]}"


def escaped(text: str) -> str:
    """Characters as JSON writes them where it writes ASCII.

    >>> print(escaped("\\x85é"))
    \\u0085\\u00e9
    """
    return json.dumps(text)[1:-1]
