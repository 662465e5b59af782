"""Noise on a video file: full frames in, full frames out, the sound kept."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.error import FFmpegError

from .. import media, noise
from ..media.container import open_media
from ..records import FPS, Misused, Refused, Unusable, draws, make_key

# Nearly lossless, for what the encoder loses is not the noise that was asked for. One thread and no mbtree make it
# repeatable.
_OPTIONS = {"preset": "veryfast", "crf": "8", "x264-params": "mbtree=0"}
_SUFFIXES = (".mp4", ".mov", ".mkv")
_BT601, _LIMITED = 6, 1  # AVCOL_SPC_SMPTE170M, AVCOL_RANGE_MPEG
_AAC_RATE = 48_000
_LEAD = 0.1  # seconds of sound kept before the first picture: decoders need a packet or two to start from
_CHUNK_BYTES = 16 << 20  # of frames held at once: memory does not grow with length


@dataclass(frozen=True, slots=True)
class HarmedVideo:
    """What was written."""

    frames: int
    width: int
    height: int
    sound: str  # "kept", "encoded again" (the container cannot hold it as it was), "none"


def harm_video(
    source: Path,
    target: Path,
    family: str,
    level: int,
    seed: int = 0,
    report: Callable[[float, float | None], None] = lambda done, total: None,
) -> HarmedVideo:
    """Write `source` with noise on its full frames, as `prep --noise` harms them: upright, 25 a second.

    The draw is that of (seed, name of the file without its extension, family). `report` hears how many seconds are done
    and how many the video says it has. `target` is there when it is whole.
    """
    noise.check(family, level)
    if target.suffix.lower() not in _SUFFIXES:
        raise Misused(f"{target} must end in one of {', '.join(_SUFFIXES)}")
    if target.exists() and source.exists() and target.samefile(source):
        raise Misused(f"{target} would overwrite the video that is read: give another name")
    rng = draws(seed, make_key(source.stem), family)
    unfinished = target.with_name(f".{target.stem}.unfinished{target.suffix}")
    try:
        written = _write(source, unfinished, family, level, rng, report)
        unfinished.replace(target)
    except Unusable as unusable:
        raise Refused(f"{source} cannot be used: {unusable}") from None
    except (OSError, FFmpegError) as error:
        raise Refused(f"cannot write {target}: {error.strerror or error}") from error
    finally:
        unfinished.unlink(missing_ok=True)
    return written


def _write(
    source: Path,
    target: Path,
    family: str,
    level: int,
    rng: np.random.Generator,
    report: Callable[[float, float | None], None],
) -> HarmedVideo:
    video = media.Video(source, keep_bytes=0)
    info = video.info
    shape = (info.height, info.width, 3)
    harm = noise.begin(family, level, rng, shape, "frame")
    pictures = (picture.rgb() for picture in video)
    step = max(1, _CHUNK_BYTES // (info.width * info.height * 3))
    done = 0
    with av.open(str(target), "w") as out, _sound(source, out, info.origin) as sound:
        stream = _video_stream(out, info.width, info.height)
        while chunk := list(islice(pictures, step)):
            for frame in harm(np.stack(chunk)):
                out.mux(stream.encode(_as_frame(frame, done, stream.pix_fmt)))
                done += 1
            sound.write_until(done / FPS)
            report(done / FPS, info.seconds)
        out.mux(stream.encode(None))
        sound.finish()
    return HarmedVideo(done, info.width, info.height, sound.how)


def _video_stream(out: Any, width: int, height: int) -> Any:
    halved = width % 2 == 0 and height % 2 == 0  # 4:2:0 plays anywhere, but has no odd sizes
    pixels = "yuv420p" if halved else "yuv444p"
    stream = out.add_stream("libx264", rate=FPS, options=_OPTIONS, width=width, height=height, pix_fmt=pixels)
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
