"""Sparse weights: what is stored comes back exactly, is as small as promised, and its worth is counted right."""

import stat
import subprocess
import sys

import pytest
import safetensors.torch
import torch
import warm
from small_runs import SMALL, small_network, small_run, thinned

from avsr_bench import recipes
from avsr_bench.export import export_sparse
from avsr_bench.export.sparse import count_work
from avsr_bench.nn import AVSR, NetworkSettings, load_packed, prunable, save_packed
from avsr_bench.records import Refused


def avsr(*arguments):
    command = [*warm.avsr(), "export", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_no_run_is_refused(tmp_path):
    with pytest.raises(Refused, match=r"holds no recipe\.yaml: it is not a run"):
        export_sparse(tmp_path)


def test_an_unfinished_run_is_refused(tmp_path):
    folder = small_run(tmp_path / "run", small_network())
    (folder / "model.safetensors").unlink()
    with pytest.raises(Refused, match=r"is not finished: it has no model\.safetensors yet"):
        export_sparse(folder)


def test_half_the_weights_are_refused(tmp_path):
    folder = small_run(tmp_path / "run", small_network())
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(Refused, match="not a whole safetensors file"):
        export_sparse(folder)
    assert sorted(path.suffix for path in folder.iterdir()) == [".json", ".model", ".safetensors", ".yaml"]


def test_a_place_that_cannot_be_written_is_refused(tmp_path):
    folder = small_run(tmp_path / "run", small_network())
    (tmp_path / "file").touch()
    for out, why in {
        tmp_path / "file" / "x.safetensors": "cannot write .*: a part of that path is a file; choose another --out",
        tmp_path / "x.pt": r"call it x\.pt\.safetensors",
        folder / "model.safetensors": "are the weights of the run",
    }.items():
        with pytest.raises(Refused, match=why):
            export_sparse(folder, out)
    (tmp_path / "folder.safetensors").mkdir()
    with pytest.raises(Refused, match="that is a folder"):
        export_sparse(folder, tmp_path / "folder.safetensors")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder.safetensors", "run"]


def test_an_unknown_format_is_refused(tmp_path):
    done = avsr(small_run(tmp_path / "run", small_network()), "--format", "tflite")
    assert done.returncode == 2 and "--format tflite: no such choice. There is: onnx, sparse." in done.stderr


def test_an_unknown_run_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # where there are runs, the nearest of their names is told too
    done = avsr(tmp_path / "nothing", "--format", "sparse")
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1 and "no run" in done.stderr


def test_a_full_disk_is_one_line_and_the_old_file_stays(tmp_path):
    run = small_run(tmp_path / "run", small_network())
    (tmp_path / "disk").mkdir()
    script = f"""
        mount -t tmpfs -o size=32k none {tmp_path}/disk || exit 77
        echo old > {tmp_path}/disk/x.safetensors
        {sys.executable} -m avsr_bench export {run} --format sparse --force --out {tmp_path}/disk/x.safetensors
        code=$?; ls -A {tmp_path}/disk; cat {tmp_path}/disk/x.safetensors; exit $code
    """
    done = subprocess.run(["unshare", "-rm", "sh", "-c", script], capture_output=True, text=True, check=False)
    if done.returncode == 77 or "unshare" in done.stderr:
        pytest.skip(f"this machine lets nobody mount a tmpfs: {done.stderr.strip()}")
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1 and "No space left" in done.stderr
    assert done.stdout.split() == ["x.safetensors", "old"]


@pytest.mark.parametrize("modality", ["video", "audio", "av"])
def test_a_run_comes_back_to_the_bit(modality, tmp_path):
    folder = small_run(tmp_path / "run", thinned(small_network(modality), 0.8))
    written = export_sparse(folder)
    assert written.path == folder / "model.sparse.safetensors"
    found, there = load_packed(written.path), safetensors.torch.load_file(folder / "model.safetensors")
    assert found.keys() == there.keys()
    for name, weight in there.items():
        assert torch.equal(found[name].flatten().view(torch.uint8), weight.flatten().view(torch.uint8)), name
    assert written.sparsity == pytest.approx(0.8, abs=0.01)
    assert written.bytes == written.path.stat().st_size
    assert stat.S_IMODE(written.path.stat().st_mode) == stat.S_IMODE((folder / "model.safetensors").stat().st_mode)


def test_packed_weights_serve_in_the_place_of_dense_ones(tmp_path):
    folder = small_run(tmp_path / "run", thinned(small_network(), 0.8))
    whole = export_sparse(folder, tmp_path / "x.safetensors")
    (tmp_path / "x.safetensors").replace(folder / "model.safetensors")
    again = export_sparse(folder)
    assert again.dense_bytes == whole.bytes and again.path.stat().st_size == whole.bytes


@pytest.mark.parametrize("size", ["tiny", "small"])
def test_80_percent_sparse_takes_at_most_a_quarter(size, tmp_path):
    settings = recipes.build(NetworkSettings, recipes.load(recipes.find("models/sizes", size))["network"], size)
    network = AVSR("video", settings, {"tiny": 60, "small": 5049}[size])
    with torch.no_grad():
        for weight in prunable(network).values():
            weight[torch.rand_like(weight) < 0.8] = 0.0
    save_packed(tmp_path / "sparse.safetensors", network.state_dict(), prunable(network), {})
    safetensors.torch.save_file(network.state_dict(), tmp_path / "dense.safetensors")
    sparse, dense = ((tmp_path / f"{name}.safetensors").stat().st_size for name in ("sparse", "dense"))
    assert sparse <= 0.25 * dense


def test_multiply_adds_are_those_of_the_formulas():
    network = small_network()
    second, token = count_work(network)
    width, wide, tokens, frames = 16, 24, network.tokens, 25
    pictures = 25 * (8 * 8 * 4 * 27)  # the stem: every second pixel of 16x16, 4 channels of 3x3x3
    sides, before = (4, 2, 1, 1), 4
    for side, channels in zip(sides, SMALL.video.channels, strict=True):
        first = channels * before * 9 + channels * channels * 9 + (channels * before if channels != before else 0)
        pictures += frames * side * side * first
        before = channels
    attention = 4 * width * width * frames + width * width * (2 * frames - 1)
    convolution = (3 * width * width + 5 * width) * frames
    blocks = 2 * (attention + convolution + 4 * width * wide * frames)
    heads = (10 * width + width * tokens) * frames + 2 * 2 * width * width * frames
    assert second.dense == pictures + blocks + heads
    assert token.dense == 2 * (6 * width * width + 2 * width * wide) + width * tokens
    assert second.nonzero == second.dense and token.nonzero == token.dense


@pytest.mark.parametrize("modality", ["audio", "av"])
def test_only_what_is_not_zero_counts(modality):
    network = small_network(modality)
    before = count_work(network)
    with torch.no_grad():
        for weight in prunable(network).values():
            weight.view(-1)[: weight.numel() // 2] = 0.0
    after = count_work(network)
    assert [work.dense for work in after] == [work.dense for work in before]
    assert all(work.share == pytest.approx(0.5, abs=0.01) for work in after)
    assert not any(module._forward_hooks for module in network.modules())


def test_the_command_reports_bytes_work_and_time_apart(tmp_path):
    done = avsr(small_run(tmp_path / "run", thinned(small_network(), 0.8)), "--format", "sparse")
    assert done.returncode == 0, done.stderr
    for row in ("stored bytes", "multiply-adds a second", "multiply-adds a token", "encoder and CTC head, a second"):
        assert row in done.stdout
    assert "save no time in dense kernels" in done.stdout and "80.0% of the prunable weights" in done.stdout
