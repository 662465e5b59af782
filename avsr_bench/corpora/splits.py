"""Who is trained on and who is tested: fixed hashes, never a random state, and a look for what lies on both sides."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from hashlib import blake2b
from itertools import combinations

from ..records import Clip, Refused


def fraction(name: str) -> float:
    """A number in [0, 1) that the name alone decides, the same on every machine and in every run.

    >>> fraction("s1/bbaf2n") == fraction("s1/bbaf2n") != fraction("s1/bbaf3s")
    True
    """
    digest = blake2b(name.encode("utf-8", "surrogateescape"), digest_size=8).digest()
    return int.from_bytes(digest) / 2**64


def deal(sizes: Mapping[str, int], shares: Mapping[str, float]) -> dict[str, str]:
    """Deal names (speakers, or single clips) to splits until each split holds its share of clips; the rest trains.

    `sizes` says how many clips come with a name. Names are dealt in the order of their hashes, so a larger corpus
    moves few of them. One is passed over where it would overshoot the share by more than is missing, so that no test
    set swallows the one speaker with most of the clips. A split with a share gets at least one name while there are
    enough, and train always does.

    >>> sorted(deal({"ann": 10, "bob": 10, "eve": 10}, {"test": 0.1, "valid": 0.1}).values())
    ['test', 'train', 'valid']
    """
    waiting = dict.fromkeys(sorted(sizes, key=lambda name: (fraction(name), name)))
    total = sum(sizes.values())
    dealt: dict[str, str] = {}
    splits = [split for split, share in shares.items() if share > 0]
    for place, split in enumerate(splits, 1):
        keep = 1 + len(splits) - place  # a name for train and for each split to come
        missing = max(1, round(shares[split] * total))
        for name in list(waiting):
            if missing > 0 and sizes[name] <= 2 * missing and len(waiting) > keep:
                dealt[name] = split
                missing -= sizes[name]
                del waiting[name]
        if split not in dealt.values() and len(waiting) > 1:
            smallest = min(waiting, key=lambda name: sizes[name])
            dealt[smallest] = split
            del waiting[smallest]
    return dealt | dict.fromkeys(waiting, "train")


def check_shares(**shares: float) -> None:
    """Refuse shares of a corpus that leave nothing to train on."""
    if sum(shares.values()) >= 1:
        raise Refused(f"corpus.{' + corpus.'.join(shares)} = {sum(shares.values()):g}: that leaves nothing to train on")


def overlap(clips: Iterable[Clip]) -> list[str]:
    """What to say about recordings and speakers with clips in two splits; nothing where none has two clips.

    A speaker "." is nobody: the folder reader gives it to videos that lie in the root itself.
    """
    clips = list(clips)
    speakers = ((clip.split, clip.speaker if clip.speaker != "." else "") for clip in clips)
    return [*_shared("recording", ((clip.split, clip.source) for clip in clips)), *_shared("speaker", speakers)]


def _shared(what: str, found: Iterable[tuple[str, str]]) -> list[str]:
    """The names of one kind that stand in two splits, from (split, name) of every clip."""
    names: dict[str, Counter[str]] = defaultdict(Counter)
    for split, name in found:
        if name:
            names[split][name] += 1
    one_each = len(set().union(*names.values())) == sum(counts.total() for counts in names.values())
    if len(names) < 2 or one_each:
        return []
    notes = []
    for one, other in combinations(sorted(names), 2):
        shared = sorted(names[one].keys() & names[other].keys())
        if shared:
            have = f"1 {what} has" if len(shared) == 1 else f"{len(shared):,} {what}s have"
            examples = ", ".join(shared[:3]) + (", ..." if len(shared) > 3 else "")
            counts = " and ".join(f"{sum(names[s][name] for name in shared):,} of {s}" for s in (one, other))
            notes.append(f"overlap: {have} clips in both {one} and {other} ({examples}): {counts}")
    return notes or [f"no {what} has clips in two splits"]
