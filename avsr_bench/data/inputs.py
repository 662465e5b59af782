"""What the network is shown of a clip: a crop of the mouth at its scale, a waveform of even loudness, and batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from ..nn import PADDING, Batch
from ..records import SAMPLES_PER_FRAME

STORED, SHOWN = 96, 88  # pixels of a side: of a prepared mouth, and of what published networks are shown of it
QUIET = 1e-8  # added to the variance of a waveform


@dataclass(frozen=True, slots=True)
class Clip:
    """A clip as the network sees it."""

    key: str
    frames: int
    tokens: tuple[int, ...] = ()
    video: np.ndarray | None = None  # uint8 T, H, W: the network brings grey levels into its own units
    audio: np.ndarray | None = None  # float32 640 T
    weight: float = 1.0  # of its loss


def margin(side: int) -> int:
    """How far a crop can move, in pixels of a network that reads `side` of them: it sees 88 of 96, or that fraction.

    >>> margin(88), margin(48)
    (8, 4)
    """
    return max(round(side * STORED / SHOWN), side) - side


def shown(mouth: np.ndarray, side: int, top: int | None = None, left: int | None = None) -> np.ndarray:
    """What a network that reads `side` pixels sees of mouths (uint8 T, 96, 96): a square at its scale.

    The same square of every frame, at (top, left) of the margin or, as it is tested on, in the middle. Pixels are
    averages of what they cover.
    """
    middle, target = margin(side) // 2, side + margin(side)
    top, left = middle if top is None else top, middle if left is None else left
    if mouth.shape[1] == target:
        return mouth[:, top : top + side, left : left + side]
    shrink = _averages(mouth.shape[1], target)
    # In torch: half the time of numpy for the same bytes.
    pixels = torch.from_numpy(np.require(mouth, requirements=("C", "W"))).float()
    levels = shrink[top : top + side] @ (pixels @ shrink[left : left + side].T)
    return levels.add_(0.5).to(torch.uint8).numpy()


def levelled(sound: np.ndarray) -> np.ndarray:
    """A waveform (int16, or floats of which 1 is full scale) of mean 0 and deviation 1 over the whole clip."""
    samples = sound.astype(np.float32) / np.float32(32768 if sound.dtype == np.int16 else 1)
    samples -= samples.mean() if len(samples) else 0.0
    return samples / np.sqrt(np.mean(np.square(samples)) + QUIET) if len(samples) else samples


def collate(clips: Sequence[Clip]) -> Batch:
    """A batch padded at the ends: video and tokens to the longest, sound to as many frames."""
    lengths = torch.tensor([clip.frames for clip in clips])
    longest = int(lengths.max())
    tokens = torch.full((len(clips), max(1, *(len(clip.tokens) for clip in clips))), PADDING)
    for row, clip in zip(tokens, clips, strict=True):
        row[: len(clip.tokens)] = torch.tensor(clip.tokens, dtype=torch.long)
    video: Tensor | None = None
    if clips[0].video is not None:
        video = torch.zeros(len(clips), longest, *clips[0].video.shape[1:], dtype=torch.uint8)
        for row, clip in zip(video, clips, strict=True):
            assert clip.video is not None
            row[: clip.frames] = torch.from_numpy(clip.video)
    audio: Tensor | None = None
    if clips[0].audio is not None:
        audio = torch.zeros(len(clips), longest * SAMPLES_PER_FRAME)
        for row, clip in zip(audio, clips, strict=True):
            assert clip.audio is not None
            row[: len(clip.audio)] = torch.from_numpy(clip.audio)
    weights = None if all(clip.weight == 1 for clip in clips) else torch.tensor([clip.weight for clip in clips])
    return Batch(lengths, tokens, video, audio, tuple(clip.key for clip in clips), weights)


@lru_cache(maxsize=8)
def _averages(old: int, new: int) -> Tensor:
    """The matrix (new, old) that averages what each new pixel covers: an area filter, or linear when it enlarges."""
    if new > old:
        places = np.clip((np.arange(new) + 0.5) * old / new - 0.5, 0, old - 1)
        weights = 1 - np.abs(places[:, None] - np.arange(old))
        return torch.from_numpy(np.clip(weights, 0, None).astype(np.float32))
    edges = np.arange(new + 1) * old / new
    low, high = edges[:-1, None], edges[1:, None]
    cover = np.clip(np.minimum(high, np.arange(old) + 1) - np.maximum(low, np.arange(old)), 0, None)
    return torch.from_numpy((cover / cover.sum(1, keepdims=True)).astype(np.float32))
