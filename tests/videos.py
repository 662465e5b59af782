"""Videos made for tests: every odd kind of file, written through real codecs, each frame carrying its own number."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

BITS = 12  # of the number in a frame, drawn as 4x3 blocks


def numbered(number: int, width: int = 96, height: int = 72) -> np.ndarray:
    """A grey frame that shows `number` (below 4096) as twelve blocks, dark for 0 and bright for 1."""
    bits = (number >> np.arange(BITS)) & 1
    rows, columns = np.arange(height) * 3 // height, np.arange(width) * 4 // width
    return np.where(bits.reshape(3, 4)[rows[:, None], columns[None, :]] == 1, 200, 60).astype(np.uint8)


def number_of(grey: np.ndarray) -> int:
    """The number that a frame of `numbered` shows, at any size."""
    height, width = grey.shape
    rows, columns = (np.arange(3) * 2 + 1) * height // 6, (np.arange(4) * 2 + 1) * width // 8
    return int((grey[rows[:, None], columns[None, :]].ravel() > 128) @ (1 << np.arange(BITS)))


def scene(number: int, width: int = 320, height: int = 240) -> np.ndarray:
    """A colourful RGB frame without sharp edges, moving with `number`; its colours lie well inside every gamut."""
    y, x = np.mgrid[0:height, 0:width] / np.array([height, width]).max()
    phase = number * 0.1
    waves = [np.sin(7 * x + 3 * y + phase), np.cos(5 * x - 6 * y + phase), np.sin(4 * x + 8 * y - phase)]
    return (128 + 45 * np.stack(waves, axis=-1)).astype(np.uint8)


def tone(seconds: float, rate: int = 44_100, pitch: float = 300.0) -> np.ndarray:
    """A sine as int16 samples."""
    return (8000 * np.sin(2 * np.pi * pitch * np.arange(round(seconds * rate)) / rate)).astype(np.int16)


def write_video(
    path: Path,
    pictures: Iterable[np.ndarray | av.VideoFrame],
    *,
    rate: float | Fraction = 25,
    times: Sequence[float] | None = None,  # seconds of every frame, for a variable rate or a late start
    tick: Fraction | None = None,  # of `times`
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    options: dict[str, str] | None = None,
    sound: np.ndarray | None = None,  # int16, N or channels, N
    sound_start: float = 0.0,
    sound_codec: str = "aac",
    sound_rate: int = 44_100,
    rotation: int | None = None,  # degrees counter-clockwise in the display matrix
    flip: bool = False,
    matrix: int | None = None,  # H.273 matrix coefficients
    full_range: bool | None = None,
    aspect: Fraction | None = None,  # of a pixel
    file_format: str | None = None,
    file_options: dict[str, str] | None = None,
) -> Path:
    """Write frames (grey, RGB, or ready `VideoFrame`s) and perhaps sound as a video file."""
    rate = Fraction(rate).limit_denominator(1001)
    tick = tick or (Fraction(1, 90_000) if times is not None else 1 / rate)
    with av.open(str(path), "w", format=file_format, container_options=file_options or {}) as container:
        stream: Any = None
        track: Any = None
        for index, picture in enumerate(pictures):
            frame = _as_frame(picture)
            if stream is None:
                default = {"preset": "ultrafast", "crf": "12"} if codec == "libx264" else {}
                stream = container.add_stream(codec, rate=rate, options={**default, **(options or {})})
                stream.width, stream.height, stream.pix_fmt = frame.width, frame.height, pix_fmt
                stream.codec_context.time_base = tick
                stream.codec_context.thread_count = 1
                if matrix is not None:
                    stream.codec_context.colorspace = matrix
                if full_range is not None:
                    stream.codec_context.color_range = 2 if full_range else 1
                if aspect is not None:
                    stream.codec_context.sample_aspect_ratio = aspect
                if rotation is not None or flip:
                    stream.set_display_rotation(rotation or 0, hflip=flip)
                if sound is not None:
                    layout = "mono" if sound.ndim == 1 else {2: "stereo", 6: "5.1"}[len(sound)]
                    track = container.add_stream(sound_codec, rate=sound_rate, layout=layout)
            if frame.format.name != pix_fmt:
                full = full_range or pix_fmt.startswith("gray")  # untagged grey is full range
                frame = frame.reformat(format=pix_fmt, threads=1, src_color_range=2, dst_color_range=2 if full else 1)
            frame.pts = index if times is None else round(times[index] / tick)
            frame.time_base = tick
            container.mux(stream.encode(frame))
        if stream is not None:
            container.mux(stream.encode(None))
        if track is not None and sound is not None:
            for packet in _encoded_sound(track, np.atleast_2d(sound), sound_rate, round(sound_start * sound_rate)):
                container.mux(packet)
    return path


def repeated(short: Path, path: Path, times: int) -> Path:
    """The same packets again and again, with their clocks set on: a long video in seconds."""
    with av.open(str(short)) as source, av.open(str(path), "w") as target:
        streams = {stream.index: target.add_stream_from_template(stream) for stream in source.streams}
        ends = dict.fromkeys(streams, 0)  # where the next turn begins on each stream's clock
        for _ in range(times):
            source.seek(0)
            begins = dict(ends)
            for packet in source.demux():
                if packet.dts is None:
                    continue
                index = packet.stream.index
                shift = begins[index] - (packet.stream.start_time or 0)
                ends[index] = packet.dts + shift + packet.duration
                packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
                packet.stream = streams[index]
                target.mux(packet)
    return path


def write_sound(
    path: Path, sound: np.ndarray, rate: int = 44_100, codec: str = "pcm_s16le", start: float = 0.0
) -> Path:
    """Write int16 samples (N or channels, N) as a sound file."""
    with av.open(str(path), "w") as container:
        layout = "mono" if sound.ndim == 1 else {2: "stereo", 6: "5.1"}[len(sound)]
        track = container.add_stream(codec, rate=rate, layout=layout)
        for packet in _encoded_sound(track, np.atleast_2d(sound), rate, round(start * rate)):
            container.mux(packet)
    return path


def _as_frame(picture: np.ndarray | av.VideoFrame) -> av.VideoFrame:
    if isinstance(picture, av.VideoFrame):
        return picture
    return av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), "gray" if picture.ndim == 2 else "rgb24")


def _encoded_sound(track: Any, sound: np.ndarray, rate: int, start: int) -> Iterable[av.Packet]:
    layout = {1: "mono", 2: "stereo", 6: "5.1"}[len(sound)]
    resampler = av.AudioResampler(track.format.name, layout, rate)
    for place in range(0, sound.shape[1], 1024):
        block = np.ascontiguousarray(sound[:, place : place + 1024].T).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(block, "s16", layout)
        frame.sample_rate, frame.pts, frame.time_base = rate, start + place, Fraction(1, rate)
        for ready in resampler.resample(frame):
            yield from track.encode(ready)
    yield from track.encode(None)
