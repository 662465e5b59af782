"""Training over two machines, each with a torchrun of its own, where the other goes away."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time

import pytest
from patience import PATIENCE
from training_settings import small

from avsr_bench.training.machine import lost_another

pytestmark = pytest.mark.slow


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def listens(port):
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0


def groups(launcher):
    """The process groups of torchrun and of its workers, each of which has a session of its own."""
    found = subprocess.run(["ps", "--ppid", str(launcher), "-o", "pgid="], capture_output=True, text=True, check=False)
    return [*{int(group) for group in found.stdout.split()} - {launcher}, launcher]


def test_the_other_ends_in_one_line(corpus, tmp_path):
    port = free_port()
    meet = ["--nnodes=2", "--rdzv-backend=c10d", f"--rdzv-endpoint=127.0.0.1:{port}", "--local-addr=127.0.0.1"]
    launch = [sys.executable, "-m", "torch.distributed.run", *meet, "-m", "avsr_bench"]
    settings = ("train.steps=100000", "train.nodes=2", "train.device=cpu", "train.save_minutes=0")
    words = ["train", "dense", "--data", corpus.location, "--size", "tiny", "--out", "run"]
    command = [*launch, *words, *small(*settings, "train.wait_minutes=1", "train.validate_every=100000")]
    how = {"cwd": tmp_path, "text": True, "start_new_session": True, "env": os.environ | {"OMP_NUM_THREADS": "1"}}
    logs = [tmp_path / f"{number}.log" for number in range(2)]
    both = []
    end = time.monotonic() + PATIENCE
    for log in logs:
        with log.open("w") as file:
            both.append(subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, **how))
        while not listens(port):  # the first is where they meet, and the one that stays
            assert both[0].poll() is None and time.monotonic() < end, logs[0].read_text()[-2000:]
            time.sleep(0.1)
    try:
        while not (tmp_path / "run/last.ckpt").is_file():
            assert all(each.poll() is None for each in both), "\n".join(log.read_text()[-2000:] for log in logs)
            assert time.monotonic() < end
            time.sleep(0.1)
        for group in groups(both[1].pid):
            os.killpg(group, signal.SIGKILL)
        assert both[0].wait(PATIENCE) == 1
    finally:
        for each in both:
            for group in groups(each.pid):
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(group, signal.SIGKILL)
            each.wait()
    said = [line for line in logs[0].read_text().splitlines() if line.startswith("avsr-bench: ")]
    assert len(said) == 1 and "another process of this run ended" in said[0] and said[0].endswith("with --resume")


def test_other_errors_are_not_taken_for_it():
    assert not lost_another(RuntimeError("The size of tensor a (3) must match the size of tensor b (4)"))
