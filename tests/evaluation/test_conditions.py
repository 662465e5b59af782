import numpy as np
import pytest
from videos import tone, write_sound

from avsr_bench import data, noise
from avsr_bench.evaluation import CLEAN, corrupted, open_sound, visual
from avsr_bench.evaluation.conditions import sound_name
from avsr_bench.evaluation.job import sound_settings
from avsr_bench.noise.sound import mix, source_of
from avsr_bench.records import rng_for


@pytest.fixture(scope="module")
def example(corpus):
    return next(data.examples(corpus, data.places(corpus, "test", "av"), "av"))


@pytest.mark.parametrize("family", noise.FAMILIES)
def test_what_falls_on_mouths_is_drawn_as_the_page_says(example, family):
    found = corrupted(example, visual(family, 6), seed=3)
    expected = noise.apply(example.mouth, family, 6, rng_for(3, example.key, family))
    assert np.array_equal(found.mouth, expected)
    assert not np.array_equal(found.mouth, example.mouth)
    assert found.sound is example.sound


def test_noise_for_the_ear_is_mixed_into_the_whole_utterance_and_never_clipped(example, corpus):
    [condition] = open_sound(["white:-30"], corpus, "test", 0)
    found = corrupted(example, condition, seed=5)
    white = source_of("white")
    expected = mix(example.sound, white, -30, rng_for(5, example.key, "white"), example.speaker)
    assert np.array_equal(found.sound, expected * np.float32(32768))
    assert np.abs(found.sound).max() > 32768
    assert found.mouth is example.mouth


def test_the_scale_of_clean_sound_is_that_of_noisy_sound(example, corpus):
    """Without noise to speak of, both give the network the same waveform."""
    [faint] = open_sound(["white:100"], corpus, "test", 0)
    clean, noisy = data.levelled(example.sound), data.levelled(corrupted(example, faint, 0).sound)
    assert np.abs(clean - noisy).max() < 1e-3


def test_clean_is_one_condition(example):
    assert visual("jpeg", 0) is CLEAN is visual("blur", 0)
    assert corrupted(example, CLEAN, 0) is example
    assert CLEAN.name == "clean"
    assert CLEAN.version is None


def test_who_meets_what(corpus):
    blur, [white] = visual("blur", 2), open_sound(["white:0"], corpus, "test", 0)
    assert [blur.met_by(m) for m in ("video", "audio", "av")] == [True, False, True]
    assert [white.met_by(m) for m in ("video", "audio", "av")] == [False, True, True]
    assert all(CLEAN.met_by(m) for m in ("video", "audio", "av"))


def test_names(corpus, tmp_path):
    write_sound(tmp_path / "rain.wav", tone(1.0))
    found = open_sound(["babble:5,0", "white:-2.5", "white:-2.5,3", f"{tmp_path}/rain.wav:0"], corpus, "test", 0)
    assert [each.name for each in found[:-1]] == ["babble:5", "babble:0", "white:-2.5", "white:3"]
    kind, _, ratio = found[-1].name.partition(":")
    assert kind.startswith("rain-")
    assert len(kind) == len("rain-") + 8
    assert ratio == "0"
    said = [each.name for each in open_sound(["voice:-5,0", "three-voices:0"], corpus, "test", 0)]
    assert said == ["voice:-5", "voice:0", "three-voices:0"]
    synth = sound_settings(["sound.babble=synth", "sound.snr_over=speech"])
    names = [sound_name(kind, "any", synth) for kind in ("babble", "two-voices", "pink")]
    assert names == ["babble-synth-over-speech", "two-voices-synth-over-speech", "pink-over-speech"]
    speech = sound_settings(["sound.snr_over=speech"])
    assert [each.name for each in open_sound(["white:0"], corpus, "test", 0, speech)] == ["white-over-speech:0"]
