"""A run as a labeller: any that reads lips, hears, or does both.

Ours    the confidence. Of a search, the probability of a token, as the geometric mean over the hypothesis and its end.
        Of CTC alone, the mean probability of the best token over the frames in which it is not blank: blanks are nearly
        always sure, and would make every confidence look alike.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from threading import Lock

import torch

from ..data import Label, LabelHeader, Place
from ..evaluation import TOGETHER, Decoded, Reader, batches, in_threads, lineage, read_clips, view_of, weights_digest
from ..runs import Run
from ..text import BLANK
from .labeller import Show


@dataclass(frozen=True)
class RunLabeller:
    """A finished run, opened for reading."""

    run: Run
    reader: Reader

    @cached_property
    def header(self) -> LabelHeader:
        """Who it is; of what its training data allow, nobody keeps a record."""
        weights = weights_digest(self.run)
        return LabelHeader(
            labeller=self.run.name,
            licence="",
            weights=weights,
            modality=self.run.modality,
            decoding=asdict(self.reader.settings),
            ancestors=lineage(self.run, weights),
        )

    def label(self, places: Sequence[Place], show: Show, workers: int) -> Iterator[tuple[Place, Label]]:
        """Batches of the shard alone: what a clip is read beside does not depend on what was labelled before."""
        device = self.reader.device
        turn = Lock() if device.type == "cuda" else contextlib.nullcontext()

        def read(batch: list[Place]) -> list[Label]:
            clips = [view_of(show(place), self.reader.view) for place in batch]
            with turn:
                return [self._label(decoded) for decoded in read_clips(self.reader, clips)]

        planned = batches(places, lambda place: place.entry.frames, TOGETHER[device.type])
        for batch, labels in in_threads(read, planned, workers):
            yield from zip(batch, labels, strict=True)

    def _label(self, decoded: Decoded) -> Label:
        return Label(decoded.text, round(confidence(self.reader, decoded), 4))


@torch.inference_mode()
def confidence(reader: Reader, decoded: Decoded) -> float:
    """How sure a network is of a hypothesis, from 0 to 1; 0 of an empty one."""
    if decoded.score is None or not decoded.tokens:
        return 0.0
    if reader.settings.kind == "ctc":
        log_probs = reader.network.ctc_log_probs(decoded.memory[None])[0, :, :-1]  # the last token means nothing to CTC
        best, path = log_probs.max(-1)
        return float(best[path != BLANK].exp().mean())
    tokens = len(decoded.tokens)
    bonus = reader.settings.length_bonus * tokens if reader.settings.kind == "beam" else 0.0
    return min(math.exp((decoded.score - bonus) / (tokens + 1)), 1.0)
