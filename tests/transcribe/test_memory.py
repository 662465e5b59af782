"""Memory does not grow with the length of a video."""

import subprocess
import sys
from pathlib import Path

import pytest
from people import talk
from small_runs import small_network, small_run
from videos import repeated, tone, write_video

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


@pytest.mark.slow
def test_five_minutes_of_720p_take_little_more_than_one(tmp_path: Path) -> None:
    run, peaks = small_run(tmp_path / "run", small_network("av")), []
    options = {"crf": "35"}
    minute = write_video(
        tmp_path / "minute.mp4", talk(60, 1280, 720), sound=tone(60), options=options, sound_codec="flac"
    )
    for minutes in (1, 5):
        seconds, path = 60 * minutes, repeated(minute, tmp_path / f"{minutes}.mp4", minutes)
        command = [sys.executable, "-c", READ, str(path), str(run)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        length, takes, peak = done.stdout.split()
        assert float(length) == seconds and int(takes) == minutes
        peaks.append(int(peak))
    assert peaks[1] < peaks[0] + 40, peaks  # MiB: the sound of 4 minutes is 15 as floats, the mouths are 53
