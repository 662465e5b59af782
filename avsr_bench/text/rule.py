"""The text rule: what of a transcript counts, and how it is spelled with the characters that a tokenizer has.

Version 1. Transcripts are compared in `plain` form:

1. Unicode NFKC; every kind of apostrophe is `'`.
2. One case, lower for scoring.
3. Letters, the marks on them, digits of any script and apostrophes stay. Characters that do not print (soft hyphens)
   are dropped. Everything else, punctuation above all, parts words.
4. One space between words, none at the ends.

A tokenizer reads the plain form in its own case (`spell`), and a letter that it lacks without its accent where it has
that one: `CAFÉ` becomes `CAFE`. No figure is spelled out and no letter replaced by another. What is outside then stays,
becomes <unk>, and is counted.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Set
from typing import Literal

TEXT_VERSION = 1

Case = Literal["lower", "upper", "kept"]

APOSTROPHES = "'`\N{ACUTE ACCENT}\N{LEFT SINGLE QUOTATION MARK}\N{RIGHT SINGLE QUOTATION MARK}\N{PRIME}" + (
    "\N{SINGLE HIGH-REVERSED-9 QUOTATION MARK}\N{MODIFIER LETTER APOSTROPHE}\N{MODIFIER LETTER TURNED COMMA}"
)


class _Characters(dict[int, str]):
    """What stands in the plain form for each character: filled as characters come up."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        category = unicodedata.category(character)
        self[code] = "'" if character in APOSTROPHES else "" if category == "Cf" else " "
        if category[0] in "LMN" and character not in APOSTROPHES:
            self[code] = character
        return self[code]


_CHARACTERS = _Characters()


def plain(text: str, case: Case = "lower") -> str:
    """What of a transcript counts.

    >>> plain("“Don’t”, she said — twice.")
    "don't she said twice"
    """
    while True:
        once = unicodedata.normalize("NFKC", text.translate(_CHARACTERS))
        if case != "kept":
            once = once.lower() if case == "lower" else once.upper()
        once = " ".join(once.split())
        if once == text:
            return text
        text = once  # again: what a dropped character held apart may join now


def spell(text: str, case: Case, alphabet: Set[str]) -> str:
    """The plain form of a transcript in the characters of an alphabet, as far as they go.

    >>> spell("Café 7", "upper", set("ACEF"))
    'CAFE 7'
    """
    return "".join(_nearest(character, alphabet) for character in plain(text, case)).strip()


def _nearest(character: str, alphabet: Set[str]) -> str:
    """The character, or what is left of it without its accents where only that is in the alphabet."""
    if character == " " or character in alphabet:
        return character
    parts = unicodedata.normalize("NFD", character)
    bare = "".join(part for part in parts if not unicodedata.category(part).startswith("M"))
    return bare if all(part in alphabet for part in bare) else character
