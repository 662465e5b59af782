"""Memory does not grow with the length of a recording."""

import subprocess
import sys
from pathlib import Path

import pytest
from people import talk
from videos import repeated, tone, write_video

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


@pytest.mark.slow
@pytest.mark.parametrize(("seconds", "how"), [(60, ()), (30, ("stream",))], ids=["file", "stream"])
def test_a_longer_recording_takes_little_more(tmp_path: Path, drawn: Path, seconds: int, how: tuple[str, ...]) -> None:
    peaks = []
    short = write_video(tmp_path / "short.mp4", talk(seconds, 320, 240), sound=tone(seconds), sound_codec="flac")
    for times in (1, 3):
        path = repeated(short, tmp_path / f"{times}.mp4", times)
        command = [sys.executable, "-c", RUN, str(path), str(drawn), str(tmp_path / f"{times}-out.mp4"), *how]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        count, gaps, peak = done.stdout.split()
        assert abs(int(count) / 16_000 - times * seconds) < 0.1 and int(gaps) == times
        peaks.append(int(peak))
    assert peaks[1] < peaks[0] + 2 + 10 * 2 * seconds / 60, peaks  # MiB: mouths of a minute are 13, its pictures 165
