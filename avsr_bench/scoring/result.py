"""A result: what one network scored on one split under one condition, and all that it takes to measure it again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from .. import recipes
from ..bounded import parse_json
from ..inert import inert, line
from ..records import Budget, Refused
from ..text import TEXT_VERSION
from .bootstrap import Interval
from .edits import MOST, Count, Edits
from .metrics import METRICS, WER, Parts

SCORER_VERSION = 1  # of what counts as a unit and an error, beside the text rule, and of how intervals are drawn
LARGEST = 2**20  # bytes of its JSON; ours has 2,000
SAME = 0.05  # two budgets are the same within this fraction of the larger one
SHORT, LONG = 200, 10_000  # characters of a name, and of a command

WhoseLips = Literal["own", "other", "none"]  # that an enhancer is shown: the clip's, another speaker's, or none


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


def _budget(budget: Budget | None) -> Budget | None:
    for ancestor in budget.ancestors if budget else ():
        _word(ancestor.run)
        _word(ancestor.weights)
    return budget


Line = Annotated[str, AfterValidator(_line)]  # nothing in it that a terminal, a page or a figure would act on
Word = Annotated[str, AfterValidator(_word)]  # the same, short
Part = Annotated[str, AfterValidator(_part)]  # of the name of a file; may be empty
Name = Annotated[str, AfterValidator(_name)]  # of a folder
Place = Annotated[str, AfterValidator(_place)]  # of a folder below another one: it leads nowhere else
Seed = Annotated[int, Field(ge=0, lt=2**64)]


@dataclass(frozen=True, slots=True)
class Measure:
    """A metric on a split: the sums of its parts, and where its value lies."""

    parts: Parts
    interval: Interval

    @property
    def value(self) -> float:
        """The ratio of the sums; a fraction where the unit is percent."""
        return self.parts.rate

    @property
    def values(self) -> tuple[float, float, float]:
        """The value and both ends of its interval."""
        return self.value, self.interval.low, self.interval.high


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One condition; the hypotheses that it counts are kept with it (`archive`)."""

    run: Place
    corpus: Name
    split: Name
    condition: Word  # clean, or what was done to the clips: gaussian:3, babble:-5
    corpus_fingerprint: Word

    utterances: Count
    metrics: Mapping[str, Measure]

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
    trained_with_noise: bool | None = None  # visual noise on clips of its training; none where nobody wrote it down
    sparsity: Annotated[float, Field(ge=0, le=1)] = 0.0  # fraction of the prunable weights that are exactly zero
    parameters: Count | None = None
    nonzero: Count | None = None  # parameters that are not zero
    recipe_command: Line = ""  # the command that trained it
    weights: Word = ""  # a digest of them
    budget: Annotated[Budget | None, AfterValidator(_budget)] = None  # of its training; none where nobody kept it
    faces_lost: Count = 0  # clips in which noise on frames left no face to be found: nothing was read in them

    # Other runs that took part, by name and a digest of their weights; empty where there was none.
    enhancer: Word = ""  # cleaned the sound before the run read it
    enhancer_weights: Word = ""
    reader: Word = ""  # where the run is an enhancer itself: the recogniser whose WER on its output this is
    reader_weights: Word = ""
    lips_seed: Seed | None = None  # which drew the clips of others whose lips the enhancer was shown
    lips_hidden: bool = False  # the enhancer was shown no lips

    def __post_init__(self) -> None:
        if self.lips_hidden and self.lips_seed is not None:
            raise Refused(f"lips_hidden is true and lips_seed {self.lips_seed}: lips are hidden, or those of others")

    @property
    def lips(self) -> WhoseLips:
        """Whose lips an enhancer was shown."""
        if self.lips_hidden:
            return "none"
        return "own" if self.lips_seed is None else "other"

    @property
    def wer(self) -> float:
        """Word error rate, a fraction."""
        return self.metrics[WER].value

    @property
    def folder(self) -> str:
        """Where its run lies below runs/: the name of the run without the view of a unified network."""
        return self.run.removesuffix(f"@{self.modality}")

    def to_json(self) -> str:
        """The result as it is kept, values written out for those who read it without us."""
        metrics = {name: {"value": each.value, **asdict(each)} for name, each in self.metrics.items()}
        content = {"metrics": metrics, **{name: of for name, of in asdict(self).items() if name != "metrics"}}
        return inert(json.dumps(content, ensure_ascii=False, indent=2), lines=True) + "\n"


def same_budget(one: Budget | None, other: Budget | None) -> bool | None:
    """Whether two networks were trained on as many frames, ancestors included; none where one of them is not known."""
    totals = [budget.total if budget else None for budget in (one, other)]
    known = [of for of in totals if of is not None]
    return None if len(known) < 2 else max(known) - min(known) <= SAME * max(known)


def parse_result(text: str, where: str) -> Result:
    """The result of a JSON text; `where` names it. Values that are not those of the parts are refused."""
    wrong = f"{where} is not a result"
    try:
        content = parse_json(text)
        if not isinstance(content, dict):
            raise ValueError(f"expected {{...}}, not {type(content).__name__}")
        metrics = content.pop("metrics")
        if not isinstance(metrics, dict) or not all(isinstance(each, dict) for each in metrics.values()):
            raise ValueError("metrics should be a section for each metric")
    except KeyError as error:
        raise Refused(f"{wrong}: it lacks {error}") from None
    except ValueError as error:
        raise Refused(f"{wrong}: {' '.join(str(error).split())}") from None
    measures = {name: _measure(name, each, f"{wrong}: metrics.{line(name, 60)}") for name, each in metrics.items()}
    if isinstance(budget := content.get("budget"), dict):
        recipes.build(Budget, budget, f"{wrong}: budget")  # by name what is unknown in it
    return replace(recipes.build(Result, {**content, "metrics": {}}, wrong), metrics=measures)


def _measure(name: str, content: Mapping[str, Any], wrong: str) -> Measure:
    if name not in METRICS:
        raise Refused(f"{wrong} is no metric.{recipes.nearest(name, METRICS)}")
    if content.keys() != {"value", "parts", "interval"}:
        raise Refused(f"{wrong} should have value, parts and interval")
    parts, interval = content["parts"], content["interval"]
    if not isinstance(parts, dict) or not isinstance(interval, dict):
        raise Refused(f"{wrong} should have sections for parts and interval")
    measure = Measure(
        recipes.build(METRICS[name].parts, parts, f"{wrong}.parts"),
        recipes.build(Interval, interval, f"{wrong}.interval"),
    )
    if content["value"] != measure.value:
        raise Refused(
            f"{wrong} is {content['value']!r:.40}, but its parts make {measure.value}: it was changed by hand"
        )
    if measure.interval.low > measure.interval.high or (METRICS[name].parts is Edits and measure.interval.low < 0):
        raise Refused(f"{wrong}: an interval from {measure.interval.low} to {measure.interval.high}")
    return measure
