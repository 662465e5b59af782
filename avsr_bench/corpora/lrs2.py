"""LRS2-BBC: `{main,pretrain}/<id>/<clip>.{mp4,txt}`, split by the lists that come with it.

`train.txt`, `val.txt` and `test.txt` name clips of `main`, `pretrain.txt` those of `pretrain`. They lie in the root or
beside it; the root is `mvlrs_v1` or the folder that holds it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from annotated_types import Interval

from ..records import Clip, Corpus, Reason, Refused, Unusable
from . import lrs
from .files import passed_over, read_text, split_suffix
from .lrs import Utterance

LISTS = {"train.txt": ("main", "train"), "val.txt": ("main", "valid"), "test.txt": ("main", "test")}
LISTS["pretrain.txt"] = ("pretrain", "train")

TEST = lrs.Known(utterances=1_243, words=6_663, origin="arXiv 1809.00496, table 1")


@dataclass(frozen=True, slots=True)
class Lrs2Settings:
    """How LRS2 is read."""

    # The longest piece that `pretrain` is cut into; 16 as in Auto-AVSR.
    segment_seconds: Annotated[float, Interval(gt=0, le=10_000)] = 16.0


def read(root: Path, settings: Lrs2Settings) -> Corpus:
    """List LRS2."""
    base = root if (root / "main").is_dir() or (root / "pretrain").is_dir() else root / "mvlrs_v1"
    (main, rest), (pretrain, more) = (lrs.find(base, subset) for subset in ("main", "pretrain"))
    found = {utterance.name: utterance for utterance in (*main, *pretrain)}
    if not found:
        return Corpus(())
    lists = {name: path for name in LISTS for path in (base.parent / name, base / name) if path.is_file()}
    if not lists:
        raise Refused(f"LRS2 is split by its lists, and none of {', '.join(LISTS)} lies in {base} or beside it")
    notes = [f"there is no {name} in {base} or beside it: its clips are left out" for name in LISTS.keys() - lists]
    clips: list[Clip] = []
    wanted: set[str] = set()
    for name, path in lists.items():
        subset, split = LISTS[name]
        longest = settings.segment_seconds if subset == "pretrain" else None
        for listed in _names(path):
            clip = f"{subset}/{listed}"
            wanted.add(clip)
            clips += lrs.clips(base, found.get(clip) or _absent(clip, name, found), split, longest)
    if others := [name for name, utterance in found.items() if name not in wanted and not utterance.problem]:
        notes.append(f"{len(others):,} clips are in no list and left out (the first: {min(others)})")
    if "test.txt" in lists:
        notes += lrs.compare((clip for clip in clips if clip.split == "test"), TEST)
    notes += passed_over([*rest, *more])
    return Corpus(tuple(clips), tuple(sorted(notes)))


def _names(path: Path) -> list[str]:
    """The clips of a list; what stands after a name (NF or MV in test.txt) says nothing that is needed here."""
    try:
        lines = read_text(path).splitlines()
    except Unusable as error:
        raise Refused(f"{path}: {error.reason.detail}") from None
    return [split_suffix(line.split()[0])[0] for line in lines if line.strip()]


def _absent(name: str, listed_in: str, found: dict[str, Utterance]) -> Utterance:
    """A clip that a list names and that is not there, or that lies where nobody may look."""
    for folder in (name.rpartition("/")[0], name.partition("/")[0]):
        if folder in found:  # under a folder's name only where it may not be read
            return Utterance(name, problem=found[folder].problem)
    return Utterance(name, problem=Reason("missing-file", f"{name} is in {listed_in} and not on disk"))
