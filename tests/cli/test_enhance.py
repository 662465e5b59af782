"""`avsr-bench enhance` as a user runs it."""

import os
import re
import signal
import subprocess
import time
import wave
from pathlib import Path

import pytest
import warm
from patience import PATIENCE
from people import talking
from small_runs import small_enhancer, small_run
from videos import tone, write_video


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a video and a run of random weights."""
    folder = tmp_path_factory.mktemp("place")
    write_video(folder / "talk.mp4", talking(30), sound=tone(1.2))
    small_run(folder / "runs" / "synth" / "enhance-tiny-s0", small_enhancer())
    return folder


def begin(place, *arguments):
    command = [*warm.avsr(), "enhance", *arguments, "--device", "cpu"]
    environment = {**os.environ, "COLUMNS": "120", "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, cwd=place, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)


def run(place, *arguments):
    process = begin(place, *arguments)
    out, err = process.communicate(timeout=PATIENCE)
    assert b"Traceback" not in err, err
    return process.returncode, out, err.decode()


def test_a_file_is_written_and_a_stream_says_what_it_takes(place):
    code, out, err = run(place, "talk.mp4", "--model", "synth/enhance-tiny-s0", "--out", "clean.mp4", "--stream")
    assert code == 0, err
    first, latency, compute, rest = out.decode().splitlines()
    assert re.fullmatch(r"clean\.mp4: 1\.\d\d s of sound at 16 kHz, no sample clipped", first)
    assert latency == "latency  50 ms by construction: a frame of 40 ms, and 10 ms that the network waits for"
    number = r"\d+\.\d"
    assert re.fullmatch(
        rf"compute  {number} ms a frame \(median\), {number} ms \(99th percentile\), real-time factor {number}\d over"
        r" \d+ frames; the network on 1 thread of this processor",
        compute,
    )
    assert rest.strip() == "Not in it: decoding, and finding the face, which was done in a pass of its own before."
    assert "talk.mp4: faces 1/1 s" in err and "talk.mp4: enhancing 1/1 s" in err


def test_a_dash_is_standard_output(place):
    code, out, err = run(place, "talk.mp4", "--model", "synth/enhance-tiny-s0", "--out", "-")
    assert code == 0 and "no sample clipped" in err
    (place / "piped.wav").write_bytes(out)
    with wave.open(str(place / "piped.wav")) as file:
        assert file.getframerate() == 16_000 and file.getnframes() >= 1.2 * 16_000


@pytest.mark.parametrize("out", ["long.wav", "long-clean.mp4"])
def test_ctrl_c_ends_with_130_and_leaves_no_file(place, out):
    write_video(place / "long.mp4", talking(60) * 40, sound=tone(96.0))
    process = begin(place, "long.mp4", "--model", "synth/enhance-tiny-s0", "--out", out, "--stream")
    half = re.compile(rf"\.{re.escape(out)}\..*\.tmp")
    deadline = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < deadline:  # until it writes
        if any(half.fullmatch(path.name) for path in Path(place).iterdir()):
            break
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130 and err.splitlines()[-1] == b"avsr-bench: stopped; nothing was written"
    assert not (place / out).exists() and not list(place.glob(".*"))
