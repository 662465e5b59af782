"""Long videos through the whole of prep's work: detection, crops, sound. Memory hardly grows with their length."""

import subprocess
import sys

import numpy as np
import pytest
from people import clip, place
from videos import repeated, tone, write_video

MAKE = r"""
import re, sys
from pathlib import Path
from avsr_bench.records import Clip
from avsr_bench.prepare_clip import ClipJob, SampleSettings, make_sample
path = Path(sys.argv[1])
sample = make_sample(ClipJob(Clip("long", path, "train", "s"), path.name), SampleSettings())
peak = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
assert hasattr(sample, "frames"), sample
print(sample.frames, int(peak[1]) // 1024)
"""


@pytest.mark.slow
def test_six_minutes_of_720p_take_little_more_than_two(tmp_path):
    face = clip(250, lambda t: [("astronaut", place((640 + 20 * np.sin(t * np.pi / 125), 330), 250))], size=(1280, 720))
    write_video(tmp_path / "short.mp4", face, sound=tone(10.0), options={"bf": "0"}, sound_codec="mp3")
    peaks = []
    for minutes in (2, 6):
        path = repeated(tmp_path / "short.mp4", tmp_path / f"{minutes}.mp4", 6 * minutes)
        done = subprocess.run([sys.executable, "-c", MAKE, path], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        frames, peak = map(int, done.stdout.split())
        assert frames == 1500 * minutes
        peaks.append(peak)
    assert peaks[1] < peaks[0] + 45, peaks  # MiB: the mouths of 4 minutes are 53
