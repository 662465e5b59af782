"""Which recipes there are, which file shadows which, and what one says."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ..bounded import read_text
from ..records import Misused, Refused
from .plain import MOST_BYTES, parse

PACKAGE = Path(__file__).parent.parent


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
    word = word[:100]
    plain = {other.casefold(): other for other in words}
    close = [plain[other] for other in difflib.get_close_matches(word.casefold(), plain, n=1, cutoff=0.5)]
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
    try:
        return read_text(path, MOST_BYTES)
    except Refused as refused:
        raise Refused(f"{refused}; correct it or remove it") from None


def load(path: Path) -> dict[str, Any]:
    """What a recipe file says."""
    text = _text(path)
    try:
        content = parse(text)
    except ValueError as error:
        raise Refused(f"{path} is not a file of settings: {error}") from None
    if not isinstance(content, dict):
        raise Refused(f"{path} holds no settings: expected `section:` with `key: value` lines below it")
    return content


def section(content: Mapping[str, Any], name: str, where: object) -> dict[str, Any]:
    """A section of a recipe as it is written; empty where there is none."""
    found = content.get(name)
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise Misused(f"{where}: {name} = {repr(found)[:60]} has no settings below it, as `{name}: {{setting: value}}`")
    return found


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
