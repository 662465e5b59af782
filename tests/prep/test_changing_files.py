"""Files that go away, shrink, grow or become others between listing and decoding: a reason of the clip each time."""

import shutil
from dataclasses import replace

import pytest
from people import talking
from videos import scene, tone, write_video

from avsr_bench import corpora, media
from avsr_bench.prepare_clip import ClipJob, CropSettings, SampleSettings, make_sample
from avsr_bench.records import REASONS, Refused, Sample, Skipped

FRAMES = 16
CROPPED = SampleSettings(crop=CropSettings(already_cropped=True))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    write_video(folder / "long.mp4", talking(FRAMES), sound=tone(FRAMES / 25))
    write_video(folder / "short.mp4", talking(FRAMES // 2))
    write_video(folder / "large.mp4", [scene(n, 400, 300) for n in range(FRAMES)])
    return folder


@pytest.fixture
def listed(made, tmp_path):
    """The clip of a folder as it was listed."""
    shutil.copy(made / "long.mp4", tmp_path / "a.mp4")
    (clip,) = corpora.read("folder", tmp_path).clips
    return clip


def test_unchanged_it_is_a_sample(listed):
    assert isinstance(make_sample(ClipJob(listed, "a.mp4"), CROPPED), Sample)


def gone(path, made):
    path.unlink()


def empty(path, made):
    path.write_bytes(b"")


def shrunk(path, made):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def grown(path, made):
    path.write_bytes(path.read_bytes() + bytes(100_000))


def a_folder(path, made):
    path.unlink()
    path.mkdir()


def a_text(path, made):
    path.write_text("not a video at all\n" * 99)


def another(path, made):
    shutil.copy(made / "short.mp4", path)


@pytest.mark.parametrize(
    ("change", "codes"),
    [
        (gone, {"missing-file"}),
        (empty, {"empty-file"}),
        (shrunk, {"damaged"}),
        (grown, {None, "damaged"}),
        (a_folder, {"not-video"}),
        (a_text, {"not-video"}),
        (another, {None}),
    ],
)
def test_before_it_is_opened(listed, made, change, codes):
    change(listed.video, made)
    outcome = make_sample(ClipJob(listed, "a.mp4"), CROPPED)
    assert (outcome.reason.code if isinstance(outcome, Skipped) else None) in codes


class Changing(media.Video):
    """A video of which nothing is kept in memory, and whose file changes after the first pass over it."""

    def __init__(self, path, start=0.0, end=None, *, change, made):
        super().__init__(path, start, end, keep_bytes=0)
        self.change, self.made, self.passes = change, made, 0

    def fits(self, seconds):
        return True  # so that nothing is held of it either

    def __iter__(self):
        self.passes += 1
        if self.passes == 2:
            self.change(self.path, self.made)
        yield from super().__iter__()


def replaced(name):
    return lambda path, made: shutil.copy(made / name, path)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (gone, "missing-file"),
        (shrunk, "damaged"),
        (replaced("short.mp4"), "damaged"),
        (replaced("large.mp4"), "damaged"),
    ],
)
def test_between_two_passes(listed, made, monkeypatch, change, code):
    monkeypatch.setattr(media, "Video", lambda *given: Changing(*given, change=change, made=made))
    outcome = make_sample(ClipJob(listed, "a.mp4"), SampleSettings())
    assert outcome.reason.code == code
    assert REASONS[code][0] == "clip"


class Fleeting(media.Video):
    """A video whose file is removed as soon as it is open."""

    @property
    def info(self):
        found = super().info
        self.path.unlink(missing_ok=True)
        return found


def test_a_file_that_goes_away_while_it_is_open(listed, monkeypatch):
    monkeypatch.setattr(media, "Video", Fleeting)
    assert make_sample(ClipJob(listed, "a.mp4"), CROPPED).reason.code == "missing-file"


def test_sound_that_goes_away(listed, tmp_path):
    outcome = make_sample(ClipJob(replace(listed, audio=tmp_path / "gone.wav"), "a.mp4"), CROPPED)
    assert outcome.reason.code == "missing-file"


def test_a_root_that_goes_away_is_refused(tmp_path):
    for reader in ("folder", "grid"):
        with pytest.raises(Refused, match="cannot be listed: No such file"):
            corpora.READERS[reader].read(tmp_path / "gone", corpora.READERS[reader].settings())
