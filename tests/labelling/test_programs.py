"""Recognisers whose models lie in their packages: on real speech, without a network, in any order."""

import importlib.metadata
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from avsr_bench.data import Example, Place
from avsr_bench.labelling.programs import PROGRAMS, open_program
from avsr_bench.records import RATE, Refused
from avsr_bench.shards import Entry

SAID = ["one three four six", "five one three four six three", "seven five five five one"]
PACKAGES = {"pocketsphinx": "pocketsphinx", "moonshine": "moonshine_voice"}


def spoken():
    """What espeak makes of the sentences, at the rate of shards."""
    from avsr_bench.synth.speech import RATE as SPOKEN_RATE
    from avsr_bench.synth.speech import Voice, speak

    found = []
    for text in SAID:
        sound = speak(text, Voice("en-us+m3")).sound * 2.0**15
        times = np.arange(int(len(sound) * RATE / SPOKEN_RATE)) * SPOKEN_RATE / RATE
        found.append(np.interp(times, np.arange(len(sound)), sound).astype(np.int16))
    return found


@pytest.fixture(scope="module")
def sounds():
    pytest.importorskip("espeakng_loader", reason="the synth extra is not installed")
    return spoken()


@pytest.fixture(scope="module", params=sorted(PROGRAMS))
def program(request):
    pytest.importorskip(PACKAGES[request.param], reason="the label extra is not installed")
    return open_program(request.param)


def heard(program, sounds, order):
    places = [Place("train", 0, Entry(str(number), None, "")) for number in order]

    def show(place):
        return Example(place.entry.key, "", "", "", 1, sound=sounds[int(place.entry.key)])

    return {int(place.entry.key): label for place, label in program.label(places, show, 1)}


def test_it_hears_digits_and_says_the_same_in_any_order(program, sounds):
    found = heard(program, sounds, [0, 1, 2])
    assert found == heard(program, sounds, [2, 0, 1]) == heard(program, sounds, [1, 2, 0])
    assert heard(open_program(next(name for name in PROGRAMS if name in program.header.labeller)), sounds, [2]) == {
        2: found[2]
    }
    words = sum(word in found[number].text.lower() for number, text in enumerate(SAID) for word in text.split())
    assert words >= 8  # of 15: neither knows that only digits are spoken
    sure = [label.confidence for label in found.values()]
    assert all(each is None for each in sure) or all(0 < each < 1 for each in sure)


def test_it_says_who_it_is(program):
    header = program.header
    package, _, version = header.labeller.partition(" ")
    assert version == importlib.metadata.version(package) and header.licence in ("MIT", "BSD-2-Clause")
    [itself] = header.ancestors
    assert itself.run == header.labeller and itself.frames is None and itself.weights == header.weights
    assert len(header.weights) == 16 and header.modality == "audio"


def test_silence_and_a_moment_are_nothing(program):
    found = heard(program, [np.zeros(RATE, np.int16), np.zeros(640, np.int16), np.zeros(0, np.int16)], [0, 1, 2])
    assert len(found) == 3 and all(label.confidence is None or 0 <= label.confidence <= 1 for label in found.values())


SCRIPT = """
import sys, socket
sys.path.insert(0, sys.argv[1])
from test_programs import SAID, heard, spoken
from avsr_bench.labelling.programs import open_program
try:
    socket.create_connection(("192.0.2.1", 80), 1)
    raise SystemExit("there is a network")
except OSError:
    print(sum(len(label.text) for label in heard(open_program(sys.argv[2]), spoken(), [0, 1, 2]).values()))
"""


def test_nothing_is_fetched(program, sounds):
    """In a namespace of its own, without a network."""
    name = next(name for name in PROGRAMS if name in program.header.labeller)
    words = ["unshare", "-rn", sys.executable, "-c", SCRIPT, str(Path(__file__).parent), name]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if "unshare" in done.stderr:
        pytest.skip("this machine permits no user namespaces (unshare -rn)")
    assert done.returncode == 0 and int(done.stdout) > 20, done.stderr


@pytest.mark.parametrize("name", sorted(PROGRAMS))
def test_without_the_extra_it_is_one_line(name, monkeypatch):
    monkeypatch.setitem(sys.modules, PACKAGES[name], None)
    with pytest.raises(Refused, match=rf"--with {name} needs {PACKAGES[name]}: pip install 'avsr-bench\[label\]'"):
        open_program(name)


def test_a_package_without_its_model_is_one_line(monkeypatch, tmp_path):
    voice = pytest.importorskip("moonshine_voice", reason="the label extra is not installed")
    monkeypatch.setattr(voice, "__file__", str(tmp_path / "__init__.py"))
    with pytest.raises(Refused, match=r"carries no model: pip install 'moonshine-voice==0\.1\.0'"):
        open_program("moonshine")
