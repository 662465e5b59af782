"""Prefix scores and best paths against the sum over all paths, which is what CTC means."""

import itertools
import math
from collections import defaultdict

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from avsr_bench.decoding import CtcPrefixes, best_path
from avsr_bench.records import Refused


def collapse(path):
    return tuple(token for token, _ in itertools.groupby(path) if token != 0)


def all_strings(log_probs):
    """Every string of tokens with its probability, by going through every path."""
    said = defaultdict(float)
    for path in itertools.product(range(log_probs.shape[1]), repeat=len(log_probs)):
        said[collapse(path)] += math.exp(sum(log_probs[t, token] for t, token in enumerate(path)))
    return said


def prefixes_of(log_probs, lengths, tokens):
    """The state after the same tokens in every utterance."""
    state = CtcPrefixes.start(log_probs, lengths)
    rows = torch.arange(len(log_probs))
    for token in tokens:
        state = state.extend(rows, torch.full_like(rows, token))
    return state


def draw(seed, shape, sharpness):
    return (torch.randn(shape, generator=torch.Generator().manual_seed(seed)) * sharpness).log_softmax(-1)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 999), st.integers(2, 3), st.integers(1, 5), st.sampled_from([0.5, 3.0, 30.0]))
def test_prefixes_against_all_paths(seed, vocabulary, frames, sharpness):
    log_probs = draw(seed, (2, frames, vocabulary), sharpness)
    lengths = torch.tensor([frames, 1 + seed % frames])
    said = [all_strings(log_probs[u, : lengths[u]].double().numpy()) for u in (0, 1)]
    for length in range(4):
        for tokens in itertools.product(range(1, vocabulary), repeat=length):
            state = prefixes_of(log_probs, lengths, tokens)
            begins = state.score(torch.arange(vocabulary).expand(2, -1)).exp()
            for u in (0, 1):
                assert float(state.whole()[u].exp()) == pytest.approx(said[u][tokens], rel=1e-5, abs=1e-30)
                for token in range(1, vocabulary):
                    grown = (*tokens, token)
                    expected = sum(p for string, p in said[u].items() if string[: len(grown)] == grown)
                    assert float(begins[u, token]) == pytest.approx(expected, rel=1e-5, abs=1e-30)


def test_a_string_longer_than_the_utterance_is_impossible_however_long_its_neighbour_is():
    log_probs = draw(0, (2, 9, 4), 1.0)
    lengths = torch.tensor([9, 3])
    state = prefixes_of(log_probs, lengths, [1, 2, 3])
    assert state.whole().isfinite().all() and state.score(torch.tensor([[2], [2]])).isfinite().tolist() == [
        [True],
        [False],
    ]
    state = state.extend(torch.arange(2), torch.tensor([2, 2]))
    assert state.whole().isfinite().tolist() == [True, False]
    repeated = prefixes_of(log_probs, lengths, [1, 1, 1])  # needs blanks between
    assert repeated.whole().isfinite().tolist() == [True, False]


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 999), st.integers(1, 60), st.lists(st.integers(1, 6), max_size=8), st.sampled_from([1.0, 10.0]))
def test_a_prefix_is_as_likely_as_all_that_may_follow_it(seed, frames, tokens, sharpness):
    log_probs, lengths = draw(seed, (1, frames, 7), sharpness), torch.tensor([frames])
    state = CtcPrefixes.start(log_probs, lengths)
    itself = torch.zeros(1, dtype=torch.float64)
    for token in tokens:
        itself = state.score(torch.tensor([[token]]))[:, 0]
        state = state.extend(torch.tensor([0]), torch.tensor([token]))
    follow = torch.cat((state.whole()[:, None], state.score(torch.arange(1, 7)[None])), 1).logsumexp(1)
    assert float(follow) == pytest.approx(float(itself), rel=1e-6, abs=1e-6)


def test_a_probability_of_zero_does_no_harm():
    log_probs = torch.tensor([[0.5, 0.5, 0.0], [0.0, 0.0, 1.0], [0.5, 0.0, 0.5], [1.0, 0.0, 0.0]]).log()[None]
    said = all_strings(log_probs[0].double().numpy())
    for tokens in ((), (1,), (2,), (1, 2), (2, 2), (1, 2, 2)):
        whole = prefixes_of(log_probs, torch.tensor([4]), tokens).whole()
        assert not whole.isnan().any()
        assert float(whole.exp()) == pytest.approx(said[tokens])


def test_long_utterances_against_the_recursion_frame_by_frame():
    """Running sums over 3,000 frames in which most tokens are most unlikely lose nothing."""
    frames, tokens = 3000, [1, 2, 2, 5, 1] * 20
    log_probs = draw(0, (1, frames, 6), 20.0)
    x = log_probs[0].double().numpy()
    spoken, silent = np.full(frames + 1, -np.inf), np.concatenate(([0.0], np.cumsum(x[:, 0])))
    last = 0
    for token in tokens:
        enter = silent if token == last else np.logaddexp(spoken, silent)
        spoken, silent = np.full(frames + 1, -np.inf), np.full(frames + 1, -np.inf)
        for t in range(1, frames + 1):
            spoken[t] = np.logaddexp(spoken[t - 1], enter[t - 1]) + x[t - 1, token]
            silent[t] = np.logaddexp(spoken[t - 1], silent[t - 1]) + x[t - 1, 0]
        last = token
    whole = prefixes_of(log_probs, torch.tensor([frames]), tokens).whole()
    assert float(whole) == pytest.approx(np.logaddexp(spoken[-1], silent[-1]), abs=1e-6)


def test_scores_in_several_chunks_are_the_same(monkeypatch):
    log_probs, lengths = draw(0, (5, 8, 9), 2.0), torch.tensor([8, 7, 6, 5, 4])
    tokens = torch.arange(9).expand(5, -1)
    state = prefixes_of(log_probs, lengths, [3])
    whole = state.score(tokens)
    monkeypatch.setattr("avsr_bench.decoding.ctc.CHUNK", 2 * 8 * 9)  # two rows at a time
    assert torch.equal(state.score(tokens), whole)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 999), st.integers(2, 5), st.integers(1, 5))
def test_the_best_path_against_all_paths(seed, vocabulary, frames):
    log_probs = draw(seed, (2, frames, vocabulary), 2.0)
    lengths = torch.tensor([frames, 1 + seed % frames])
    for u, hypothesis in enumerate(best_path(log_probs, lengths)):
        paths = itertools.product(range(vocabulary - 1), repeat=int(lengths[u]))  # eos is never said
        scored = [(sum(float(log_probs[u, t, k]) for t, k in enumerate(path)), collapse(path)) for path in paths]
        score, tokens = max(scored)
        assert hypothesis.tokens == tokens
        assert hypothesis.score == pytest.approx(score, rel=1e-5)


def test_the_best_path_repeats_only_over_a_blank():
    path = [1, 1, 0, 1, 2, 2, 0, 0, 2, 1]
    log_probs = torch.nn.functional.one_hot(torch.tensor([path]), 4).float().mul(9).log_softmax(-1)
    assert best_path(log_probs, torch.tensor([10]))[0].tokens == (1, 1, 2, 2, 1)
    assert best_path(log_probs, torch.tensor([5]))[0].tokens == (1, 1, 2)


def test_not_a_number_is_refused_unless_it_is_padding():
    log_probs = draw(0, (2, 4, 3), 1.0)
    log_probs[1, 3] = torch.nan
    assert len(best_path(log_probs, torch.tensor([4, 3]))) == 2
    with pytest.raises(Refused, match="not a number"):
        best_path(log_probs, torch.tensor([4, 4]))
