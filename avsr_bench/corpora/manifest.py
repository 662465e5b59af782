"""Manifests: a CSV or JSONL file that lists clips, one a line, with columns path,text[,start,end,split,speaker,audio].

A manifest is read line by line, so it may be of any length. Other columns are passed over, and named. What makes the
file itself unreadable is refused with its line; what is wrong with one clip is left to the reader.
"""

from __future__ import annotations

import csv
import difflib
import json
import re
import stat
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from ..records import Refused
from .files import split_suffix

NAMES = ("manifest.csv", "manifest.tsv", "manifest.jsonl", "manifest.ndjson")
LONGEST_LINE = 1 << 20  # characters; a file of zeros, or a video, has no line ends at all
SHOWN = 8  # names of columns in a note, and how many are looked at for ones that were meant to be ours
LOOKED_AT = 200
# What other tools call our columns.
_MEANT = {
    **dict.fromkeys(("file", "filename", "file_name", "filepath", "video", "clip", "src"), "path"),
    **dict.fromkeys(
        ("transcript", "transcription", "sentence", "label", "caption", "words", "normalized_text"), "text"
    ),
    **dict.fromkeys(("begin", "from", "start_time", "onset"), "start"),
    **dict.fromkeys(("stop", "to", "end_time", "offset"), "end"),
    **dict.fromkeys(("subset", "set", "fold", "partition"), "split"),
    **dict.fromkeys(("spk", "spk_id", "speaker_id", "spkid", "person", "client_id"), "speaker"),
    **dict.fromkeys(("sound", "wav", "audio_path"), "audio"),
}


class Row(NamedTuple):
    """One row of a manifest: the line it begins on, its cells (empty ones too), and for how many there is no column."""

    line: int
    path: str = ""
    text: str = ""
    start: str = ""
    end: str = ""
    split: str = ""
    speaker: str = ""
    audio: str = ""
    surplus: int = 0


COLUMNS = Row._fields[1:-1]
# A million rows name a few splits and speakers, and often a few videos: one copy of each.
_REPEATED = frozenset(["path", "split", "speaker", "audio"])


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest's rows, which of its columns are filled anywhere, and what the user should hear about it."""

    columns: frozenset[str]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()


def inside(root: Path) -> Path | None:
    """The manifest that lies in a corpus' root under its usual name, in any case of letters."""
    there = sorted(path for path in root.iterdir() if path.name.lower() in NAMES)
    if len(there) > 1:
        names = " and ".join(path.name for path in there)
        raise Refused(f"{root} holds {names}: say which is meant with corpus.manifest=")
    return there[0] if there else None


def read(path: Path) -> Manifest:
    """Read a manifest by its suffix: .jsonl, else CSV with commas, semicolons or tabs."""
    unread: dict[str, None] = {}
    short: list[int] = []
    lines = read_lines(path)
    if split_suffix(path.name)[1] in (".jsonl", ".ndjson"):
        rows = tuple(_json_rows(path, lines, unread))
    else:
        rows = tuple(_csv_rows(path, lines, unread, short))
    columns = frozenset(column for column in COLUMNS if any(getattr(row, column) for row in rows))
    missing = [column for column in COLUMNS if column not in columns]
    if "path" in missing:
        names = [*(column for column in COLUMNS if column in columns), *unread]
        found = f"its columns are {_named(names, missing)}" if names else "it has no rows"
        raise Refused(f"manifest {path} has no column `path`: {found}")
    notes = []
    if unread:
        notes.append(f"columns of the manifest that are not read: {_named(unread, missing)}")
    if short:
        notes.append(f"{len(short):,} rows of the manifest have fewer cells than its header (line {short[0]} first)")
    return Manifest(columns, rows, tuple(notes))


def read_lines(path: Path, what: str = "manifest") -> Iterator[str]:
    """The lines of a manifest with their ends, checked to be text; `what` it is called where it is refused."""
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):  # a pipe might never end
            raise Refused(f"{what} {path} is {'a folder' if stat.S_ISDIR(mode) else 'not a regular file'}")
        # newline="": a CSV may end its lines in any way, and hold line ends in quotes. No escaped byte is UTF-8.
        with path.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
            number = 0
            while line := file.readline(LONGEST_LINE):
                number += 1
                if len(line) == LONGEST_LINE:
                    raise Refused(f"{what} {path}, line {number} is longer than {LONGEST_LINE:,} characters")
                if not line.isascii() and (bad := re.search("[\udc80-\udcff]", line)):
                    byte = f"byte 0x{ord(bad[0]) - 0xDC00:02x}"
                    raise Refused(f"{what} {path}, line {number} is not UTF-8 ({byte}): save it as UTF-8")
                if "\0" in line:  # UTF-16 without its mark passes for UTF-8
                    raise Refused(f"{what} {path}, line {number} holds zero bytes: save it as UTF-8")
                yield line.removeprefix("\ufeff") if number == 1 else line
    except OSError as error:
        raise Refused(f"{what} {path} cannot be read: {error.strerror}") from None


def _csv_rows(path: Path, lines: Iterator[str], unread: dict[str, None], short: list[int]) -> Iterator[Row]:
    blank, header = 0, ""
    for header in lines:
        if header.strip():
            break
        blank += 1
    reader = csv.reader(chain([header], lines), delimiter=max(",;\t", key=header.count), strict=True)
    columns: list[str] = []
    begin, same = blank + 1, dict[str, str]()
    try:
        for cells in reader:
            line, begin = begin, blank + reader.line_num + 1
            cells = [cell.strip() for cell in cells]
            if not any(cells):
                continue
            if not columns:
                columns = [cell.lower() for cell in cells]
                _check_header(path, line, columns)
                unread |= dict.fromkeys(column for column in columns if column and column not in COLUMNS)
                continue
            if len(cells) < len(columns):
                short.append(line)
            known = {column: cell for column, cell in zip(columns, cells, strict=False) if column in COLUMNS}
            yield _row(line, known, same, max(len(cells) - len(columns), 0))
    except csv.Error as error:
        if "end of data" in str(error) or "field limit" in str(error):
            detail = f"a quote is opened and not closed, or a cell has more than {csv.field_size_limit():,} characters"
        else:
            detail = f"{error}; see to its quotes"
        raise Refused(f"manifest {path}, in the row that begins on line {begin}: {detail}") from None


def _check_header(path: Path, line: int, columns: list[str]) -> None:
    for column in columns:
        if column in COLUMNS and columns.count(column) > 1:
            raise Refused(f"manifest {path}, line {line}: the column `{column}` stands there more than once")
        parts = {part.strip() for part in re.split("[,;\t|]", column)}
        if len(parts) > 1 and not parts.isdisjoint(COLUMNS):
            raise Refused(f"manifest {path}, line {line}: {column!r} is one column, by another separator than the rest")


# Numbers stay as they are written: `0.10` as a text is not 0.1, and one of 5,000 digits is wrong with one clip alone.
_JSON = json.JSONDecoder(object_pairs_hook=tuple, parse_int=str, parse_float=str, parse_constant=str)
_KINDS: dict[type, str] = {list: "a list", tuple: "an object", bool: "true or false"}


def _json_rows(path: Path, lines: Iterable[str], unread: dict[str, None]) -> Iterator[Row]:
    same: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            pairs: Any = _JSON.decode(line)
        except (ValueError, RecursionError) as error:
            raise Refused(f"manifest {path}, line {number} is not JSON: {error}") from None
        if not isinstance(pairs, tuple):
            raise Refused(f"manifest {path}, line {number} is not an object with columns: {line.strip()[:40]}")
        known: dict[str, str] = {}
        for key, value in pairs:
            column = key.strip().lower()
            if column not in COLUMNS:
                unread[column] = None
                continue
            if column in known:
                raise Refused(f"manifest {path}, line {number}: the column `{column}` stands there more than once")
            if value is not None and not isinstance(value, str):
                raise Refused(f"manifest {path}, line {number}: {column} is {_KINDS[type(value)]}, not a text")
            known[column] = (value or "").strip()
            if not _is_text(known[column]):
                raise Refused(f"manifest {path}, line {number}: {column} holds a zero byte or half of a surrogate pair")
        yield _row(number, known, same)


def _row(line: int, known: dict[str, str], same: dict[str, str], surplus: int = 0) -> Row:
    for column in _REPEATED & known.keys():
        known[column] = same.setdefault(known[column], known[column])
    return Row(line, **known, surplus=surplus)


def _is_text(cell: str) -> bool:
    return (cell.isascii() and "\0" not in cell) or not re.search("[\0\ud800-\udfff]", cell)


def _named(columns: Collection[str], missing: Iterable[str]) -> str:
    """Columns by name, first those by which one of the `missing` is probably meant."""
    missing = set(missing)
    shown = []
    for column in list(columns)[:LOOKED_AT]:
        close = difflib.get_close_matches(column, missing, n=1, cutoff=0.7)
        guess = _MEANT[column] if _MEANT.get(column) in missing else (close or [""])[0]
        shown.append(f"`{column[:40]}`" + (f" (is `{guess}` meant?)" if guess else ""))
    shown.sort(key=lambda name: "meant?" not in name)
    rest = len(columns) - len(shown[:SHOWN])
    return ", ".join(shown[:SHOWN]) + (f" and {rest:,} more" if rest else "")
