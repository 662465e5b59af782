"""What networks are given: batches of clips, and grey levels in the units that networks read."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..records import SAMPLES_PER_FRAME
from .layers import length_mask
from .settings import Modality

MEAN, DEVIATION = 0.421, 0.165  # of grey mouths, in the published preparation
STRETCH = 4.0  # brings what varies within a clip to a deviation near 1
Inputs = Tensor | tuple[Tensor, Tensor]  # of one modality, or (video, audio)


@dataclass(frozen=True, slots=True)
class Batch:
    """Clips of about one length, padded to the longest at their ends."""

    lengths: Tensor  # B: frames of each clip
    tokens: Tensor  # B, U: each transcript without sos and eos, padded with -1
    video: Tensor | None = None  # B, T, H, W: grey mouths, uint8; or floats, (x / 255 - 0.421) / 0.165
    audio: Tensor | None = None  # B, 640 T: 16 kHz samples, of mean 0 and deviation 1 over each clip
    keys: tuple[str, ...] = ()  # of the clips, to name them in messages
    weights: Tensor | None = None  # B: what the loss of each clip counts; none: all alike

    @property
    def inputs(self) -> Inputs:
        """What a network of this batch's modality reads."""
        if self.video is not None and self.audio is not None:
            return self.video, self.audio
        only = self.video if self.audio is None else self.audio
        if only is None:
            raise ValueError("a batch holds video, audio or both")
        return only

    def seen_as(self, modality: Modality) -> Batch:
        """The same clips with what a network of this modality reads of them."""
        video = None if modality == "audio" else self.video
        return replace(self, video=video, audio=None if modality == "video" else self.audio)

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Batch:
        """The same batch on another device."""
        lengths, tokens, video, audio, weights = (
            None if tensor is None else tensor.to(device, non_blocking=non_blocking)
            for tensor in (self.lengths, self.tokens, self.video, self.audio, self.weights)
        )
        assert lengths is not None and tokens is not None
        return Batch(lengths, tokens, video, audio, self.keys, weights)


def shown(video: Tensor, lengths: Tensor, centre: bool) -> Tensor:
    """The pictures of a batch as a front-end takes them."""
    video = normalised(video, lengths)
    return centred(video, lengths) if centre else video


def without(inputs: Tensor, hidden: Tensor) -> Tensor:
    """Pictures as a front-end takes them (B, T, H, W) or samples (B, 640 T), 0 in the frames that are hidden (B, T)."""
    if inputs.dim() == 2:
        return inputs.masked_fill(hidden.repeat_interleave(SAMPLES_PER_FRAME, dim=1), 0)
    return inputs.masked_fill(hidden[:, :, None, None], 0)


def normalised(video: Tensor, lengths: Tensor) -> Tensor:
    """Grey levels (uint8 B, T, H, W) in the units of published networks, 0 behind a clip's end; floats are in them.

    Done here, and not where batches are made, because bytes are a quarter of what has to be moved.
    """
    if video.dtype != torch.uint8:
        return video
    levels = video.float().mul_(1 / (255 * DEVIATION)).sub_(MEAN / DEVIATION)
    return levels.mul_(length_mask(lengths, video.shape[1])[:, :, None, None])


def centred(video: Tensor, lengths: Tensor) -> Tensor:
    """Floats (B, T, H, W) without the mean picture of each clip, the rest stretched; 0 behind a clip's end.

    Of the variance of grey levels on the synthetic corpus 41.5 % is common to all clips, 51.9 % differs between clips,
    and 6.6 % varies within one, which is all that speech is (`make bench ONLY=input_variance`). A clip that does not
    move becomes 0.
    """
    keep = length_mask(lengths, video.shape[1])[:, :, None, None]
    mean = (video * keep).sum(1, keepdim=True, dtype=torch.float32) / lengths[:, None, None, None]
    return (video - mean.to(video.dtype)).mul_(STRETCH).mul_(keep)
