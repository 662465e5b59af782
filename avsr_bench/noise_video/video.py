"""Noise on a video file: full frames in, full frames out, the sound kept."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from .. import media, noise
from ..files import Ours, nothing
from ..records import SILENCE, Progress, Refused, Unusable, make_key, rng_for

_CRF = 8  # nearly lossless, for what the encoder loses is not the noise that was asked for
_CHUNK_BYTES = 16 << 20  # of frames held at once: memory does not grow with length


@dataclass(frozen=True, slots=True)
class HarmedVideo:
    """What was written."""

    frames: int
    width: int
    height: int
    sound: str  # "kept", "encoded again" (the container cannot hold it as it was), "none"


def corrupt_video(
    source: Path,
    target: Path,
    family: str,
    level: int,
    seed: int = 0,
    progress: Progress = SILENCE,
    ours: Ours = nothing,
) -> HarmedVideo:
    """Write `source` with noise on its full frames, as `prep --noise` corrupts them: upright, 25 a second.

    The draw is that of (seed, name of the file without its extension, family). `target` is there when it is whole; one
    that exists is replaced if it is `ours`.
    """
    noise.check(family, level)
    media.check_rewrite(source, target, ours)
    rng = rng_for(seed, make_key(source.stem), family)
    video = media.Video(source, keep_bytes=0)
    try:
        info = video.info
        corrupt = noise.begin(family, level, rng, (info.height, info.width, 3), "frame")
        pictures = (picture.rgb() for picture in media.Counted(video, f"{family}:{level}", progress))
        step = max(1, _CHUNK_BYTES // (info.width * info.height * 3))
        with media.rewrite(source, target, info, _CRF, ours) as out:
            while chunk := list(islice(pictures, step)):
                for frame in corrupt(np.stack(chunk)):
                    out.add(frame)
    except Unusable as unusable:
        raise Refused(f"{source} cannot be used: {unusable}") from None
    return HarmedVideo(out.frames, info.width, info.height, out.sound)
