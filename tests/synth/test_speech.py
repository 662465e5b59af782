from __future__ import annotations

import subprocess
import sys
from hashlib import sha256
from itertools import pairwise, product

import numpy as np
import pytest

from avsr_bench.records import Refused
from avsr_bench.synth.settings import DIGITS, GRID
from avsr_bench.synth.speaker import ACCENTS, VARIANTS
from avsr_bench.synth.speech import RATE, Voice, speak
from avsr_bench.synth.visemes import TARGETS

pytest.importorskip("espeakng_loader", reason="the synth extra is not installed")

SAY = "place blue at a zero now"
VOICE = Voice("en-us+f2")


def digest(sound):
    return sha256(sound.tobytes()).hexdigest()


def test_a_missing_extra_is_said_in_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    with pytest.raises(Refused, match=r"pip install 'avsr-bench\[synth\]'"):
        speak(SAY, VOICE)


def test_an_unknown_voice_is_refused():
    with pytest.raises(Refused, match="no voice 'martian'"):
        speak(SAY, Voice("martian"))


def test_no_words_no_sound():
    with pytest.raises(Refused, match="nothing to say in ''"):
        speak("", VOICE)


def test_the_same_samples_whatever_was_spoken_before():
    first = digest(speak(SAY, VOICE).sound)
    speak("six six seven", Voice("en-gb-scotland+m3", rate=190, pitch=20))
    assert digest(speak(SAY, VOICE).sound) == first


def test_the_same_samples_in_another_process():
    code = (
        "from hashlib import sha256; from avsr_bench.synth.speech import *;"
        f"print(sha256(speak({SAY!r}, Voice({VOICE.name!r})).sound.tobytes()).hexdigest())"
    )
    there = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert digest(speak(SAY, VOICE).sound) == there


@pytest.mark.parametrize("name", ["en-us+f2", "en+m3", "en-gb-scotland+f5", "en-029+m7"])
def test_phonemes_cover_the_speech_and_lie_inside_it(name):
    speech = speak("seven four nine two", Voice(name, rate=150))
    starts, ends = np.array([(p.start, p.end) for p in speech.phones]).T
    assert starts[0] >= 0
    assert ends[-1] <= len(speech.sound) / RATE
    assert (ends > starts).all()
    assert (starts[1:] >= ends[:-1] - 1e-9).all()
    spoken = np.zeros(len(speech.sound), bool)
    for start, end in zip(starts, ends, strict=True):
        spoken[round(start * RATE) : round(end * RATE)] = True
    energy = speech.sound.astype(np.float64) ** 2
    assert energy[~spoken].sum() < 0.01 * energy.sum()
    assert 0.1 < np.abs(speech.sound).max() < 1  # neither silent nor clipped


def test_the_letter_a_is_not_the_article():
    labels = [p.label for p in speak("at a two", VOICE).phones]
    assert "eI" in labels


@pytest.mark.parametrize("accent", ACCENTS)
def test_every_phoneme_of_every_accent_has_a_mouth_shape(accent):
    said = [(a, b) for before, after in pairwise((*GRID, GRID[0])) for a in before for b in after]
    said += product(DIGITS, DIGITS)
    labels = {p.label for p in speak(" ".join(f"{a} {b}" for a, b in said), Voice(accent)).phones}
    assert labels <= set(TARGETS)


def test_every_voice_of_the_corpus_can_be_spoken():
    lengths = {len(speak("one", Voice(f"{accent}+{variant}")).sound) for accent in ACCENTS for variant in VARIANTS}
    assert len(lengths) > 10
