"""The examples of docs/export.md run as they stand there."""

import re
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from small_runs import small_network, small_run, thinned

from avsr_bench import media, runs
from avsr_bench.data.inputs import shown
from avsr_bench.decoding import DecodeSettings, decode
from avsr_bench.export import export_onnx, export_sparse

PAGE = Path(__file__).parents[2] / "docs" / "export.md"
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return small_run(tmp_path, thinned(small_network(encoder_blocks=1, mouth=88), 0.5))


def test_the_onnx_file_is_read_with_onnxruntime_alone(folder, capsys):
    picture = np.linspace(40, 200, 96 * 96).reshape(96, 96)
    mouth = np.stack([np.roll(picture, 4 * shift, (0, 1)) for shift in range(20)]).astype(np.uint8)
    Path("mouth.mp4").write_bytes(media.encode_mouth(mouth))
    export_onnx(folder)
    names = {}
    exec(EXAMPLES[0], names)
    run = runs.open_run(folder)
    network = run.load()
    video = torch.from_numpy(shown(media.decode_mouth(Path("mouth.mp4").read_bytes()), 88))[None]
    with torch.inference_mode():
        memory, lengths = network.encode(video, torch.tensor([20]))
        expected = network.ctc_log_probs(memory)[0].numpy()
    np.testing.assert_allclose(names["log_probs"][0], expected, atol=0.01)
    (best,) = decode(network, memory, lengths, DecodeSettings(kind="ctc"))[0]
    tokenizer = run.tokenizer()
    assert (
        capsys.readouterr().out.strip().split()
        == "".join(tokenizer.units[token].replace("▁", " ") for token in best.tokens).split()
    )


def test_the_format_is_as_the_page_says(folder):
    export_sparse(folder)
    names = {}
    exec(EXAMPLES[1], names)
    there = safetensors.torch.load_file("model.safetensors")
    assert names["weights"].keys() == there.keys()
    assert all(np.array_equal(names["weights"][name], value.numpy()) for name, value in there.items())


def test_every_example_is_run():
    assert len(EXAMPLES) == 2
