"""Memory does not grow with the length of a recording."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest
from people import draw, place
from videos import tone, write_video

RUN = r"""
import re, sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from avsr_bench.enhancing import EnhanceRequest, enhance
source, run, out, *stream = sys.argv[1:]
found = enhance(EnhanceRequest(Path(source), run, Path(out), device="cpu", stream=bool(stream)))
peak = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())  # getrusage counts the parent's too
print(found.samples, len(found.gaps), int(peak[1]) // 1024)
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
        yield away if n // 25 % 60 >= 58 else there[n % 50]


@pytest.mark.slow
@pytest.mark.parametrize("how", [(), ("stream",)], ids=["file", "stream"])
def test_five_minutes_take_little_more_than_one(tmp_path: Path, drawn: Path, how: tuple[str, ...]) -> None:
    peaks = []
    for minutes in (1, 5):
        seconds, path = 60 * minutes, tmp_path / f"{minutes}.mp4"
        write_video(path, talk(seconds, 320, 240), sound=tone(seconds), options={"crf": "35"})
        command = [sys.executable, "-c", RUN, str(path), str(drawn), str(tmp_path / f"{minutes}-out.mp4"), *how]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        count, gaps, peak = done.stdout.split()
        assert abs(int(count) / 16_000 - seconds) < 0.1 and int(gaps) == minutes
        peaks.append(int(peak))
    assert peaks[1] < peaks[0] + 30, peaks  # MiB: the mouths of 4 minutes are 53, their pictures 660
