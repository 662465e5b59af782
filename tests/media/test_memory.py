"""Memory does not grow with the length of a video."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import av
import pytest
from videos import repeated, tone, write_video

READ = r"""
import re, sys
from pathlib import Path
from avsr_bench.media import Video, read_sound
video = Video(Path(sys.argv[1]))
for _ in range(int(sys.argv[2])):
    count = 0
    for picture in video:
        picture.thumbnail()
        count += 1
sound = read_sound(Path(sys.argv[1]), count)
peak = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())  # getrusage counts the parent's too
print(count, len(sound.samples), int(peak[1]) // 1024)
"""


def still(count: int, width: int, height: int) -> Iterator[av.VideoFrame]:
    """The same picture again and again, as fresh frames."""
    for n in range(count):
        frame = av.VideoFrame(width, height, "yuv420p")
        for plane in frame.planes:
            plane.update(bytes([(n // 250) % 200 + 20]) * plane.buffer_size)
        yield frame


def read(path: Path, passes: int) -> tuple[int, int, int]:
    """Frames, samples and MiB at the peak of a process that reads a video and its sound."""
    done = subprocess.run(
        [sys.executable, "-c", READ, str(path), str(passes)], capture_output=True, text=True, check=True
    )
    frames, samples, peak = map(int, done.stdout.split())
    return frames, samples, peak


def test_ten_times_the_length_costs_no_more(tmp_path: Path) -> None:
    peaks = []
    for seconds in (20, 100):
        path = write_video(tmp_path / f"{seconds}.mp4", still(seconds * 25, 640, 360), sound=tone(seconds))
        frames, samples, peak = read(path, 2)
        assert frames == seconds * 25 and samples == frames * 640
        peaks.append(peak)
    assert peaks[1] < peaks[0] + 50, (
        peaks
    )  # both fill the 128 MiB that are kept; the longer one has 3 MiB more of sound


@pytest.mark.slow
def test_five_minutes_of_720p_take_little_more_than_one(tmp_path: Path) -> None:
    peaks = []
    options = {"crf": "40", "bf": "0"}
    minute = write_video(
        tmp_path / "minute.mp4", still(1500, 1280, 720), sound=tone(60), options=options, sound_codec="flac"
    )
    for minutes in (1, 5):
        count = 1500 * minutes
        frames, samples, peak = read(repeated(minute, tmp_path / f"{minutes}.mp4", minutes), 1)
        assert frames == count and samples == count * 640
        peaks.append(peak)
    assert peaks[1] < peaks[0] + 30, peaks  # MiB: the sound of 4 minutes is 7
