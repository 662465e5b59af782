"""A result: what one network scored on one split under one condition, and all that it takes to measure it again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from .. import recipes
from ..bounded import parse_json
from ..inert import inert
from ..records import Refused
from ..text import TEXT_VERSION
from .bootstrap import Interval
from .edits import MOST, Count, Edits

SCORER_VERSION = 1  # of what counts as a unit and an error, beside the text rule, and of how intervals are drawn
LARGEST = 2**20  # bytes of its JSON; ours has 2,000
SHORT, LONG = 200, 10_000  # characters of a name, and of a command


def _line(text: str, longest: int = LONG) -> str:
    if inert(text) != text:
        raise ValueError("control characters are no part of it")
    if len(text) > longest:
        raise ValueError(f"it has {len(text):,} characters, and {longest:,} are the most")
    return text


def _word(text: str) -> str:
    return _line(text, SHORT)


def _part(text: str) -> str:
    if "/" in text or text in (".", ".."):
        raise ValueError("a name is no path")
    return _word(text)


def _name(text: str) -> str:
    if not text:
        raise ValueError("it has no name")
    return _part(text)


def _place(text: str) -> str:
    return "/".join(map(_name, _word(text).split("/")))


def _settings(values: Mapping[str, Any]) -> Mapping[str, Any]:
    if len(values) > SHORT:
        raise ValueError(f"{len(values):,} settings")
    for name, value in values.items():
        if not isinstance(value, str | int | float | None):
            raise ValueError(f"{_word(name)} is neither a number nor a word")
        _word(f"{name} {value}")
        if isinstance(value, int | float) and not abs(value) <= MOST:
            raise ValueError(f"{name} is {value}")
    return values


Line = Annotated[str, AfterValidator(_line)]  # nothing in it that a terminal, a page or a figure would act on
Word = Annotated[str, AfterValidator(_word)]  # the same, short
Part = Annotated[str, AfterValidator(_part)]  # of the name of a file; may be empty
Name = Annotated[str, AfterValidator(_name)]  # of a folder
Place = Annotated[str, AfterValidator(_place)]  # of a folder below another one: it leads nowhere else
Seed = Annotated[int, Field(ge=0, lt=2**64)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One condition; the hypotheses that it counts are kept with it (`archive`)."""

    run: Place
    corpus: Name
    split: Name
    condition: Word  # clean, or what was done to the clips: gaussian:3, babble:-5
    corpus_fingerprint: Word

    utterances: Count
    words: Edits
    characters: Edits
    wer_interval: Interval
    cer_interval: Interval

    decoding: Annotated[Mapping[str, Any], AfterValidator(_settings)]  # kind and settings
    train_seed: Seed | None = None  # none of weights that others trained
    noise_seed: Seed | None = None  # none of clean clips, as the next two
    noise_on: Literal["mouth", "frame", "sound"] | None = None
    noise_version: Count | None = None
    scorer_version: Count = SCORER_VERSION
    text_version: Count = TEXT_VERSION

    command: Line
    commit: Word
    device: Word
    seconds: Annotated[float, Field(ge=0, le=MOST)]

    # What the run is, so that a table needs nothing but results.
    system: Word = ""  # the recipe in models/ that it was trained by; empty where unknown
    size: Part = ""
    modality: Literal["video", "audio", "av"] = "video"
    sparsity: Annotated[float, Field(ge=0, le=1)] = 0.0  # fraction of the prunable weights that are exactly zero
    parameters: Count | None = None
    nonzero: Count | None = None  # parameters that are not zero
    recipe_command: Line = ""  # the command that trained it
    weights: Word = ""  # a digest of them
    faces_lost: Count = 0  # clips in which noise on frames left no face to be found: nothing was read in them

    @property
    def wer(self) -> float:
        """Word error rate, a fraction."""
        return self.words.rate

    @property
    def cer(self) -> float:
        """Character error rate, a fraction."""
        return self.characters.rate

    def to_json(self) -> str:
        """The result as it is kept: WER and CER written out for those who read it without us."""
        content = {"wer": self.wer, "cer": self.cer, **asdict(self)}
        return inert(json.dumps(content, ensure_ascii=False, indent=2), lines=True) + "\n"


def parse_result(text: str, where: str) -> Result:
    """The result of a JSON text; `where` names it. Rates that are not those of the counts are refused."""
    try:
        content = parse_json(text)
        if not isinstance(content, dict):
            raise ValueError(f"expected {{...}}, not {type(content).__name__}")
        rates = content.pop("wer"), content.pop("cer")
    except KeyError as error:
        raise Refused(f"{where} is not a result: it lacks {error}") from None
    except ValueError as error:
        raise Refused(f"{where} is not a result: {' '.join(str(error).split())}") from None
    result = recipes.build(Result, content, f"{where} is not a result")
    measured = result.wer, result.cer
    if rates != measured:
        raise Refused(f"{where}: WER and CER are {rates}, but its counts make {measured}: it was changed by hand")
    for span in (result.wer_interval, result.cer_interval):
        if not 0 <= span.low <= span.high:
            raise Refused(f"{where} is not a result: an interval from {span.low} to {span.high}")
    return result
