"""The words and the mouth box in the picture, the sound beside it."""

import numpy as np
import pytest
from people import FACE_WIDTH, MOUTH, clip, place
from videos import scene, tone, write_video

from avsr_bench import media
from avsr_bench.faces import FaceSettings, crop_matrices, find_track
from avsr_bench.records import Unusable
from avsr_bench.transcribe import Take, Transcript, Utterance, Word, preview
from avsr_bench.transcribe.preview import COLOURS


def drawn(tmp_path, source, words, takes=(), face=1):
    """The preview of a video: its frames as floats, and those of the video."""
    frames = [picture.rgb().astype(float) for picture in media.Video(source)]
    said = (Utterance(face, tuple(words)),) if words else ()
    target = tmp_path / "preview.mp4"
    preview(Transcript(source, len(frames) / 25, said, tuple(takes)), target)
    found = [picture.rgb().astype(float) for picture in media.Video(target)]
    assert len(found) == len(frames) and found[0].shape == frames[0].shape
    return found, frames


def changed(found, frames, t):
    """Where a frame is not that of the video: bool H, W."""
    return np.abs(found[t] - frames[t]).max(-1) > 60


def near(frame, colour):
    """Where a frame is of a colour: bool H, W. Frames of odd sizes keep the colours of thin lines."""
    return np.abs(frame - colour).max(-1) < 40


@pytest.mark.parametrize(
    ("width", "height"), [(320, 240), (180, 320), (480, 270), (96, 64), (151, 101)], ids=lambda side: str(side)
)
def test_words_appear_when_they_are_spoken_and_stay_until_the_cue_ends(tmp_path, width, height):
    source = write_video(tmp_path / "x.mkv", [scene(0, width, height)] * 75, pix_fmt="yuv444p")
    words = [Word("first", 0.4, 0.8, 1.0), Word("second", 1.2, 1.6, 1.0), Word("third", 1.8, 2.0, 1.0)]
    found, frames = drawn(tmp_path, source, words)
    area = [changed(found, frames, t).sum() for t in range(75)]
    assert max(area[:9]) == 0 and min(area[11:49]) > 0 and max(area[51:]) == 0
    assert area[12] > 0 and area[35] != area[12]
    rows = np.flatnonzero(changed(found, frames, 45).any(1))
    assert rows.min() > height * 0.4  # at the bottom
    bright = [(found[t][height // 2 :] > 200).all(-1).sum() for t in (5, 25, 45)]
    assert bright[0] == 0 < bright[1] < bright[2]  # what was said is white


@pytest.mark.parametrize(("width", "height"), [(320, 240), (180, 320), (96, 64)])
def test_long_words_stay_inside_the_picture(tmp_path, width, height):
    source = write_video(tmp_path / "x.mp4", [scene(0, width, height)] * 30)
    words = [Word("donaudampfschifffahrtsgesellschaftskapitän" * 2, 0.0, 0.6, 1.0), Word("x" * 90, 0.6, 1.2, 1.0)]
    found, frames = drawn(tmp_path, source, words)
    for t in (10, 25):
        columns = np.flatnonzero(changed(found, frames, t).any(0))
        assert columns.min() >= 1 and columns.max() < width - 1
    assert changed(found, frames, 10).sum() > 100


def test_the_box_is_round_the_mouth_in_the_colour_of_the_face(tmp_path):
    def at(t):
        return [("astronaut", place((150 + t, 120), 90))]

    source = write_video(tmp_path / "face.mkv", clip(30, at, size=(321, 241)), sound=tone(1.2), pix_fmt="yuv444p")
    track = find_track(media.Video(source), FaceSettings())
    take = Take(2, 0, crop_matrices(track.points)[:20], {})
    found, frames = drawn(tmp_path, source, [], [take])
    for t in (3, 15):
        rows, columns = np.nonzero(near(found[t], COLOURS[1]))
        matrix = at(t)[0][1]
        x, y = matrix[:, :2] @ MOUTH + matrix[:, 2]
        assert (columns.min() + columns.max()) / 2 == pytest.approx(x, abs=5)
        assert (rows.min() + rows.max()) / 2 == pytest.approx(y, abs=5)
        assert np.ptp(columns) == pytest.approx(0.78 * 90 / FACE_WIDTH * 95, rel=0.25)
    assert not changed(found, frames, 25).any()  # it is not read there
    assert media.probe(tmp_path / "preview.mp4").has_sound
    before, after = (media.read_sound(path, 30).samples for path in (source, tmp_path / "preview.mp4"))
    assert np.array_equal(before, after)


def test_a_caption_does_not_cover_the_mouth(tmp_path):
    source = write_video(tmp_path / "low.mp4", clip(30, lambda t: [("astronaut", place((160, 170), 90))]))
    track = find_track(media.Video(source), FaceSettings())
    take = Take(1, 0, crop_matrices(track.points), {})
    found, frames = drawn(tmp_path, source, [Word("words", 0.2, 1.0, 1.0)], [take])
    bright = np.flatnonzero((found[20] > 235).all(-1).sum(1) > 3)
    covered = np.flatnonzero(changed(found, frames, 20).any(1))
    assert covered.min() < 40 and (not len(bright) or bright.min() < 120)


def test_captions_of_two_faces_do_not_cover_one_another(tmp_path):
    source = write_video(tmp_path / "x.mkv", [scene(0, 321, 241)] * 40, pix_fmt="yuv444p")
    both = tuple(Utterance(face, (Word("something", 0.2, 1.4, 1.0),)) for face in (1, 2))
    preview(Transcript(source, 1.6, both), tmp_path / "p.mp4")
    found = [picture.rgb().astype(float) for picture in media.Video(tmp_path / "p.mp4")][20]
    heights = [np.nonzero(near(found, COLOURS[face]))[0] for face in (0, 1)]
    assert heights[1].max() < heights[0].min() or heights[0].max() < heights[1].min()


def test_a_file_of_sound_has_no_preview(tmp_path):
    from videos import write_sound

    source = write_sound(tmp_path / "x.wav", tone(1.0))
    with pytest.raises(Unusable, match="no-video-stream"):
        preview(Transcript(source, 1.0, ()), tmp_path / "p.mp4")
    assert not (tmp_path / "p.mp4").exists()
