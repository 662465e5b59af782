"""Subtitles that fit a screen, and files that players read."""

import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avsr_bench.transcribe import Take, Transcript, Utterance, Word, cues, srt, txt, vtt
from avsr_bench.transcribe.transcript import utterances


def transcript(*faces):
    """One list of words a face."""

    found = [u for face, words in enumerate(faces, 1) for u in utterances(face, words)]
    end = max((word.end for words in faces for word in words), default=0.0) + 2.0
    takes = tuple(Take(face, 0, np.zeros((1, 2, 3)), {}) for face in range(1, len(faces) + 1))
    return Transcript(Path("x.mp4"), end, tuple(sorted(found, key=lambda u: u.start)), takes)


def said(text, start=0.0, length=0.3, gap=0.1):
    return [
        Word(w, start + n * (length + gap), start + n * (length + gap) + length, 0.5)
        for n, w in enumerate(text.split())
    ]


def test_nothing_said():
    empty = Transcript(Path("x.mp4"), 3.0, ())
    assert (txt(empty), srt(empty), vtt(empty)) == ("", "", "WEBVTT\n")


def test_utterances_end_at_pauses():
    words = said("one two") + said("three", 2.0)
    first, second = utterances(1, words)
    assert (first.text, second.text) == ("one two", "three")
    assert (first.start, first.end, first.confidence) == (0.0, 0.7, 0.5)


def test_golden_files():
    talk = transcript(said("one two three") + said("four", 3661.2))
    assert txt(talk) == "one two three\nfour\n"
    assert srt(talk) == ("1\n00:00:00,000 --> 00:00:01,100\none two three\n\n2\n01:01:01,200 --> 01:01:02,200\nfour\n")
    assert (
        vtt(talk) == "WEBVTT\n\n00:00:00.000 --> 00:00:01.100\none two three\n\n01:01:01.200 --> 01:01:02.200\nfour\n"
    )


def test_several_faces_are_told_apart():
    talk = transcript(said("one two"), said("a <b> & c", 0.2))
    assert txt(talk) == "[1] one two\n[2] a <b> & c\n"
    assert "\n[1] one two\n" in srt(talk) and "\n[2] a <b> & c\n" in srt(talk)
    assert "<v Face 1>one two\n" in vtt(talk) and "<v Face 2>a &lt;b&gt; &amp; c\n" in vtt(talk)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.tuples(st.text("abcdefgh-é", min_size=1, max_size=120), st.floats(0.0, 3.0), st.floats(0.04, 9.0)),
        max_size=40,
    )
)
def test_cues_fit_a_screen_and_say_every_letter_once(spoken):
    words, now = [], 0.0
    for text, pause, length in spoken:
        words.append(Word(text, now + pause, now + pause + length, 1.0))
        now += pause + length
    talk = transcript(words)
    found = cues(talk)
    for cue in found:
        assert 1 <= len(cue.lines) <= 2 and all(len(line) <= 42 for line in cue.lines)
        assert 0 < cue.end - cue.start <= 7.0 + 1e-9
    for cue, following in pairwise(found):
        assert cue.end <= max(following.start, cue.start + 0.04) + 1e-9
    assert "".join("".join(cue.lines).replace(" ", "") for cue in found) == "".join(word.text for word in words)
    blocks = srt(talk).split("\n\n") if words else []
    for number, block in enumerate(blocks, 1):
        lines = block.strip("\n").split("\n")
        assert lines[0] == str(number)
        assert re.fullmatch(r"\d\d:\d\d:\d\d,\d{3} --> \d\d:\d\d:\d\d,\d{3}", lines[1])


@pytest.mark.parametrize("length", [100, 43, 300])
def test_a_word_longer_than_a_line_is_broken(length):
    found = cues(transcript([Word("x" * length, 1.0, 3.0, 1.0)]))
    assert sum(len(line) for cue in found for line in cue.lines) == length
    assert found[0].start == 1.0 and all(len(cue.lines) <= 2 for cue in found)


def test_confidence_is_the_mean_of_the_words():
    assert Utterance(1, (Word("a", 0, 1, 0.2), Word("b", 1, 2, 0.6))).confidence == pytest.approx(0.4)
