"""A result: what one network scored on one split under one condition, and all that it takes to measure it again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from .. import recipes
from ..records import Refused
from ..text import TEXT_VERSION
from .bootstrap import Interval
from .edits import Edits

SCORER_VERSION = 1  # of what counts as a unit and an error, beside the text rule, and of how intervals are drawn


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One JSON file; the hypotheses that it counts lie beside it."""

    run: str
    corpus: str
    split: str
    condition: str  # clean, or what was done to the clips: gaussian:3, babble:-5
    corpus_fingerprint: str

    utterances: int
    words: Edits
    characters: Edits
    wer_interval: Interval
    cer_interval: Interval

    decoding: Mapping[str, Any]  # kind and settings
    train_seed: int | None = None  # none of weights that others trained
    noise_seed: int | None = None  # none of clean clips, as the next two
    noise_on: Literal["mouth", "frame", "sound"] | None = None
    noise_version: int | None = None
    scorer_version: int = SCORER_VERSION
    text_version: int = TEXT_VERSION

    command: str
    commit: str
    device: str
    seconds: float

    # What the run is, so that a table needs nothing but results.
    system: str = ""  # the recipe in models/ that it was trained by; empty where unknown
    size: str = ""
    modality: str = "video"
    sparsity: float = 0.0  # share of the prunable weights that are exactly zero
    parameters: int | None = None
    nonzero: int | None = None  # parameters that are not zero
    recipe_command: str = ""  # the command that trained it
    weights: str = ""  # a digest of them
    faces_lost: int = 0  # clips in which noise on frames left no face to be found: nothing was read in them

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
        return json.dumps({"wer": self.wer, "cer": self.cer, **asdict(self)}, ensure_ascii=False, indent=2) + "\n"


def parse_result(text: str, where: str) -> Result:
    """The result of a JSON file; `where` names it. Rates that are not those of the counts are refused."""
    try:
        content = dict(json.loads(text))
        rates = content.pop("wer"), content.pop("cer")
    except KeyError as error:
        raise Refused(f"{where} is not a result: it lacks {error}") from None
    except (ValueError, TypeError) as error:
        raise Refused(f"{where} is not a result: {' '.join(str(error).split())}") from None
    result = recipes.build(Result, content, f"{where} is not a result")
    measured = result.wer, result.cer
    if rates != measured:
        raise Refused(f"{where}: WER and CER are {rates}, but its counts make {measured}: it was changed by hand")
    return result
