"""One clip to one sample: what holds whatever the container says of itself."""

import signal

import numpy as np
import pytest
from videos import numbered, write_video

from avsr_bench import media
from avsr_bench.prep import engine
from avsr_bench.prepare_clip import ClipJob, ClipSettings, CropSettings, SampleSettings, make_sample
from avsr_bench.records import Clip, Sample, Skipped

# Files that say nothing of their length, as recorders, cameras and GRID write them.
UNANNOUNCED = {
    "a.ts": {},
    "a.mpg": {"codec": "mpeg1video", "options": {"b": "800000"}},
    "a.webm": {"codec": "libvpx", "file_options": {"live": "1"}},
}


@pytest.fixture(params=[*UNANNOUNCED, "a.mp4"])
def video(request, tmp_path):
    """A clip of 3 s of each kind."""
    return write_video(tmp_path / request.param, [numbered(n) for n in range(75)], **UNANNOUNCED.get(request.param, {}))


def made(path, max_seconds, report_length=lambda seconds: None):
    settings = SampleSettings(clips=ClipSettings(max_seconds=max_seconds), crop=CropSettings(already_cropped=True))
    return make_sample(ClipJob(Clip("k", path, "train", "s"), path.name), settings, report_length)


def test_a_clip_that_is_too_long_is_left_out_whatever_the_file_announces(video):
    too_long = made(video, 2.0)
    assert isinstance(too_long, Skipped) and too_long.reason.code == "too-long"
    assert "clips.max_seconds is 2" in too_long.reason.detail
    assert isinstance(made(video, 3.0), Sample)


def test_the_time_limit_grows_with_the_length_whatever_the_file_announces(video):
    heard = []
    assert (media.probe(video).seconds is None) == (video.name in UNANNOUNCED)
    made(video, None, heard.append)
    assert 2 < heard[-1] <= 3.1
    assert heard == sorted(heard)


def test_the_time_limit_counts_from_the_beginning_of_the_work():
    left = []

    def work(task, limit):
        for seconds in (1, 2, 2):
            limit(seconds)
            left.append(signal.getitimer(signal.ITIMER_REAL)[0])
            sum(np.random.default_rng(0).normal(size=200_000))

    assert engine.attempt(work, None) is None
    assert left[0] <= 70
    assert left[2] < left[1] <= 80
