"""Sound beside the picture: 640 samples a frame, in step, from any rate, layout and container."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from videos import numbered, tone, write_sound, write_video

from avsr_bench.media import Video, decode_flac, encode_flac, probe, read_sound, sound_by_frames
from avsr_bench.records import Unusable


def clicks(seconds: float, rate: int, every: float = 0.5) -> np.ndarray:
    """Silence with a short loud burst at every multiple of `every` seconds."""
    sound = np.zeros(round(seconds * rate), np.int16)
    for n in range(int(seconds / every)):
        place = round(n * every * rate)
        sound[place : place + rate // 100] = (20_000 * np.sin(np.arange(rate // 100) * 0.5)).astype(np.int16)
    return sound


def burst_times(samples: np.ndarray) -> list[float]:
    """Seconds at which bursts begin."""
    loud = np.flatnonzero(np.abs(samples.astype(int)) > 3000)
    return [] if not len(loud) else [at / 16_000 for at in loud[np.r_[True, np.diff(loud) > 1600]]]


def make(path: Path, sound: np.ndarray, **how: object) -> Path:
    return write_video(path, [numbered(n) for n in range(50)], sound=sound, **how)  # type: ignore[arg-type]


KINDS = {
    "aac in mp4": ("a.mp4", "aac", 44_100),
    "aac at 48 kHz": ("a.mp4", "aac", 48_000),
    "pcm in mkv": ("a.mkv", "pcm_s16le", 44_100),
    "flac in mkv": ("a.mkv", "flac", 22_050),
    "opus in mkv": ("a.mkv", "libopus", 48_000),
    "pcm at our own rate": ("a.mkv", "pcm_s16le", 16_000),
    "mp3 in avi": ("a.avi", "mp3", 44_100),
}


@pytest.mark.parametrize("kind", KINDS)
def test_bursts_stay_in_step(tmp_path: Path, kind: str) -> None:
    name, codec, rate = KINDS[kind]
    codecs = {"codec": "mpeg4"} if name.endswith("avi") else {}
    path = make(tmp_path / name, clicks(2.0, rate), sound_codec=codec, sound_rate=rate, **codecs)
    sound = read_sound(path, 50, video=probe(path).origin)
    assert sound is not None
    assert sound.samples.dtype == np.int16 and sound.samples.shape == (32_000,)
    assert abs(sound.difference) < 0.09
    found = burst_times(sound.samples)
    expected = [0.5, 1.0, 1.5] if found[0] > 0.25 else [0.0, 0.5, 1.0, 1.5]
    assert np.allclose(found, expected, atol=0.045 if name.endswith("avi") else 0.006)


def test_sound_that_starts_later_is_padded(tmp_path: Path) -> None:
    path = make(tmp_path / "a.mkv", clicks(1.5, 44_100), sound_codec="pcm_s16le", sound_start=0.2)
    sound = read_sound(path, 50)
    assert sound is not None
    assert np.allclose(burst_times(sound.samples), [0.2, 0.7, 1.2], atol=0.006)
    assert sound.lead == pytest.approx(0.2, abs=0.002)
    assert sound.notes()["sound_starts_late"] == pytest.approx(0.2, abs=0.002)
    assert not sound.samples[: round(0.19 * 16_000)].any()


def test_picture_that_starts_later_cuts_the_sound(tmp_path: Path) -> None:
    times = [0.3 + n / 25 for n in range(50)]
    path = make(tmp_path / "a.mkv", clicks(2.5, 44_100), sound_codec="pcm_s16le", times=times)
    for video in (None, probe(path).origin):
        sound = read_sound(path, 50, video=video)
        assert sound is not None
        assert np.allclose(burst_times(sound.samples), [0.2, 0.7, 1.2, 1.7], atol=0.006)
        assert sound.difference == pytest.approx(0.2, abs=0.01)


@pytest.mark.parametrize(("seconds", "frames"), [(1.0, -25), (3.5, 37.5), (2.05, 1.25)])
def test_difference_is_told(tmp_path: Path, seconds: float, frames: float) -> None:
    path = make(tmp_path / "a.mkv", tone(seconds), sound_codec="pcm_s16le")
    sound = read_sound(path, 50)
    assert sound is not None and len(sound.samples) == 32_000
    assert sound.difference * 25 == pytest.approx(frames, abs=0.1)
    assert ("sound_longer_frames" in sound.notes()) == (abs(frames) > 2)
    if seconds < 2:
        assert sound.samples[: 16_000 - 100].std() > 1000 and not sound.samples[16_100:].any()


def test_a_stretch(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", [numbered(n) for n in range(500)], sound=tone(20.0))
    whole = read_sound(path, 500)
    assert whole is not None
    for start in (1.0, 4.0, 11.24):
        part = read_sound(path, 50, start=start, end=start + 2)
        assert part is not None
        first = round(start * 16_000)
        apart = np.abs(part.samples[200:-200].astype(int) - whole.samples[first + 200 : first + 31_800])
        assert apart.max() < 40
        assert part.difference == 0 and not part.notes()


def test_channels_are_averaged(tmp_path: Path) -> None:
    left, right = tone(1.0), np.zeros(44_100, np.int16)
    path = write_sound(tmp_path / "a.wav", np.stack([left, right]))
    sound, alone = read_sound(path, 25), read_sound(write_sound(tmp_path / "b.wav", left), 25)
    assert sound is not None and alone is not None
    assert np.abs(sound.samples - alone.samples / 2).max() < 3
    six = read_sound(write_sound(tmp_path / "c.wav", np.stack([left] * 6)), 25)
    assert six is not None and 4000 < np.abs(six.samples).max() < 9000


def test_a_file_of_its_own_begins_with_the_picture(tmp_path: Path) -> None:
    for name, codec in (("a.wav", "pcm_s16le"), ("a.flac", "flac")):
        sound = read_sound(write_sound(tmp_path / name, clicks(2.0, 48_000), 48_000, codec), 50)
        assert sound is not None
        assert np.allclose(burst_times(sound.samples), [0, 0.5, 1.0, 1.5], atol=0.003)
        part = read_sound(tmp_path / name, 25, start=1.0, end=2.0)
        assert part is not None and np.allclose(burst_times(part.samples), [0, 0.5], atol=0.003)


def test_none_without_sound(tmp_path: Path) -> None:
    assert read_sound(write_video(tmp_path / "a.mp4", [numbered(0)] * 5), 5) is None


def test_a_hole_in_the_times_becomes_silence(tmp_path: Path) -> None:
    """Packets left out when a file was cut together: what follows keeps its own time."""
    whole, holed = make(tmp_path / "a.mkv", clicks(2.0, 44_100), sound_codec="pcm_s16le"), tmp_path / "b.mkv"
    with av.open(str(whole)) as source, av.open(str(holed), "w") as target:
        tracks = {stream.index: target.add_stream_from_template(stream) for stream in source.streams}
        for packet in source.demux():
            if packet.dts is None or (packet.stream.type == "audio" and 0.3 < packet.pts * packet.time_base < 0.8):
                continue
            packet.stream = tracks[packet.stream.index]
            target.mux(packet)
    sound = read_sound(holed, 50)
    assert sound is not None
    assert np.allclose(burst_times(sound.samples), [0, 1.0, 1.5], atol=0.006)
    assert sound.notes()["sound_gaps"] == 1


def write_with_clock(path: Path, sound: np.ndarray, time_of: Callable[[float], float]) -> Path:
    """A video with raw sound at 16 kHz, whose packets of 0.1 s are stamped by a clock of their own."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
        video.width, video.height, video.pix_fmt = 96, 72, "yuv420p"
        track = container.add_stream("pcm_s16le", rate=16_000, layout="mono")
        for number in range(round(25 * time_of(len(sound) / 16_000))):
            container.mux(video.encode(av.VideoFrame.from_ndarray(numbered(number), "gray").reformat(format="yuv420p")))
        container.mux(video.encode(None))
        for place in range(0, len(sound), 1600):
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(sound[None, place : place + 1600]), "s16", "mono")
            frame.sample_rate = 16_000
            for packet in track.encode(frame):
                packet.pts = packet.dts = round(1000 * time_of(place / 16_000))
                packet.time_base, packet.duration = Fraction(1, 1000), 100
                container.mux(packet)
    return path


@pytest.mark.parametrize("rate", [1.01, 0.99])
def test_sound_that_drifts_is_kept_in_step(tmp_path: Path, rate: float) -> None:
    """A recorder whose second is longer or shorter than the clock's: in a minute 0.6 s."""
    seconds = round(60 / rate)
    sound = clicks(seconds, 16_000, every=1.0)
    path = write_with_clock(tmp_path / "a.mkv", sound, lambda second: rate * second)
    found = read_sound(path, 60 * 25)
    assert found is not None
    heard, expected = burst_times(found.samples), rate * np.arange(seconds)
    assert max(np.abs(expected - time).min() for time in heard) < 0.06
    assert max(np.abs(np.array(heard) - time).min() for time in expected[:-1]) < 0.06
    assert 10 <= found.notes()["sound_gaps"] <= 15  # 0.6 s in steps of 0.04
    assert np.array_equal(np.concatenate(list(sound_by_frames(path)))[: 59 * 16_000], found.samples[: 59 * 16_000])


def test_a_clock_that_begins_again_moves_no_sound(tmp_path: Path) -> None:
    """Two recordings of 2 s one behind the other, as `cat` makes them: the picture goes on, and so does the sound."""
    path = make(tmp_path / "a.ts", clicks(2.0, 48_000), sound_rate=48_000)
    path.write_bytes(path.read_bytes() * 2)
    video = Video(path)
    assert len(list(video)) == 100
    found = read_sound(path, 100, video=video.info.origin)
    assert found is not None
    assert np.allclose(burst_times(found.samples)[-3:], [2.5, 3.0, 3.5], atol=0.08)
    assert found.notes()["sound_gaps"] > 0


def test_broken_sound_is_damage(tmp_path: Path) -> None:
    path = make(tmp_path / "a.mp4", tone(2.0))
    data = bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        packets = [(packet.pos, packet.size) for packet in container.demux(audio=0) if packet.size]
    for place, size in packets[5:60:2]:
        data[place : place + size] = b"\xff" * size
    path.write_bytes(data)
    with pytest.raises(Unusable, match=r"damaged: \d+ of \d+ packets of sound"):
        read_sound(path, 50)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(-32_768, 32_767), max_size=12_000), st.integers(0, 3))
def test_flac_keeps_every_sample(values: list[int], tile: int) -> None:
    samples = np.tile(np.array(values, np.int16), tile)
    data = encode_flac(samples)
    assert np.array_equal(decode_flac(data), samples)
    assert encode_flac(samples) == data


def test_flac_bytes_name_no_version() -> None:
    data = encode_flac(tone(1.0, 16_000))
    assert data.startswith(b"fLaC") and b"Lavf" not in data and b"Lavc" not in data


@pytest.mark.parametrize("keep", [0, 10, 3000])
def test_broken_flac(keep: int) -> None:
    data = encode_flac(tone(1.0, 16_000))
    with pytest.raises(Unusable, match="damaged"):
        decode_flac(data[:keep])
