"""Making a tokenizer from the transcripts of a corpus."""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Interval

from ..records import Misused, Refused
from .rule import plain
from .tokenizer import Tokenizer, import_tokenizer, tokenizer_of

RARE = 5  # times; a corpus whose every word is said as often has a closed vocabulary, like GRID's 51 words
KINDS = {"unigram": "unigram", "words": "word", "characters": "char"}  # as SentencePiece calls them


@dataclass(frozen=True, slots=True)
class TokenizerSettings:
    """How text is cut into tokens."""

    kind: Literal["unigram", "words", "characters"] = "unigram"
    # Of a unigram model; the published networks have 5,000 for the 438 h of LRS3 and more.
    units: Annotated[int, Interval(ge=2, le=100_000)] = 1000
    model: str | None = None  # a SentencePiece .model to use instead of learning one
    unit_list: str | None = None  # the file of units that numbers them, where that model came with one


def make_tokenizer(texts: Iterable[str], settings: TokenizerSettings) -> tuple[Tokenizer, tuple[str, ...]]:
    """The tokenizer that is given, else one learnt from these texts; and what the user should hear about it."""
    if settings.model is None:
        return learn_tokenizer(texts, settings)
    return import_tokenizer(Path(settings.model), Path(settings.unit_list) if settings.unit_list else None), ()


def learn_tokenizer(texts: Iterable[str], settings: TokenizerSettings) -> tuple[Tokenizer, tuple[str, ...]]:
    """A tokenizer for these texts, in lower case, and what the user should hear about it.

    Texts too few for so many units are cut into words where each is said often, else into characters.
    """
    lines = sorted(filter(None, map(plain, texts)))
    if not lines:
        raise Refused("no tokenizer can be made: not one transcript has a letter or a digit in it")
    words = Counter(word for line in lines for word in line.split())
    characters = {character for word in words for character in word}
    if settings.kind != "unigram":
        return _train(lines, settings.kind), ()
    if settings.units < len(characters) + 2:  # with <unk> and the space
        raise Misused(
            f"units={settings.units} is too few for a corpus of {len(characters)} different characters: "
            f"give at least {len(characters) + 2}"
        )
    try:
        return _train(lines, "unigram", settings.units), ()
    except RuntimeError as error:
        most = re.search(r"Vocabulary size too high \(\d+\)\. Please set it to a value <= (\d+)", str(error))
        if most is None:
            raise
    too_few = f"too little text for {settings.units} unigram units (units={most[1]} is the most)"
    rarest = min(words.values())
    if rarest >= RARE and len(words) <= settings.units:
        note = f"{too_few}: each of its {len(words)} words is a token, since each is said {rarest} times or more"
        return _train(lines, "words"), (note,)
    return _train(lines, "characters"), (f"{too_few}: each of its {len(characters)} characters is a token",)


def _train(lines: list[str], kind: str, units: int | None = None) -> Tokenizer:
    """A model of so many units, or of all the words or characters that there are."""
    import sentencepiece

    size: dict[str, Any] = {"vocab_size": units}
    if units is None:
        size = {"vocab_size": sum(map(len, lines)) + 2, "use_all_vocab": True, "hard_vocab_limit": False}
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines),
        model_writer=model,
        model_type=KINDS[kind],
        character_coverage=1.0,
        normalization_rule_name="identity",  # the text rule has done it
        max_sentence_length=2**30,  # bytes, the most it takes: longer lines would be left out in silence
        bos_id=-1,
        eos_id=-1,
        pad_id=-1,
        minloglevel=3,
        **size,
    )
    return tokenizer_of(model.getvalue())
