"""Sound as 16 kHz mono, exactly 640 samples for every frame, and FLAC in memory."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import numpy as np
from av.codec.context import Flags
from av.error import FFmpegError

from ..records import FPS, RATE, SAMPLES_PER_FRAME, Unusable
from .container import UNINDEXED, open_media, picture_stream, spare_memory

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.audio.stream import AudioStream
    from av.container import InputContainer

_JUMP = 0.04  # seconds by which a packet's time may differ from the end of the one before: clocks round, muxers jitter
_MAX_GAP = 10.0  # seconds of silence put in for a gap in the times; beyond that the clock is broken and not believed
_MAX_BACK = 1.0  # seconds by which later sound may lie over earlier: further back a clock began again, as the picture's
_MAX_BROKEN = 0.05  # share of the packets that may fail to decode: their place stays silent
_SEEK_FROM = 3.0  # seconds, as for the picture
_SEEK_MARGIN = 1.0
_BLOCK = 4608  # samples a FLAC frame, the encoder's own choice at this rate


@dataclass(frozen=True, slots=True)
class Sound:
    """The sound of a clip, cut or padded to its frames, and how well the two went together."""

    samples: np.ndarray  # int16, 640 a frame
    difference: float  # seconds by which the sound was longer than the picture (negative: shorter) before that
    lead: float  # seconds of silence put in front because the sound begins after the picture
    gaps: int  # times that the clock of the sound jumped
    broken: int  # packets that could not be decoded

    def notes(self) -> dict[str, int | float]:
        """What was odd but usable, for a clip's record; empty for ordinary sound."""
        found: dict[str, int | float] = {}
        if abs(self.difference) > 2 / FPS:
            found["sound_longer_frames"] = round(self.difference * FPS, 1)
        if self.lead > 1 / FPS:
            found["sound_starts_late"] = round(self.lead, 3)
        if self.gaps:
            found["sound_gaps"] = self.gaps
        if self.broken:
            found["sound_broken_packets"] = self.broken
        return found


def read_sound(
    path: Path, frames: int, start: float = 0.0, end: float | None = None, video: float | None = None
) -> Sound | None:
    """The sound that belongs to `frames` frames from `start`; None where the file has no sound.

    `start` and `end` are seconds from the first frame of the picture. `video` is where that frame stands on this file's
    clock (`VideoInfo.origin`); left out, it is where the file's own picture starts, and in a pure sound file its
    first sample. With an `end` the sound behind it is another clip's and does not count as a difference. Channels are
    mixed to one by libswresample (two are averaged). "damaged" if more than 5 % of the packets are broken.
    """
    with open_media(Path(path)) as container:
        if not container.streams.audio:
            return None
        stream = container.streams.audio[0]
        reader = _Reader(stream, _beginning(container, stream, video) + start)
        samples = np.zeros(frames * SAMPLES_PER_FRAME, np.int16)
        seek = start > _SEEK_FROM and container.format.name not in UNINDEXED
        for place, piece in reader.pieces(container, seek):
            left, right = max(place, 0), min(place + len(piece), len(samples))
            if left < right:
                samples[left:right] = piece[left - place : right - place]
            elif place >= len(samples) and end is not None:
                break
    if reader.packets == reader.broken == 0:
        return None
    reader.check()
    difference = max(reader.finish, 0.0) - frames / FPS
    return Sound(
        samples=samples,
        difference=difference if end is None else min(difference, 0.0),
        lead=max(reader.lead, 0.0),
        gaps=reader.gaps,
        broken=reader.broken,
    )


def sound_by_frames(path: Path, video: float | None = None, fill: bool = True) -> Iterator[np.ndarray]:
    """The sound of a whole file, 640 samples a frame, in memory that does not grow with its length.

    The samples and `video` are those of `read_sound`. The last frame is filled with silence, or where `fill` is false
    it has the samples that there are. Nothing comes where the file has no sound.
    """
    with open_media(Path(path)) as container:
        if not container.streams.audio:
            return
        stream = container.streams.audio[0]
        reader = _Reader(stream, _beginning(container, stream, video))
        held, first = np.zeros(0, np.int16), 0  # what is not given yet, and the place of its first sample
        for place, piece in reader.pieces(container, seek=False):
            settled = max(place - first - round(_MAX_BACK * RATE), 0)  # no later piece reaches back before it
            whole = settled // SAMPLES_PER_FRAME * SAMPLES_PER_FRAME
            held = np.pad(held, (0, max(place + len(piece) - first - len(held), 0)))
            left = max(place - first, 0)
            right = max(place + len(piece) - first, 0)
            held[left:right] = piece[len(piece) - (right - left) :]
            yield from held[:whole].reshape(-1, SAMPLES_PER_FRAME)
            held, first = held[whole:], first + whole
        reader.check()
        held = np.pad(held, (0, -len(held) % SAMPLES_PER_FRAME)) if fill else held
        for place in range(0, len(held), SAMPLES_PER_FRAME):
            yield held[place : place + SAMPLES_PER_FRAME]


def _beginning(container: InputContainer, stream: AudioStream, video: float | None) -> float:
    """Where the first frame stands on the file's clock."""
    if video is not None:
        return video
    picture = picture_stream(container)
    own = picture if picture is not None else stream
    return float((own.start_time or 0) * (own.time_base or 0))


class _Reader:
    """Decodes and resamples one stream of sound, and keeps count of what went wrong on the way."""

    def __init__(self, stream: AudioStream, origin: float) -> None:
        self.stream = stream
        self.origin = origin  # seconds on the file's clock that become sample 0
        self.packets = self.broken = self.gaps = 0
        self.lead = 0.0
        self.finish = 0.0  # seconds from the origin

    def check(self) -> None:
        """Raise "damaged" if too many packets were broken."""
        if self.broken > _MAX_BROKEN * self.packets:
            raise Unusable("damaged", f"{self.broken} of {self.packets} packets of sound could not be decoded")

    def pieces(self, container: InputContainer, seek: bool) -> Iterator[tuple[int, np.ndarray]]:
        """Runs of int16 samples at 16 kHz, each with the place of its first one.

        Where the clock of the sound and the count of its samples part, the clock is followed: a gap is left between two
        pieces, or the later one lies over the end of the earlier.
        """
        base = float(self.stream.time_base or 0)
        resampler, place, shape = None, 0, None
        expected: float | None = None
        for frame in self._sought(container, base) if seek else self._frames(container):
            time = None if frame.pts is None else frame.pts * base - self.origin
            if expected is None:
                expected = self.lead = time or 0.0
                place = round(expected * RATE)
            jump = 0.0 if time is None else time - expected
            if abs(jump) > _JUMP:
                self.gaps += 1
            # Beyond these bounds the times are wrong, the samples are not.
            jumped = _JUMP < jump < _MAX_GAP or _JUMP < -jump < _MAX_BACK
            if resampler is None or jumped or shape != (frame.format.name, frame.layout.name, frame.sample_rate):
                for piece in _resampled(resampler, None):
                    yield place, piece
                    place += len(piece)
                if jumped:
                    expected += jump
                    place = round(expected * RATE)
                resampler = av.AudioResampler("s16", "mono", RATE)
                shape = frame.format.name, frame.layout.name, frame.sample_rate
            for piece in _resampled(resampler, frame):
                yield place, piece
                place += len(piece)
            expected += frame.samples / frame.sample_rate
            self.finish = expected
        for piece in _resampled(resampler, None):
            yield place, piece
            place += len(piece)

    def _sought(self, container: InputContainer, base: float) -> Iterator[AudioFrame]:
        """The frames from a little before the origin; from the very first where seeking does not lead there."""
        try:
            container.seek(int((self.origin - _SEEK_MARGIN) / base), stream=self.stream)
        except (FFmpegError, OverflowError):  # the second: a clock that begins at the end of its 64 bits
            yield from self._frames(container)  # nothing was read yet
            return
        frames = self._frames(container)
        first = next(frames, None)
        if first is None or first.pts is None or first.pts * base > self.origin:
            container.seek(self.stream.start_time or 0, stream=self.stream)
            yield from self._frames(container)
            return
        yield first
        yield from frames

    def _frames(self, container: InputContainer) -> Iterator[AudioFrame]:
        packets = container.demux(self.stream)
        while True:
            try:
                packet = next(packets)
                self.packets += packet.size > 0
                frames = self.stream.decode(packet)
            except StopIteration:
                return
            except FFmpegError as error:
                spare_memory(error)
                self.broken += 1
                continue
            yield from frames


def _resampled(resampler: av.AudioResampler | None, frame: AudioFrame | None) -> Iterator[np.ndarray]:
    try:
        pieces = resampler.resample(frame) if resampler is not None else []
    except FFmpegError as error:
        spare_memory(error)
        raise Unusable("damaged", f"the sound cannot be resampled: {error.strerror}") from None
    for out in pieces:
        memory: Any = out.planes[0]
        yield np.frombuffer(memory, np.int16, out.samples)


def encode_flac(samples: np.ndarray) -> bytes:
    """16 kHz mono int16 as FLAC; the same bytes for the same samples."""
    memory = io.BytesIO()
    options = {"fflags": "+bitexact", "metadata_header_padding": "0"}
    with av.open(memory, "w", format="flac", container_options=options) as container:
        stream = container.add_stream("flac", rate=RATE, layout="mono", format="s16")
        stream.codec_context.flags |= Flags.bitexact
        for place in range(0, len(samples), _BLOCK):
            block = np.ascontiguousarray(samples[None, place : place + _BLOCK], np.int16)
            frame = av.AudioFrame.from_ndarray(block, "s16", "mono")
            frame.sample_rate = RATE
            frame.pts = place
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return memory.getvalue()


def decode_flac(data: bytes) -> np.ndarray:
    """The int16 samples of `encode_flac`. Broken data raises `Unusable`."""
    try:
        with av.open(io.BytesIO(data), "r", format="flac", metadata_errors="replace") as container:
            announced = container.streams.audio[0].duration or 0
            blocks = []
            for frame in container.decode(audio=0):
                form = frame.sample_rate, frame.layout.name, frame.format.name
                if form != (RATE, "mono", "s16"):
                    raise Unusable("damaged", f"a FLAC of {', '.join(map(str, form))}, not of {RATE}, mono, s16")
                blocks.append(frame.to_ndarray()[0])
    except (FFmpegError, IndexError) as error:
        raise Unusable("damaged", f"a FLAC of {len(data)} bytes: {error}") from None
    samples = np.concatenate([np.zeros(0, np.int16), *blocks])
    if len(samples) != announced or not data.startswith(b"fLaC"):
        raise Unusable("damaged", f"{len(samples)} of {announced} samples could be read")
    return samples
