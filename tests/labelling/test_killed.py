"""Killed at random moments and run again: the overlay of an undisturbed run. The work is in killed.py."""

import subprocess
import sys
from pathlib import Path

import pytest
from mouths import make_shards
from patience import PATIENCE
from small_runs import small_network, small_run


@pytest.fixture
def kill(tmp_path):
    """Label a corpus of nine shards, killed so often; how often, in how many rounds, and when it was half done."""
    corpus = make_shards(tmp_path / "data" / "small", {"train": 27, "valid": 1, "test": 3}, per_shard=3)
    run = small_run(tmp_path / "runs/small/mine", small_network())

    def so_often(kills):
        # A process of its own: this one has threads, of which a fork would keep the locks and not the threads.
        words = [sys.executable, str(Path(__file__).with_name("killed.py")), corpus.location, str(run), str(kills)]
        done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=PATIENCE)
        assert done.returncode == 0, done.stderr
        return [int(word) for word in done.stdout.split()]

    return so_often


def test_killed_and_run_again(kill):
    killed, _, _ = kill(6)
    assert killed >= 6


@pytest.mark.slow
def test_100_kills(kill):
    killed, rounds, halfway = kill(100)
    assert killed >= 100 and rounds > 1 and halfway > 10
