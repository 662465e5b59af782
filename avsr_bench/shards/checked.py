"""JSON that anybody may have written, taken apart with its types and ranges checked: `ValueError` says what is wrong.

Indexes, `prep.json` and the `json` of a sample come from disks and buckets that others write to. What is read here is
as safe to use as what our own writer leaves: no name leads out of its folder, and no number makes a loop of hours.
"""

from __future__ import annotations

import re
from math import isfinite
from typing import Any

from ..bounded import parse_json

MOST = 2**62  # of any count, offset or size: what a file system can hold
_SHOWN = 60  # characters of a wrong value in a message


def load_json(data: bytes) -> dict[str, Any]:
    """The object that the text holds."""
    value = parse_json(data)
    if not isinstance(value, dict):
        raise ValueError(f"{_short(value)} is no object")
    return value


def text(record: dict[str, Any], name: str) -> str:
    """A text."""
    return _of(record, name, str, "a text")


def section(record: dict[str, Any], name: str) -> dict[str, Any]:
    """An object."""
    return _of(record, name, dict, "an object")


def items(record: dict[str, Any], name: str) -> list[Any]:
    """A list."""
    return _of(record, name, list, "a list")


def flag(record: dict[str, Any], name: str) -> bool:
    """True or false."""
    return _of(record, name, bool, "true or false")


def count(record: dict[str, Any], name: str, most: int = MOST) -> int:
    """A whole number from 0 to `most`."""
    value = _of(record, name, int, "a whole number")
    if not 0 <= value <= most:
        raise ValueError(f"{name} is {_short(value)}: it lies between 0 and {most:,}")
    return value


def number(record: dict[str, Any], name: str) -> float:
    """A finite number."""
    value: Any = record.get(name)
    if type(value) not in (int, float) or not isfinite(value):
        raise ValueError(f"{name} is {_short(value)}, not a number")
    return float(value)


def named(pattern: re.Pattern[str], value: object, what: str) -> str:
    """A name of the form that its writer gives it."""
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise ValueError(f"{_short(value)} is no {what}")
    return value


def _of(record: dict[str, Any], name: str, kind: type, what: str) -> Any:
    if name not in record:
        raise ValueError(f"it has no {name}")
    if type(record[name]) is not kind:  # true is no number
        raise ValueError(f"{name} is {_short(record[name])}, not {what}")
    return record[name]


def _short(value: object) -> str:
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    if isinstance(value, int) and not -MOST <= value <= MOST:
        return "a number of many digits"
    said = ascii(value[:_SHOWN] if isinstance(value, str) else value)
    return said if len(said) <= _SHOWN else f"{said[:_SHOWN]}..."
