"""An enhancer run as its frames come, and how long that takes."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from ..decoding.settings import NOT_A_NUMBER
from ..nn import Enhancer, EnhancerState
from ..records import FPS, RATE, SAMPLES_PER_FRAME, Refused

WARM = 10  # frames whose time is not counted: torch chooses and prepares its kernels

# What is shown (uint8 H, W; none to a network of sound alone), and int16 samples: 640, in the last frame perhaps fewer.
Frame = tuple[np.ndarray | None, np.ndarray]


@dataclass(slots=True)
class Stream:
    """Frames in, clean sound out: as many samples as went in, each in its place."""

    enhancer: Enhancer
    state: EnhancerState | None = None
    given: int = 0  # samples so far
    taken: int = 0  # samples that the network gave, those before the beginning among them
    silent: bool = True  # no sample but zeros was given
    seconds: list[float] = field(default_factory=list)  # that each call of the network took

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return next(self.enhancer.parameters()).device

    def step(self, frames: Sequence[Frame]) -> np.ndarray:
        """The next frames; the clean sound (float32) that is whole with them."""
        pictures = [picture for picture, _ in frames if picture is not None]
        sound = np.concatenate([samples for _, samples in frames])
        self.given += len(sound)
        self.silent = self.silent and not sound.any()
        whole = np.zeros(SAMPLES_PER_FRAME * len(frames), np.float32)
        whole[: len(sound)] = sound / np.float32(32768)
        started = time.perf_counter()
        video = torch.from_numpy(np.stack(pictures))[None].to(self.device) if pictures else None
        clean, self.state = self.enhancer.step(video, torch.from_numpy(whole)[None].to(self.device), self.state)
        answer = clean[0].cpu().numpy()
        self.seconds.append(time.perf_counter() - started)
        return self._placed(answer)

    def finish(self) -> np.ndarray:
        """The rest."""
        if self.state is None:
            return np.zeros(0, np.float32)
        return self._placed(self.enhancer.finish(self.state)[0].cpu().numpy())

    def _placed(self, clean: np.ndarray) -> np.ndarray:
        """What of an answer lies between the beginning and the end of what was given."""
        if not np.isfinite(clean).all():
            raise Refused(NOT_A_NUMBER)
        first = self.taken - self.enhancer.delay  # of the answer, counted in samples of the recording
        self.taken += len(clean)
        return clean[max(-first, 0) : max(self.given - first, 0)]


def enhanced(stream: Stream, frames: Iterable[Frame], at_once: int) -> Iterator[np.ndarray]:
    """The clean sound of a recording in pieces; `at_once` frames go through the network in one call."""
    waiting: list[Frame] = []
    for frame in frames:
        waiting.append(frame)
        if len(waiting) == at_once:
            yield stream.step(waiting)
            waiting = []
    if waiting:
        yield stream.step(waiting)
    yield stream.finish()


@dataclass(frozen=True, slots=True)
class Speed:
    """How long frames of 40 ms took, in milliseconds."""

    frames: int
    median: float
    slow: float  # the 99th percentile
    factor: float  # seconds of work for a second of sound: below 1 it is real time

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Speed:
        """Of calls of one frame each, the first of them left out where there are others."""
        counted = np.array(seconds[WARM:] or seconds) * 1000
        median, slow = np.median(counted), np.percentile(counted, 99)
        return cls(len(counted), float(median), float(slow), float(counted.mean()) * FPS / 1000)


def speed_on_one_thread(enhancer: Enhancer, frames: Sequence[Frame]) -> Speed:
    """The same frames one by one, on one thread of a processor."""
    stream, threads = Stream(enhancer), torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for frame in frames:
            stream.step([frame])
    finally:
        torch.set_num_threads(threads)
    return Speed.of(stream.seconds)


def algorithmic_ms(enhancer: Enhancer) -> float:
    """The delay that no computer takes away: a frame has to be there, and what overlaps its end."""
    return (SAMPLES_PER_FRAME + enhancer.delay) / RATE * 1000
