"""A video written again: new frames at 25 a second, the sound of the old one."""

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
from ..records import FPS, Misused, Refused
from .container import open_media
from .video import VideoInfo

CONTAINERS = {".mp4": "mp4", ".mov": "mov", ".mkv": "matroska"}  # what is written, by the suffix of its name
_BT601, _LIMITED = 6, 1  # AVCOL_SPC_SMPTE170M, AVCOL_RANGE_MPEG
_AAC_RATE = 48_000
_LEAD = 0.1  # seconds of sound kept before the first picture: decoders need a packet or two to start from


def check_rewrite(source: Path, target: Path, ours: Ours = nothing) -> None:
    """Refuse a file that cannot be the rewritten `source`, or would take the place of another."""
    if target == STDOUT:
        raise Misused("a video cannot go to standard output: give the name of a file")
    if target.suffix.lower() not in CONTAINERS:
        raise Misused(f"{target} must end in one of {', '.join(CONTAINERS)}")
    if target.exists() and source.exists() and target.samefile(source):
        raise Misused(f"{target} would overwrite the video that is read: give another name")
    check_target(target, ours)


@dataclass(slots=True)
class Rewriting:
    """A video being written."""

    out: Any
    stream: Any
    track: _Sound | _Silence
    frames: int = 0  # so far

    @property
    def sound(self) -> str:
        """What becomes of the sound: "kept", "encoded again" (the container cannot hold it as it was) or "none"."""
        return self.track.how

    def add(self, rgb: np.ndarray) -> None:
        """The next frame, and what sounds until its end."""
        self.out.mux(self.stream.encode(_as_frame(rgb, self.frames, self.stream.pix_fmt)))
        self.frames += 1
        self.track.write_until(self.frames / FPS)


@contextmanager
def rewrite(source: Path, target: Path, info: VideoInfo, crf: int, ours: Ours = nothing) -> Iterator[Rewriting]:
    """Write upright frames of the size of `source`, whose `info` this is, with its sound. `target` is there when whole.

    `crf` is x264's quality, lower is better. One thread and no mbtree make the bytes repeatable.
    """
    check_rewrite(source, target, ours)
    with whole(target, ours) as unfinished:
        try:
            form = CONTAINERS[target.suffix.lower()]
            with av.open(str(unfinished), "w", format=form) as out, _sound(source, out, info.origin) as track:
                stream = _video_stream(out, info.width, info.height, crf)
                writing = Rewriting(out, stream, track)
                yield writing
                out.mux(stream.encode(None))
                track.finish()
        except FFmpegError as error:
            if isinstance(error, OSError):  # a full disk, which the door has words for
                raise
            raise Refused(f"cannot write {target}: {error.strerror or error}") from error


def _video_stream(out: Any, width: int, height: int, crf: int) -> Any:
    halved = width % 2 == 0 and height % 2 == 0  # 4:2:0 plays anywhere, but has no odd sizes
    pixels = "yuv420p" if halved else "yuv444p"
    options = {"preset": "veryfast", "crf": str(crf), "x264-params": "mbtree=0"}
    stream = out.add_stream("libx264", rate=FPS, options=options, width=width, height=height, pix_fmt=pixels)
    stream.codec_context.thread_count = 1
    stream.codec_context.color_range = _LIMITED
    stream.codec_context.colorspace = _BT601
    return stream


def _as_frame(rgb: np.ndarray, number: int, pixels: str) -> av.VideoFrame:
    frame = av.VideoFrame.from_ndarray(rgb, "rgb24")
    frame = frame.reformat(format=pixels, dst_colorspace="ITU601", dst_color_range="MPEG")
    frame.pts, frame.time_base = number, Fraction(1, FPS)
    return frame


class _Sound:
    """The sound of one file on its way into another, as it is where the container can hold it, else as AAC."""

    def __init__(self, packets: Iterator[Any], stream: Any, out: Any, origin: float) -> None:
        self.packets, self.stream, self.out = packets, stream, out
        self.origin = origin  # seconds on the file's clock at which the picture begins
        self.copied = stream.codec_context.name in out.supported_codecs
        self.how = "kept" if self.copied else "encoded again"
        if self.copied:
            self.target = out.add_stream_from_template(stream)
        else:
            layout = "mono" if stream.channels == 1 else "stereo"
            self.target = out.add_stream("aac", rate=_AAC_RATE, layout=layout)
            self.resampler = av.AudioResampler("fltp", layout, _AAC_RATE)
        self.waiting: Any = None

    def write_until(self, seconds: float) -> None:
        """Write what sounds before `seconds` of the picture."""
        while True:
            packet = self.waiting or next(self.packets, None)
            self.waiting = None
            if packet is None:
                return
            if packet.pts is None:
                continue
            shift = round(self.origin / packet.time_base)
            begin = float((packet.pts - shift) * packet.time_base)
            if begin >= seconds:
                self.waiting = packet
                return
            if begin < -_LEAD:
                continue
            self._write(packet, shift)

    def _write(self, packet: Any, shift: int) -> None:
        if self.copied:
            packet.pts -= shift
            packet.dts = packet.pts
            packet.stream = self.target
            self.out.mux(packet)
        else:
            for frame in packet.decode():
                if frame.pts is not None:
                    frame.pts -= shift
                self._encode(frame)

    def finish(self) -> None:
        """Write the rest."""
        self.write_until(math.inf)
        if not self.copied:
            self._encode(None)
            self.out.mux(self.target.encode(None))

    def _encode(self, frame: Any) -> None:
        for resampled in self.resampler.resample(frame):
            self.out.mux(self.target.encode(resampled))


class _Silence:
    how = "none"

    def write_until(self, seconds: float) -> None:
        """Nothing."""

    def finish(self) -> None:
        """Nothing."""


@contextmanager
def _sound(source: Path, out: Any, origin: float) -> Iterator[_Sound | _Silence]:
    with open_media(source) as container:
        if not container.streams.audio or container.streams.audio[0].codec_context is None:
            yield _Silence()
            return
        stream = container.streams.audio[0]
        yield _Sound(container.demux(stream), stream, out, origin)
