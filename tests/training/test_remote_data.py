"""Training from a server: the same weights as from the folder, and an end whatever the server does."""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import safetensors.torch
import torch
import web
from buckets import bucket_of
from training_settings import small

from avsr_bench import runs
from avsr_bench.data import remote
from avsr_bench.records import Refused
from avsr_bench.training.signals import Stopped


def same(one, other):
    one, other = (safetensors.torch.load_file(folder / "model.safetensors") for folder in (one, other))
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.fixture(scope="module")
def folder(corpus):
    return Path(corpus.location).parent


def test_stopped_and_resumed_over_http_it_is_the_run_from_the_folder(run, folder, tmp_path):
    undisturbed = run("dense", steps=7, out=tmp_path / "near")
    with web.serving(folder) as server:
        far = {"data": f"{server.url}/small?token=hidden", "steps": 7, "out": tmp_path / "far"}
        with pytest.raises(Stopped):
            run("dense", "train.workers=1", act=lambda step: step == 3 and os.kill(os.getpid(), signal.SIGTERM), **far)
        run("dense", "train.workers=2", resume=True, **far)
    assert same(undisturbed, tmp_path / "far")
    assert runs.open_run(tmp_path / "far").about.corpus == "small"
    assert all(b"hidden" not in path.read_bytes() for path in (tmp_path / "far").rglob("*") if path.is_file())
    assert "hidden" not in "".join(run.view.said)


def test_two_workers_read_a_bucket(run, folder, tmp_path):
    pytest.importorskip("moto.server", reason="the extra dev brings it")
    undisturbed = run("dense", steps=4, out=tmp_path / "near")
    with bucket_of(folder / "small", "trained-on", "small"):
        run("dense", "train.workers=2", data="s3://trained-on/small", steps=4, out=tmp_path / "far")
    assert same(undisturbed, tmp_path / "far")


@pytest.mark.parametrize("workers", [0, 2])
def test_what_a_worker_cannot_read_ends_the_run_and_the_workers(run, folder, tmp_path, monkeypatch, workers):
    monkeypatch.setattr(remote, "PAUSE", 0.001)
    with (
        web.serving(folder, web.busy, "train-000002.tar") as server,
        pytest.raises(
            Refused, match=r"cannot read .*/train-000002\.tar: the server answers 503 [^\n]*, 3 times[^\n]*$"
        ),
    ):
        run("dense", f"train.workers={workers}", data=f"{server.url}/small", out=tmp_path / "run")
    assert not multiprocessing.active_children()


def test_a_worker_that_is_killed_ends_the_run(run, tmp_path):
    def kill(step):
        for worker in multiprocessing.active_children():
            os.kill(worker.pid, signal.SIGKILL)

    with pytest.raises(Refused, match="a process that reads clips died, maybe for lack of memory"):
        run("dense", "train.workers=1", steps=200, act=kill, out=tmp_path / "run")


def test_ctrl_c_does_not_wait_for_a_server_that_stalls(folder, tmp_path):
    asked = threading.Event()

    def stall(handler):
        asked.set()
        web.stalls(handler)

    with web.serving(folder, stall, ".tar") as server:
        command = [sys.executable, "-m", "avsr_bench", "train", "dense", "--data", f"{server.url}/small"]
        command += ["--size", "tiny", "--out", "run", *small("train.steps=4", "train.workers=2")]
        pipe = subprocess.PIPE
        process = subprocess.Popen(command, cwd=tmp_path, stdout=pipe, stderr=pipe, text=True)
        assert asked.wait(120)
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        while len(workers := children.read_text().split()) < 2:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=120)
    assert process.returncode == 130 and "continues from the last checkpoint" in said and "Traceback" not in said
    assert not any(Path(f"/proc/{worker}").exists() for worker in workers)
