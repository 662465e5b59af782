"""Tokens become words with times, and the words of two windows one row."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from avsr_bench.text import TokenizerSettings, learn_tokenizer
from avsr_bench.transcribe import Word, join, words_of

UNITS = ("<blank>", "<unk>", "▁", "▁one", "▁t", "w", "o", "▁a▁b", "<eos>")
TWO = (4, 5, 6)


def spikes(frames, *said):
    """Log-probabilities that are sure of blank everywhere but where a token is said: (token, first, end, p)."""
    p = torch.full((frames, len(UNITS)), 1e-6)
    p[:, 0] = 1.0
    for token, first, end, sure in said:
        p[first:end] = (1 - sure) / 8
        p[first:end, token] = sure
    return (p / p.sum(1, keepdim=True)).log()


def test_nothing_said():
    assert words_of((), spikes(10), UNITS, 0.0) == ()


def test_times_and_confidence_are_those_of_the_path():
    log_probs = spikes(60, (3, 10, 12, 0.9), (4, 30, 31, 0.8), (5, 33, 34, 0.6), (6, 36, 38, 0.8))
    one, two = words_of((3, *TWO), log_probs, UNITS, 100.0)
    assert (one.text, two.text) == ("one", "two")
    # Two frames named "one"; REACH is added on both sides.
    assert (one.start, one.end) == pytest.approx((100.4 - 0.12, 100.48 + 0.12))
    assert (two.start, two.end) == pytest.approx((101.2 - 0.12, 101.52 + 0.12))
    assert one.confidence == pytest.approx(0.9, abs=1e-3)
    blanks = 4 * 1.0  # frames 31, 32, 34, 35 of the path say nothing, and are sure of it
    assert two.confidence == pytest.approx((0.8 + 0.6 + 2 * 0.8 + blanks) / 8, abs=1e-3)


def test_neighbours_share_the_time_between_them_and_nothing_leaves_the_window():
    first, second = words_of((3, 3), spikes(8, (3, 1, 2, 0.9), (3, 5, 7, 0.9)), UNITS, 0.0)
    assert first.start == 0.0 and second.end == pytest.approx(8 / 25)
    assert first.end == pytest.approx(second.start) == pytest.approx((2 / 25 + 5 / 25) / 2)


def test_marks_of_spaces_alone_or_within_a_token_part_words():
    log_probs = spikes(30, (2, 2, 3, 0.9), (5, 4, 5, 0.9), (2, 8, 9, 0.9), (6, 12, 13, 0.9), (7, 20, 21, 0.9))
    assert [word.text for word in words_of((2, 5, 2, 6, 7), log_probs, UNITS, 0.0)] == ["w", "o", "a", "b"]


def test_more_tokens_than_frames_are_spread_without_confidence():
    words = words_of((3, 3, 3), spikes(4), UNITS, 2.0)  # three times the same takes five frames
    assert [word.text for word in words] == ["one"] * 3
    assert all(word.confidence == 0 and 2.0 <= word.start < word.end <= 2.16 for word in words)


@pytest.mark.parametrize("kind", ["words", "characters", "unigram"])
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_words_are_what_the_tokenizer_says_in_order_and_inside_the_window(kind, data):
    tokenizer = TOKENIZERS[kind]
    tokens = data.draw(st.lists(st.integers(1, len(tokenizer) - 2), max_size=20))
    frames = data.draw(st.integers(1, 60))
    torch.manual_seed(data.draw(st.integers(0, 99)))
    words = words_of(tokens, torch.randn(frames, len(tokenizer)).log_softmax(-1), tokenizer.units, 5.0)
    assert [word.text for word in words] == tokenizer.decode(tokens).split()
    starts = [word.start for word in words]
    assert starts == sorted(starts)
    assert all(5.0 <= word.start <= word.end <= 5.0 + frames / 25 + 1e-9 for word in words)
    assert all(0 <= word.confidence <= 1 for word in words)


TOKENIZERS = {
    kind: learn_tokenizer(
        ["bin blue at f two now", "set red by a nine please", "lay green in z four again"] * 5,
        TokenizerSettings(kind=kind, units=40),
    )[0]
    for kind in ("words", "characters", "unigram")
}


def word(text, middle, length=0.2, confidence=1.0):
    return Word(text, middle - length / 2, middle + length / 2, confidence)


def texts(words):
    return " ".join(word.text for word in words)


def test_the_seam_lies_in_a_pause_of_both():
    before = [word("a", 7.2), word("b", 7.5), word("wrong", 7.9)]
    after = [word("wrong", 7.05), word("b", 7.52), word("c", 7.9)]
    assert texts(join(before, after, 7.0, 8.0)) == "a b c"


def test_a_word_on_both_sides_of_the_seam_is_counted_once_by_the_surer_window():
    before, after = [word("b", 7.45, 0.05, 0.4)], [word("b", 7.55, 0.05, 0.9)]
    assert join(before, after, 7.0, 8.0) == (after[0],)
    assert join(after[:0], after, 7.0, 8.0) == (after[0],)
    assert texts(join([word("b", 7.3)], [word("b", 7.7)], 7.0, 8.0)) == "b b"  # said twice


def test_a_word_that_each_window_leaves_to_the_other_is_counted_once():
    """Without a pause the seam cuts a word, and may fall between its two middles."""
    for late in np.arange(-0.16, 0.17, 0.04):
        for phase in np.arange(0, 0.3, 0.01):
            spoken = [7 + phase + 0.3 * n for n in range(-9, 9)]
            before = [word(str(n), middle) for n, middle in enumerate(spoken) if middle < 8.15]
            after = [
                word(str(n), middle + late) for n, middle in enumerate(spoken) if middle >= 6.85
            ]  # each hears what it holds a part of
            assert texts(join(before, after, 7.0, 8.0)) == " ".join(map(str, range(len(spoken)))), (late, phase)


def test_a_word_that_is_said_twice_in_a_row_is_there_twice():
    before, after = ([word("one", 7.36 + off), word("one", 7.64 + off)] for off in (0.0, 0.02))
    assert texts(join(before, after, 7.0, 8.0)) == "one one"


def test_windows_that_share_nothing_are_put_side_by_side():
    assert texts(join([word("a", 1.0)], [word("b", 3.0)], 2.0, 2.0)) == "a b"
    assert join((), (), 0.0, 0.0) == ()


@settings(max_examples=200, deadline=None)
@given(
    middles=st.lists(st.floats(0.2, 15.8), max_size=40),
    moved=st.integers(0, 2**32 - 1),
)
def test_each_word_is_counted_once_however_its_times_differ_a_little(middles, moved):
    """Two windows that hear the same words, each with times of its own, up to 0.04 s off."""
    import random

    rng = random.Random(moved)
    spoken: list[float] = []
    for middle in sorted(middles):
        if not spoken or middle - spoken[-1] >= 0.3:
            spoken.append(middle)
    jitter = [[middle + rng.uniform(-0.04, 0.04) for middle in spoken] for _ in range(2)]
    before = [word(str(n), middle) for n, middle in enumerate(jitter[0]) if middle < 8.5]
    after = [word(str(n), middle) for n, middle in enumerate(jitter[1]) if middle >= 7.5]
    assert texts(join(before, after, 7.5, 8.5)) == " ".join(map(str, range(len(spoken))))
