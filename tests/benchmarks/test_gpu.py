"""The stages of `make gpu`, on a processor and of a narrow network: what they write, whatever fails."""

import subprocess
import sys

import pytest
import torch

from avsr_bench.nn import FrontendSettings, NetworkSettings
from benchmarks import gpu, results

NARROW = gpu.Form(
    device="cpu",
    settings=NetworkSettings(
        mouth=16,
        video=FrontendSettings(channels=(4, 6, 8, 10), blocks=1, stem=(3, 3, 3)),
        width=32,
        heads=4,
        feed_forward=64,
        encoder_blocks=1,
        decoder_blocks=1,
    ),
    frames=6,
    said=2,
    clips=2,
    beam=2,
)


@pytest.fixture
def page(tmp_path, monkeypatch):
    monkeypatch.setattr(results, "RESULTS", tmp_path / "RESULTS.md")
    return tmp_path / "RESULTS.md"


def lines_of_table(page):
    return [line for line in page.read_text().splitlines() if line.startswith("| ") and "---" not in line]


def test_an_update_that_fails_leaves_the_others(page, monkeypatch):
    plain, checkpointing = gpu.WAYS[0], gpu.WAYS[3]
    too_many = gpu.Way("far too many clips", batches=2**40)
    monkeypatch.setattr(gpu, "WAYS", (plain, too_many, checkpointing))
    gpu.step(NARROW)
    _, first, failed, last = lines_of_table(page)
    assert first.startswith("| fp32, nothing fused, no TF32 | 2 |") and "| 1.0x |" in first
    assert failed.startswith("| far too many clips: failed, ") and failed.count("|") == first.count("|")
    assert last.startswith("| the same, checkpointing | 2 |")


def test_a_search_is_of_so_many_at_once(page, monkeypatch):
    monkeypatch.setattr(gpu, "_in_time", lambda clips: clips[:1])
    gpu.search(NARROW)
    assert [line.split(" | ")[0] for line in lines_of_table(page)] == ["| utterances at once", "| 1"]


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
@pytest.mark.parametrize(("words", "said"), [(["step"], "no GPU: torch"), (["stpe"], "STAGE=step|search|sparse")])
def test_what_cannot_be_measured_is_one_line(words, said):
    done = subprocess.run([sys.executable, "-m", "benchmarks.gpu", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and said in done.stderr and done.stderr.count("\n") == 1


def test_a_stage_ends_when_its_time_is_over(monkeypatch, capsys):
    assert list(gpu._in_time((1, 2, 3))) == [1, 2, 3]
    monkeypatch.setattr(gpu, "LIMIT", 0)
    assert list(gpu._in_time((1, 2, 3))) == []
    assert "the last 3 of 3 are left out" in capsys.readouterr().err
