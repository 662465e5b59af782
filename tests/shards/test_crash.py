"""A run that is killed at any moment, a disk that is full, a folder that may not be written."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("small_run.py")
MOMENTS_IN_DEFAULT = 8
MOMENTS = 200


@pytest.fixture(scope="module")
def undisturbed(small, start, tmp_path_factory):
    """What an undisturbed run leaves, and how many lines of avsr_bench/shards it runs."""
    out = tmp_path_factory.mktemp("undisturbed")
    process = start(out)
    printed, _ = process.communicate()
    assert process.returncode == 0
    return small.contents(out), int(printed)


def kill_then_resume(small, start, out, line, expected):
    killed = start(out, "--die-at", line)
    killed.communicate()
    assert killed.returncode == -9, f"was to die at line {line}"
    small.prepare(out)
    assert small.contents(out) == expected, f"killed at line {line}"


@pytest.mark.parametrize("moment", range(MOMENTS_IN_DEFAULT))
def test_kill_then_resume_gives_the_same_bytes(small, start, undisturbed, tmp_path, moment):
    expected, lines = undisturbed
    kill_then_resume(small, start, tmp_path, (2 * moment + 1) * lines // (2 * MOMENTS_IN_DEFAULT), expected)


@pytest.mark.slow
def test_kill_at_200_moments(small, start, undisturbed, tmp_path):
    expected, lines = undisturbed
    for moment in range(MOMENTS):
        kill_then_resume(small, start, tmp_path / str(moment), 1 + moment * (lines - 1) // (MOMENTS - 1), expected)


@pytest.mark.slow
def test_kill_over_and_over_in_one_folder(small, start, undisturbed, tmp_path):
    # Every life gets a little further than the kill before it; none may spoil what another left.
    expected, lines = undisturbed
    for line in range(50, lines, lines // 60):
        start(tmp_path, "--die-at", line).communicate()
    small.prepare(tmp_path)
    assert small.contents(tmp_path) == expected


def test_parts_together_give_the_bytes_of_the_whole(small, start, undisturbed, tmp_path):
    running = [start(tmp_path, "--part", f"{part}/3") for part in (1, 2, 3)]
    assert [process.communicate() and process.returncode for process in running] == [0, 0, 0]
    assert small.contents(tmp_path) == undisturbed[0]


def full_disk(size, script):
    """Run shell lines in a user namespace, in a tmpfs of `size` that is the working directory."""
    if not shutil.which("unshare") or subprocess.run(["unshare", "-rm", "true"], capture_output=True).returncode:
        pytest.skip("this machine permits no user namespaces (unshare -rm)")
    return f'set -e; mkdir "$1"; mount -t tmpfs -o size={size} none "$1"; cd "$1"; {script}'


def run_in_small_disk(tmp_path, size, script):
    command = ["unshare", "-rm", "bash", "-c", full_disk(size, script), "-", tmp_path / "disk", sys.executable, SCRIPT]
    return subprocess.run(command, capture_output=True, text=True)


SIZES = ["12k", "24k", "40k", "64k"]  # the whole takes about 80 kB


@pytest.mark.parametrize("size", SIZES)
def test_a_full_disk_is_one_line_and_nothing_half_written(small, undisturbed, tmp_path, size):
    done = run_in_small_disk(tmp_path, size, f'code=0; "$2" "$3" out || code=$?; cp -r out {tmp_path}/seen; exit $code')
    last = done.stderr.strip().splitlines()[-1]
    assert done.returncode == 1
    assert "Refused: cannot write " in last and "the disk is full (it takes at least" in last and "make room" in last
    seen = small.contents(tmp_path / "seen")
    assert not any(name.endswith(".tmp") for name in seen)
    for name, data in seen.items():
        if name.endswith((".tar", ".npz", ".jsonl")):
            assert data == undisturbed[0][name]


def test_after_a_full_disk_the_next_run_goes_on(small, undisturbed, tmp_path):
    done = run_in_small_disk(
        tmp_path,
        "64k",
        f'"$2" "$3" out && exit 9; mount -o remount,size=1m .; "$2" "$3" out; cp -r out {tmp_path}/seen',
    )
    assert done.returncode == 0, done.stderr
    assert small.contents(tmp_path / "seen") == undisturbed[0]


def test_a_read_only_file_system_is_one_line(tmp_path):
    done = run_in_small_disk(tmp_path, "1m", 'mount -o remount,ro .; "$2" "$3" out')
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1].endswith("the file system is read-only; choose another --out")


def test_a_folder_that_may_not_be_written_is_one_line(small, tmp_path):
    # Root may write everywhere, so root tries as another user.
    (tmp_path / "out").mkdir(mode=0o555)
    prefix = []
    if os.geteuid() == 0:
        prefix = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]
        if not shutil.which("setpriv"):
            pytest.skip("setpriv is not installed")
    done = subprocess.run([*prefix, sys.executable, SCRIPT, tmp_path / "out"], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1].endswith("you may not write there; choose another --out")


def test_a_file_in_the_way_is_one_line(start, tmp_path):
    (tmp_path / "out").write_text("a file")
    process = start(tmp_path / "out")
    errors = process.communicate()[1]
    assert process.returncode == 1
    assert "Refused: cannot write" in errors.strip().splitlines()[-1]
