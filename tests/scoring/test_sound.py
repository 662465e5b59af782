"""Measures of enhanced sound: what has no value, what silence and clipping cost, and who says the same."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avsr_bench.scoring import (
    METRICS,
    Interval,
    Measure,
    Score,
    Sums,
    Utterance,
    compare,
    interval,
    score,
    sound,
    total,
)
from avsr_bench.scoring.sound import LEAST_PESQ, MOST_SDR, estoi, measure, pesq, si_sdr

needs_pesq = pytest.mark.skipif("pesq" not in sound.computable(), reason="pesq is not installed")
ALL = [si_sdr, estoi, pytest.param(pesq, marks=needs_pesq)]


def speech(seconds=2.0, seed=0):
    """Bursts of a noise of low frequencies, four a second: enough like syllables for all three."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * 16_000)) / 16_000
    noise = np.convolve(rng.standard_normal(len(time)), np.ones(8) / 8, "same")
    return (0.2 * noise * np.sin(2 * np.pi * 2 * time) ** 2).astype(np.float32)


def noisy(clean, ratio, seed=1):
    noise = np.random.default_rng(seed).standard_normal(len(clean))
    return (clean + noise * np.sqrt(np.mean(clean**2) / np.mean(noise**2) / 10 ** (ratio / 10))).astype(np.float32)


CLEAN = speech()


# What has no value, and what has the worst


@pytest.mark.parametrize("of", ALL)
@pytest.mark.parametrize("clean", [CLEAN * 0, CLEAN * 1e-5, CLEAN[:0]])
def test_nothing_is_compared_with_silence(of, clean):
    assert of(CLEAN[: len(clean)], clean) is None


@pytest.mark.parametrize(("of", "worst"), [(si_sdr, -MOST_SDR), (estoi, 0.0)])
@pytest.mark.parametrize("level", [0, 1e-5])
def test_silence_in_place_of_speech_has_the_worst_value(of, worst, level):
    assert of(CLEAN * level, CLEAN) == worst < of(noisy(CLEAN, -10), CLEAN)


@needs_pesq
def test_silence_in_place_of_speech_has_the_worst_pesq():
    assert pesq(CLEAN * 0, CLEAN) == LEAST_PESQ < pesq(noisy(CLEAN, -10), CLEAN)


def test_estoi_wants_nearly_half_a_second_of_speech():
    assert estoi(speech(0.35), speech(0.35)) is None
    assert estoi(speech(0.6), speech(0.6)) == pytest.approx(1)
    long = np.concatenate([speech(0.3), np.zeros(32_000, np.float32)])
    assert estoi(long, long) is None  # 0.3 s of speech, however long the clip


@needs_pesq
def test_pesq_wants_a_quarter_of_a_second():
    assert pesq(speech(0.2), speech(0.2)) is None
    assert pesq(CLEAN[: 16_000 // 2], CLEAN[: 16_000 // 2]) == pytest.approx(4.64, abs=0.01)
    assert pesq(CLEAN[:3000] * 0, CLEAN[:3000]) is None  # too short to be judged, silent or not


# What the values are


def test_si_sdr_is_what_its_paper_says():
    """SI-SDR = 10 log10(|a s|^2 / |a s - x|^2), a = <x, s> / <s, s> (arXiv 1811.02508, equation 5)."""
    for ratio in (-10, 0, 12.5):
        heard = noisy(CLEAN, ratio).astype(np.float64)
        x, s = heard - heard.mean(), CLEAN.astype(np.float64) - CLEAN.mean(dtype=np.float64)
        target = (x @ s) / (s @ s) * s
        expected = 10 * np.log10(np.sum(target**2) / np.sum((target - x) ** 2))
        assert si_sdr(heard, CLEAN) == pytest.approx(expected, abs=1e-6)
        assert si_sdr(heard, CLEAN) == pytest.approx(ratio, abs=0.5)


def test_si_sdr_is_bounded():
    assert si_sdr(CLEAN, CLEAN) == MOST_SDR
    stranger = speech(seed=9)
    orthogonal = stranger - (stranger @ CLEAN) / (CLEAN @ CLEAN) * CLEAN
    assert si_sdr(orthogonal, CLEAN) == -MOST_SDR


@pytest.mark.parametrize(("of", "best"), [(si_sdr, MOST_SDR), (estoi, 1.0), pytest.param(pesq, 4.64, marks=needs_pesq)])
def test_less_noise_is_better_and_none_is_best(of, best):
    values = [of(noisy(CLEAN, ratio), CLEAN) for ratio in (-10, 0, 10, 30)]
    assert values == sorted(values) and values[0] < values[-1] < best + 0.01
    assert of(CLEAN, CLEAN) == pytest.approx(best, abs=0.01)


@settings(max_examples=20, deadline=None)
@given(st.floats(-30, 30), st.integers(0, 99))
def test_loudness_does_not_matter(gain, seed):
    heard = noisy(CLEAN, 3, seed)
    louder = heard * np.float32(10 ** (gain / 20))
    assert si_sdr(louder, CLEAN) == pytest.approx(si_sdr(heard, CLEAN), abs=1e-4)
    assert estoi(louder, CLEAN) == pytest.approx(estoi(heard, CLEAN), abs=1e-4)


@pytest.mark.parametrize("of", ALL)
def test_what_exceeds_full_scale_is_not_clipped_and_clipping_costs(of):
    loud = CLEAN * np.float32(4 / np.abs(CLEAN).max())
    assert of(loud, CLEAN) == pytest.approx(of(CLEAN, CLEAN), abs=0.01)
    assert of(np.clip(loud, -1, 1), CLEAN) < of(CLEAN, CLEAN) - 0.02


def test_a_gain_is_over_the_noisy_sound():
    before, after = noisy(CLEAN, 0), noisy(CLEAN, 6)
    found = measure(after, CLEAN, before)
    assert found["si_sdr_gain"].errors == pytest.approx(si_sdr(after, CLEAN) - si_sdr(before, CLEAN), abs=1e-3)
    assert 4 < found["si_sdr_gain"].errors < 8 and found["estoi_gain"].errors > 0
    worse = measure(before, CLEAN, after)
    assert worse["si_sdr_gain"].errors == -found["si_sdr_gain"].errors
    assert set(measure(after, CLEAN)) == set(sound.computable())  # of clean clips there is nothing to gain
    assert set(found) == {f"{name}{end}" for name in sound.computable() for end in ("", "_gain")} <= METRICS.keys()


def test_without_pesq_the_others_are_measured(monkeypatch):
    monkeypatch.setattr(sound, "find_spec", lambda name: None)
    assert sound.computable() == ("si_sdr", "estoi")
    assert set(measure(noisy(CLEAN, 0), CLEAN)) == {"si_sdr", "estoi"}


# Over clips


def test_a_clip_without_a_value_is_left_out_of_that_mean_alone():
    clips = [speech(2.0), speech(0.3, 1), speech(2.0, 2), CLEAN * 0]
    heard = [
        Utterance(f"c{n}", "now", None, f"s{n}", parts=measure(noisy(each, 5, 50 + n), each))
        for n, each in enumerate(clips)
    ]
    sums = total(map(score, heard))
    assert "wer" not in sums  # nobody read them
    assert (sums["si_sdr"].length, sums["estoi"].length) == (3, 2)
    assert sums["si_sdr"].rate == pytest.approx(5, abs=0.5)
    values = [estoi(noisy(clips[n], 5, 50 + n), clips[n]) for n in (0, 2)]
    assert sums["estoi"].rate == pytest.approx(np.mean(values), abs=1e-4)
    assert "estoi" not in total(map(score, heard[1:2]))  # no clip has one


def clip(number, value):
    return Score(f"{number:03d}", f"s{number}", "", {"si_sdr": Sums() if value is None else Sums(value, 1.0)})


def test_an_interval_draws_only_clips_that_have_a_value():
    have = [clip(n, -5.0 + n % 3) for n in range(12)]
    lacking = [clip(20 + n, None) for n in range(30)]  # half of the draws of 12 in 42 would hold few of them
    found = interval([[*have, *lacking]], "si_sdr")
    assert found == interval([have], "si_sdr") and found.groups == 12
    assert -5 <= found.low < found.high <= -3


def test_a_paired_test_takes_the_clips_that_have_a_value_in_both():
    first = [clip(n, float(n)) for n in range(20)]
    second = [clip(n, None if n == 3 else n + 2.0) for n in range(20)]
    found = compare([first], [second], "si_sdr")
    assert found.difference == pytest.approx(2) and found.interval.low == pytest.approx(2)
    assert found.p < 0.01


def test_negative_values_are_values():
    sums = Sums(-21.5, 4.0)
    measured = Measure(sums, Interval(-7.0, -4.0, "speakers", 4, 2000, 0))
    assert measured.value == pytest.approx(-5.375)
    assert METRICS["si_sdr"].said(measured.value) == "-5.38 dB" and METRICS["pesq"].said(1.234) == "1.23"
    assert not METRICS["estoi"].lower_is_better
