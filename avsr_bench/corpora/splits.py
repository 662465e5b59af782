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
    """Refuse shares of a corpus that are negative or leave nothing to train on."""
    for name, share in shares.items():
        if not 0 <= share < 1:
            raise Refused(f"corpus.{name} = {share}: a share of the corpus lies between 0 and 1")
    if sum(shares.values()) >= 1:
        raise Refused(f"corpus.{' + corpus.'.join(shares)} = {sum(shares.values()):g}: that leaves nothing to train on")


def overlap(clips: Iterable[Clip]) -> list[str]:
    """What to say about recordings with clips in two splits; nothing where no recording has two clips."""
    sources: dict[str, Counter[str]] = defaultdict(Counter)
    for clip in clips:
        if clip.source:
            sources[clip.split][clip.source] += 1
    if len(sources) < 2 or max(sum(sources.values(), Counter()).values()) < 2:
        return []
    notes = []
    for one, other in combinations(sorted(sources), 2):
        shared = sorted(sources[one].keys() & sources[other].keys())
        if shared:
            recordings = "1 recording has" if len(shared) == 1 else f"{len(shared):,} recordings have"
            examples = ", ".join(shared[:3]) + (", ..." if len(shared) > 3 else "")
            counts = " and ".join(f"{sum(sources[s][name] for name in shared):,} of {s}" for s in (one, other))
            notes.append(f"overlap: {recordings} clips in both {one} and {other} ({examples}): {counts}")
    return notes or ["no recording has clips in two splits"]
