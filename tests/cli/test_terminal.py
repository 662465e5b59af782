"""Standard output as people have it: a full disk, a closed one, a pipe that is shut, a locale of ASCII alone."""

import io
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from patience import PATIENCE
from rich.table import Table

from avsr_bench.cli import terminal
from avsr_bench.inert import inert

SMALL_RUN = Path(__file__).parents[1] / "shards/small_run.py"
AVSR = f"{shlex.quote(sys.executable)} -m avsr_bench"
PRINT = ["--help", "list", "noise list", "inspect prep", "inspect prep --json", "validate prep", "leaderboard render"]
ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
UTF8 = {"PYTHONIOENCODING": "utf-8"}
WRONG = ["leaderboard verify", "train é\x1b[m", "transcribe --é\x1b[2J x"]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with shards, a recipe and a result whose names have letters and codes in them."""
    folder = tmp_path_factory.mktemp("place")
    subprocess.run([sys.executable, str(SMALL_RUN), str(folder / "prep")], check=True, capture_output=True)
    about = json.loads((folder / "prep/prep.json").read_text())
    about["notes"] = ["naïve \x1b[31mred\nmade [bold]up[/nothing] :smile:"]
    (folder / "prep/prep.json").write_text(json.dumps(about))
    (folder / "pipelines").mkdir()
    (folder / "pipelines/é\x1b]0;owned\x07.yaml").write_text("# Ünser \x9b31m eigenes [/x].\n", encoding="utf-8")
    (folder / "leaderboards/local/é\x1b[2J").mkdir(parents=True)
    (folder / "leaderboards/local/é\x1b[2J/x.zip").write_text("{}")
    return folder


def shell(place, command, **more):
    environment = {**os.environ, "COLUMNS": "90", **more}
    return subprocess.run(["bash", "-c", command], cwd=place, capture_output=True, check=False, env=environment)


@pytest.mark.parametrize("verb", PRINT)
def test_a_full_disk_ends_in_one_line(place, verb):
    done = shell(place, f"{AVSR} {verb} > /dev/full")
    assert done.stderr.decode().splitlines()[-1:] == [
        "avsr-bench: standard output cannot be written: No space left on device"
    ]
    assert done.returncode == 1 and b"Traceback" not in done.stderr and b"Exception ignored" not in done.stderr


@pytest.mark.parametrize("closed", ["1", "2"])
def test_a_closed_stream_ends_in_one_line(place, closed):
    done = shell(place, f"{AVSR} list {closed}>&-")
    assert done.returncode == 1
    (said,) = (done.stderr + done.stdout).decode().splitlines()
    assert said.startswith("avsr-bench: standard ") and "is closed" in said


@pytest.mark.parametrize("verb", ["list", "inspect prep"])
def test_a_pipe_that_is_shut_is_quiet(place, verb):
    done = shell(place, f"{AVSR} {verb} | head -c 1")
    assert done.stderr == b""


@pytest.mark.parametrize(
    ("verb", "locale"),
    [
        *((verb, ASCII) for verb in (*PRINT, *WRONG)),
        *((verb, UTF8) for verb in ("list", "inspect prep --json", *WRONG)),
        ("inspect prep", {"PYTHONIOENCODING": "ascii"}),
    ],
)
def test_in_every_locale_nothing_acts_on_the_terminal(place, verb, locale):
    done = shell(place, f"{AVSR} {shlex.join(verb.split(' '))}", **locale)
    out, err = (text.decode("utf-8" if locale == UTF8 else "ascii") for text in (done.stdout, done.stderr))
    assert "Traceback" not in err and out + err
    assert inert(out, lines=True) == out and inert(err, lines=True) == err
    if "--json" in verb:
        assert json.loads(out)
    if verb == "inspect prep":
        assert "\\u001b[31mred" in out and "[bold]up[/nothing] :smile:" in out


def test_a_console_counts_the_columns_of_what_it_shows(monkeypatch):
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    table = Table("name", "number")
    table.add_row("\x1b[2J", "[bold]1[/nothing]")
    terminal.console().print(table)
    lines = sys.stdout.getvalue().splitlines()
    assert len({len(line) for line in lines}) == 1 and "\\u001b[2J" in "".join(lines) and "[/nothing]" in "".join(lines)


def test_a_bar_shows_names_as_they_are(monkeypatch):
    from avsr_bench.cli.progress import shown

    class Screen(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", Screen())
    screen = sys.stderr
    with shown() as progress:
        progress.begin("[red]talk[/nothing]\x1b]0;owned\x07.mp4", 3)
        progress.say("[/x] said \x1b[2J\nand more")
        progress.step(None, "[/y]\x1b[2J")
    text = screen.getvalue()
    assert "[red]talk[/nothing]\\u001b]0;owned\\u0007.mp4" in text and "[/x] said \\u001b[2J and more" in text
    assert "\x1b]" not in text and not re.search("\x1b\\[2J", text)


SWALLOWED = """
import ctypes, os, signal, sqlite3, sys, time
import av
from avsr_bench import cli, records

base = sqlite3.connect(":memory:")
base.create_function("interrupted", 0, lambda: os.kill(os.getpid(), signal.SIGINT))

@cli.app.command()
def swallow(way: str) -> None:
    "SQLite, in C, makes an OperationalError of any exception that its functions raise."
    try:
        base.execute("select interrupted()" if way != "wrong" else "select 1 from none")
    except sqlite3.OperationalError as error:
        if way == "refused":
            raise records.Refused("clip.mp4 cannot be read")
        if way != "finished":
            raise

class Dropped:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)

@cli.app.command()
def drop() -> None:
    "Python drops what is raised in a destructor."
    Dropped()
    time.sleep(60)

@cli.app.command()
def note() -> None:
    "PyAV drops what is raised while it notes a line of a traceback: here that of FFmpeg's EAGAIN."
    def interrupt(frame, event, value):
        if frame.f_code.co_filename == "av/error.py":
            sys.settrace(None)
            os.kill(os.getpid(), signal.SIGINT)
    resampler = av.AudioResampler(format="s16", layout="mono", rate=16000)
    short = av.AudioFrame(format="s16", layout="mono", samples=64)
    short.sample_rate = 48000
    sys.settrace(interrupt)
    resampler.resample(short)
    assert sys.gettrace() is None
    time.sleep(60)

@cli.app.command()
def show() -> None:
    "numpy's import_array prints any exception before it raises an ImportError; this function of CPython prints it too."
    ctypes.pythonapi.PyRun_SimpleString(b"import os, signal; os.kill(os.getpid(), signal.SIGINT)")
    raise ImportError("numpy.core.multiarray failed to import")

def early(frame, event, value):
    "Before typer has made the command that it runs."
    if frame.f_code.co_name == "get_command":
        sys.settrace(None)
        os.kill(os.getpid(), signal.SIGINT)

if sys.argv[1] == "early":
    sys.settrace(early)
cli.main()
"""


@pytest.mark.parametrize(
    ("words", "code", "last"),
    [
        ("swallow raised", 130, "avsr-bench: stopped"),
        ("swallow refused", 130, "avsr-bench: clip.mp4 cannot be read"),
        ("swallow finished", 0, None),
        ("drop", 130, None),
        ("note", 130, None),
        ("show", 130, "avsr-bench: stopped"),
        ("early", 130, None),
        ("swallow wrong", 1, "sqlite3.OperationalError: no such table: none"),
    ],
)
def test_ctrl_c_that_is_swallowed_ends_a_command_all_the_same(words, code, last):
    start = [sys.executable, "-c", SWALLOWED, *words.split()]
    done = subprocess.run(start, capture_output=True, text=True, check=False, timeout=PATIENCE)
    assert (done.returncode, (done.stderr.splitlines() or [None])[-1]) == (code, last)
    assert ("Traceback" in done.stderr) == (words == "swallow wrong")
