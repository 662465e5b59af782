"""Noise from a file: what is no noise, and which stretch of a recording is heard."""

import numpy as np
import pytest
from sounds import SPEECH, SPEECH_INT, noise_at, pitches, reached, write_wave
from videos import numbered, tone, write_sound, write_video

from avsr_bench.noise.sound import Recording, mix, read_recording, source_of
from avsr_bench.records import Refused, rng_for


def make_bad_file(kind, folder):
    path = folder / "noise.wav"
    if kind == "empty":
        path.write_bytes(b"")
    elif kind == "folder":
        path.mkdir()
    elif kind == "text":
        path.write_text("the wind in the willows\n" * 40)
    elif kind == "bytes":
        path.write_bytes(np.random.default_rng(0).bytes(5000))
    elif kind == "header alone":
        write_wave(path, np.zeros(0))
    elif kind == "half a header":
        path.write_bytes(write_wave(path, noise_at(300)).read_bytes()[:20])
    elif kind == "silent":
        write_wave(path, np.zeros(16_000))
    elif kind == "picture alone":
        write_video(folder / "noise.mp4", [numbered(n) for n in range(5)]).rename(path)
    return path


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("missing", "does not exist"),
        ("empty", "0 bytes"),
        ("folder", "is not a file"),
        ("text", "no known"),
        ("bytes", "no known"),
        ("header alone", "no sound"),
        ("half a header", "cannot"),
        ("silent", "silent"),
        ("picture alone", "no sound"),
    ],
)
def test_a_file_without_noise_is_refused_by_name(tmp_path, kind, says):
    path = make_bad_file(kind, tmp_path)
    with pytest.raises(Refused) as refusal:
        source_of(str(path))
    line = str(refusal.value)
    assert says in line and "noise.wav" in line and "\n" not in line
    assert "white, pink, babble, voice, two-voices, three-voices or a sound file" in line


def test_a_file_of_any_rate_and_channels_is_heard(tmp_path):
    left, right = noise_at(1000, 2.0, 8000), noise_at(1000, 2.0, 8000)
    stereo = write_sound(tmp_path / "noise.wav", np.stack([left, right]), rate=8000)
    high = write_sound(tmp_path / "noise.flac", noise_at(3000, 2.0, 48_000), rate=48_000, codec="flac")
    for path, pitch in ((stereo, 1000), (high, 3000)):
        source = source_of(str(path))
        assert pitches(source.draw(16_000, rng_for(0, "clip"))) == pytest.approx(pitch, abs=2)
        noisy = mix(SPEECH, source, 2.5, rng_for(0, "clip"))
        assert abs(reached(noisy, SPEECH) - 2.5) < 0.01


def test_one_channel_is_enough_to_be_heard(tmp_path):
    silent = np.zeros(16_000, np.int16)
    path = write_sound(tmp_path / "noise.wav", np.stack([silent, noise_at(700)]), rate=16_000)
    assert pitches(read_recording(path).draw(16_000, rng_for(0, "clip"))) == pytest.approx(700, abs=2)


def test_the_sound_of_a_video_may_be_noise(tmp_path):
    path = write_video(tmp_path / "noise.mp4", [numbered(n) for n in range(50)], sound=tone(2.0, 44_100, 500))
    assert pitches(source_of(str(path)).draw(16_000, rng_for(0, "clip"))) == pytest.approx(500, abs=2)


def test_a_stretch_is_a_piece_of_the_file(tmp_path):
    rng = np.random.default_rng(0)
    whole = rng.integers(-9000, 9000, 80_000).astype(np.int16)
    source = read_recording(write_wave(tmp_path / "noise.wav", whole))
    starts = set()
    for clip in range(20):
        stretch = np.round(source.draw(4000, rng_for(0, str(clip))) * 32768).astype(np.int16)
        inner = stretch[1000:1200]
        found = [at for at in np.flatnonzero(whole == inner[0]) if np.array_equal(whole[at : at + 200], inner)]
        starts.update(found)
    assert len(starts) >= 18  # all but those that lie across the seam, each somewhere else


def test_a_short_file_is_looped_and_not_filled_up(tmp_path):
    sound = noise_at(333.3, 0.5, 22_050)
    stretch = read_recording(write_sound(tmp_path / "noise.wav", sound, rate=22_050)).draw(48_000, rng_for(0, "clip"))
    loudness = np.sqrt(np.square(stretch).reshape(150, 320).mean(axis=1))
    assert loudness.min() > 0.5 * loudness.max()


def test_a_short_recording_is_looped_without_a_click():
    sound = noise_at(333.3, 0.5)  # ends in the middle of a wave
    stretch = Recording(sound).draw(48_000, rng_for(0, "clip"))
    period = len(sound) - 160
    assert np.array_equal(stretch[:period], stretch[period : 2 * period])
    steepest = np.abs(np.diff(sound / 32768.0)).max()
    assert np.abs(np.diff(stretch)).max() < 2 * steepest


@pytest.mark.parametrize("length", [1, 2, 160, 320, 639, 640])
def test_a_file_of_a_few_samples_is_noise_too(length):
    source = Recording(SPEECH_INT[4000 : 4000 + length])
    assert abs(reached(mix(SPEECH, source, 0.0, rng_for(0, "clip")), SPEECH)) < 0.01


def test_pauses_in_a_file_never_make_silence():
    barks = np.zeros(160_000, np.int16)
    barks[70_000:72_000] = noise_at(600)[:2000]
    source = Recording(barks)
    for clip in range(100):
        assert np.any(source.draw(40, rng_for(0, str(clip))))


def test_only_ten_minutes_of_a_file_are_used(tmp_path):
    path = write_wave(tmp_path / "noise.wav", np.concatenate([np.tile(noise_at(400), 600), noise_at(3000, 5.0)]))
    heard = read_recording(path).draw(606 * 16_000, rng_for(0, "clip"))
    spectrum = np.abs(np.fft.rfft(heard))
    assert spectrum[2990 * 606 : 3010 * 606].max() < 1e-4 * spectrum.max()


def test_a_recording_is_named_after_its_sound(tmp_path):
    here, there = write_wave(tmp_path / "a.wav", noise_at(400)), write_wave(tmp_path / "b.wav", noise_at(400))
    other = write_wave(tmp_path / "c.wav", noise_at(401))
    assert read_recording(here).name == read_recording(there).name != read_recording(other).name
