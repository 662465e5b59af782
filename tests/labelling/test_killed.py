"""Killed at random moments and run again: the overlay of an undisturbed run."""

import os
import random
import signal
import time
from pathlib import Path

import pytest
import torch
from heard import Silence
from mouths import make_shards
from small_runs import small_network, small_run

from avsr_bench.labelling import LabelRequest, label

KILLS, KILLS_IN_DEFAULT = 100, 6


def in_child(work):
    """A process that has everything imported; it ends without a word of its own."""
    child = os.fork()
    if child == 0:
        try:
            torch.set_num_threads(1)
            work()
            os._exit(0)
        finally:
            os._exit(1)
    return child


def code_of(child):
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def files(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A corpus of nine shards and a run; what labels should be; how long it takes to make them."""
    folder = tmp_path_factory.mktemp("killed")
    corpus = make_shards(folder / "data" / "small", {"train": 27, "valid": 1, "test": 3}, per_shard=3)
    run = small_run(folder / "runs/small/mine", small_network())

    def work():
        label(LabelRequest(data=corpus.location, labeller=str(run), name="asr", device="cpu"), Silence())

    labels = Path(corpus.location) / "labels"
    started = time.monotonic()
    assert code_of(in_child(work)) == 0
    seconds = time.monotonic() - started
    return work, labels, files(labels), seconds


def kill_over_and_over(world, kills):
    """Begin, kill and begin again, until it is whole; then from the start, until so many kills were survived."""
    work, labels, whole, seconds = world
    draw = random.Random(0)
    killed = rounds = halfway = 0
    while killed < kills:
        rounds += 1
        for path in sorted(labels.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        while True:
            child = in_child(work)
            time.sleep(draw.uniform(0, seconds))
            os.kill(child, signal.SIGKILL)
            if code_of(child) == 0:
                break
            killed += 1
            halfway += any(labels.glob("asr.parts/*.jsonl"))
        assert code_of(in_child(work)) == 0
        assert files(labels) == whole, f"after {killed} kills"
    return killed, rounds, halfway


def test_killed_and_run_again(world):
    kill_over_and_over(world, KILLS_IN_DEFAULT)


@pytest.mark.slow
def test_100_kills(world):
    killed, rounds, halfway = kill_over_and_over(world, KILLS)
    assert killed >= KILLS and rounds > 1 and halfway > KILLS // 10
