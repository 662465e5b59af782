"""Enhancers in an evaluation: they clean the sound of a clip, which is then measured, or read by a recogniser."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from threading import Lock

import numpy as np
import torch

from .. import data, runs
from ..data import Example, Place
from ..nn import Enhancer
from ..records import SAMPLES_PER_FRAME, Refused, rng_for
from ..runs import Run
from ..scoring import WhoseLips
from .clips import Clips
from .device import ran_out_of_memory
from .results import Other, weights_digest

FULL_SCALE = np.float32(32768)  # of the samples of an `Example`, which are in the units of int16


@dataclass(frozen=True, eq=False)
class Cleaner:
    """An enhancer on its device, for whole clips. Calls may come from several threads."""

    run: Run
    weights: str  # digest
    network: Enhancer
    device: torch.device
    turn: contextlib.AbstractContextManager[object] = field(default_factory=contextlib.nullcontext)  # of a GPU

    @property
    def named(self) -> Other:
        """As results name it."""
        return Other(self.run.name, self.weights)

    @torch.inference_mode()
    def __call__(self, example: Example, lips: np.ndarray | None = None) -> Example:
        """The clip with its sound cleaned, one clip at a time: what comes out depends on nothing else.

        `lips`, as many frames, are shown in place of its own.
        """
        assert example.sound is not None
        sound = np.zeros(example.frames * SAMPLES_PER_FRAME, np.float32)
        sound[: len(example.sound)] = example.sound[: len(sound)] / FULL_SCALE
        video = None
        if self.network.modality == "av":
            mouth = example.mouth if lips is None else lips
            assert mouth is not None
            shown = np.ascontiguousarray(data.shown(mouth, self.network.settings.mouth))
            video = torch.from_numpy(shown)[None].to(self.device)
        lengths = torch.tensor([example.frames], device=self.device)
        try:
            with self.turn:
                clean = self.network(video, torch.from_numpy(sound)[None].to(self.device), lengths)[0].cpu().numpy()
        except (MemoryError, RuntimeError) as error:
            if not ran_out_of_memory(error):
                raise
            raise Refused(
                f"{self.run.name}: memory ran out on the {example.frames:,} frames of {example.key}: cut it shorter, or"
                " use --device cpu"
            ) from None
        if not np.isfinite(clean).all():
            raise Refused(f"{self.run.name}, {example.key}: what it makes of the sound is not a number")
        return replace(example, sound=clean[: len(example.sound)] * FULL_SCALE)


def open_cleaner(run: Run, device: torch.device) -> Cleaner:
    """A finished enhancer on its device; a recogniser is refused."""
    run.check_enhances()
    runs.open_finished(run.folder)
    turn = Lock() if device.type == "cuda" else contextlib.nullcontext()
    return Cleaner(run, weights_digest(run), run.enhancer(device), device, turn)


@dataclass(frozen=True, slots=True)
class ShownLips:
    """The mouths that an enhancer is shown in place of a clip's own."""

    whose: WhoseLips
    clips: Clips
    drawn: Mapping[str, Place]  # of others, by key

    @classmethod
    def of(cls, whose: WhoseLips, clips: Clips, places: Sequence[Place], seed: int) -> ShownLips:
        """Draw clips where they are those of others."""
        return cls(whose, clips, draw_lips(places, seed) if whose == "other" else {})

    def __call__(self, place: Place) -> np.ndarray | None:
        """The mouths shown with a clip; none: its own."""
        if self.whose == "own":
            return None
        mouth = self.clips(self.drawn.get(place.entry.key, place)).mouth
        assert mouth is not None
        return hidden(mouth) if self.whose == "none" else as_long(mouth, place.entry.frames)


def draw_lips(places: Sequence[Place], seed: int) -> dict[str, Place]:
    """For each clip, by key, the clip of another speaker whose lips are shown with it: drawn from (seed, key)."""
    ordered = sorted(places, key=lambda place: place.entry.key)
    if unknown := [place.entry.key for place in ordered if not place.entry.speaker]:
        raise Refused(f"--lips other takes clips of other speakers, and nobody says who speaks in {unknown[0]}")
    speakers = {place.entry.speaker for place in ordered}
    if len(speakers) < 2:
        raise Refused(f"--lips other takes clips of other speakers, and there is {', '.join(speakers) or 'none'} alone")
    others = {name: [place for place in ordered if place.entry.speaker != name] for name in speakers}
    drawn = {}
    for place in ordered:
        key, choices = place.entry.key, others[place.entry.speaker]
        drawn[key] = choices[int(rng_for(seed, key, "lips").integers(len(choices)))]
    return drawn


def as_long(mouth: np.ndarray, frames: int) -> np.ndarray:
    """So many frames of a mouth: cut at the end, or from the beginning again."""
    return mouth[np.arange(frames) % len(mouth)]


def hidden(mouth: np.ndarray) -> np.ndarray:
    """As many frames of the clip's mean picture, as training masks them (`augment.mask_fill: mean`).

    `nn.causal.RunningMean` leaves nothing of a picture that never changes, as where `enhance` finds no mouth.
    """
    mean = mouth.mean(0).round().astype(np.uint8)
    return np.broadcast_to(mean, mouth.shape)
