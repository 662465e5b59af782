"""Commands that write a file which the user names: nothing of others is replaced, a dash is standard output."""

import os
import stat
import subprocess

import av
import onnx
import pytest
import safetensors
import warm
from archives import write
from mouths import make_shards
from people import talking
from PIL import Image
from small_runs import small_enhancer, small_network, small_run
from typer.testing import CliRunner
from videos import tone, write_video

from avsr_bench.cli import app
from avsr_bench.records import Refused

# A command with OUT where the target stands, the suffix of it, and whether a file of its own making may be replaced.
COMMANDS = {
    "text": ("transcribe VIDEO --model RUN --out OUT --device cpu", ".txt", False),
    "subtitles": ("transcribe VIDEO --model RUN --out OUT --device cpu", ".srt", False),
    "transcript": ("transcribe VIDEO --model RUN --out OUT --device cpu", ".json", True),
    "preview": ("transcribe VIDEO --model RUN --preview OUT --device cpu", ".mp4", False),
    "clean sound": ("enhance VIDEO --model ENHANCER --out OUT --device cpu", ".wav", False),
    "clean video": ("enhance VIDEO --model ENHANCER --out OUT --device cpu", ".mp4", False),
    "noisy video": ("noise apply VIDEO OUT --noise jpeg:3", ".mkv", False),
    "noise sheet": ("noise preview --out OUT", ".png", True),
    "contact sheet": ("inspect DATA --out OUT", ".png", True),
    "onnx": ("export RUN --format onnx --out OUT", ".onnx", True),
    "packed": ("export RUN --format sparse --out OUT", ".safetensors", True),
}
SOME = [pytest.param(name, marks=pytest.mark.slow) if name == "onnx" else name for name in COMMANDS]  # 15 s each
STREAMS = [name for name in COMMANDS if name not in ("preview", "noisy video", "clean video")]


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """What commands read, by the word that stands for it."""
    folder = tmp_path_factory.mktemp("inputs")
    make_shards(folder / "data", {"train": 2})
    return {
        "VIDEO": write_video(folder / "talk.mp4", talking(12), sound=tone(0.48)),
        "RUN": small_run(folder / "run", small_network()),
        "ENHANCER": small_run(folder / "enhancer", small_enhancer()),
        "DATA": folder / "data",
    }


@pytest.fixture
def words(places):
    def fill(name, target, *more):
        return [str({**places, "OUT": target}.get(word, word)) for word in COMMANDS[name][0].split()] + list(more)

    return fill


@pytest.fixture
def run(words):
    def go(name, target, *more):
        done = CliRunner().invoke(app, words(name, target, *more))
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return done

    return go


def opens(name, path):
    """Whether a file is what the command makes."""
    suffix = COMMANDS[name][1]
    if suffix in (".mp4", ".mkv"):
        with av.open(str(path)) as container:
            assert container.streams.video[0].average_rate == 25
    elif suffix == ".wav":
        with av.open(str(path)) as container:
            assert container.streams.audio[0].rate == 16_000
    elif suffix == ".png":
        Image.open(path).load()
    elif suffix == ".onnx":
        onnx.checker.check_model(str(path))
    elif suffix == ".safetensors":
        with safetensors.safe_open(path, "pt") as file:
            assert file.keys()
    else:
        path.read_text(encoding="utf-8")
    return path.read_bytes() != b"theirs"


@pytest.mark.parametrize("name", SOME)
def test_a_file_of_others_stays_and_force_replaces_it(run, tmp_path, name):
    target = tmp_path / f"out{COMMANDS[name][1]}"
    target.write_bytes(b"theirs")
    said = ""
    try:
        said = "".join(line for line in run(name, target).stderr.splitlines())  # of a video among several
    except Refused as refused:
        said = str(refused)
    assert "exists, and avsr-bench did not make it: give another name, or --force to replace it" in said
    assert target.read_bytes() == b"theirs"
    assert run(name, target, "--force").exit_code == 0
    assert opens(name, target) and [path.name for path in tmp_path.iterdir()] == [target.name]


@pytest.mark.parametrize("name", SOME)
def test_what_we_made_is_replaced_where_nobody_edits_it(run, tmp_path, name):
    target = tmp_path / f"out{COMMANDS[name][1]}"
    assert run(name, target).exit_code == 0
    assert opens(name, target)
    if COMMANDS[name][2]:
        assert run(name, target).exit_code == 0
    else:
        with pytest.raises(Refused, match="exists, and avsr-bench did not make it"):
            run(name, target)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_pipe_and_a_folder_stay_even_by_force(run, tmp_path, name):
    for make in (os.mkfifo, os.mkdir):
        target = tmp_path / f"{make.__name__}{COMMANDS[name][1]}"
        make(target)
        before = stat.S_IFMT(target.lstat().st_mode)
        if make is os.mkdir and name in ("text", "subtitles", "transcript"):
            continue  # a folder takes the transcript under the name of the video
        with pytest.raises(Refused, match=r"cannot write .*: (it is not a regular file|that is a folder)"):
            run(name, target, "--force")
        assert stat.S_IFMT(target.lstat().st_mode) == before


@pytest.mark.parametrize("name", STREAMS)
def test_a_dash_is_standard_output(words, tmp_path, name):
    more = ["--format", COMMANDS[name][1][1:]] if "transcribe" in COMMANDS[name][0] else []
    command = [*warm.avsr(), *words(name, "-", *more)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=True)
    target = tmp_path / f"out{COMMANDS[name][1]}"
    assert not list(tmp_path.iterdir())
    target.write_bytes(done.stdout)
    assert opens(name, target)


def test_the_text_beside_a_video_is_not_taken_for_a_place_to_write(run, places, tmp_path):
    """`prep folder` reads talk.txt as what is said in talk.mp4: a hypothesis there would become the truth."""
    (tmp_path / "talk.txt").write_text("bin blue at f two now\n")
    with pytest.raises(Refused, match=r"talk\.txt exists"):
        run("text", tmp_path)
    assert (tmp_path / "talk.txt").read_text() == "bin blue at f two now\n"


def test_two_targets_of_one_name(run, tmp_path):
    target = tmp_path / "both.mp4"
    with pytest.raises(Refused, match="--out and --preview are both"):
        run("preview", target, "--out", str(target))
    assert not list(tmp_path.iterdir())


def test_results_do_not_take_the_place_of_other_files(tmp_path, places):
    make_shards(tmp_path / "data", {"test": 3})
    out = tmp_path / "out"
    out.mkdir()
    write(out / "test.zip", {"photo.jpg": b"theirs"})
    theirs = (out / "test.zip").read_bytes()
    command = ["evaluate", str(places["RUN"]), "--data", str(tmp_path / "data"), "--out", str(out)]
    done = CliRunner().invoke(app, command)
    assert isinstance(done.exception, Refused)
    assert "test.zip exists, and avsr-bench did not make it: remove it, or choose" in str(done.exception)
    assert [(path.name, path.read_bytes()) for path in out.iterdir()] == [("test.zip", theirs)]
