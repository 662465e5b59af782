"""How sure a labeller is, and whether that tells right from wrong."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_runs import small_network, small_tokenizer

from avsr_bench.data import Label
from avsr_bench.decoding import DecodeSettings
from avsr_bench.evaluation import Decoded, Reader, decode_memory
from avsr_bench.labelling import BANDS
from avsr_bench.labelling.agreement import Labelling, agreement
from avsr_bench.labelling.of_run import confidence


def reader(**decoding):
    return Reader("x", small_network(), small_tokenizer(), DecodeSettings(**decoding))


@pytest.mark.parametrize("kind", ["ctc", "attention", "beam"])
@pytest.mark.parametrize("bonus", [0.0, 3.0])
def test_it_lies_between_0_and_1(kind, bonus):
    found = reader(kind=kind, beam=3, length_bonus=bonus)
    torch.manual_seed(0)
    for scale in (0.1, 1.0, 30.0):
        for decoded in decode_memory(found, scale * torch.randn(4, 9, 16), torch.tensor([9, 7, 3, 1])):
            assert 0.0 <= confidence(found, decoded) <= 1.0


def test_of_ctc_it_is_the_mean_over_frames_that_say_something():
    found = reader(kind="ctc")
    memory = torch.randn(1, 12, 16, generator=torch.Generator().manual_seed(1)) * 5
    [decoded] = decode_memory(found, memory, torch.tensor([12]))
    probabilities = found.network.ctc_log_probs(memory)[0, :, :-1].exp().tolist()
    best = [(max(frame), frame.index(max(frame))) for frame in probabilities]
    said = [sure for sure, token in best if token != 0]
    assert said and confidence(found, decoded) == pytest.approx(sum(said) / len(said), rel=1e-5)


def test_of_a_search_it_is_the_probability_of_a_token_without_the_bonus_for_length():
    memory = torch.zeros(0, 16)
    decoded = Decoded((3, 4, 5), "abc", 4 * math.log(0.5) + 3 * 0.7, memory)
    assert confidence(reader(kind="beam", length_bonus=0.7), decoded) == pytest.approx(0.5)


def test_of_nothing_it_is_0():
    assert confidence(reader(kind="beam"), Decoded((), "", -0.1, torch.zeros(0, 16))) == 0.0
    assert confidence(reader(kind="ctc"), Decoded((), "", None, torch.zeros(0, 16))) == 0.0


labellings = st.lists(
    st.builds(
        lambda text, heard, sure: (text, Label(heard, sure)),
        st.sampled_from(["bin blue", "at f two now", "two"]),
        st.sampled_from(["bin blue", "at f", "", "two two"]),
        st.one_of(st.sampled_from(BANDS), st.floats(0, 1)),
    ),
    min_size=1,
    max_size=20,
)


@settings(deadline=None, max_examples=50)
@given(labellings)
def test_every_clip_lies_in_one_band_and_errors_add_up(found):
    rows = [Labelling(f"k{number}", text, "s", label) for number, (text, label) in enumerate(found)]
    whole = agreement(rows)
    assert sum(band.clips for band in whole.bands) == whole.clips == len(rows)
    assert sum(band.edits.errors for band in whole.bands) == whole.edits.errors
    assert all(band.low - 1e-9 <= band.confidence <= band.high + 1e-9 for band in whole.bands)


def test_a_labeller_that_does_not_say_has_no_bands_and_no_text_no_agreement():
    found = agreement([Labelling("a", "bin blue", "s", Label("bin", None))])
    assert found.bands == () and found.edits.rate == 0.5
    assert agreement([]) is None
