"""Sound noise: what is refused, the ratio that is reached, and that the same noise comes whatever the ratio."""

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sounds import SPEECH, SPEECH_INT, noise_at, power, reached

from avsr_bench import media
from avsr_bench.noise import babble
from avsr_bench.noise.sound import (
    KINDS,
    OF_VOICES,
    Coloured,
    Recording,
    SoundNoise,
    SoundSettings,
    add,
    make_pink,
    mix,
    parse,
    source_of,
    speech_mask,
)
from avsr_bench.records import Misused, Refused, rng_for

GRID = Path(__file__).parents[2] / "../shared/data/grid"


# What is refused


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("babble", "not of the form KIND:DB"),
        ("", "not of the form"),
        (":5", "not of the form"),
        ("voices:5", "unknown sound 'voices'. Did you mean voice?"),
        ("four-voices:5", "unknown sound 'four-voices'"),
        ("voice", "not of the form KIND:DB"),
        ("pink:", "not of the form"),
        ("babel:5", "unknown sound 'babel'. Did you mean babble? Or give a sound file"),
        ("White:5", "unknown sound"),
        ("pink:loud", "'loud' is no number"),
        ("pink:5dB", "'5dB' is no number"),
        ("pink:5,,0", "'' is no number"),
        ("pink:nan", "ratio of nan dB: give a number from -100 to 100"),
        ("pink:5,inf", "ratio of inf dB"),
        ("pink:-inf", "leave the noise out for clean sound"),
        ("pink:101", "ratio of 101 dB"),
    ],
)
def test_a_wrong_request_is_refused_in_one_line(text, says):
    with pytest.raises(Misused) as refusal:
        parse(text)
    assert says in str(refusal.value) and "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("speech", "says"),
    [
        (np.zeros(0, np.float32), "at least one"),
        (np.zeros((2, 100), np.float32), "one channel"),
        (np.ones(100, np.int32), "sound of int32: give int16, or float"),
        (np.ones(100, bool), "sound of bool"),
        (np.array([0.1, np.nan, np.inf]), "2 samples of the sound are NaN or infinite"),
        (np.zeros(100, np.int16), "the speech is silent"),
        (np.full(100, 1e-6, np.float32), "the speech is silent"),
    ],
)
def test_what_is_no_speech_is_refused(speech, says):
    with pytest.raises(Refused) as refusal:
        mix(speech, source_of("white"), 5.0, rng_for(0, "clip"))
    assert says in str(refusal.value) and "\n" not in str(refusal.value)


@pytest.mark.parametrize("ratio", [np.nan, np.inf, -np.inf, 100.5])
def test_a_ratio_that_is_none_is_refused(ratio):
    with pytest.raises(Misused, match="give a number from -100 to 100"):
        mix(SPEECH, source_of("pink"), ratio, rng_for(0, "clip"))


def test_silent_noise_and_noise_of_another_length_are_refused():
    with pytest.raises(Refused, match=r"the noise is silent.*white, pink, .* or a sound file"):
        add(SPEECH, np.zeros(len(SPEECH)), 5.0)
    with pytest.raises(Misused, match="16000 samples of speech and 99 of noise"):
        add(SPEECH, np.ones(99), 5.0)


def test_unknown_settings_are_refused():
    with pytest.raises(Misused, match=r"sound\.snr_over is 'words': say utterance or speech"):
        SoundSettings(snr_over="words")
    with pytest.raises(Misused, match=r"sound\.babble is 'crowd': say corpus or synth"):
        SoundSettings(babble="crowd")
    with pytest.raises(Misused, match=r"sound\.snr_over is 'words'"):
        add(SPEECH, SPEECH, 5.0, over="words")


@pytest.mark.parametrize("kind", ["babble", "voice", "two-voices", "three-voices"])
def test_what_is_made_of_voices_says_where_they_come_from(kind):
    with pytest.raises(Misused, match=rf"{kind} is mixed from voices: .*avsr_bench\.babble_sources"):
        source_of(kind)


def test_every_kind_of_voices_has_a_number_of_them():
    assert tuple(babble.KINDS) == OF_VOICES


# The request


def test_a_request_may_name_several_ratios_and_a_path_with_colons():
    assert parse("babble:12.5,0,-7.5,0") == tuple(SoundNoise("babble", ratio) for ratio in (12.5, 0.0, -7.5))
    assert parse("a:b/cafe.wav:-0") == (SoundNoise("a:b/cafe.wav", 0.0),)


@given(st.sampled_from([*KINDS, "my noise.wav"]), st.floats(-100, 100))
def test_a_condition_is_read_back_as_it_is_written(kind, ratio):
    condition = SoundNoise(kind, ratio + 0.0)
    assert parse(str(condition)) == (condition,)


# The ratio


def speech_like(seed, length, kind):
    rng = np.random.default_rng(seed)
    if kind == "int16":
        return rng.integers(-32768, 32768, length).astype(np.int16)
    if kind == "click":  # all power in one sample
        return np.eye(1, length, rng.integers(length), dtype=np.float32)[0]
    if kind == "loud":
        return rng.normal(0, 30, length).astype(np.float32)
    return rng.normal(0, 1e-3, length)


@settings(deadline=None, max_examples=150)
@given(
    seed=st.integers(0, 10**6),
    length=st.one_of(st.integers(1, 50), st.integers(51, 40_000)),
    kind=st.sampled_from(["int16", "click", "loud", "soft"]),
    source=st.sampled_from([source_of("white"), source_of("pink"), Recording(noise_at(440, 0.3))]),
    ratio=st.one_of(st.sampled_from([12.5, 7.5, 2.5, 0.0, -2.5, -7.5]), st.floats(-100, 100)),
    over=st.sampled_from(["utterance", "speech"]),
)
def test_the_ratio_asked_for_is_reached(seed, length, kind, source, ratio, over):
    speech = speech_like(seed, length, kind)
    speech.setflags(write=False)
    noisy = mix(speech, source, ratio, rng_for(seed, "clip", source.name), over=over)
    assert noisy.dtype == np.float32 and noisy.shape == speech.shape
    where = speech_mask(speech) if over == "speech" else slice(None)
    assert abs(reached(noisy, speech, where) - ratio) < 0.1


def test_nothing_is_clipped():
    loud = noise_at(440) * 4  # -2 dB of full scale
    noisy = mix(loud, source_of("white"), -7.5, rng_for(0, "clip"))
    assert np.abs(noisy).max() > 4
    assert abs(reached(noisy, loud) + 7.5) < 0.01


def test_pauses_lower_the_noise_unless_only_speech_counts():
    spoken = SPEECH[:8000]
    pauses = np.zeros(24_000)
    clip = np.concatenate([pauses, spoken, pauses])  # 1/7 of it is speech: 8.45 dB

    def level(speech, over):
        return 10 * np.log10(power(mix(speech, source_of("white"), 5.0, rng_for(0, "clip"), over=over) - speech))

    assert level(spoken, "utterance") - level(clip, "utterance") == pytest.approx(8.45, abs=0.2)
    assert level(spoken, "speech") == pytest.approx(level(clip, "speech"), abs=0.2)


def test_speech_is_found_where_it_was_spoken():
    espeak = pytest.importorskip("avsr_bench.synth.speech")
    pytest.importorskip("espeakng_loader")
    said = espeak.speak("place blue in u eight now", espeak.Voice("en-us+m3"))
    rate = espeak.RATE
    room = np.random.default_rng(0).normal(0, 10 ** (-65 / 20), 8000)
    sound = np.concatenate(
        [room, np.interp(np.arange(0, len(said.sound), rate / 16_000), np.arange(len(said.sound)), said.sound), room]
    )
    truth = np.zeros(len(sound), bool)
    for phone in said.phones:
        truth[8000 + int(phone.start * 16_000) : 8000 + int(phone.end * 16_000)] = True
    mask = speech_mask(sound)
    assert mask[truth].mean() > 0.8
    assert mask[~truth].mean() < 0.03
    assert 10 * np.log10(power(sound[mask]) / power(sound[truth])) == pytest.approx(0, abs=1)


def test_grid_speech_reaches_the_ratios_of_published_tables():
    videos = sorted((GRID / "s1").glob("*.mp4"))[:3]
    if not videos:
        pytest.skip(f"{GRID} is not there")
    for video in videos:
        speech = media.read_sound(video, 75).samples
        for ratio in (12.5, 7.5, 2.5, -2.5, -7.5):
            for over in ("utterance", "speech"):
                noisy = mix(speech, source_of("pink"), ratio, rng_for(0, video.stem, "pink"), over=over)
                where = speech_mask(speech) if over == "speech" else slice(None)
                assert abs(reached(noisy, speech, where) - ratio) < 0.01


# The draw


@pytest.mark.parametrize("kind", ["white", "pink", "file"])
def test_the_ratio_only_scales_the_noise(kind):
    source = Recording(SPEECH_INT) if kind == "file" else source_of(kind)
    added = [mix(SPEECH, source, ratio, rng_for(3, "clip", source.name)) - SPEECH for ratio in (20, 0, -20)]
    for louder in added[1:]:
        assert louder @ added[0] / np.sqrt((louder @ louder) * (added[0] @ added[0])) == pytest.approx(1, abs=1e-6)
    assert power(added[1]) / power(added[0]) == pytest.approx(100, rel=1e-4)


def test_another_seed_clip_or_kind_is_another_draw():
    numbers = {
        rng_for(*names).integers(2**62) for names in [(0, "a", "b"), (1, "a", "b"), (0, "ab", ""), (0, "b", "a")]
    }
    assert len(numbers) == 4
    assert rng_for(0, "a", "b").integers(2**62) in numbers
    assert rng_for(-1, "s1%2Fa", "\udcff").integers(2**62) not in numbers  # any seed, any name


def fingerprint():
    """A digest of one clip under each kind of noise."""
    digest = hashlib.sha256()
    for source in (source_of("white"), source_of("pink"), Recording(SPEECH_INT)):
        digest.update(mix(SPEECH_INT, source, -2.5, rng_for(7, "s1%2Fclip", source.name)).tobytes())
    return digest.hexdigest()


def test_other_processes_and_global_states_change_nothing():
    first = fingerprint()
    code = f"import sys; sys.path[:0] = {sys.path!r}; import test_sound; print(test_sound.fingerprint())"
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=Path(__file__).parent, env={"PYTHONHASHSEED": seed}, capture_output=True
        )
        assert done.stdout.decode().strip() == first, done.stderr.decode()
    before = np.random.get_state()  # noqa: NPY002
    np.random.seed(5)  # noqa: NPY002
    assert fingerprint() == first
    np.random.set_state(before)  # noqa: NPY002


def test_samples_are_those_of_version_1():
    white = source_of("white").draw(16_000, rng_for(0, "s1%2Fbbaf2n", "white"))
    pink = source_of("pink").draw(16_000, rng_for(0, "s1%2Fbbaf2n", "pink"))
    recording = Recording(noise_at(440, 0.3))
    assert np.allclose(white[:4], [-1.933693, -0.4334458, -0.717804, 0.2991892], atol=1e-6)
    assert np.allclose(pink[:4], [0.04556707, -0.001252382, 0.1250158, -0.03633308], atol=1e-6)
    assert recording.name == "recording-db3cfce9"
    assert np.allclose(
        recording.draw(3, rng_for(0, "s1%2Fbbaf2n", recording.name)), [-0.2441406, -0.2404785, -0.2297058], atol=1e-6
    )


# The colours


def test_white_noise_is_gaussian_and_flat():
    noise = source_of("white").draw(400_000, rng_for(0, "clip")).astype(float)
    assert noise.mean() == pytest.approx(0, abs=0.01)
    assert noise.var() == pytest.approx(1, abs=0.01)
    assert (noise**4).mean() == pytest.approx(3, abs=0.1)
    bands = np.square(np.abs(np.fft.rfft(noise)))[1:].reshape(8, -1).mean(axis=1)
    assert np.allclose(bands / bands.mean(), 1, atol=0.03)


@given(st.integers(16_000, 50_000))
@settings(deadline=None, max_examples=20)
def test_pink_is_white_with_each_frequency_over_its_root(length):
    white = rng_for(0, str(length)).standard_normal(length)
    before, after = np.fft.rfft(white), np.fft.rfft(make_pink(white))
    frequency = np.arange(len(before)) * 16_000 / length
    heard = frequency >= 20
    heard[-1] &= length % 2 == 1  # the highest of an even number is real, so only its size counts
    assert np.allclose(np.abs(after[heard] / before[heard]), np.sqrt(20 / frequency[heard]), rtol=1e-6)
    assert np.allclose(after[frequency < 20], 0, atol=1e-7)


def test_the_power_of_pink_falls_by_3_db_an_octave():
    spectra = [np.abs(np.fft.rfft(source_of("pink").draw(48_000, rng_for(0, str(n))))) ** 2 for n in range(60)]
    frequency = np.fft.rfftfreq(48_000, 1 / 16_000)
    edges = 20 * 2.0 ** np.arange(9)  # 20 to 5,120 Hz
    bands = [(frequency >= low) & (frequency < 2 * low) for low in edges[:-1]]
    octaves = np.array([np.mean(spectra, axis=0)[band].sum() for band in bands])
    assert np.allclose(10 * np.log10(octaves / octaves.mean()), 0, atol=0.3)  # equal power in every octave
    density = np.array([np.mean(spectra, axis=0)[band].mean() for band in bands])
    slope = np.polyfit(np.log10(edges[:-1]), np.log10(density), 1)[0]
    assert slope == pytest.approx(-1, abs=0.02)


@pytest.mark.parametrize("length", [1, 2, 3, 100, 15_999, 16_000, 16_001])
@pytest.mark.parametrize("kind", ["white", "pink"])
def test_short_noise_is_noise(kind, length):
    noise = Coloured(kind).draw(length, rng_for(0, "clip"))
    assert noise.shape == (length,) and noise.dtype == np.float32 and np.any(noise)
