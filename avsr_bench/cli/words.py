"""The words of a command: each has a meaning or is refused, in one line that names the nearest right one.

click takes the last of an option given twice, lets an option swallow the next one as its value, and answers what it
does refuse in a box of four lines. Here all of it is `Misused`, as any other wrong usage.
"""

from __future__ import annotations

import re
from collections import Counter
from difflib import get_close_matches
from itertools import combinations
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from ..records import Misused

PROGRAM = "avsr-bench"
KEY_VALUE = "KEY=VALUE"  # in the metavar of an argument that takes settings
SHOWN = 80  # characters of a word in a message


class Verb(TyperCommand):
    """A command whose every word counts."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        """Refuse what means nothing here, then do as click does."""
        given: dict[str, Any] = {}
        try:
            given, surplus, order = self.make_parser(ctx).parse_args(args=list(args))
            if not any(param.name == "help" for param in order):
                self._check(ctx, given, surplus, order)
            return super().parse_args(ctx, args)
        except typer.TyperException as error:
            raise _misused(ctx, error, given, args) from None

    def _check(self, ctx: typer.Context, given: dict[str, Any], surplus: list[str], order: list[Any]) -> None:
        for param, times in Counter(order).items():
            name, found = _name(param), given[param.name]
            if param.param_type_name == "option" and times > 1 and not param.multiple:
                raise Misused(f"{name} is given {times} times: give it once")
            values = [
                value for value in (found if isinstance(found, list | tuple) else [found]) if isinstance(value, str)
            ]
            for value in values:
                self._check_value(ctx, param, name, value)
            if KEY_VALUE in (param.metavar or ""):
                check_twice(values)
        if surplus:
            hint = _meant(ctx, surplus[0]) or f" See `{PROGRAM} {path_of(ctx)} --help`."
            raise Misused(f"{path_of(ctx)} has no use for the word {_shown(surplus[0])!r}.{hint}")

    def _check_value(self, ctx: typer.Context, param: Any, name: str, value: str) -> None:
        if not value.strip():
            raise Misused(f"{name} is empty: {param.help}")
        if value.startswith("--"):
            word = _shown(value)
            raise Misused(f"{name} lacks its value: {word} is an option; a file of that name is ./{word}")
        kind = getattr(getattr(param, "type_descriptor", None), "annotation", None)
        if kind is Path and re.match(r"\w+://", value):  # as a path it would be a folder of this machine, called s3:
            raise Misused(f"{name} {_shown(value)}: give a path of this machine; only --data takes an address")
        if KEY_VALUE in (param.metavar or "") and "=" not in value:
            raise Misused(f"{_shown(value)!r} is not of the form key=value.{_meant(ctx, value) or ' ' + param.help}")


def check_twice(assignments: list[str]) -> None:
    """Refuse two settings of one name, or one of a section and one of the whole section."""
    for one, other in combinations(assignments, 2):
        first, second = (f"{assignment.partition('=')[0]}." for assignment in (one, other))
        if first.startswith(second) or second.startswith(first):
            raise Misused(f"{_shown(one)!r} and {_shown(other)!r} set the same: give one of them")


class Verbs(TyperGroup):
    """A command that consists of others."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        """As click does, its complaints in our words."""
        if not args and self.no_args_is_help:
            return super().parse_args(ctx, args)
        try:
            return super().parse_args(ctx, args)
        except typer.TyperException as error:
            raise _misused(ctx, error, {}, args) from None

    def resolve_command(self, ctx: typer.Context, args: list[str]) -> Any:  # type: ignore[override]
        """The command that the first word names."""
        if args[0] not in self.commands:
            what = f"{path_of(ctx)} has no command" if ctx.parent else "there is no command"
            raise Misused(f"{what} {_shown(args[0])!r}.{_nearest(args[0], self.commands)}")
        return super().resolve_command(ctx, args)


class App(typer.Typer):
    """Commands, each of whose words counts."""

    def __init__(self, help: str, **settings: Any) -> None:
        super().__init__(
            cls=Verbs,
            help=help,
            add_completion=False,
            pretty_exceptions_enable=False,
            rich_markup_mode=None,
            context_settings={"help_option_names": ["-h", "--help"]},
            **settings,
        )

    def command(self, name: str | None = None, **settings: Any) -> Any:
        """Add a command."""
        return super().command(name, cls=Verb, **settings)


def path_of(ctx: typer.Context) -> str:
    """What a command is called: `noise apply`; the whole program by its own name."""
    if ctx.parent is None:
        return PROGRAM
    above = path_of(ctx.parent)  # type: ignore[arg-type]
    return str(ctx.info_name) if above == PROGRAM else f"{above} {ctx.info_name}"


def _misused(ctx: typer.Context, error: typer.TyperException, given: dict[str, Any], args: list[str]) -> Misused:
    """What click refuses, in one line of ours."""
    option: Any = getattr(error, "option_name", None)
    param: Any = getattr(error, "param", None)
    if hasattr(error, "possibilities"):  # there is no such option; of -seed, click names -s
        short = [arg.partition("=")[0] for arg in args if len(option) == 2 and arg.startswith(option)]
        word = short[0] if short else option
        what = f"{path_of(ctx)} has no option" if ctx.parent else "there is no option"
        return Misused(f"{what} {_shown(word)}.{_nearest('--' + word.lstrip('-'), _options(ctx))}")
    if option is not None:
        return Misused(f"{option} takes no value" if "does not take" in error.message else f"{option} lacks its value")
    if param is None:
        return Misused(" ".join(error.format_message().split()))
    value = given.get(param.name)
    if value is None:
        return Misused(f"{path_of(ctx)} lacks {_name(param)}: {param.help}")
    message = error.message.removeprefix("Value error, ").partition(", unable to")[0]
    choice = re.fullmatch(r"'(.*)' is not one of (.*?)\.?", message, re.S)
    if choice:
        return Misused(f"{_name(param)} {_shown(value)}: no such choice.{_nearest(str(value), _quoted(choice[2]))}")
    return Misused(f"{_name(param)} {_shown(value)}: {message.replace('Input should', 'it should')}")


def _meant(ctx: typer.Context, word: str) -> str:
    """What a word without a place may have been meant for: an option that lacks its dashes, or noise."""
    options = _options(ctx)
    before = word.rpartition(":")[0]
    if before and ("--noise" in options or "--sound" in options):
        from ..noise import FAMILIES
        from ..noise.sound import KINDS

        kinds = {**dict.fromkeys(FAMILIES, "--noise"), **dict.fromkeys(KINDS, "--sound")}
        if kinds.get(before) in options:
            return f" Did you mean {kinds[before]} {word}?"
    close = get_close_matches(word.lstrip("-"), [option.lstrip("-") for option in options], n=1)
    return f" Did you mean --{close[0]}?" if close else ""


def _nearest(word: str, words: Any) -> str:
    from ..recipes import nearest  # with YAML and pydantic, which --help does without

    return nearest(word, words)


def _options(ctx: typer.Context) -> list[str]:
    return [name for param in ctx.command.get_params(ctx) for name in param.opts if name.startswith("--")]


def _name(param: Any) -> str:
    """An option as it is typed, an argument as help calls it."""
    if param.param_type_name == "option":
        return str(max(param.opts, key=len))
    return str(param.metavar or param.name.upper()).strip("[].")


def _quoted(text: str) -> list[str]:
    return re.findall(r"'([^']*)'", text)


def _shown(word: object) -> str:
    text = str(word).encode(errors="backslashreplace").decode()
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…"
