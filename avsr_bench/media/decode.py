"""Decoding the picture stream of one file: frames with their times, and a tally of all that went wrong.

Errors are counted, not raised: a video with a damaged frame is still of use, and one with many gets one clear sentence.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from av.error import FFmpegError

from ..records import Unusable
from .container import spare_memory

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

MAX_LOST = 2  # frames that may be missing or corrupt before a video counts as damaged
MAX_GAP = 10.0  # seconds without a new frame that are filled by holding the last one: more is a broken clock

Timed = tuple[float, float, "VideoFrame"]  # time and duration in seconds, from the video's first frame


@dataclass(slots=True)
class Tally:
    """What one pass over a picture stream met."""

    frames: int = 0  # decoded
    corrupt: int = 0  # decoded, but flagged as corrupt by the decoder
    errors: int = 0  # packets that gave an error in place of a frame
    trouble: int = -9  # number of the frame at which the last error or corruption was met
    hidden: int = 0  # packets that are not meant to show a frame: cut off by an edit list, or repeats
    untimed: int = 0  # frames whose time was missing, or not after the one before
    interlaced: int = 0
    shortest: float = float("inf")  # seconds between two frames
    longest: float = 0.0
    finish: float = 0.0  # end of the last frame, in seconds
    ended: bool = False  # the file was read to its end
    sought: bool = False  # it was not read from its beginning

    def notes(self) -> dict[str, int | float]:
        """What was odd but usable, for a clip's record; empty for an ordinary video."""
        notes: dict[str, int | float] = {}
        if self.corrupt + self.errors:
            notes["corrupt_frames"] = self.corrupt + self.errors
        if self.untimed:
            notes["untimed_frames"] = self.untimed
        if self.interlaced:
            notes["interlaced_frames"] = self.interlaced
        if self.longest > 1.5 * self.shortest + 0.002:  # a variable rate, or frames left out; clocks round to 1 ms
            notes["longest_frame"] = round(self.longest, 3)
        return notes


def single_threaded(stream: VideoStream) -> None:
    """Decode with one thread: one clip a worker, so that threads of a decoder only get in each other's way."""
    stream.codec_context.thread_count = 1


def decode(container: InputContainer, stream: VideoStream, tally: Tally) -> Iterator[VideoFrame]:
    """The frames of a picture stream in the order they are shown."""
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets)
        except StopIteration:
            break
        except FFmpegError as error:  # the container itself cannot be read on
            spare_memory(error)
            tally.errors += 1
            tally.trouble = tally.frames
            break
        if packet.is_discard or (packet.size == 0 and packet.dts is not None):
            tally.hidden += 1
        try:
            frames = stream.decode(packet)
        except FFmpegError as error:
            spare_memory(error)
            tally.errors += 1
            tally.trouble = tally.frames
            continue
        for frame in frames:
            tally.frames += 1
            if frame.is_corrupt:
                tally.corrupt += 1
                tally.trouble = tally.frames
            tally.interlaced += frame.interlaced_frame
            yield frame
    tally.ended = True


def with_times(
    frames: Iterator[VideoFrame], base: float, origin: float, period: float, start: float, tally: Tally
) -> Iterator[Timed]:
    """Each frame with its time and duration in seconds from `origin`, rising whatever the file says.

    `base` is the seconds of one tick, `period` those of one frame at the announced rate: it stands in where a time is
    missing or does not rise (broken muxers, clocks that start again), and for the last frame's duration. What went
    wrong before `start` is forgotten: it belongs to no frame of this clip.
    """
    last: float | None = None
    for frame in frames:
        time = None if frame.pts is None else frame.pts * base - origin
        if time is None or (last is not None and time <= last):
            tally.untimed += 1
            time = 0.0 if last is None else last + period
        if time + period < start:
            tally.corrupt = tally.errors = 0
        if last is not None:
            step = time - last
            if step > MAX_GAP:
                raise Unusable("damaged", f"no picture for {step:.1f} s after {last:.2f} s")
            tally.shortest, tally.longest = min(tally.shortest, step), max(tally.longest, step)
        duration = frame.duration * base
        last, tally.finish = time, time + (duration if 0 < duration <= MAX_GAP else period)
        yield time, tally.finish - time, frame


def check_whole(tally: Tally, announced: int | None) -> None:
    """Raise "damaged" if more than `MAX_LOST` frames were corrupt, or missing from the `announced` number.

    A stream that announces nothing (MPEG-1, MPEG-TS, FLV with sound) and is broken at its very end was cut off there:
    by how much cannot be known.
    """
    missing = 0 if announced is None else max(0, announced - tally.frames)
    if max(missing, tally.errors) + tally.corrupt > MAX_LOST:
        total = tally.frames + max(missing, tally.errors)
        raise Unusable("damaged", f"{tally.frames - tally.corrupt} of {total} frames could be read")
    if announced is None and tally.ended and tally.frames - tally.trouble <= 2:  # B-frames show the last packet early
        raise Unusable("damaged", f"breaks off within a frame, after {tally.finish:.2f} s and {tally.frames} frames")
