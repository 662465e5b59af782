"""Long videos through the whole of prep's work: detection, crops, sound. Memory hardly grows with their length."""

import subprocess
import sys

import av
import numpy as np
import pytest
from people import clip, place
from videos import tone, write_video

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


def repeated(short, path, times):
    """The same packets again and again, with their clocks set on: a long video in seconds."""
    with av.open(str(short)) as source, av.open(str(path), "w") as target:
        streams = {stream.index: target.add_stream_from_template(stream) for stream in source.streams}
        ends = dict.fromkeys(streams, 0)  # where the next turn begins on each stream's clock
        for _ in range(times):
            source.seek(0)
            begins = dict(ends)
            for packet in source.demux():
                if packet.dts is None:
                    continue
                index = packet.stream.index
                shift = begins[index] - (packet.stream.start_time or 0)
                ends[index] = packet.dts + shift + packet.duration
                packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
                packet.stream = streams[index]
                target.mux(packet)


@pytest.mark.slow
def test_a_quarter_of_an_hour_of_720p_takes_little_more_than_two_minutes(tmp_path):
    face = clip(250, lambda t: [("astronaut", place((640 + 20 * np.sin(t * np.pi / 125), 330), 250))], size=(1280, 720))
    write_video(tmp_path / "short.mp4", face, sound=tone(10.0), options={"bf": "0"}, sound_codec="mp3")
    peaks = []
    for minutes in (2, 15):
        path = tmp_path / f"{minutes}.mp4"
        repeated(tmp_path / "short.mp4", path, 6 * minutes)
        done = subprocess.run([sys.executable, "-c", MAKE, path], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        frames, peak = map(int, done.stdout.split())
        assert frames == 1500 * minutes
        peaks.append(peak)
    assert peaks[1] < peaks[0] + 150, peaks  # MiB
