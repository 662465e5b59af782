"""Recipes: the YAML files in `pipelines/`, `models/` and `leaderboards/`, and how they become typed settings.

This module knows YAML, which file shadows which, and `key=value`; it knows nothing of what a recipe says. The types of
settings stand beside the parts that use them.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import yaml
from pydantic import TypeAdapter, ValidationError

from .records import Misused, Refused

T = TypeVar("T")

PACKAGE = Path(__file__).parent


def shipped(kind: str) -> Path:
    """The folder of recipes that came with the package: beside it in a checkout, inside it when installed."""
    beside = PACKAGE.parent / kind
    # A checkout has pyproject.toml beside the package; a site-packages folder might hold a stranger's `models`.
    return beside if (PACKAGE.parent / "pyproject.toml").is_file() else PACKAGE / "_shipped" / kind


def names(kind: str) -> dict[str, Path]:
    """Every recipe of a kind by name; a file of the working directory goes before a shipped one of the same name."""
    found: dict[str, Path] = {}
    for folder in (shipped(kind), Path.cwd() / kind):
        if folder.is_dir():
            found.update({path.stem: path for path in sorted(folder.glob("*.yaml"))})
    return dict(sorted(found.items()))


def nearest(word: str, words: Iterable[str]) -> str:
    """' Did you mean X?' where something in `words` is close, else the list of what there is."""
    words = sorted(words)
    close = difflib.get_close_matches(word, words, n=1, cutoff=0.5)
    if not close:  # `every` should find `detect_every`
        close = [other for other in words if word in other.replace(".", "_").split("_")][:1]
    return f" Did you mean {close[0]}?" if close else f" There is: {', '.join(words)}."


def find(kind: str, name: str) -> Path:
    """The file of one recipe."""
    known = names(kind)
    if name not in known:
        raise Misused(f"no recipe {name!r} in {kind}/.{nearest(name, known)}")
    return known[name]


def _text(path: Path) -> str:
    if path.exists() and not path.is_file():
        raise Refused(f"{path} is no regular file: remove it")
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise Refused(f"{path} cannot be read: {error.strerror}; mend it or remove it") from None
    except UnicodeError:
        raise Refused(f"{path} is not UTF-8: save it as UTF-8, or remove it") from None


def load(path: Path) -> dict[str, Any]:
    """What a recipe file says."""
    text = _text(path)
    try:
        content = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError) as error:  # ValueError: the 31st of June
        raise Refused(f"{path} is not a YAML file: {' '.join(str(error).split())}") from None
    except RecursionError:
        raise Refused(f"{path} is nested too deeply") from None
    if not isinstance(content, dict):
        raise Refused(f"{path} holds no settings: expected `section:` with `key: value` lines below it")
    return content


def headline(path: Path) -> str:
    """The first sentence of the comment that opens a recipe."""
    words: list[str] = []
    for line in _text(path).splitlines():
        if not line.startswith("#"):
            break
        words.append(line.lstrip("# ").strip())
        if words[-1].endswith("."):
            break
    return " ".join(words)


def paper(path: Path) -> str:
    """The first paper under `Papers` in that comment, such as `arXiv 2406.17614`; empty where it says none."""
    text = _text(path)
    under = re.search(r"^# Papers(?!\s+none)\s+(.*?)^# \S", text, re.M | re.S)
    named = re.search(r"arXiv[\s#]+\d{4}\.\d{5}", under[1]) if under else None
    return " ".join(named[0].replace("#", " ").split()) if named else ""


def override(settings: Mapping[str, Any], assignments: Iterable[str]) -> dict[str, Any]:
    """`settings` with dotted `key=value` assignments laid over them; values are read as YAML.

    >>> override({"crop": {"size": 96}}, ["crop.size=88", "shards.max_samples=10"])
    {'crop': {'size': 88}, 'shards': {'max_samples': 10}}
    """
    result = {key: dict(value) if isinstance(value, Mapping) else value for key, value in settings.items()}
    for assignment in assignments:
        dotted, equals, text = assignment.partition("=")
        if not equals or not dotted:
            raise Misused(f"{assignment!r} is not of the form key=value, for example crop.size=88")
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError:
            raise Misused(f"the value in {assignment!r} is not YAML") from None
        *path, last = dotted.split(".")
        place: dict[str, Any] = result
        for step in path:
            place = place.setdefault(step, {})
            if not isinstance(place, dict):
                raise Misused(f"{assignment!r}: {step} is a value and has no settings below it")
        place[last] = value
    return result


def build(settings_type: type[T], content: Mapping[str, Any], where: str) -> T:
    """Typed settings (a dataclass, nested at will) from a mapping; anything unknown or ill-typed is refused by name.

    `where` names the origin of the content in the message.
    """
    kind: Any = settings_type
    known = _known(kind)
    sections = {name.rsplit(".", 1)[0] for name in known if "." in name}
    for dotted in _dotted_keys(content, sections):
        if dotted not in known and dotted not in sections:
            raise Misused(f"{where}: unknown setting {dotted}.{nearest(dotted, [*known, *sections])}")
    try:
        built: T = _adapter(kind).validate_python(dict(content))
        return built
    except ValidationError as error:
        problem = error.errors()[0]
        dotted = ".".join(str(step) for step in problem["loc"]) or "settings"
        if problem["type"] in ("missing", "missing_argument"):
            raise Misused(f"{where}: the setting {dotted} is missing") from None
        message = problem["msg"].removeprefix("Value error, ")
        raise Misused(f"{where}: {dotted} = {problem['input']!r}: {message}") from None


@cache  # a board has thousands of results, and making this of one type takes 10 ms
def _adapter(settings_type: Any) -> Any:
    return TypeAdapter(settings_type)


@cache
def _known(settings_type: Any) -> tuple[str, ...]:
    return tuple(_dotted_names(settings_type))


def _dotted_names(settings_type: Any, prefix: str = "") -> Iterator[str]:
    """All settings of a dataclass: crop.size, crop.colour, ..."""
    hints = get_type_hints(settings_type)
    for field in fields(settings_type):
        if is_dataclass(hints[field.name]):
            yield from _dotted_names(hints[field.name], f"{prefix}{field.name}.")
        else:
            yield prefix + field.name


def _dotted_keys(content: Mapping[str, Any], sections: Collection[str], prefix: str = "") -> Iterator[str]:
    """All keys of a nested mapping, going down only where the settings have a section."""
    for key, value in content.items():
        yield f"{prefix}{key}"
        if isinstance(value, Mapping) and f"{prefix}{key}" in sections:
            yield from _dotted_keys(value, sections, f"{prefix}{key}.")
