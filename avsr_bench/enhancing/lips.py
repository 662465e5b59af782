"""The mouth of one face, frame after frame, and what stands in for it where it is out of sight."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np

from .. import data, faces
from ..faces import FaceSettings, People
from ..media import Counted, Video
from ..nn import Enhancer
from ..prepare_clip import ClipSettings
from ..records import Progress, Unusable

MIN_FRAMES = ClipSettings().min_frames  # a mouth seen for less is taken for a mistake of the detector, as in transcribe
KEPT = 32 << 20  # bytes of pictures held between the passes: a clip's; a longer video is decoded again


@dataclass(frozen=True, slots=True)
class Lips:
    """Where the mouth of one face is in a video. To iterate is to cut it: uint8 96, 96; none where it is not seen."""

    video: Video
    takes: tuple[tuple[int, np.ndarray], ...]  # the frame at which the mouth comes into view, and its crop matrices
    frames: int  # of the video

    def __iter__(self) -> Iterator[np.ndarray | None]:
        waiting = list(reversed(self.takes))
        for t, picture in enumerate(self.video):
            if waiting and t - waiting[-1][0] == len(waiting[-1][1]):
                waiting.pop()
            start, matrices = waiting[-1] if waiting else (self.frames, np.zeros((0, 2, 3)))
            yield picture.warp(matrices[t - start], faces.MOUTH, "grey") if t >= start else None

    def first(self) -> np.ndarray:
        """The mouth where it is first seen."""
        start, matrices = self.takes[0]
        [picture] = islice(self.video, start, start + 1)
        return picture.warp(matrices[0], faces.MOUTH, "grey")

    def again(self) -> Iterator[np.ndarray]:
        """The mouths without the gaps between them, over and over."""
        while True:
            yield from (mouth for mouth in self if mouth is not None)


def find_lips(path: Path, settings: FaceSettings, causal: bool, progress: Progress) -> Lips:
    """Find and follow the face whose lips are wanted, in one pass over the video.

    Where `causal`, crops are smoothed over the frames before alone.
    """
    video = Video(path, keep_bytes=KEPT)
    people = faces.find_people(Counted(video, "faces", progress), settings)
    takes = tuple(_takes(people, causal))
    if not takes:
        raise Unusable("mouth-outside", f"the face is in view for {people.persons[0].frames} frames, its mouth in none")
    return Lips(video, takes, people.frames)


def _takes(people: People, causal: bool) -> Iterator[tuple[int, np.ndarray]]:
    for stretch in people.persons[0].stretches:
        yield from faces.visible_mouths(stretch, MIN_FRAMES, causal)


@dataclass(slots=True)
class Shown:
    """What the network is shown in each frame: the mouth, or where none is seen the mean of what was shown lately.

    It is the mean that the network takes out of every picture (`nn.causal.RunningMean`), which leaves nothing. The
    last mouth held still would be lips at rest, those of somebody who is silent. Grey would be a leap, and stay in the
    mean for seconds after the face is back. Before the first mouth it is that one.
    """

    memory: int  # frames that the mean is over
    mean: np.ndarray  # float32 H, W
    frames: int = 0  # so far
    gaps: list[tuple[int, int]] = field(default_factory=list)  # first frame without a mouth, and the one after the last

    @classmethod
    def beginning_with(cls, mouth: np.ndarray, enhancer: Enhancer) -> Shown:
        """Before anything was shown; `mouth` is the first that will come."""
        settings = enhancer.settings
        assert settings.enhancer is not None
        return cls(settings.enhancer.still, _scaled(mouth, settings.mouth).astype(np.float32))

    def show(self, mouth: np.ndarray | None) -> np.ndarray:
        """The picture of the next frame, as large as the network reads it: uint8."""
        if mouth is None:
            start = self.gaps.pop()[0] if self.gaps and self.gaps[-1][1] == self.frames else self.frames
            self.gaps.append((start, self.frames + 1))
            picture = np.rint(self.mean).astype(np.uint8)
        else:
            picture = _scaled(mouth, len(self.mean))
        self.frames += 1
        self.mean += (picture - self.mean) / min(self.frames, self.memory)
        return picture


def _scaled(mouth: np.ndarray, side: int) -> np.ndarray:
    [picture] = data.shown(mouth[None], side)
    return picture
