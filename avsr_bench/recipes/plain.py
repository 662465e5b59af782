"""YAML to plain values and back: text, numbers, true and false, null, lists, and mappings whose keys are text.

Words mean what they look like (YAML 1.2's core schema): `yes` and `1:30` are text, 1e-3 is a number. PyYAML's own
loader takes the first for true, the second for 90, the third for text, `010` for 8, and of two equal keys the last.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import yaml
from yaml import events

from ..bounded import MOST_DEPTH, MOST_DIGITS

MOST_BYTES = 256 * 2**10  # of a recipe; the largest of ours, the published numbers, has 20 kB
MOST_VALUES = 50_000

_READER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's is 20 times as fast
_WORDS = {
    text: value
    for lower, value in {"": None, "~": None, "null": None, "true": True, "false": False}.items()
    for text in (lower, lower.capitalize(), lower.upper())
}
_INT = re.compile(r"[-+]?(0|[1-9][0-9]*)")  # 007 is a name
_FLOAT = re.compile(
    r"[-+]?((\.[0-9]+|[0-9]+\.[0-9]*)([eE][-+]?[0-9]+)?|[0-9]+[eE][-+]?[0-9]+|\.(inf|Inf|INF))|\.(nan|NaN|NAN)"
)


def parse(text: str) -> Any:
    """The value that YAML says; a ValueError of one line where it is none, or beyond bounds.

    >>> parse("{lr: 1e-3, log: [wandb], resume: yes}")
    {'lr': 0.001, 'log': ['wandb'], 'resume': 'yes'}
    """
    if len(text) > MOST_BYTES:
        raise ValueError(f"more than the {MOST_BYTES:,} letters that settings may have")
    try:
        return _value_of(yaml.parse(text, Loader=_READER))
    except (yaml.YAMLError, UnicodeEncodeError) as error:
        raise ValueError(" ".join(str(error).split())[:200]) from None


def word(text: str) -> Any:
    """What a word without quotes stands for.

    >>> [word(text) for text in ("12", "1e-3", "null", "true", "yes", "007")]
    [12, 0.001, None, True, 'yes', '007']
    """
    if text in _WORDS:
        return _WORDS[text]
    whole = _INT.fullmatch(text)
    if not whole and not _FLOAT.fullmatch(text):
        return text
    if len(text) > MOST_DIGITS:
        raise ValueError(f"a number of {len(text):,} digits")
    return int(text) if whole else float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))


def dump(content: Mapping[str, Any]) -> str:
    """YAML that `parse`, and any other program, takes for the same."""
    return yaml.dump(content, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)


class _Dumper(yaml.SafeDumper):
    """PyYAML's, that also quotes texts which are numbers to us: a commit may be called 123e456."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def represent_str(self, data: str) -> yaml.ScalarNode:
        # A name on disk need not be UTF-8; a file of ours is. Of odd breaks of a line PyYAML quotes only some.
        text = data.encode(errors="replace").decode()
        return self.represent_scalar("tag:yaml.org,2002:str", text, None if text.isprintable() else '"')


_Dumper.add_representer(str, _Dumper.represent_str)
_Dumper.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(f"(?:{_FLOAT.pattern})$"), list("-+.0123456789"))


def _value_of(stream: Any) -> Any:
    """The value that YAML's events tell, taken one by one, so that what is too deep or too much ends at once."""
    top: list[Any] = []
    holders: list[Any] = [top]  # lists and mappings that have not ended, the outermost first
    keys: list[str | None] = [None]  # for each that is a mapping the key that waits for its value
    for number, event in enumerate(stream):
        line = f"line {event.start_mark.line + 1}"
        if number > MOST_VALUES:
            raise ValueError(f"{line}: more than {MOST_VALUES:,} values")
        if isinstance(event, events.CollectionEndEvent):
            holders.pop()
            keys.pop()
        if not isinstance(event, events.NodeEvent):
            continue
        if event.anchor is not None:
            raise ValueError(f"{line}: {event.anchor[:60]!r} stands for a value (& or *): write the value out")
        assert isinstance(event, events.ScalarEvent | events.CollectionStartEvent)
        if event.tag is not None:
            raise ValueError(f"{line}: the tag {event.tag[:60]}: settings are plain values")
        holder = holders[-1]
        if isinstance(holder, dict) and keys[-1] is None:
            if not isinstance(event, events.ScalarEvent):
                raise ValueError(f"{line}: a list or a mapping for a key: keys are text")
            if event.value in holder:
                raise ValueError(f"{line}: {event.value[:60]!r} a second time: a setting is given once")
            keys[-1] = event.value
            continue
        value: Any = {} if isinstance(event, events.MappingStartEvent) else []
        if isinstance(event, events.ScalarEvent):
            try:
                value = word(event.value) if event.implicit[0] else event.value
            except ValueError as error:
                raise ValueError(f"{line}: {error}") from None
        if isinstance(holder, dict):
            holder[keys[-1]], keys[-1] = value, None
        else:
            holder.append(value)
        if isinstance(event, events.CollectionStartEvent):
            if len(holders) > MOST_DEPTH:
                raise ValueError(f"{line}: lists or mappings more than {MOST_DEPTH} deep")
            holders.append(value)
            keys.append(None)
    if len(top) > 1:
        raise ValueError("several documents (---): settings are one")
    return top[0] if top else None
