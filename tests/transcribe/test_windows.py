"""Windows: how long, where they are cut, and that together they are the recording."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avsr_bench.records import Misused
from avsr_bench.transcribe import WindowSettings, Word
from avsr_bench.transcribe.windows import Reading, quietest


@pytest.mark.parametrize(("window", "overlap"), [(1.0, 0.1), (61.0, 1.0), (4.0, 2.5), (4.0, -1.0), (float("nan"), 1.0)])
def test_settings_that_make_no_sense(window, overlap):
    with pytest.raises(Misused, match="give"):
        WindowSettings(window, overlap)


def read_all(frames, settings, mouth=True, sound=False, start=0):
    """The windows that a recording is read in; each frame bears its number."""
    windows = []

    def read(window):
        windows.append(window)
        return ()

    reading = Reading(read, settings, start)
    for t in range(frames):
        picture = np.full((96, 96), t % 251, np.uint8) if mouth else None
        reading.add(picture, np.full(640, t, np.int16) if sound else None)
        assert len(reading.activity) <= round(settings.window * 25)  # memory does not grow
    reading.finish()
    return windows


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 700), st.sampled_from([(8.0, 1.0), (3.0, 0.5), (2.0, 1.0), (5.0, 0.0)]), st.booleans())
def test_windows_cover_every_frame_in_order_and_share_what_they_say(frames, how, sound):
    settings_ = WindowSettings(*how)
    windows = read_all(frames, settings_, mouth=not sound, sound=sound, start=40)
    assert windows[0].start == 40 and windows[0].shared == 0
    assert windows[-1].start + len(windows[-1]) == 40 + frames
    for before, after in pairwise(windows):
        assert after.start == before.start + len(before) - after.shared
        assert after.shared == 2 * round(how[1] * 25 / 2)
    for window in windows:
        assert len(window) <= round(how[0] * 25)
        first = window.sound[0] if sound else window.mouths[0, 0, 0]
        assert int(first) == (window.start - 40) % (2**31 if sound else 251)
    if frames <= how[0] * 25:
        assert len(windows) == 1


def test_it_is_cut_where_least_happens():
    activity = np.random.default_rng(0).uniform(5, 9, 200)
    activity[140:150] = 1.0
    assert 140 <= quietest(activity, 12) < 150
    activity[20:60] = 0.0  # in the first half: windows would get short
    assert 140 <= quietest(activity, 12) < 150
    activity[195:] = 0.0  # too near to the end: what follows would be cut off from it
    assert 140 <= quietest(activity, 12) < 150


def test_sound_tells_the_pause_where_both_are_there():
    sound = np.full((210, 640), 900, np.int16)
    sound[120:130] = 0
    cut = []
    reading = Reading(lambda window: cut.append(window) or (), WindowSettings(8.0, 1.0), 0)
    for t in range(210):
        reading.add(np.full((96, 96), t * 97 % 256, np.uint8), sound[t])
    reading.finish()
    assert 120 <= cut[0].start + len(cut[0]) - 12 <= 130
    assert cut[0].sound.shape == (640 * len(cut[0]),) and cut[0].mouths.shape == (len(cut[0]), 96, 96)


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.integers(10, 40), min_size=1, max_size=60),
    st.sampled_from([(8.0, 1.0), (4.0, 1.0), (3.0, 0.5)]),
    st.integers(0, 2**32 - 1),
)
def test_words_of_a_recording_come_out_once_each(gaps, how, seed):
    """A perfect reader, whose times are 40 ms off now and then, gives the words of the whole recording."""
    rng = np.random.default_rng(seed)
    middles = np.cumsum(gaps) / 25  # 0.4 s and more apart, each 0.3 s long
    frames = int(middles[-1] * 25) + 20
    loud = np.zeros(frames, np.int16)
    for middle in middles:
        loud[max(0, int(middle * 25) - 4) : int(middle * 25) + 4] = 1000

    def read(window):
        start, end = window.start / 25, (window.start + len(window)) / 25
        found = []
        for number, middle in enumerate(middles + rng.uniform(-0.04, 0.04, len(middles))):
            if start + 0.15 <= middle <= end - 0.15:
                found.append(Word(str(number), middle - 0.15, middle + 0.15, float(rng.uniform(0.5, 1))))
        return tuple(found)

    reading = Reading(read, WindowSettings(*how), 0)
    for t in range(frames):
        reading.add(None, np.full(640, loud[t], np.int16))
    said = [word.text for word in reading.finish()]
    assert said == [str(number) for number in range(len(middles))]
