"""`key=value` laid over a recipe, and what it says as typed settings, each within the range that its type has."""

from __future__ import annotations

import json
import types
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, fields, is_dataclass
from functools import cache
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from annotated_types import Ge, GroupedMetadata, Gt, Le, Lt, MaxLen, MinLen, MultipleOf
from pydantic import TypeAdapter, ValidationError

from ..records import Misused, Refused
from .files import nearest
from .plain import parse, word

T = TypeVar("T")


def override(settings: Mapping[str, Any], assignments: Iterable[str]) -> dict[str, Any]:
    """`settings` with dotted `key=value` assignments laid over them, one after the other: the last of two counts.

    A value that begins with a bracket or a quote is YAML; any other is one word, or one text, as it stands.

    >>> override({"crop": {"size": 96}}, ["crop.size=88", "shards.max_samples=10"])
    {'crop': {'size': 88}, 'shards': {'max_samples': 10}}
    """
    result = _copied(settings)
    for assignment in assignments:
        dotted, equals, text = assignment.partition("=")
        said = _short(assignment)
        path = dotted.split(".")
        if not equals or not all(path):
            raise Misused(f"{said} is not of the form key=value, for example crop.size=88")
        place: dict[str, Any] = result
        for step in path[:-1]:
            place = place.setdefault(step, {})
            if not isinstance(place, dict):
                raise Misused(f"{said}: {step} is a value and has no settings below it")
        place[path[-1]] = _value(text.strip(), said)
    return result


def checked(settings: T, where: str) -> T:
    """Settings that were made or changed in code, if `build` would make them."""
    return build(type(settings), asdict(settings), where)  # type: ignore[call-overload]


def _value(text: str, said: str) -> Any:
    if not text:
        raise Misused(f"{said} has no value: give one, or null for none")
    try:
        return parse(text) if text[0] in "[{\"'" else word(text)
    except ValueError as error:
        raise Misused(f"the value in {said} is not YAML: {error}") from None


def _copied(content: Mapping[str, Any]) -> dict[str, Any]:
    return {key: _copied(value) if isinstance(value, Mapping) else value for key, value in content.items()}


def build(settings_type: type[T], content: Mapping[str, Any], where: str) -> T:
    """Typed settings (a dataclass, nested at will) from a mapping; what is unknown, of another type or out of its range
    is refused by name.

    Nothing is taken for something else: true is no number, "12" is no 12, and 3.0 no whole number. `where` names the
    origin of the content in the message.
    """
    for dotted in _unknown_keys(settings_type, content):
        known = list(_dotted_names(settings_type))
        sections = {name.rsplit(".", 1)[0] for name in known if "." in name}
        raise Misused(f"{where}: unknown setting {dotted[:100]}.{nearest(dotted, [*known, *sections])}")
    try:
        # By way of JSON, for which alone strictness leaves lists to be tuples, text paths and mappings dataclasses.
        adapter: TypeAdapter[T] = _adapter(settings_type)  # type: ignore[arg-type]  # a type can be hashed
        built = adapter.validate_json(json.dumps(content, default=str), strict=True)
    except ValidationError as error:
        raise Misused(f"{where}: {_problem(settings_type, content, error)}") from None
    except Refused as refused:  # two settings that do not go together
        raise Misused(f"{where}: {_cut(str(refused))}") from None
    return built


@cache
def _adapter(settings_type: Any) -> TypeAdapter[Any]:
    return TypeAdapter(settings_type)


def describe(hint: Any) -> str:
    """What a setting may be, in words.

    >>> from annotated_types import Interval
    >>> describe(Annotated[int, Interval(ge=1, le=64)] | None)
    'a whole number from 1 to 64, or null'
    """
    if get_origin(hint) is Annotated:
        base, *limits = get_args(hint)
        grouped = [limit if isinstance(limit, GroupedMetadata) else [limit] for limit in limits]
        return _described(base, [limit for group in grouped for limit in group])
    return _described(hint, [])


def _described(hint: Any, limits: list[Any]) -> str:
    inner = get_args(hint)
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        return ", or ".join(describe(each) for each in inner)
    if origin is Literal:
        return " or ".join(map(repr, inner))
    if origin in (tuple, list):
        if origin is tuple and inner[-1] is not Ellipsis:
            return f"a list of {len(inner)}, each {describe(inner[0])}"
        least = next((limit.min_length for limit in limits if isinstance(limit, MinLen)), 0)
        most = next((f"{limit.max_length:,}" for limit in limits if isinstance(limit, MaxLen)), "")
        count = f" of {least:,} to {most}" if least and most else f" of at most {most}" if most else ""
        return f"a list{count}, each {describe(inner[0])}"
    if hint in (int, float):
        return _number(hint, limits)
    if is_dataclass(hint):
        return f"a section with the settings {', '.join(field.name for field in fields(hint))}"
    if origin is dict or hint is dict:
        return "a section with settings"
    return {bool: "true or false", str: "text", type(None): "null"}.get(hint, "text")


def _number(hint: type, limits: list[Any]) -> str:
    even = any(isinstance(limit, MultipleOf) and limit.multiple_of == 2 for limit in limits)
    text = "a number" if hint is float else "an even number" if even else "a whole number"
    ends = []
    for limit in limits:
        match limit:
            case Ge():
                ends.append(f"from {limit.ge:,}")
            case Gt():
                ends.append(f"above {limit.gt:,}")
            case Le():
                ends.append(f"to {limit.le:,}")
            case Lt():
                ends.append(f"below {limit.lt:,}")
    return " ".join([text, *ends])


def _problem(settings_type: type, content: Any, error: ValidationError) -> str:
    problem = error.errors()[0]
    steps: list[Any] = []
    hint: Any = settings_type
    for step in problem["loc"]:
        inside = _hint_below(hint, step)
        if inside is None:
            break
        steps.append(step)
        hint = inside
        try:
            content = content[step]
        except (LookupError, TypeError):  # it is missing
            content = None
    dotted = ".".join(map(str, steps)) or "settings"
    if problem["type"] in ("missing", "missing_argument"):
        return f"the setting {dotted} is missing"
    if problem["type"] == "value_error":
        return f"{dotted} = {_short(content)}: {_cut(problem['msg'].removeprefix('Value error, '))}"
    if problem["type"] == "json_invalid":
        return "it holds text that is not Unicode"
    return f"{dotted} = {_short(content)}: it should be {describe(hint)}"


def _hint_below(hint: Any, step: Any) -> Any:
    """The type of a setting of a section, or of an entry in a list of sections; none where there are no settings."""
    for each in _plain_hints(hint):
        if is_dataclass(each) and isinstance(each, type):
            return get_type_hints(each, include_extras=True).get(str(step))
        if get_origin(each) is dict and is_dataclass(get_args(each)[1]):
            return get_args(each)[1]
        if get_origin(each) in (list, tuple) and is_dataclass(get_args(each)[0]):
            return get_args(each)[0]
    return None


def _plain_hints(hint: Any) -> tuple[Any, ...]:
    if get_origin(hint) is Annotated:
        hint = get_args(hint)[0]
    return get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)


def _short(value: Any) -> str:
    """One line of at most about 80 letters that shows a value."""
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) > 10**15:
        return f"{float(value):g}" if abs(value) < 1e300 else "a number without end"
    return _cut(repr(value), 80)


def _cut(text: str, most: int = 300) -> str:
    return text if len(text) <= most else f"{text[: most - 20]} ... ({len(text):,} letters)"


def _dotted_names(settings_type: Any, prefix: str = "") -> Iterator[str]:
    """All settings of a dataclass: crop.size, crop.colour, ..."""
    hints = get_type_hints(settings_type)
    for field in fields(settings_type):
        if is_dataclass(hints[field.name]):
            yield from _dotted_names(hints[field.name], f"{prefix}{field.name}.")
        else:
            yield prefix + field.name


def _unknown_keys(settings_type: Any, content: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """The keys of a nested mapping that are no settings, going down into sections, named ones too."""
    hints = get_type_hints(settings_type)
    for key, value in content.items():
        hint = hints.get(key)
        if hint is None:
            yield f"{prefix}{key}"
        elif is_dataclass(hint) and isinstance(value, Mapping):
            yield from _unknown_keys(hint, value, f"{prefix}{key}.")
        elif get_origin(hint) is dict and is_dataclass(get_args(hint)[1]) and isinstance(value, Mapping):
            for name, inner in value.items():
                if isinstance(inner, Mapping):
                    yield from _unknown_keys(get_args(hint)[1], inner, f"{prefix}{key}.{name}.")
