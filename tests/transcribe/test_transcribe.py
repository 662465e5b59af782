"""Real videos of digits being said, read by networks that know them: words, times, gaps and faces."""

from difflib import SequenceMatcher

import av
import cv2
import numpy as np
import pytest
from heard import Silence
from people import clip, place, talking
from small_runs import small_network, small_run
from videos import tone, write_sound, write_video

from avsr_bench import media, runs
from avsr_bench.evaluation import open_reader
from avsr_bench.faces import FaceSettings, crop_matrices
from avsr_bench.records import Refused, Unusable
from avsr_bench.transcribe import TranscribeSettings, WindowSettings, transcribe
from avsr_bench.transcribe import job as transcribe_job


def reader(run):
    return open_reader(runs.open_run(run), "cpu")


@pytest.fixture(scope="session")
def reads(lips):
    return reader(lips)


def words(transcript, face=None):
    return [word for utterance in transcript.utterances if face in (None, utterance.face) for word in utterance.words]


def texts(transcript, face=None):
    return " ".join(word.text for word in words(transcript, face))


def frames_of(path):
    return [picture.rgb().copy() for picture in media.Video(path)]


def sound_of(path):
    with av.open(str(path)) as container:
        return np.concatenate([frame.to_ndarray()[0] for frame in container.decode(audio=0)])


def check(found, clips, starts, wrong=0):
    """The words are those of the clips, but for `wrong`, and where they are said, within 0.16 s."""
    said = [word for one in clips for word in one.text.split()]
    spoken = [(a + start, b + start) for one, start in zip(clips, starts, strict=True) for a, b in one.times]
    matched = SequenceMatcher(None, [word.text for word in found], said, autojunk=False).get_matching_blocks()
    pairs = [(found[m.a + n], spoken[m.b + n]) for m in matched for n in range(m.size)]
    assert len(pairs) >= max(len(said), len(found)) - wrong, [word.text for word in found]
    for word, (start, end) in pairs:
        assert word.start == pytest.approx(start, abs=0.16) and word.end == pytest.approx(end, abs=0.16)
        assert start < word.middle < end


def test_the_words_of_a_clip_and_their_times(spoken, reads):
    for one in spoken:
        found = transcribe(one.path, reads, TranscribeSettings())
        check(words(found), [one], [0.0])
        assert all(word.confidence > 0.5 for word in words(found))
        assert found.gaps == () and found.notes == () and found.faces == (1,)


def test_the_mouth_is_the_one_that_prep_cuts(spoken, reads):
    (take,) = transcribe(spoken[0].path, reads, TranscribeSettings()).takes
    assert np.array_equal(take.matrices, crop_matrices(spoken[0].track.points))


@pytest.fixture(scope="module")
def long(spoken, tmp_path_factory):
    """The clips twice in a row, a wall of 1.2 s behind each of the first four: 15 s. With the start of every clip."""
    frames, starts = [], []
    for number, one in enumerate([*spoken, *spoken]):
        starts.append(len(frames) / 25)
        frames += frames_of(one.path)
        if number < 4:
            frames += [np.full_like(frames[0], 90)] * 30
    path = write_video(tmp_path_factory.mktemp("long") / "long.mp4", frames)
    return path, starts


@pytest.mark.parametrize(("window", "overlap"), [(8.0, 1.0), (3.0, 1.0), (60.0, 1.0)])
def test_a_long_video_is_read_in_windows_and_each_word_counted_once(spoken, reads, long, window, overlap):
    path, starts = long
    found = transcribe(path, reads, TranscribeSettings(windows=WindowSettings(window, overlap)))
    check(words(found), [*spoken, *spoken], starts, wrong=2)
    assert len(found.utterances) >= 5
    assert [gap.why for gap in found.gaps] == ["no face in view"] * 4
    for gap, one, start in zip(found.gaps, spoken, starts[:4], strict=True):
        assert gap.start == pytest.approx(start + len(one.mouth) / 25, abs=0.09)
        assert gap.end - gap.start == pytest.approx(1.2, abs=0.09)
    (note,) = found.notes
    assert note.startswith("nothing is read in 4.")
    assert note.endswith("no face in view, and 1 more")


def test_other_rates_and_sizes_give_the_same_words(spoken, reads, tmp_path):
    one = spoken[1]
    twice = [frame for frame in frames_of(one.path) for _ in (0, 1)]
    fast = write_video(tmp_path / "fast.mkv", [cv2.resize(frame, (448, 448)) for frame in twice], rate=50)
    found = transcribe(fast, reads, TranscribeSettings())
    check(words(found), [one], [0.0], wrong=1)


@pytest.fixture(scope="module")
def table(spoken, tmp_path_factory):
    """Two who speak: one from the beginning on the left, one from 1 s on the right."""
    left, right = frames_of(spoken[1].path), frames_of(spoken[0].path)
    frames = []
    for t in range(80):
        frame = np.full((300, 560, 3), 60, np.uint8)
        frame[40:264, 10:234] = left[min(t, len(left) - 1)]
        if t >= 25:
            frame[50:274, 300:524] = right[min(t - 25, len(right) - 1)]
        frames.append(frame)
    return write_video(tmp_path_factory.mktemp("table") / "table.mp4", frames)


@pytest.fixture
def watched(monkeypatch):
    """A transcript, and the windows that were read for it."""
    windows, plain = [], transcribe_job.read_window

    def spy(reader, window):
        windows.append(window)
        return plain(reader, window)

    monkeypatch.setattr(transcribe_job, "read_window", spy)
    return lambda run, path, settings: (transcribe(path, reader(run), settings), windows)


def shows(window, one, start):
    """Whether the mouth of a window moves as that of a clip that begins at `start` seconds.

    Its pixels differ: where the face is smaller in its picture the detector puts its points elsewhere.
    """
    first = max(round(start * 25) - window.start, 0)
    moves = [movement(mouths) for mouths in (window.mouths[first : first + len(one.mouth)], one.mouth)]
    frames = min(map(len, moves))
    return np.corrcoef(moves[0][:frames], moves[1][:frames])[0, 1] > 0.5


def movement(mouths):
    return np.abs(np.diff(mouths.astype(float), axis=0)).mean((1, 2))


def test_all_faces_are_read_also_those_who_come_later(spoken, lips, table, watched):
    found, windows = watched(lips, table, TranscribeSettings(all_faces=True))
    assert found.faces == (1, 2) and len(windows) == 2
    assert {(take.start, take.end) for take in found.takes} == {(0, 80), (25, 80)}
    late, early = sorted(windows, key=len)
    assert shows(early, spoken[1], 0.0) and shows(late, spoken[0], 1.0)
    assert not shows(early, spoken[0], 1.0)
    starts = [utterance.start for utterance in found.utterances]
    assert starts == sorted(starts) and {utterance.face for utterance in found.utterances} == {1, 2}


@pytest.mark.parametrize(("face", "number", "start"), [("122,150", 1, 0.0), ("400,150", 0, 1.0)])
def test_one_face_can_be_asked_for_by_its_place(spoken, lips, table, watched, face, number, start):
    found, (window,) = watched(lips, table, TranscribeSettings(faces=FaceSettings(face=face)))
    assert shows(window, spoken[number], start) and found.faces == (1,)
    if start:
        (gap,) = found.gaps
        assert gap.why == "another face in view (--all-faces)" and (gap.start, gap.end) == (0.0, 1.0)


def test_passers_by_are_left_out_and_said(stranger, tmp_path):
    def at(t):
        brief = [("other", place((250, 120), 60))] if 20 <= t < 32 else []
        return [("astronaut", place((100, 120), 80)), *brief]

    path = write_video(tmp_path / "street.mp4", clip(60, at))
    found = transcribe(path, reader(stranger), TranscribeSettings(all_faces=True))
    assert found.faces == (1,)
    assert found.notes == ("left out, in view for less than 1 s: 1 faces",)


def test_a_model_that_listens_hears_any_file(spoken, ears, tmp_path):
    one = spoken[0]
    hears = reader(ears)
    found = transcribe(one.path, hears, TranscribeSettings())
    assert found.takes == ()
    check(words(found), [one], [0.0])
    sound = (sound_of(one.path) * 32767).astype(np.int16)
    plain = write_sound(tmp_path / "talk.wav", sound, rate=22_050)
    assert texts(transcribe(plain, hears, TranscribeSettings())) == one.text
    faceless = write_video(tmp_path / "wall.mp4", clip(54, lambda t: []), sound=sound, sound_rate=22_050)
    assert texts(transcribe(faceless, hears, TranscribeSettings())) == one.text
    with pytest.raises(Unusable, match=r"too-short: 0.12 s of sound"):
        transcribe(write_sound(tmp_path / "blip.wav", tone(0.1)), hears, TranscribeSettings())
    with pytest.raises(Refused, match="has no sound"):
        transcribe(write_video(tmp_path / "mute.mp4", talking(8)), hears, TranscribeSettings())


def test_both_eyes_and_ears(spoken, tmp_path, watched):
    one = spoken[2]
    _, (window,) = watched(small_run(tmp_path / "run", small_network("av")), one.path, TranscribeSettings())
    assert np.array_equal(window.sound, one.sound)
    assert np.abs(window.mouths.astype(float) - one.mouth).mean() < 2  # prep's went through H.264


def test_sound_shorter_than_the_picture_is_filled_with_silence(tmp_path):
    both = reader(small_run(tmp_path / "run", small_network("av")))
    path = write_video(tmp_path / "short.mp4", talking(60), sound=tone(0.5))
    assert transcribe(path, both, TranscribeSettings()).seconds == 2.4


def test_progress_is_told_second_by_second(stranger, tmp_path):
    heard = Silence()
    path = write_video(tmp_path / "talk.mp4", talking(60))
    transcribe(path, reader(stranger), TranscribeSettings(), heard)
    assert heard.begun == [("talk.mp4: faces", 2, "s"), ("talk.mp4: reading", 2, "s")]
    assert heard.steps == 4
