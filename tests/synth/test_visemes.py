from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from avsr_bench.records import Refused
from avsr_bench.synth.speech import Phone
from avsr_bench.synth.visemes import CONTROLS, TARGETS, articulate

JAW, PART, WIDTH, TUCK, TONGUE = range(len(CONTROLS))


def spell(*labels, length=0.09, start=0.4):
    return tuple(Phone(label, start + k * length, start + (k + 1) * length) for k, label in enumerate(labels))


def middle(phones, number, **how):
    return articulate(phones, np.array([(phones[number].start + phones[number].end) / 2]), **how)[0]


def test_an_unknown_phoneme_is_refused():
    with pytest.raises(Refused, match="'R#'"):
        articulate(spell("R#"), np.zeros(1))


@pytest.mark.parametrize("label", ["p", "b", "m"])
@pytest.mark.parametrize("strength", [0.5, 1.0, 1.3])
def test_lips_meet_between_the_widest_vowels(label, strength):
    phones = spell("a", label, "a", length=0.2)
    times = np.arange(phones[1].start - 0.06, phones[1].end, 0.005)
    part = articulate(phones, times, strength=(strength,) * 3)[:, PART]
    assert part.min() <= 0
    assert middle(phones, 0)[PART] > 0.5 * strength


@pytest.mark.parametrize("label", ["f", "v"])
def test_the_lip_goes_under_the_teeth(label):
    phones = spell("aI", label, "aI", length=0.15)
    assert middle(phones, 1)[TUCK] > 0.9
    assert middle(phones, 0)[TUCK] < 0.2


def test_round_wide_open_and_tongue():
    assert middle(spell("s", "u:", "s", length=0.15), 1)[WIDTH] < -0.7
    assert middle(spell("s", "i:", "s", length=0.15), 1)[WIDTH] > 0.7
    assert middle(spell("n", "a", "n", length=0.15), 1)[JAW] > 0.6
    assert middle(spell("s", "s"), 0)[JAW] < 0.1
    assert middle(spell("@", "T", "@"), 1)[TONGUE] > 0.8


def test_the_mouth_rests_before_and_after():
    phones = spell("s", "E", "v", "@", "n")
    ends = articulate(phones, np.array([-5.0, 0.0, phones[-1].end + 0.3, 60.0]))
    assert np.allclose(ends, 0, atol=0.02)
    assert np.isfinite(ends).all()


def test_a_neighbour_colours_a_consonant():
    assert middle(spell("u:", "k", "u:"), 1)[WIDTH] < middle(spell("i:", "k", "i:"), 1)[WIDTH] - 0.3


labels = st.lists(st.sampled_from(sorted(TARGETS)), min_size=1, max_size=12)


@given(labels, st.floats(0.04, 0.3))
def test_the_mouth_stays_between_its_targets_and_never_jumps(said, length):
    phones = spell(*said, length=length)
    times = np.arange(0, phones[-1].end + 0.5, 0.001)
    mouth = articulate(phones, times)
    wanted = np.array([[getattr(t, name) for name in CONTROLS] for label in said for t in TARGETS[label]] + [[0.0] * 5])
    assert (mouth >= wanted.min(0) - 1e-6).all()
    assert (mouth <= wanted.max(0) + 1e-6).all()
    assert np.abs(np.diff(mouth, axis=0)).max() < 0.12  # of a range of 2.1, in a millisecond
