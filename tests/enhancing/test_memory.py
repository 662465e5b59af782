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
@pytest.mark.parametrize(("longer", "how"), [(3, ()), (2, ("stream",))], ids=["file", "stream"])
def test_a_longer_recording_takes_little_more(tmp_path: Path, drawn: Path, longer: int, how: tuple[str, ...]) -> None:
    peaks = []
    minute = write_video(tmp_path / "minute.mp4", talk(60, 320, 240), sound=tone(60), sound_codec="flac")
    for minutes in (1, longer):
        seconds, path = 60 * minutes, repeated(minute, tmp_path / f"{minutes}.mp4", minutes)
        command = [sys.executable, "-c", RUN, str(path), str(drawn), str(tmp_path / f"{minutes}-out.mp4"), *how]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        count, gaps, peak = done.stdout.split()
        assert abs(int(count) / 16_000 - seconds) < 0.1 and int(gaps) == minutes
        peaks.append(int(peak))
    assert peaks[1] < peaks[0] + 2 + 10 * (longer - 1), peaks  # MiB: the mouths of a minute are 13, its pictures 165
