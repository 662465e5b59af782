"""Memory does not grow with the length of a video."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest
from people import draw, place
from small_runs import small_network, small_run
from videos import tone, write_video

READ = r"""
import re, sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from avsr_bench.transcribe import TranscribeSettings, transcribe
from avsr_bench import evaluation, runs
reader = evaluation.open_reader(runs.open_run(Path(sys.argv[2])), "cpu")
found = transcribe(Path(sys.argv[1]), reader, TranscribeSettings(all_faces=True))
peak = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())  # getrusage counts the parent's too
print(found.seconds, len(found.takes), int(peak[1]) // 1024)
"""


def talk(seconds: int, width: int, height: int) -> Iterator[av.VideoFrame]:
    """A face that is away for two of every sixty seconds, and moves a little in between."""
    places = [(width / 2 + 12 * np.sin(n / 8), height / 2) for n in range(50)]
    there = [
        av.VideoFrame.from_ndarray(draw(("astronaut", place(at, height / 3)), size=(width, height))) for at in places
    ]
    there = [frame.reformat(format="yuv420p") for frame in there]
    away = av.VideoFrame.from_ndarray(draw(size=(width, height))).reformat(format="yuv420p")
    for n in range(seconds * 25):
        frame = away if n // 25 % 60 >= 58 else there[n % 50]
        yield frame


@pytest.mark.slow
def test_a_quarter_of_an_hour_of_720p_takes_little_more_than_a_minute(tmp_path: Path) -> None:
    run, peaks = small_run(tmp_path / "run", small_network("av")), []
    for minutes in (1, 15):
        seconds, options = 60 * minutes, {"crf": "35"}
        path = tmp_path / f"{minutes}.mp4"
        write_video(path, talk(seconds, 1280, 720), sound=tone(seconds), options=options)
        command = [sys.executable, "-c", READ, str(path), str(run)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        length, takes, peak = done.stdout.split()
        assert float(length) == seconds and int(takes) == minutes
        peaks.append(int(peak))
    assert peaks[1] < peaks[0] + 100, peaks  # MiB: the sound of 15 minutes is 58 as floats
