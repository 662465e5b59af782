"""Files of others, and JSON in them, read within bounds: whatever they hold, an answer or one line comes soon.

Python's own readers wait for ever at a pipe, take as much memory as a file has bytes, let the last of two equal keys
win, and end in a RecursionError at brackets without end.
"""

from __future__ import annotations

import errno
import json
import stat
from collections import Counter
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

from .records import Refused

MOST_BYTES = 64 * 2**20  # of a file that is read as a whole; the largest of ours, an index of 250 clips, has 100 kB
MOST_DEPTH = 32  # lists and mappings inside one another; ours have 6
MOST_DIGITS = 400  # of a number: no float has more before its point


def open_file(path: Path) -> BinaryIO:
    """Open a regular file to read it; an OSError where it is none."""
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode):
        what = "a folder" if stat.S_ISDIR(mode) else "a pipe, a socket or a device"
        raise OSError(errno.EINVAL, f"it is {what}, not a file")
    return path.open("rb")


def read_file(path: Path, most: int = MOST_BYTES) -> bytes:
    """A file as it is; an OSError where that cannot be."""
    with open_file(path) as file:
        content = file.read(most + 1)  # not what it says it has: it may grow
    if len(content) > most:
        raise OSError(errno.EFBIG, f"it has more than the {most:,} bytes that such a file may have")
    return content


def read_bytes(path: Path, most: int = MOST_BYTES) -> bytes:
    """A file as it is; one line where that cannot be."""
    try:
        return read_file(path, most)
    except (OSError, ValueError) as error:  # ValueError: a null byte in the name
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise Refused(f"cannot read {path}: {reason}") from None


def read_text(path: Path, most: int = MOST_BYTES) -> str:
    """The text of a file in UTF-8."""
    try:
        return read_bytes(path, most).decode("utf-8")
    except UnicodeDecodeError:
        raise Refused(f"{path} is not UTF-8 text") from None


def check_file(path: Path) -> None:
    """Refuse what cannot be opened as a file, before a library does."""
    try:
        open_file(path).close()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise Refused(f"cannot read {path}: {reason}") from None


def parse_json(text: str | bytes) -> Any:
    """What JSON says; a ValueError of one line where it is none, or none of ours.

    Beside what is no JSON that is: NaN and numbers beyond a float, a key twice in a mapping, lists and mappings more
    than `MOST_DEPTH` deep.

    >>> parse_json('{"a": [1, 2.5]}')
    {'a': [1, 2.5]}
    """
    try:
        value = _JSON.decode(
            text if isinstance(text, str) else text.decode(json.detect_encoding(text), "surrogatepass")
        )
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    _check_depth(text, value)
    return value


_TOO_DEEP = f"lists or mappings more than {MOST_DEPTH} deep"


def _mapping(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    mapping = dict(pairs)
    if len(mapping) < len(pairs):
        [(twice, _)] = Counter(key for key, _ in pairs).most_common(1)
        raise ValueError(f"the key {twice[:60]!r} twice in one mapping")
    return mapping


def _no_number(word: str) -> NoReturn:
    raise ValueError(f"{word} is not a number")


def _int(digits: str) -> int:
    if len(digits) > MOST_DIGITS:
        raise ValueError(f"a number of {len(digits):,} digits")
    return int(digits)


def _float(digits: str) -> float:
    number = float(digits)
    if number in (float("inf"), float("-inf")):
        raise ValueError(f"{digits[:20]} is more than a number can be")
    return number


# Made once: `json.loads` with hooks makes one a call, which takes longer than to read a line of an index.
_JSON = json.JSONDecoder(object_pairs_hook=_mapping, parse_constant=_no_number, parse_int=_int, parse_float=_float)


def _check_depth(text: str | bytes, value: Any) -> None:
    brackets = text.count("[") + text.count("{") if isinstance(text, str) else text.count(b"[") + text.count(b"{")
    if brackets <= MOST_DEPTH:  # nearly all: no need to look
        return
    level = [value]
    for _ in range(MOST_DEPTH + 1):
        level = [each for each in level if isinstance(each, dict | list)]
        if not level:
            return
        level = [inner for each in level for inner in (each.values() if isinstance(each, dict) else each)]
    raise ValueError(_TOO_DEEP)
