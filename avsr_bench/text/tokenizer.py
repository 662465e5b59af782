"""From text to the numbers that a network learns, and back: a SentencePiece model and a list of units.

Token 0 is CTC's blank, the units follow, and the last token begins and ends a sentence. A list of units may hold some
that the model never makes (the published one has 49): they keep their numbers, because the weights have rows for them.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..bounded import parse_json, read_bytes
from ..files import write_whole
from ..records import Refused
from .rule import TEXT_VERSION, Case, spell

if TYPE_CHECKING:
    import sentencepiece

BLANK = 0
BLANK_UNIT, UNKNOWN_UNIT, EOS_UNIT = "<blank>", "<unk>", "<eos>"
SPACE = "▁"  # how SentencePiece writes the space before a word
MAX_UNKNOWN = 0.01  # share of a corpus's characters
MOST_BYTES = 16 * 2**20  # of a model or a list of units; the published ones have a third of a megabyte
MODEL, UNITS = "tokenizer.model", "tokenizer.json"


@dataclass(frozen=True)
class Tokenizer:
    """A SentencePiece model with a number for each of its units; `len` is the size of the vocabulary."""

    model: bytes  # what SentencePiece keeps in a file
    units: tuple[str, ...]  # by number, from <blank> to <eos>

    def __post_init__(self) -> None:
        """Whatever is wrong with either is said now."""
        if self.units[:1] != (BLANK_UNIT,) or self.units[-1:] != (EOS_UNIT,):
            raise Refused(f"the units must run from {BLANK_UNIT} to {EOS_UNIT}, not {_few(self.units)}")
        for unit, count in Counter(self.units).items():
            if count > 1:
                raise Refused(f"the unit {unit!r} stands {count} times in the list of units: a token has one number")
        if UNKNOWN_UNIT not in self.units:
            raise Refused(f"the units have no {UNKNOWN_UNIT}: is this the list that belongs to the model?")
        if not self.alphabet:
            raise Refused("no unit of the list is one of the SentencePiece model: do the two belong together?")

    def __len__(self) -> int:
        return len(self.units)

    @property
    def eos(self) -> int:
        """The token that begins and ends a sentence."""
        return len(self.units) - 1

    @property
    def unknown(self) -> int:
        """The token of whatever the model cannot spell."""
        return self._numbers[UNKNOWN_UNIT]

    @cached_property
    def alphabet(self) -> frozenset[str]:
        """The characters that it has."""
        return frozenset("".join(unit for unit in _spelled_units(self._processor) if unit in self._numbers)) - {SPACE}

    @cached_property
    def case(self) -> Case:
        """That of its letters; kept where it has both."""
        has_lower, has_upper = any(map(str.islower, self.alphabet)), any(map(str.isupper, self.alphabet))
        return "kept" if has_lower and has_upper else "upper" if has_upper else "lower"

    def spell(self, text: str) -> str:
        """The text as it is read: by the text rule, in the case and the characters of this tokenizer."""
        return spell(text, self.case, self.alphabet)

    def encode(self, text: str) -> list[int]:
        """The tokens of a text, without those that begin and end a sentence."""
        return [self._of_piece[piece] for piece in self._processor.encode(self.spell(text))]

    def pieces(self, text: str) -> list[tuple[str, int]]:
        """How a text is cut: each piece as it is spelled, ▁ for a space, with its token."""
        spelled = self.spell(text)
        pieces, ids = (self._processor.encode(spelled, out_type=kind) for kind in (str, int))
        return [(piece, self._of_piece[id_]) for piece, id_ in zip(pieces, ids, strict=True)]

    def decode(self, tokens: Iterable[int]) -> str:
        """The text of some tokens; blank and eos say nothing, and an unknown is written <unk>."""
        said = (self.units[token] for token in tokens if token not in (BLANK, self.eos))
        return " ".join("".join(said).replace(SPACE, " ").split())

    def save(self, folder: Path) -> None:
        """Write the model, which SentencePiece itself can read, and the units beside it."""
        write_whole(folder / MODEL, self.model)
        content = {"text_version": TEXT_VERSION, "units": self.units}
        write_whole(folder / UNITS, json.dumps(content, ensure_ascii=False, indent=0) + "\n")

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {unit: number for number, unit in enumerate(self.units)}

    @cached_property
    def _of_piece(self) -> tuple[int, ...]:
        """The token of each piece that the model can make."""
        processor = self._processor
        pieces = [processor.id_to_piece(piece) for piece in range(processor.get_piece_size())]
        pieces[processor.unk_id()] = UNKNOWN_UNIT
        return tuple(self._numbers.get(piece, self.unknown) for piece in pieces)

    @cached_property
    def _processor(self) -> sentencepiece.SentencePieceProcessor:
        return _open(self.model)

    def __getstate__(self) -> dict[str, Any]:  # to workers goes what it is made of
        return {"model": self.model, "units": self.units}


def load_tokenizer(folder: Path) -> Tokenizer:
    """The tokenizer that was saved in a folder."""
    model = read_bytes(folder / MODEL, MOST_BYTES)
    try:
        content = parse_json(read_bytes(folder / UNITS, MOST_BYTES))
        version, units = content["text_version"], tuple(map(str, content["units"]))
    except (ValueError, KeyError, TypeError):
        raise Refused(f"{folder / UNITS} is damaged: it should hold text_version and units") from None
    if version != TEXT_VERSION:
        raise Refused(
            f"{folder / UNITS} was made with text rule {version}, and this is text rule {TEXT_VERSION}: "
            f"use the avsr-bench that trained it, or train again"
        )
    return Tokenizer(model, units)


def import_tokenizer(model: Path, units: Path | None = None) -> Tokenizer:
    """A tokenizer from a SentencePiece `.model` and, where its weights came with one, its list of units.

    The list has one unit a line, in order, each with its number behind it or not. Without a list the units are those of
    the model, in its order.
    """
    proto = read_bytes(model, MOST_BYTES)
    try:
        return tokenizer_of(proto, None if units is None else _parse_units(units))
    except Refused as refused:
        raise Refused(f"{model}: {refused}") from None


def tokenizer_of(model: bytes, units: Sequence[str] | None = None) -> Tokenizer:
    """A tokenizer from the bytes of a SentencePiece model, its units numbered in the model's order unless listed."""
    listed = [UNKNOWN_UNIT, *_spelled_units(_open(model))] if units is None else units
    return Tokenizer(model, (BLANK_UNIT, *listed, EOS_UNIT))


def check_coverage(tokenizer: Tokenizer, texts: Iterable[str], what: str) -> float:
    """The share of characters that become <unk>; refused above 1 %, naming those that do. `what` names the texts."""
    characters, outside = 0, 0
    unknown: Counter[str] = Counter()
    for text in texts:
        for piece, token in tokenizer.pieces(text):
            spelled = piece.replace(SPACE, " ").split()
            characters += sum(map(len, spelled))
            if token == tokenizer.unknown:
                outside += sum(map(len, spelled))
                # The characters at fault, or the words, where the tokenizer has whole words only.
                unknown.update([c for c in "".join(spelled) if c not in tokenizer.alphabet] or spelled)
    share = outside / characters if characters else 0.0
    if share > MAX_UNKNOWN:
        named = ", ".join(f"{name!r} ({count})" for name, count in unknown.most_common(10))
        raise Refused(
            f"{share:.1%} of {what} would become <unk> (at most {MAX_UNKNOWN:.0%}): the tokenizer lacks {named}; "
            f"spell them out in the transcripts, or use a tokenizer made from this corpus"
        )
    return share


def _open(model: bytes) -> sentencepiece.SentencePieceProcessor:
    import sentencepiece

    try:
        processor = sentencepiece.SentencePieceProcessor(model_proto=model)
        pieces = range(processor.get_piece_size())
        in_bytes = any(processor.is_byte(piece) for piece in pieces)
        for piece in pieces:  # each is decoded only when it is asked for
            processor.id_to_piece(piece)
    except (RuntimeError, UnicodeDecodeError):
        raise Refused("this is not a SentencePiece model, or a damaged one: give the .model file itself") from None
    if in_bytes:
        raise Refused("the SentencePiece model spells unknown characters in bytes, which no network here has learnt")
    return processor


def _spelled_units(processor: sentencepiece.SentencePieceProcessor) -> list[str]:
    """The units of a model that spell something: no unknown and no control symbols."""
    return [
        processor.id_to_piece(piece)
        for piece in range(processor.get_piece_size())
        if not (processor.is_unknown(piece) or processor.is_control(piece) or processor.is_unused(piece))
    ]


def _parse_units(path: Path) -> list[str]:
    try:
        lines = read_bytes(path, MOST_BYTES).decode("utf-8").splitlines()
    except UnicodeDecodeError:
        raise Refused(f"{path} is not a list of units: it is not UTF-8 text") from None
    units = []
    for number, line in enumerate(lines, start=1):
        unit, *given = line.split() or [""]
        if not unit or len(given) > 1 or given not in ([], [str(number)]):
            raise Refused(f"{path}, line {number}: {line!r} is not a unit, alone or with its number {number} behind it")
        units.append(unit)
    return units


def _few(units: Sequence[str]) -> str:
    return ", ".join(map(repr, [*units[:2], *units[-1:]])) or "nothing"
