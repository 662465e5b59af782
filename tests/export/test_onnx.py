"""The exported file says what torch says, for clips of any length, alone and in batches, and can be used alone."""

import json
import subprocess
import sys

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
import warm
from small_runs import small_network, small_run, small_tokenizer

from avsr_bench import runs
from avsr_bench.export import export_onnx
from avsr_bench.nn import AVSR
from avsr_bench.records import Refused


@pytest.fixture(scope="session", params=["video", "audio", pytest.param("av", marks=pytest.mark.slow)])
def exported(request, tmp_path_factory):
    folder = small_run(tmp_path_factory.mktemp("runs") / "run", small_network(request.param, encoder_blocks=1))
    return folder, export_onnx(folder)


def answers(path, network: AVSR, frames, lengths=None):
    """What onnxruntime and torch say of noise: frames of the batch, and how many of them each clip has."""
    lengths = lengths or [frames]
    generator = np.random.default_rng(frames)
    shapes = {"video": (16, 16), "audio": (640,)}
    inputs = {
        name: generator.standard_normal((len(lengths), frames, *shapes[name]), np.float32) for name in network.encoders
    }
    session = onnxruntime.InferenceSession(str(path))
    (found,) = session.run(["log_probs"], {**inputs, "lengths": np.array(lengths)})
    tensors = [torch.from_numpy(inputs[name]) for name in network.encoders]
    tensors = [tensor.flatten(1) if tensor.dim() == 3 else tensor for tensor in tensors]
    with torch.inference_mode():
        memory, _ = network.encode(tensors[0] if len(tensors) == 1 else tuple(tensors), torch.tensor(lengths))
        return found, network.ctc_log_probs(memory).numpy(), inputs


def test_a_missing_extra_is_named(tmp_path, monkeypatch):
    folder = small_run(tmp_path / "run", small_network())
    monkeypatch.setitem(sys.modules, "onnxscript", None)  # as if it were not installed
    with pytest.raises(
        Refused, match=r"ONNX needs onnxscript, which is not installed: pip install 'avsr-bench\[export\]'"
    ):
        export_onnx(folder)


def test_an_unfinished_run_is_refused(tmp_path):
    folder = small_run(tmp_path / "run", small_network())
    (folder / "model.safetensors").unlink()
    with pytest.raises(Refused, match="is not finished"):
        export_onnx(folder)
    with pytest.raises(Refused, match="it is not a run"):
        export_onnx(tmp_path / "nothing")


def test_weights_that_are_no_numbers_leave_no_file(tmp_path):
    network = small_network("audio")
    with torch.no_grad():
        network.ctc.weight[3, 3] = float("nan")
    folder = small_run(tmp_path / "run", network)
    with pytest.raises(Refused, match=r"ctc\.weight holds what is not a number"):
        export_onnx(folder, tmp_path / "out" / "x.onnx")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("frames", [1, 2, 3, 13, 14, 150])
def test_clips_of_any_length_give_what_torch_gives(exported, frames):
    folder, written = exported
    found, expected, _ = answers(written.path, runs.open_run(folder).load(), frames)
    assert found.shape == expected.shape == (1, frames, len(small_tokenizer()))
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_clip_in_a_batch_gives_what_it_gives_alone(exported):
    folder, written = exported
    network = runs.open_run(folder).load()
    found, expected, inputs = answers(written.path, network, 30, [30, 7, 1, 22])
    session = onnxruntime.InferenceSession(str(written.path))
    for row, length in enumerate([30, 7, 1, 22]):
        np.testing.assert_allclose(found[row, :length], expected[row, :length], atol=1e-5)
        alone = {name: values[row : row + 1, :length] for name, values in inputs.items()}
        (single,) = session.run(None, {**alone, "lengths": np.array([length])})
        np.testing.assert_allclose(found[row, :length], single[0], atol=1e-5)


def test_the_report_is_true(exported):
    folder, written = exported
    assert written.path == folder / "model.onnx" and written.bytes == written.path.stat().st_size
    assert 0 <= written.difference < 1e-5
    assert max(map(max, written.checked)) > 13 and (1,) in written.checked
    onnx.checker.check_model(str(written.path), full_check=True)
    assert sorted(path.name for path in folder.iterdir()) == [
        "model.onnx", "model.safetensors", "recipe.yaml", "tokenizer.json", "tokenizer.model",
    ]  # fmt: skip


def test_the_file_knows_all_that_it_takes_to_use_it(exported):
    folder, written = exported
    modality = runs.open_run(folder).about.modality
    facts = onnxruntime.InferenceSession(str(written.path)).get_modelmeta().custom_metadata_map
    assert json.loads(facts["avsr.units"]) == list(small_tokenizer().units)
    assert (facts["avsr.modality"], facts["avsr.blank"], facts["avsr.fps"]) == (modality, "0", "25")
    assert ("avsr.side" in facts) == (modality != "audio") and ("avsr.rate" in facts) == (modality != "video")
    if modality != "audio":
        assert [facts[f"avsr.{name}"] for name in ("stored_side", "scaled_side", "side")] == ["96", "17", "16"]
        assert (float(facts["avsr.mean"]), float(facts["avsr.deviation"])) == (0.421, 0.165)


def test_the_command_is_quiet_about_everything_else(tmp_path):
    folder = small_run(tmp_path / "run", small_network("video", encoder_blocks=1))
    command = [*warm.avsr(), "export", folder, "--format", "onnx", "--out", tmp_path / "x.onnx"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    first, second = done.stdout.splitlines()
    assert first.startswith(f"{tmp_path}/x.onnx: ") and "reads video, clips of any length" in first
    assert second.startswith("largest difference from torch: ")
