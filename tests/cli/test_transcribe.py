"""`avsr-bench transcribe` as a user runs it."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import typer
import warm
from patience import PATIENCE
from people import talking
from small_runs import small_network, small_run
from typer.testing import CliRunner
from videos import tone, write_video

from avsr_bench.cli.transcribe import add_to
from avsr_bench.records import Misused


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a video and a run of random weights."""
    folder = tmp_path_factory.mktemp("place")
    write_video(folder / "talk.mp4", talking(30), sound=tone(1.2))
    (folder / "text.mp4").write_text("no video")
    small_run(folder / "runs" / "synth" / "dense-tiny-s0", small_network())
    return folder


def begin(place, *arguments, start=warm.avsr):
    command = [*start(), "transcribe", *arguments]
    environment = {**os.environ, "COLUMNS": "120", "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command, cwd=place, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )


def run(place, *arguments):
    process = begin(place, *arguments)
    out, err = process.communicate(timeout=PATIENCE)
    assert "Traceback" not in err, err
    return process.returncode, out, err


def test_transcripts_of_those_that_can_be_read_and_reasons_of_the_others(place):
    code, out, err = run(place, "talk.mp4", "text.mp4", "--model", "dense", "--format", "json", "--preview", "x.mp4")
    assert (code, out) == (2, "") and "--preview draws one video" in err
    code, out, err = run(place, "text.mp4", "talk.mp4", "--model", "dense", "--format", "json", "--device", "cpu")
    assert code == 1
    (found,) = (json.loads(line) for line in out.splitlines())
    assert (found["video"], found["seconds"], found["model"]["run"]) == ("talk.mp4", 1.2, "synth/dense-tiny-s0")
    said = [line for line in err.splitlines() if line.startswith("avsr-bench: ")]
    assert said == [
        "avsr-bench: text.mp4: cannot be used: not-video: text.mp4 is in no known video format",
        "avsr-bench: 1 of 2 videos could not be transcribed",
    ]


def test_a_preview_is_written(place):
    code, _, _ = run(place, "talk.mp4", "--model", "dense", "--preview", "seen.mp4", "--out", "talk.vtt")
    assert code == 0
    assert (place / "seen.mp4").stat().st_size > 1000 and (place / "talk.vtt").read_text().startswith("WEBVTT")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("talk.mp4",), "--model"),
        (("--model", "dense"), "VIDEO"),
        (("talk.mp4", "--model", "dense", "--format", "docx"), "docx"),
        (("talk.mp4", "--model", "dense", "--face", "leftmost"), "largest, center or X,Y"),
        (("talk.mp4", "--model", "dense", "--window", "0.5"), "2 to 60 seconds"),
        (("talk.mp4", "talk.mp4", "--model", "dense"), "given twice"),
    ],
)
def test_wrong_usage_is_told(place, monkeypatch, arguments, says):
    monkeypatch.chdir(place)
    app = typer.Typer()
    add_to(app)
    done = CliRunner().invoke(app, arguments)
    assert isinstance(done.exception, Misused) or done.exit_code == 2
    assert says in (str(done.exception) if isinstance(done.exception, Misused) else done.output)


def test_ctrl_c_ends_with_130_and_leaves_nothing_half_written(place):
    write_video(place / "long.mp4", talking(60) * 40)
    words = ("long.mp4", "--model", "dense", "--out", "long.txt", "--preview", "long-seen.mp4")
    process = begin(place, *words, start=lambda: (sys.executable, "-m", "avsr_bench"))
    # Wherever in the work it is, the answer is the same.
    while process.poll() is None and "libavcodec" not in Path(f"/proc/{process.pid}/maps").read_text():
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130 and "Traceback" not in err
    assert not (place / "long-seen.mp4").exists() and not list(place.glob(".*"))
