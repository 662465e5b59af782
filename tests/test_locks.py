import errno
import fcntl
import json
import os
import signal
import subprocess
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from patience import PATIENCE

from avsr_bench import locks
from avsr_bench.locks import hold_part, parts_overlap
from avsr_bench.records import Refused
from avsr_bench.shards import PlannedShard, take_part

# Holds a part until it is told to end; with --fork, a child of it stays behind that knows nothing of the lock.
HOLD = """
import os, sys, time
from pathlib import Path
from avsr_bench.locks import hold_part
with hold_part(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])):
    heard, says = os.pipe()
    child = os.fork() if "--fork" in sys.argv else -1
    if child == 0:
        os.write(says, b"here")
        time.sleep(600)
    if child > 0:
        os.read(heard, 4)
    print(child, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    """Start a process that holds a part; gives it and the number it printed."""
    started = []

    def hold(part, parts, *options):
        process = subprocess.Popen(
            [sys.executable, "-c", HOLD, str(tmp_path), str(part), str(parts), *options],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        started.append(process)
        return process, int(process.stdout.readline())

    yield hold
    for process in started:
        process.kill()
        process.wait()


@given(st.integers(1, 30), st.integers(1, 30), st.data())
def test_parts_overlap_exactly_when_a_shard_is_in_both(parts, others, data):
    part, other = data.draw(st.integers(1, parts)), data.draw(st.integers(1, others))
    shards = [PlannedShard("test", number, ()) for number in range(parts * others)]
    both = set(take_part(shards, part, parts)) & set(take_part(shards, other, others))
    assert parts_overlap(part, parts, other, others) == bool(both)


def test_a_held_part_is_refused_naming_the_process(tmp_path, holder):
    process, _ = holder(1, 2)
    for part, parts in ((1, 2), (1, 1), (3, 4)):
        named = rf"part 1/2, process {process.pid} on .+ since 20"
        with pytest.raises(Refused, match=named), hold_part(tmp_path, part, parts):
            pass


def test_parts_that_share_no_shard_run_at_the_same_time(tmp_path, holder):
    holder(1, 2)
    with hold_part(tmp_path, 2, 4), hold_part(tmp_path, 4, 4):
        pass


def test_kill_releases_the_lock(tmp_path, holder):
    process, _ = holder(1, 1)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert (tmp_path / ".locks" / "part-1-of-1.lock").exists()
    with hold_part(tmp_path, 1, 3):
        pass


def test_kill_releases_the_lock_though_a_forked_worker_lives_on(tmp_path, holder):
    process, child = holder(1, 1, "--fork")
    process.send_signal(signal.SIGKILL)
    process.wait()
    try:
        os.kill(child, 0)  # still there
        with hold_part(tmp_path, 1, 1):
            pass
    finally:
        os.kill(child, signal.SIGKILL)


@pytest.mark.parametrize("clock", [0, 4_000_000_000])
def test_a_clock_that_jumps_neither_ends_a_lock_nor_keeps_one(tmp_path, holder, clock):
    """On one machine the kernel decides, whatever the time stamps say."""
    process, _ = holder(1, 1)
    path = tmp_path / ".locks" / "part-1-of-1.lock"
    os.utime(path, (clock, clock))
    with pytest.raises(Refused, match=f"process {process.pid}"), hold_part(tmp_path, 1, 1):
        pass
    process.kill()
    process.wait()
    os.utime(path, (clock, clock))
    with hold_part(tmp_path, 1, 1):
        pass


def test_the_end_of_a_run_removes_its_lock(tmp_path):
    with pytest.raises(KeyboardInterrupt), hold_part(tmp_path, 1, 1):
        raise KeyboardInterrupt
    assert [path.name for path in (tmp_path / ".locks").iterdir()] == ["guard"]


def test_a_refused_start_leaves_nothing_and_disturbs_nothing(tmp_path):
    with hold_part(tmp_path, 1, 1) as hold:
        with pytest.raises(Refused), hold_part(tmp_path, 1, 1):
            pass
        hold.check()
        assert sorted(path.name for path in (tmp_path / ".locks").iterdir()) == ["guard", "part-1-of-1.lock"]


def lock_of_another_host(out, silent):
    path = out / ".locks" / "part-1-of-2.lock"
    path.parent.mkdir()
    holder = {"part": 1, "parts": 2, "host": "node7", "kernel": "another", "pid": 4242, "since": "2026-01-02 03:04:05"}
    path.write_text(json.dumps(holder))
    os.utime(path, (time.time() - silent,) * 2)
    return path


def test_a_lock_of_another_host_counts_while_its_heart_beats(tmp_path):
    lock_of_another_host(tmp_path, silent=60)
    with pytest.raises(Refused, match=r"process 4242 on node7 since 2026.+120 s after"), hold_part(tmp_path, 1, 1):
        pass


def test_a_lock_of_another_host_ends_when_it_is_silent(tmp_path):
    path = lock_of_another_host(tmp_path, silent=150)
    with hold_part(tmp_path, 1, 2):
        assert json.loads(path.read_text())["pid"] == os.getpid()


def test_a_lock_file_cut_short_counts_until_it_is_silent(tmp_path):
    path = lock_of_another_host(tmp_path, silent=10)
    path.write_text('{"part": 1, "par')
    with pytest.raises(Refused, match="unknown host"), hold_part(tmp_path, 1, 1):
        pass


def test_the_heart_beats(tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "BEAT", 0.01)
    with hold_part(tmp_path, 1, 1) as hold:
        os.utime(hold.path, (0, 0))
        until = time.monotonic() + PATIENCE
        while hold.path.stat().st_mtime == 0 and time.monotonic() < until:
            time.sleep(0.01)
        assert hold.path.stat().st_mtime > 0


def test_without_flock_the_heartbeat_alone_decides(tmp_path, monkeypatch):
    def no_flock(*_):
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", no_flock)
    with hold_part(tmp_path, 1, 1) as hold:
        with pytest.raises(Refused, match=f"process {os.getpid()}"), hold_part(tmp_path, 1, 1):
            pass
        os.utime(hold.path, (0, 0))
        with hold_part(tmp_path, 1, 1), pytest.raises(Refused, match="no longer ours"):
            hold.check()
    assert [path.name for path in (tmp_path / ".locks").iterdir()] == ["guard"]


def test_a_run_that_was_overtaken_stops_and_leaves_the_lock_of_the_other(tmp_path):
    with hold_part(tmp_path, 1, 1) as hold:
        hold.path.unlink()
        with pytest.raises(Refused, match="no longer ours"):
            hold.check()
        hold.path.write_text("the other's")
    assert hold.path.read_text() == "the other's"


def test_of_many_starters_one_wins(tmp_path):
    starters = [
        subprocess.Popen(
            [sys.executable, "-c", HOLD, str(tmp_path), "1", str(parts)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for parts in (1, 2, 3, 1, 2, 3)
    ]  # fmt: skip
    lines = [starter.stdout.readline() for starter in starters]  # each has won or is gone
    errors = [starter.communicate()[1] for starter in starters]
    assert sum(line != "" for line in lines) == 1
    assert sum("Refused: another run is at work" in error for error in errors) == 5
