"""Video files as a source of upright frames at a constant 25 a second."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, dropwhile
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from av.error import FFmpegError

from ..records import FPS, LONGEST, Progress, Unusable
from .clock import constant_rate, frame_count
from .container import UNINDEXED, open_media, picture_stream
from .decode import Tally, Timed, check_whole, decode, single_threaded, with_times
from .frames import to_picture, upright_of
from .picture import Matrix, Picture, Upright

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

T = TypeVar("T")
MIN_SIDE = 8  # pixels; nothing smaller shows a face
END_SLACK = 0.5  # seconds by which a clip may end after the video: word times are rounded, and run over
_SEEK_FROM = 3.0  # seconds into a video from which seeking costs less than decoding up to there
_SEEK_MARGIN = 1.0  # seconds before the start to aim at: seeking is inexact, decoding again is cheap


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """What a video file says of itself, and what its first frame shows."""

    width: int  # of the upright picture with square pixels
    height: int
    fps: float  # average rate announced
    frames: int | None  # announced; None where the container keeps no count
    seconds: float | None  # announced length of the picture
    origin: float  # seconds at which the first frame stands on the file's clock
    rotation: int  # degrees clockwise by which the stored picture is turned
    codec: str
    pixel_format: str
    matrix: Matrix
    full_range: bool
    has_sound: bool


def probe(path: Path) -> VideoInfo:
    """What a video is, after decoding its first frame only. Raises `Unusable` where it is none."""
    return Video(path).info


class Video:
    """A frame source: the pictures of `path` from `start` to `end` at 25 a second, as often as they are wanted.

    `start` and `end` are seconds from the video's first frame. The first pass decodes, and keeps the pictures as long
    as they fit in `keep_bytes`; later passes come from memory, or decode again where they did not fit, so that memory
    does not grow with length. A video that cannot be used raises `Unusable`, from `info` or while it is read: pictures
    before a break are yielded first, so a pass is only good once it has come to its end::

        video = Video(Path("clip.mp4"))
        mouths = [picture.warp(matrix, 96) for picture in video]
    """

    def __init__(self, path: Path, start: float = 0.0, end: float | None = None, keep_bytes: int = 128 << 20) -> None:
        if not 0 <= start <= LONGEST or (end is not None and not start < end <= LONGEST):
            raise Unusable("bad-times", f"from {start:g} s to {end if end is None else f'{end:g}'} s")
        self.path = Path(path)
        self.start = start
        self.end = end
        self.keep_bytes = keep_bytes
        self.frames: int | None = None  # pictures of a pass, once one has come to its end
        self.notes: dict[str, int | float] = {}  # what was odd but usable in that pass
        self._info: VideoInfo | None = None
        self._upright: Upright | None = None
        self._size = (0, 0)  # of the stored picture
        self._kept: list[Picture] | None = None
        self._begun: Iterator[Timed] | None = None  # a reading of which `info` took the first frame
        self._tally = Tally()

    @property
    def info(self) -> VideoInfo:
        """What the video is; decodes the first frame if none was decoded yet."""
        if self._info is None:
            reading = self._read(seek=False)
            # The first pass continues here: opening a file and its decoder again costs as much as nine frames.
            self._begun = chain([next(reading)], reading)
        assert self._info is not None
        return self._info

    def fits(self, seconds: float | None) -> bool:
        """Whether so many seconds of its pictures are kept after a pass; not where nobody knows how many there are."""
        size = self.info.width * self.info.height * 3 // 2  # of 4:2:0, which nearly all video is
        return seconds is not None and frame_count(seconds) * size <= self.keep_bytes

    def __iter__(self) -> Iterator[Picture]:
        if self._kept is not None:
            yield from self._kept
            return
        kept: list[Picture] | None = []
        count = held = 0
        last: VideoFrame | None = None
        for frame in constant_rate(self._timed(), self.start, self.end):
            if frame is not last:
                picture, last = self._picture(frame), frame
                held += picture.nbytes
                if held > self.keep_bytes:
                    kept = None
            if kept is not None:
                kept.append(picture)
            count += 1
            yield picture
        self._judge()
        self._kept, self.frames, self.notes = kept, count, self._tally.notes()

    def _timed(self) -> Iterator[Timed]:
        """The frames with their times, from `start` or a little before it."""
        begun, self._begun = self._begun, None
        if self.start > _SEEK_FROM:
            found = self._read(seek=True)
            first = next(found, None)
            if first is not None and first[0] <= self.start:
                yield first
                yield from found
                return
        yield from begun or self._read(seek=False)

    def _read(self, seek: bool) -> Iterator[Timed]:
        with open_media(self.path) as container:
            stream = picture_stream(container)
            if stream is None:
                raise Unusable("no-video-stream", f"{self.path.name} holds {container.format.long_name}")
            if stream.codec_context is None:
                raise Unusable("not-video", f"{self.path.name} is in a video codec that FFmpeg cannot decode")
            single_threaded(stream)
            self._tally = Tally()
            frames = decode(container, stream, self._tally)
            first = next(frames, None)
            if first is None:
                raise Unusable("no-frames", f"0 of {stream.frames or '?'} frames, {self._tally.errors} decoding errors")
            if self._info is None:
                self._info, self._upright = _describe(container, stream, first)
                self._size = first.width, first.height
            base, origin = float(stream.time_base or 0), self._info.origin
            if seek:
                if container.format.name in UNINDEXED:
                    return
                try:
                    container.seek(int((origin + self.start - _SEEK_MARGIN) / base), stream=stream)
                except (FFmpegError, OverflowError):  # the second: a clock that begins at the end of its 64 bits
                    return
                self._tally = Tally(sought=True)
                frames = dropwhile(lambda frame: not frame.key_frame, decode(container, stream, self._tally))
                first = next(frames, None)
                if first is None or first.pts is None:
                    return
            frames = chain([first], frames)
            yield from with_times(frames, base, origin, 1 / self._info.fps, self.start, self._tally)

    def _picture(self, frame: VideoFrame) -> Picture:
        assert self._info is not None and self._upright is not None
        if (frame.width, frame.height) != self._size:
            old, new = "x".join(map(str, self._size)), f"{frame.width}x{frame.height}"
            raise Unusable("damaged", f"the picture changes its size from {old} to {new}")
        return to_picture(frame, self._upright, self._info.codec)

    def _judge(self) -> None:
        """Raise if the pass just ended lost frames, or if the video ends before `start` or well before `end`."""
        tally, info = self._tally, self.info
        announced: int | None = None
        if tally.ended:
            if info.frames is not None and not tally.sought:
                announced = info.frames - tally.hidden
            elif info.seconds is not None:
                announced = tally.frames + round((info.seconds - tally.finish) * info.fps)
        check_whole(tally, announced)
        outside = self.start >= tally.finish or (self.end is not None and tally.finish < self.end - END_SLACK)
        if tally.ended and outside:
            raise Unusable("bad-times", f"from {self.start} s to {self.end} s, in a video of {tally.finish:.2f} s")


@dataclass(frozen=True, slots=True)
class Counted:
    """The pictures of a video, as often as they are wanted: each pass is work of its own, counted in seconds."""

    video: Video
    what: str
    progress: Progress

    def __iter__(self) -> Iterator[Picture]:
        announced = self.video.info.seconds
        frames = self.video.frames or (0 if announced is None else frame_count(announced))
        yield from counted(self.video, f"{self.video.path.name}: {self.what}", frames, self.progress)


def counted(items: Iterable[T], what: str, frames: int, progress: Progress) -> Iterator[T]:
    """Items, one a frame, while their seconds are shown as progress; nothing is shown of 0 `frames`: nobody knows."""
    if frames:
        progress.begin(what, max(frames // FPS, 1), "s")
    started = time.monotonic()
    for done, item in enumerate(items, 1):
        yield item
        if done % FPS == 0 and done <= frames:
            speed = done / FPS / max(time.monotonic() - started, 1e-3)
            progress.step(None, f"{speed:.0f}x real time")


def _describe(container: InputContainer, stream: VideoStream, first: VideoFrame) -> tuple[VideoInfo, Upright]:
    """What is known of a video once its first frame is decoded."""
    aspect = float(stream.sample_aspect_ratio or 1)
    upright, rotation = upright_of(first, aspect)
    if min(upright.width, upright.height) < MIN_SIDE:
        raise Unusable("too-small", f"the picture has {upright.width}x{upright.height} pixels")
    picture = to_picture(first, upright, stream.codec_context.name)
    origin = (first.pts or 0) * float(stream.time_base or 0)
    fps = float(stream.average_rate or stream.guessed_rate or FPS)
    return VideoInfo(
        width=upright.width,
        height=upright.height,
        fps=fps if 0.1 <= fps <= 1000 else float(FPS),
        frames=_announced_frames(stream),
        seconds=_announced_seconds(container, stream, origin),
        origin=origin,
        rotation=rotation,
        codec=stream.codec_context.name,
        pixel_format=first.format.name,
        matrix=picture.matrix,
        full_range=picture.full_range,
        has_sound=len(container.streams.audio) > 0,
    ), upright


def _announced_frames(stream: VideoStream) -> int | None:
    tag = stream.metadata.get("NUMBER_OF_FRAMES", "")  # Matroska's statistics
    return stream.frames or (int(tag) if tag.isdecimal() else None)


def _announced_seconds(container: InputContainer, stream: VideoStream, origin: float) -> float | None:
    """The length of the picture, or of the whole file where that has no sound which might be longer."""
    if container.format.name in UNINDEXED or container.format.name == "mpegts":
        return None
    if stream.duration is not None:
        return float(stream.duration * (stream.time_base or 0))
    tag = stream.metadata.get(
        "DURATION", ""
    )  # Matroska's "00:01:02.340000000": where the track ends on the file's clock
    if re.fullmatch(r"\d+:\d\d:\d\d(\.\d+)?", tag):
        hours, minutes, seconds = map(float, tag.split(":"))
        return hours * 3600 + minutes * 60 + seconds - max(origin, 0.0)
    if container.duration is not None and not container.streams.audio:
        return container.duration / 1e6 - max(origin, 0.0)
    return None
