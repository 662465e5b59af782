"""Commands that are forked end, and are ended, as commands that are started."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
import warm
from mouths import make_shards
from patience import PATIENCE

from avsr_bench.workflow.forks import PLAIN, Forks

ENDLESS = ["train.device=cpu", "train.steps=1000000", "data.frames=60", "data.group=1", "train.workers=0"]


@pytest.fixture(scope="module")
def forks():
    made = Forks(["avsr_bench.cli"])
    yield made
    made.close()


@pytest.fixture
def training(tmp_path):
    """A training that would take days, under way."""
    make_shards(tmp_path / "data/mouths", {"train": 12, "valid": 4, "test": 6})
    begun = []

    def begin(forks):
        words = [*forks.words, "train", "dense", "--out", "run", *ENDLESS]
        begun.append(subprocess.Popen(words, cwd=tmp_path, stderr=subprocess.PIPE, text=True))
        until((tmp_path / "run/metrics.csv").is_file)
        return begun[-1]

    yield begin
    for process in begun:
        process.kill()
        process.communicate()


def until(true):
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


def children(pid):
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def runs(pid):
    return Path(f"/proc/{pid}").exists() and "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()


@pytest.mark.parametrize("words", [["--help"], ["nonsense"], ["evaluate", "nowhere"], ["doctor", "--json"], ["list"]])
def test_what_they_say_and_how_they_end_is_the_same(forks, tmp_path, words):
    """In a folder and an environment of the caller's."""
    environment = {**os.environ, "COLUMNS": "70", "AVSR_BENCH_NOBODY_READS": "x\n="}
    outcomes = [
        subprocess.run([*start, *words], cwd=tmp_path, env=environment, capture_output=True, check=False)
        for start in (forks.words, PLAIN)
    ]
    forked, started = ((done.returncode, done.stdout, done.stderr) for done in outcomes)
    if words[0] != "doctor":  # which tells how much of the disk is free
        assert forked == started
    assert (forked[0] == started[0] and len(forked[1]) > 0) or forked[2]


def test_ctrl_c_ends_the_command_that_got_it(training, forks):
    running = training(forks)
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=PATIENCE)
    assert running.returncode == 130 and said.splitlines()[-1].startswith("avsr-bench: ")
    assert children(forks.server.pid) == []
    assert subprocess.run([*forks.words, "--help"], capture_output=True, check=False).returncode == 0


def test_who_is_killed_takes_the_command_along(training, forks):
    running = training(forks)
    (command,) = children(forks.server.pid)
    running.kill()
    until(lambda: not runs(command))
    assert subprocess.run([*forks.words, "nonsense"], capture_output=True, check=False).returncode == 2


def test_a_command_that_dies_of_a_signal_is_told(training, forks):
    running = training(forks)
    (command,) = children(forks.server.pid)
    os.kill(command, signal.SIGKILL)
    running.communicate(timeout=PATIENCE)
    assert running.returncode == -signal.SIGKILL


def test_a_server_that_is_killed_is_one_line(training):
    forks = Forks(["avsr_bench.cli"])
    running = training(forks)
    (command,) = children(forks.server.pid)
    forks.server.kill()
    forks.server.wait()
    assert running.wait(PATIENCE) == 1
    os.kill(command, signal.SIGKILL)  # nobody else does
    _, said = running.communicate(timeout=PATIENCE)
    assert "forked from was ended: start the same command again" in said.splitlines()[-1]
    late = subprocess.run([*forks.words, "--help"], capture_output=True, text=True, check=False)
    assert late.returncode == 1 and late.stderr.count("\n") == 1 and "was ended" in late.stderr
    forks.close()
    assert not forks.folder.exists()


def test_what_runs_when_the_server_is_closed_goes_on(training, tmp_path):
    forks = Forks(["avsr_bench.cli"])
    running = training(forks)
    forks.close()
    time.sleep(0.5)
    assert running.poll() is None and forks.folder.is_dir()
    running.send_signal(signal.SIGTERM)
    running.communicate(timeout=PATIENCE)
    assert running.returncode == 143 and (tmp_path / "run/last.ckpt").is_file()
    assert forks.server.wait(PATIENCE) == 0
    assert not forks.folder.exists()


def test_a_process_with_threads_is_not_forked(tmp_path, monkeypatch):
    """A library that starts threads when it is imported: commands are started as users start them."""
    (tmp_path / "busy.py").write_text("import threading, time\nthreading.Thread(target=time.sleep, args=[3]).start()")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    forks = Forks(["busy"])
    assert forks.words == PLAIN and not forks.folder.exists()
    forks.close()


@pytest.mark.parametrize("folder", ["long" * 30, "missing"], ids=["no address", "no folder"])
def test_no_place_for_a_socket_is_no_hindrance(tmp_path, monkeypatch, capfd, folder):
    place = tmp_path / folder
    if folder != "missing":
        place.mkdir()
    with monkeypatch.context() as meanwhile:
        meanwhile.setattr("tempfile.tempdir", str(place))
        forks = Forks(["json"])
    assert forks.words == PLAIN and not list(place.glob("*")) and not capfd.readouterr().err
    forks.close()


def test_tests_have_one_server_each():
    assert warm.avsr() == warm.avsr() != PLAIN
