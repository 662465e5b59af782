"""The text files of LRS2 and LRS3: a header with the words, and tables with the time of each frame and word.

    Text:  THE WORDS IN UPPER CASE
    Conf:  4                              LRS3 only, as are Ref and the table of frames
    Ref:   <youtube id>

    FRAME  X Y W H                        one row a frame, 25 a second
    000000 0.402 0.141 0.188 0.335

    WORD START END ASDSCORE               seconds from the start of the clip
    THE 0.11 0.29 5.2

Curly braces are taken off and the word in them stays, in whole clips and in segments alike: published references are
made so, and with another rule a WER could not be compared with them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..records import FPS, LONGEST, Unusable
from .files import one_line

HEADER = re.compile(r"\s*Text[ \t]*:([^\r\n]*)")
# Headers of tables, at the start of a line. They look back only once their first word is found: to look for line ends
# first is 60 times slower on a long table of frames, and a corpus has 150,000 files.
FRAMES = re.compile(r"FRAME(?<![^\r\n]FRAME)[ \t]+X\b[^\r\n]*")
WORDS = re.compile(r"WORD(?<![^\r\n]WORD)[ \t]+START[ \t]+END\b[^\r\n]*")


@dataclass(frozen=True, slots=True)
class Word:
    """A spoken word and its seconds from the start of the clip."""

    text: str
    start: float
    end: float


def is_lrs(content: str) -> bool:
    """Whether a text file opens with the header of LRS."""
    return HEADER.match(content) is not None


def spoken(content: str) -> str:
    """The words of the header."""
    header = HEADER.match(content)
    if header is None:
        first = content.strip().splitlines()[:1]
        raise Unusable("bad-text", f"no `Text:` header, it begins {first[0][:40]!r}" if first else "the file is empty")
    return one_line(_no_braces(header[1]), "the text after `Text:`")


def timed_words(content: str) -> list[Word]:
    """The table of words, checked: neither starts nor ends go back, and no word ends before it starts."""
    header = WORDS.search(content)
    if header is None:
        raise Unusable("bad-text", "no table `WORD START END` to cut it by")
    words: list[Word] = []
    before = Word("", 0.0, 0.0)
    for row in content[header.end() :].splitlines():
        cells = row.split()
        if not cells:
            continue
        try:
            word = Word(_no_braces(cells[0]), float(cells[1]), float(cells[2]))
        except (ValueError, IndexError):
            raise Unusable("bad-text", f"{row.strip()[:40]!r} is no row of `WORD START END`") from None
        if not (before.start <= word.start <= word.end <= LONGEST and before.end <= word.end):
            after = f"after {before.text or 'the start of the clip'} at {before.start:g}-{before.end:g} s"
            raise Unusable("bad-times", f"{word.text} at {word.start:g}-{word.end:g} s {after}")
        before = word
        if word.text:
            words.append(word)
    if not words:
        raise Unusable("bad-text", "its table of words is empty")
    return words


def seconds(content: str) -> float | None:
    """How long the clip is by its table of frames; None where there is no such table."""
    header = FRAMES.search(content)
    rows = content[header.end() :].splitlines()[1:] if header else []
    frames = next((number for number, row in enumerate(rows) if not row.strip()), len(rows))
    return frames / FPS if frames else None


def _no_braces(text: str) -> str:
    return text.replace("{", "").replace("}", "")
