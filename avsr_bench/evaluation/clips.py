"""The clips that are read: fetched once, and decoded once where they fit into memory."""

from __future__ import annotations

from collections.abc import Sequence

from ..data import Example, Place, Prepared, decode, members_of, read_members
from ..nn import Modality

KEPT = 2**31  # bytes of decoded clips; 2 GiB are 2.4 h of mouths with their sound
FRAME = 96 * 96 + 2 * 640  # bytes of a decoded frame


class Clips:
    """Decoded clips by their place. Calls may come from several threads."""

    def __init__(self, corpus: Prepared, places: Sequence[Place], modality: Modality) -> None:
        self.corpus = corpus
        self.members = read_members(corpus, places, (*members_of(modality), "json"))
        # More than fits is decoded each time: 0.05 ms a frame, where a tiny network takes 0.07 to read it.
        self.keeps = sum(place.entry.frames for place in places) * FRAME <= KEPT
        self.kept: dict[str, Example] = {}

    def __call__(self, place: Place) -> Example:
        """One clip."""
        key = place.entry.key
        members = self.members.get(key)
        if members is None:  # another thread may have decoded it just now
            return self.kept[key]
        example = decode(self.corpus, place, members)
        if self.keeps:
            self.kept[key] = example
            self.members.pop(key, None)
        return example
