"""prep that is killed, stopped, out of room or not alone: nothing is lost, and the next run finishes."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
from patience import PATIENCE
from prepared import SMALL, samples

from avsr_bench.locks import hold_part


def kill_and_resume(command, out, moments):
    """Start the command again and again, killed with all its workers after so many seconds, then to its end."""
    environment = {**os.environ, "COLUMNS": "120"}
    killed = 0
    for moment in moments:
        process = subprocess.Popen(
            command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment
        )
        try:
            process.wait(moment)
            break
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            killed += 1
    subprocess.run(command, check=True, capture_output=True, env=environment, timeout=PATIENCE)
    return killed


def prep_command(face_corpus, out):
    return [sys.executable, "-m", "avsr_bench", "prep", "folder", "--root", str(face_corpus), "--out", str(out), *SMALL]


def check_killed(face_corpus, tmp_path, digest, moments):
    command = prep_command(face_corpus, tmp_path / "whole")
    start = time.monotonic()
    subprocess.run(command, check=True, capture_output=True)
    whole = time.monotonic() - start
    killed = kill_and_resume(prep_command(face_corpus, tmp_path / "killed"), tmp_path / "killed", moments(whole))
    assert digest(tmp_path / "whole") == digest(tmp_path / "killed")
    assert not [path for path in (tmp_path / "killed").rglob("*") if path.name.endswith(".tmp")]
    counts = [json.loads((tmp_path / name / "prep.json").read_text())["splits"] for name in ("whole", "killed")]
    assert counts[0] == counts[1]
    return killed


def test_killed_and_resumed_gives_the_same_bytes(face_corpus, tmp_path, digest):
    assert check_killed(face_corpus, tmp_path, digest, lambda whole: [whole * share for share in (0.45, 0.6, 0.8)])


@pytest.mark.slow
def test_killed_fifty_times(face_corpus, tmp_path, digest):
    rng, killed, rounds = random.Random(1), 0, 0
    while killed < 50:
        rounds += 1
        assert rounds < 25, f"only {killed} kills"
        (tmp_path / str(rounds)).mkdir()
        killed += check_killed(
            face_corpus,
            tmp_path / str(rounds),
            digest,
            lambda whole: [rng.uniform(0.1, 0.8) * whole for _ in range(20)],
        )


def test_ctrl_c_stops_in_one_line_and_the_next_run_goes_on(face_corpus, tmp_path, digest):
    command = prep_command(face_corpus, tmp_path / "out")
    process = subprocess.Popen(command, start_new_session=True, stderr=subprocess.PIPE, text=True)
    while not list(tmp_path.glob("out/*/*.tmp")) and not list(tmp_path.glob("out/*/*.tar")) and process.poll() is None:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the command and to its workers
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert "resumes" in err.splitlines()[-1]
    subprocess.run(command, check=True, capture_output=True)
    assert len(samples(tmp_path / "out")) == 9


def test_ctrl_c_while_workers_start_is_one_line_too(face_corpus, tmp_path):
    process = subprocess.Popen(
        prep_command(face_corpus, tmp_path / "out"), start_new_session=True, stderr=subprocess.PIPE, text=True
    )

    def imports():
        """Whether the server of the workers is there and at its imports."""
        for path in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if os.getsid(int(path.name)) == process.pid and b"forkserver" in (path / "cmdline").read_bytes():
                    return "numpy" in (path / "maps").read_text()
        return False

    while not imports() and process.poll() is None:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130 and "Traceback" not in err, err
    assert "resumes" in err.splitlines()[-1]


def test_a_run_on_the_same_shards_is_refused_and_names_the_other(avsr, face_corpus, tmp_path):
    with hold_part(tmp_path / "out", 1, 2):
        refused = avsr("prep", "folder", "--root", face_corpus, "--out", "out", *SMALL, expect=1)
        assert str(os.getpid()) in refused.err
        assert len(refused.err.strip().splitlines()) <= 6
        avsr("prep", "folder", "--root", face_corpus, "--out", "out", *SMALL, "--part", "2/2")


def test_full_disk_is_one_line_and_the_next_run_finishes(face_corpus, tmp_path, digest):
    """A tmpfs of half the size that is needed, in a namespace of its own."""
    subprocess.run(prep_command(face_corpus, tmp_path / "whole"), check=True, capture_output=True)
    needed = sum(path.stat().st_size for path in (tmp_path / "whole").rglob("*") if path.is_file())
    command = " ".join(map(repr, prep_command(face_corpus, tmp_path / "small" / "out")))
    script = f"""
        mount -t tmpfs -o size={needed // 2} none {tmp_path}/small || exit 77
        {command} 2> {tmp_path}/errors; echo $? > {tmp_path}/code
        mount -o remount,size={needed * 4} {tmp_path}/small
        {command} > {tmp_path}/output 2>&1 || exit 1
        cp -r {tmp_path}/small/out {tmp_path}/copy
    """
    (tmp_path / "small").mkdir()
    done = subprocess.run(["unshare", "-rm", "sh", "-c", script], capture_output=True, text=True, check=False)
    if done.returncode == 77 or "unshare" in done.stderr:
        pytest.skip(f"this machine lets nobody mount a tmpfs: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr + (tmp_path / "output").read_text()
    errors = (tmp_path / "errors").read_text()
    assert (tmp_path / "code").read_text().strip() == "1"
    assert "Traceback" not in errors
    assert "disk" in errors.splitlines()[-1] or "space" in errors.splitlines()[-1]
    assert digest(tmp_path / "whole") == digest(tmp_path / "copy")
