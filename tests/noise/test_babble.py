"""Babble: each voice is a tone of its own here, so that a spectrum tells who is heard and how loud."""

import numpy as np
import pytest
from videos import tone

from avsr_bench.noise.babble import VOICES, Voices
from avsr_bench.noise.sound import add, mix
from avsr_bench.records import Refused, rng_for

SPACING = 100  # Hz from voice to voice


def pitch(number):
    return 300 + SPACING * number


def crowd(count, seconds=2.0):
    """So many speakers, the later ones ever softer."""
    return {f"s{n}": (tone(seconds, 16_000, pitch(n)) / (1 + n)).astype(np.int16) for n in range(count)}


def loudness(babble, count):
    """How much of each speaker is in some babble."""
    spectrum = np.abs(np.fft.rfft(babble * np.hanning(len(babble)))) ** 2
    hertz = np.arange(len(spectrum)) * 16_000 / len(babble)
    return np.array([spectrum[np.abs(hertz - pitch(n)) < SPACING / 2].sum() for n in range(count)])


def heard(babble, count):
    powers = loudness(babble, count)
    return {f"s{n}" for n in np.flatnonzero(powers > 0.01 * powers.max())}


@pytest.mark.parametrize(("speech", "who"), [({}, "none"), (crowd(1), "s0")])
def test_one_speaker_is_no_babble(speech, who):
    with pytest.raises(Refused) as refusal:
        Voices(speech)
    line = str(refusal.value)
    assert f"at least two speakers and there is {who}:" in line and "\n" not in line
    assert "FILE.wav:DB" in line and "sound.babble=synth" in line


def test_a_silent_voice_is_named():
    with pytest.raises(Refused, match="the voice of mute is silent"):
        Voices(crowd(3) | {"mute": np.zeros(16_000, np.int16)})


def test_all_others_are_heard_equally_loud_and_the_speaker_never():
    voices = Voices(crowd(8))
    for own in range(8):
        powers = loudness(voices.draw(16_000, rng_for(0, f"clip {own}"), f"s{own}"), 8)
        others = np.delete(powers, own)
        assert powers[own] < 1e-3 * others.min()
        assert others.max() / others.min() < 1.2


def test_a_stranger_hears_everyone():
    assert len(heard(Voices(crowd(8)).draw(16_000, rng_for(0, "clip"), "somebody else"), 8)) == 8


def test_thirty_of_a_larger_crowd_speak_and_not_always_the_same():
    voices = Voices(crowd(40))
    crowds = [heard(voices.draw(16_000, rng_for(0, str(clip)), "s3"), 40) for clip in range(12)]
    assert {len(crowd) for crowd in crowds} == {VOICES} == {30}
    assert "s3" not in set.union(*crowds)
    assert set.union(*crowds) == {f"s{n}" for n in range(40)} - {"s3"}


def test_a_voice_begins_anywhere():
    clicks = {name: np.zeros(32_000, np.int16) for name in ("a", "b")}
    for number, sound in enumerate(clicks.values()):
        sound[:] = np.random.default_rng(number).integers(-900, 900, 32_000)
    voices = Voices(clicks)
    drawn = [voices.draw(1000, rng_for(0, str(clip)), "a") for clip in range(5)]
    assert all(np.abs(np.corrcoef(drawn)[i, j]) < 0.2 for i in range(5) for j in range(i))


@pytest.mark.parametrize("length", [1, 7, 640, 100_000])
def test_babble_of_any_length(length):
    babble = Voices(crowd(4)).draw(length, rng_for(0, "clip"), "s1")
    assert babble.shape == (length,) and babble.dtype == np.float32 and np.any(babble)


def test_the_ratio_is_reached_and_only_scales_the_babble():
    voices, speech = Voices(crowd(5)), tone(1.0, 16_000, 150)
    clean = speech / 32768
    added = [mix(speech, voices, ratio, rng_for(0, "clip", voices.name), "s2") - clean for ratio in (10, 0, -10)]
    for noise, ratio in zip(added, (10, 0, -10), strict=True):
        assert 10 * np.log10(np.sum(clean**2) / np.sum(noise**2)) == pytest.approx(ratio, abs=0.01)
        assert np.allclose(noise / np.abs(noise).max(), added[0] / np.abs(added[0]).max(), atol=1e-5)
    drawn = voices.draw(16_000, rng_for(0, "clip", voices.name), "s2")
    assert np.array_equal(add(speech, drawn, 10), mix(speech, voices, 10, rng_for(0, "clip", voices.name), "s2"))


def test_the_order_of_the_speakers_does_not_matter():
    speech = crowd(5)
    one, other = Voices(speech), Voices(dict(reversed(speech.items())))
    assert one.name == other.name and one.speakers == other.speakers
    assert np.array_equal(one.draw(500, rng_for(0, "c"), "s1"), other.draw(500, rng_for(0, "c"), "s1"))


def test_the_name_changes_with_every_voice():
    names = {Voices(crowd(count)).name for count in (3, 4, 5)} | {Voices(crowd(3, seconds=1.0)).name}
    assert len(names) == 4
    assert Voices({"x": crowd(2)["s0"], "y": crowd(2)["s1"]}).name != Voices(crowd(2)).name


def test_samples_are_those_of_version_1():
    voices = Voices(crowd(35, seconds=0.5))
    assert voices.name == "babble-20a21859"
    assert np.allclose(
        voices.draw(3, rng_for(0, "s1%2Fbbaf2n", voices.name), "s1"), [12.23738, 7.466035, -0.6920238], rtol=1e-6
    )
