"""Alignment of what was heard with what was said, and the counts that come of it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import jiwer
from pydantic import Field

MOST = 10**12  # of anything that is counted: a hundred thousand years of speech have fewer words
Count = Annotated[int, Field(ge=0, le=MOST)]

Kind = Literal["hit", "substitution", "deletion", "insertion"]
KINDS: dict[str, Kind] = {"equal": "hit", "substitute": "substitution", "delete": "deletion", "insert": "insertion"}
MARKS: dict[Kind, str] = {"hit": "", "substitution": "S", "deletion": "D", "insertion": "I"}


@dataclass(frozen=True, slots=True)
class Edits:
    """How many units (words or characters) of some references were hit, replaced or left out, and how many added."""

    hits: Count = 0
    substitutions: Count = 0
    deletions: Count = 0
    insertions: Count = 0

    def __add__(self, other: Edits) -> Edits:
        return Edits(
            self.hits + other.hits,
            self.substitutions + other.substitutions,
            self.deletions + other.deletions,
            self.insertions + other.insertions,
        )

    @property
    def errors(self) -> int:
        """What it takes to turn the references into the hypotheses."""
        return self.substitutions + self.deletions + self.insertions

    @property
    def length(self) -> int:
        """Units of the references."""
        return self.hits + self.substitutions + self.deletions

    @property
    def rate(self) -> float:
        """Errors over the length of the references, a fraction; of empty references the errors, as jiwer has it."""
        return self.errors / max(self.length, 1)


@dataclass(frozen=True, slots=True)
class Step:
    """A unit of the reference with what stands for it in the hypothesis; empty where it has none."""

    kind: Kind
    reference: str
    hypothesis: str


@dataclass(frozen=True, slots=True)
class Alignment:
    """The shortest way from a reference to a hypothesis, step by step."""

    steps: tuple[Step, ...]


class _Units(jiwer.AbstractTransform):
    """The units of one text as they are: jiwer's own transforms cut text into words and strip spaces."""

    def process_list(self, inp: list[str]) -> list[list[str]]:
        return [inp]


_UNITS = _Units()


def count(reference: Sequence[str], hypothesis: Sequence[str]) -> Edits:
    """The edits alone."""
    found = _processed(reference, hypothesis)
    return Edits(found.hits, found.substitutions, found.deletions, found.insertions)


def align(reference: Sequence[str], hypothesis: Sequence[str]) -> Alignment:
    """Reference and hypothesis unit by unit, as jiwer aligns them."""
    steps: list[Step] = []
    for chunk in _processed(reference, hypothesis).alignments[0]:
        said = reference[chunk.ref_start_idx : chunk.ref_end_idx]
        heard = hypothesis[chunk.hyp_start_idx : chunk.hyp_end_idx]
        kind = KINDS[chunk.type]
        steps += [Step(kind, *pair) for pair in itertools.zip_longest(said, heard, fillvalue="")]
    return Alignment(tuple(steps))


def _processed(reference: Sequence[str], hypothesis: Sequence[str]) -> jiwer.WordOutput:
    return jiwer.process_words([*reference], [*hypothesis], _UNITS, _UNITS)


def show(alignment: Alignment, width: int = 100) -> str:
    """The alignment as people read it, in lines of at most `width` columns unless one word is longer.

    >>> print(show(align("the cat sat".split(), "a cat sat down".split())))
    REF: the cat sat ****
    HYP: a   cat sat down
         S           I
    """
    head = ("REF:", "HYP:", "    ")
    blocks, used = [[head]], 0
    for step in alignment.steps:
        size = max(len(step.reference), len(step.hypothesis))
        used += 1 + size
        if used + len("REF:") > width and len(blocks[-1]) > 1:
            blocks.append([head])
            used = 1 + size
        rows = step.reference or "*" * size, step.hypothesis or "*" * size, MARKS[step.kind]
        blocks[-1].append((rows[0].ljust(size), rows[1].ljust(size), rows[2].ljust(size)))
    lines = ((" ".join(row).rstrip() for row in zip(*block, strict=True)) for block in blocks)
    return "\n\n".join("\n".join(filter(None, rows)) for rows in lines)  # no line of marks where there are none
