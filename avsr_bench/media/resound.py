"""New sound for a recording: alone as .wav, or beside the picture of a video, whose packets are copied as they are."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.error import FFmpegError

from ..files import STDOUT, Ours, check_target, nothing, whole
from ..records import RATE, Misused, Refused
from .container import open_media, picture_stream
from .rewrite import CONTAINERS

_AAC_BITS = 64_000  # a second: of one channel at 16 kHz AAC takes no more than 96,000
_WAV = {"rf64": "auto", "fflags": "+bitexact"}  # beyond 4 GB (37 hours) the form of .wav that has room for it


def check_resound(sources: tuple[Path, ...], target: Path, ours: Ours = nothing) -> None:
    """Refuse a file that cannot hold new sound, or would take the place of another, of the `sources` in any case."""
    if not _alone(target) and target.suffix.lower() not in CONTAINERS:
        raise Misused(f"{target} must end in one of .wav, {', '.join(CONTAINERS)}")
    for source in sources:
        if target != STDOUT and target.exists() and source.exists() and target.samefile(source):
            raise Misused(f"{target} would overwrite a file that is read: give another name")
    check_target(target, ours)


@dataclass(slots=True)
class Resounding:
    """A file being written."""

    out: Any
    track: Any
    picture: _Picture | None
    samples: int = 0  # so far

    def add(self, samples: np.ndarray) -> None:
        """The next samples (int16), and what is seen until their end."""
        if not len(samples):  # FFmpeg has no frame of none
            return
        frame = av.AudioFrame.from_ndarray(samples[None], "s16", "mono")
        frame.sample_rate, frame.pts, frame.time_base = RATE, self.samples, Fraction(1, RATE)
        self.out.mux(self.track.encode(frame))
        self.samples += len(samples)
        if self.picture is not None:
            self.picture.write_until(self.samples / RATE)


@contextmanager
def resound(source: Path, target: Path, origin: float = 0.0, ours: Ours = nothing) -> Iterator[Resounding]:
    """Write 16 kHz sound: 16 bits where it is alone, AAC beside the picture of `source`. `target` is there when whole.

    `origin` is where the picture begins on the clock of `source` (`VideoInfo.origin`): there the new sound begins too.
    """
    check_resound((source,), target, ours)
    with whole(target, ours) as unfinished:
        try:
            if _alone(target):
                with av.open(str(unfinished), "w", format="wav", container_options=_WAV) as out:
                    yield from _written(out, out.add_stream("pcm_s16le", rate=RATE, layout="mono"), None)
                return
            form = CONTAINERS[target.suffix.lower()]
            with av.open(str(unfinished), "w", format=form) as out, open_media(source) as container:
                picture = _Picture.of(container, out, origin, source, target)
                track = out.add_stream("aac", rate=RATE, layout="mono", bit_rate=_AAC_BITS)
                yield from _written(out, track, picture)
        except FFmpegError as error:
            if isinstance(error, OSError):  # a full disk, which the door has words for
                raise
            why = error.strerror or error
            raise Refused(f"cannot write {target}: {why}; as .wav the sound alone can be written") from error


def _written(out: Any, track: Any, picture: _Picture | None) -> Iterator[Resounding]:
    writing = Resounding(out, track, picture)
    yield writing
    out.mux(track.encode(None))
    if picture is not None:
        picture.write_until(math.inf)


def _alone(target: Path) -> bool:
    return target == STDOUT or target.suffix.lower() == ".wav"


class _Picture:
    """The picture of one file on its way into another."""

    def __init__(self, packets: Iterator[Any], stream: Any, out: Any, origin: float) -> None:
        self.packets, self.out = packets, out
        self.target = out.add_stream_from_template(stream)
        self.shift = round(origin / stream.time_base)
        self.waiting: Any = None

    @staticmethod
    def of(container: Any, out: Any, origin: float, source: Path, target: Path) -> _Picture:
        """The picture of an opened file; refused where there is none that the new one could hold."""
        stream = picture_stream(container)
        if stream is None:
            raise Refused(f"{source} has no picture to copy: end the name of the output in .wav")
        codec = stream.codec_context.name
        if codec not in out.supported_codecs:
            others = ".wav" if target.suffix.lower() == ".mkv" else ".mkv or .wav"
            raise Refused(f"{target.suffix} cannot hold the picture of {source}, which is in {codec}: give {others}")
        return _Picture(container.demux(stream), stream, out, origin)

    def write_until(self, seconds: float) -> None:
        """Write what is decoded before `seconds`."""
        while True:
            packet = self.waiting or next(self.packets, None)
            self.waiting = None
            if packet is None:
                return
            if packet.size == 0:  # the end, as demuxers say it
                continue
            time = packet.pts if packet.dts is None else packet.dts
            if time is not None and float((time - self.shift) * packet.time_base) >= seconds:
                self.waiting = packet
                return
            packet.pts = None if packet.pts is None else packet.pts - self.shift
            packet.dts = None if packet.dts is None else packet.dts - self.shift
            packet.stream = self.target
            self.out.mux(packet)
