import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch

from avsr_bench import recipes
from avsr_bench.nn import AVSR, NetworkSettings


@dataclass(frozen=True)
class Size:
    network: NetworkSettings = field(default_factory=NetworkSettings)


def read(size: str) -> NetworkSettings:
    path = Path(__file__).parents[2] / f"models/sizes/{size}.yaml"
    content = {"network": recipes.load(path)["network"]}
    return recipes.build(Size, content, str(path)).network


def count(settings: NetworkSettings, tokens: int) -> int:
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in AVSR("video", settings, tokens).parameters())


def test_large_is_the_default_network():
    assert read("large") == NetworkSettings()


def test_small_is_base_s():
    assert count(read("small"), 5049) == pytest.approx(56.35e6, abs=0.005e6)


def test_tiny_has_about_a_million_parameters():
    assert 0.8e6 < count(read("tiny"), 64) < 1.2e6


@pytest.mark.parametrize("modality", ["video", "audio", "av"])
def test_tiny_reads_and_listens(modality):
    settings = read("tiny")
    network = AVSR(modality, settings, 64).eval()
    video, audio = torch.zeros(1, 4, settings.mouth, settings.mouth), torch.zeros(1, 4 * 640)
    inputs = {"video": video, "audio": audio, "av": (video, audio)}[modality]
    assert network.encode(inputs, torch.tensor([4]))[0].shape == (1, 4, settings.width)


def test_the_network_needs_neither_pictures_nor_lightning():
    blocked = ("cv2", "mediapipe", "lightning_fabric", "av", "webdataset", "torchaudio", "pandas")
    program = f"import sys; sys.modules.update(dict.fromkeys({blocked})); import avsr_bench.nn"
    subprocess.run([sys.executable, "-c", program], check=True)
