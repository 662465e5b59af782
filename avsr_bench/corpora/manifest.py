"""Manifests: a CSV or JSONL file that lists clips, one a line, with columns path,text[,start,end,split,speaker,audio].

Other columns are passed over. What makes the file itself unreadable is refused with its line; what is wrong with one
clip is left to the reader.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..records import Refused, Unusable
from .files import read_text, split_suffix

NAMES = ("manifest.csv", "manifest.jsonl")


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a manifest: its filled cells by column, and the cells for which there is no column."""

    line: int
    cells: dict[str, str]
    surplus: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest's columns and rows."""

    columns: tuple[str, ...]
    rows: tuple[Row, ...]


def inside(root: Path) -> Path | None:
    """The manifest that lies in a corpus' root under its usual name."""
    there = [root / name for name in NAMES if (root / name).is_file()]
    if len(there) > 1:
        raise Refused(f"{root} holds {' and '.join(NAMES)}: say which is meant with corpus.manifest=")
    return there[0] if there else None


def read(path: Path) -> Manifest:
    """Read a manifest by its suffix: .jsonl, else CSV with commas, semicolons or tabs."""
    try:
        text = read_text(path)
    except Unusable as error:
        raise Refused(f"manifest {path}: {error.reason.detail}") from None
    rows = tuple((_json_rows if split_suffix(path.name)[1] in (".jsonl", ".ndjson") else _csv_rows)(path, text))
    columns = tuple(dict.fromkeys(column for row in rows for column in row.cells))
    if "path" not in columns:
        found = f"its columns are {', '.join(columns)}" if columns else "it has no rows"
        raise Refused(f"manifest {path} has no column `path`: {found}")
    return Manifest(columns, rows)


def _csv_rows(path: Path, text: str) -> Iterator[Row]:
    header = text.lstrip().partition("\n")[0]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=header.count), strict=True)
    columns: list[str] = []
    try:
        for cells in reader:
            cells = [cell.strip() for cell in cells]
            if not any(cells):
                continue
            if not columns:
                columns = [cell.lower() for cell in cells]
                continue
            filled = {column: cell for column, cell in zip(columns, cells, strict=False) if cell}
            yield Row(reader.line_num, filled, tuple(cells[len(columns) :]))
    except csv.Error as error:
        raise Refused(f"manifest {path}, line {reader.line_num}: {error}; see to its quotes") from None


def _json_rows(path: Path, text: str) -> Iterator[Row]:
    # Not splitlines(): JSON text may hold U+2028 and its like.
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            content = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise Refused(f"manifest {path}, line {number} is not JSON: {error}") from None
        if not isinstance(content, dict):
            raise Refused(f"manifest {path}, line {number} is not an object with columns: {line.strip()[:40]}")
        cells = {key.strip().lower(): str(value).strip() for key, value in content.items() if value is not None}
        if broken := [key for key, cell in cells.items() if not _is_text(cell)]:
            raise Refused(f"manifest {path}, line {number}: {broken[0]} holds half of a surrogate pair")
        yield Row(number, {key: cell for key, cell in cells.items() if cell})


def _is_text(cell: str) -> bool:
    try:
        cell.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
