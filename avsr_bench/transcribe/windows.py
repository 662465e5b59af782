"""A recording of any length as windows that a network can read, cut where the mouth rests or the sound is low."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch

from ..data import Example
from ..evaluation import Reader, read_clips, view_of
from ..records import FPS, SAMPLES_PER_FRAME, Misused
from .words import Word, join, words_of

REST = 5  # frames over which movement or loudness is averaged: 0.2 s, a short pause between words


@dataclass(frozen=True, slots=True)
class WindowSettings:
    """How long recordings are cut."""

    window: float = 8.0  # seconds at most
    overlap: float = 1.0  # seconds that two windows share, so that no word lacks what stands round it

    def __post_init__(self) -> None:
        if not 2 <= self.window <= 60:  # attention over a minute of the largest network takes 2 GB
            raise Misused(f"--window is {self.window:g}: give 2 to 60 seconds")
        if not 0 <= self.overlap <= self.window / 2:
            raise Misused(f"overlap is {self.overlap:g}: give 0 to half a window ({self.window / 2:g} seconds)")


@dataclass(frozen=True, slots=True)
class Window:
    """What is read at once."""

    start: int  # its first frame in the video
    shared: int  # frames at its beginning that the window before it ended with
    mouths: np.ndarray | None  # uint8 T, 96, 96
    sound: np.ndarray | None  # int16 640 T

    def __len__(self) -> int:
        if self.mouths is not None:
            return len(self.mouths)
        return 0 if self.sound is None else len(self.sound) // SAMPLES_PER_FRAME


@torch.inference_mode()
def read_window(reader: Reader, window: Window) -> tuple[Word, ...]:
    """The words of one window, their times those of the video."""
    start = window.start / FPS
    example = Example(f"the window at {start:.2f} s", "", "", "", len(window), window.mouths, window.sound)
    [decoded] = read_clips(reader, [view_of(example, reader.view)])
    log_probs = reader.network.ctc_log_probs(decoded.memory)
    return words_of(decoded.tokens, log_probs, reader.tokenizer.units, start)


@dataclass(slots=True)
class Reading:
    """One face, or the sound alone, read as its frames come; of them only those of one window are held."""

    read: Callable[[Window], tuple[Word, ...]]
    settings: WindowSettings
    start: int  # the first frame held
    words: tuple[Word, ...] = ()  # so far
    shared: int = 0
    mouths: list[np.ndarray] = field(default_factory=list)
    sounds: list[np.ndarray] = field(default_factory=list)
    activity: list[float] = field(default_factory=list)  # of each frame: how far the mouth moves, or how loud it is

    def add(self, mouth: np.ndarray | None, sound: np.ndarray | None) -> None:
        """One frame more: its mouth, its 640 samples, or both."""
        if len(self.activity) >= round(self.settings.window * FPS):
            self._cut()
        if sound is not None:
            self.activity.append(float(np.abs(sound.astype(np.float32)).mean()))
            self.sounds.append(sound)
        if mouth is not None:
            if sound is None:
                last = self.mouths[-1] if self.mouths else mouth
                self.activity.append(float(np.abs(mouth.astype(np.int16) - last).mean()))
            self.mouths.append(mouth)

    def finish(self) -> tuple[Word, ...]:
        """Read what is left; all words."""
        self._read(len(self.activity))
        return self.words

    def _cut(self) -> None:
        half = round(self.settings.overlap * FPS / 2)
        place = quietest(np.array(self.activity), half)
        self._read(place + half)
        gone = place - half
        self.start, self.shared = self.start + gone, 2 * half
        del self.mouths[:gone], self.sounds[:gone], self.activity[:gone]

    def _read(self, frames: int) -> None:
        mouths = np.stack(self.mouths[:frames]) if self.mouths else None
        sound = np.concatenate(self.sounds[:frames]) if self.sounds else None
        new = self.read(Window(self.start, self.shared, mouths, sound))
        self.words = join(self.words, new, self.start / FPS, (self.start + self.shared) / FPS)


def quietest(activity: np.ndarray, margin: int) -> int:
    """Where to cut: the frame in the second half, `margin` frames from the end, round which least happens."""
    frames = len(activity)
    even = np.convolve(np.pad(activity, REST // 2, mode="edge"), np.full(REST, 1 / REST), "valid")
    first, last = frames // 2, max(frames - margin, frames // 2 + 1)
    # Windows of few different lengths: torch prepares its kernels for each, and keeps them.
    return first + REST * int(np.argmin(even[first:last:REST]))
