"""LRS3-TED: `{pretrain,trainval,test}/<youtube id>/<clip>.{mp4,txt}`.

The corpus has no validation set of its own. One is held out of `trainval`: by a list of ids, else by speaker with a
fixed hash. It never comes from the test set, and without a list no speaker of it is trained on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from annotated_types import Interval, Len

from ..records import Clip, Corpus, PartOfAll
from . import lrs
from .files import named_file, passed_over, read_list, split_suffix
from .lrs import Utterance
from .splits import deal

# Counted by ESPnet's recipe and in auto_avsr#57; the 1,452 utterances of the paper are of an earlier release.
TEST = lrs.Known(utterances=1_321, words=9_890, origin="ESPnet egs2/lrs3/avsr1")


@dataclass(frozen=True, slots=True)
class Lrs3Settings:
    """How LRS3 is read."""

    subsets: Annotated[tuple[Literal["pretrain", "trainval", "test"], ...], Len(1, 3)] = (
        "pretrain",
        "trainval",
        "test",
    )
    # The longest piece that `pretrain` is cut into; 16 as in Auto-AVSR.
    segment_seconds: Annotated[float, Interval(gt=0, le=10_000)] = 16.0
    valid_ids: Path | None = None  # a file with `<id>/<clip>` or `<id>` a line, like AV-HuBERT's lrs3-valid.id
    # Of trainval where there is no list: 1,200 of its 32 k, as many as in AV-HuBERT's list.
    valid_share: PartOfAll = 0.0375


def read(root: Path, settings: Lrs3Settings) -> Corpus:
    """List LRS3."""
    found: dict[str, list[Utterance]] = {}
    rest: list[str] = []
    for name in settings.subsets:
        found[name], unused = lrs.find(root, name)
        rest += unused
    notes = [f"there is no {subset}/ in {root}: left out" for subset, there in found.items() if not there]
    if settings.valid_ids is None:
        is_valid, held_out = _by_speaker(found.get("trainval", []), settings.valid_share)
    else:
        is_valid, held_out = _by_list(named_file(settings.valid_ids, root, "corpus.valid_ids"), found)
    clips: list[Clip] = []
    for subset, utterances in found.items():
        longest = settings.segment_seconds if subset == "pretrain" else None
        for utterance in utterances:
            split = "test" if subset == "test" else "valid" if is_valid(utterance) else "train"
            clips += lrs.clips(root, utterance, split, longest)
    if found.get("test"):
        notes += lrs.compare((clip for clip in clips if clip.split == "test"), TEST)
    return Corpus(tuple(clips), (*notes, *held_out, *passed_over(rest)))


Rule = tuple[Callable[[Utterance], bool], list[str]]  # what is held out for validation, and what to say about it


def _by_speaker(trainval: list[Utterance], share: float) -> Rule:
    """Hold out whole speakers, in `pretrain` too."""
    dealt = deal(Counter(utterance.source for utterance in trainval if utterance.source), {"valid": share})
    speakers = {speaker for speaker, split in dealt.items() if split == "valid"}
    count = sum(utterance.source in speakers for utterance in trainval)
    note = (
        f"valid: {count:,} utterances of trainval, {len(speakers):,} speakers held out by a fixed hash "
        "(corpus.valid_ids takes a list instead)"
    )
    return lambda utterance: utterance.source in speakers, [note] if trainval else []


def _by_list(path: Path, found: Mapping[str, list[Utterance]]) -> Rule:
    """Hold out what a list names: one clip of `trainval`, or all of an id."""
    lines = read_list(path, "corpus.valid_ids")
    names = {split_suffix(line.removeprefix("trainval/"))[0] for line in lines}

    def is_valid(utterance: Utterance) -> bool:
        subset, _, name = utterance.name.partition("/")
        return utterance.source in names or (subset == "trainval" and name in names)

    there = {u.source for u in [*found.get("trainval", []), *found.get("pretrain", [])]}
    lost = sorted(names - there - {u.name.partition("/")[2] for u in found.get("trainval", [])})
    notes = [f"valid: held out by {path} ({len(names):,} ids)"]
    if lost:
        notes.append(f"{len(lost):,} ids of {path} are not in trainval (the first: {lost[0]})")
    return is_valid, notes
