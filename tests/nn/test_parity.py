"""Our network against what the public Auto-AVSR code answered: see shared/parity/README.md."""

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from avsr_bench.nn import AVSR, Batch, LossSettings, Modality, NetworkSettings, published_name
from avsr_bench.nn.published_weights import Release

NARROW = NetworkSettings(
    width=64, heads=4, feed_forward=128, encoder_blocks=2, decoder_blocks=2, fusion=96, mask_padding=False
)
RELEASES: dict[Modality, Release] = {"video": "current", "audio": "current", "av": "first"}
pytestmark = pytest.mark.parametrize("modality", list(RELEASES))


def refill(network: AVSR, release: Release) -> AVSR:
    """Fill weights by the rule of the folder's README, which counts entries in the order of the published names."""
    state = network.state_dict()
    by_theirs = {published_name(name, network.modality, release): value for name, value in state.items()}
    for seed, (name, value) in enumerate(sorted(by_theirs.items())):
        if not value.is_floating_point():
            continue
        drawn = torch.randn(value.shape, generator=torch.Generator().manual_seed(seed))
        if name.endswith("running_var"):
            value.copy_(drawn.abs() * 0.1 + 1)
        elif value.dim() == 1 and name.endswith("weight"):
            value.copy_(1 + 0.05 * drawn)
        elif value.dim() > 1:
            value.copy_(drawn / value[0].numel() ** 0.5)
        else:
            value.copy_(0.05 * drawn)
    return network.eval()


@dataclass
class Case:
    network: AVSR
    batch: Batch
    expected: dict[str, Tensor]


@pytest.fixture
def case(modality: Modality, parity: Path) -> Case:
    stored = load_file(parity / f"auto_avsr_{modality}_tiny.safetensors")
    stored = {name: value.float() if value.dtype == torch.float16 else value for name, value in stored.items()}
    video = stored["input" if modality == "video" else "video"][:, :, 0] if modality != "audio" else None
    audio = stored["input" if modality == "audio" else "audio"][..., 0] if modality != "video" else None
    lengths = stored["lengths"] // 640 if modality == "audio" else stored["lengths"]
    with torch.no_grad():
        network = refill(AVSR(modality, NARROW, 60), RELEASES[modality])
    return Case(network, Batch(lengths, stored["target"], video, audio), stored)


@torch.no_grad()
def test_losses_of_the_padded_batch(case):
    losses = case.network.loss(case.batch, LossSettings())
    for ours, theirs in (("total", "loss"), ("ctc", "loss_ctc"), ("attention", "loss_att")):
        torch.testing.assert_close(getattr(losses, ours), case.expected[theirs][0], rtol=1e-5, atol=0)


@torch.no_grad()
@pytest.mark.parametrize("clip", [0, 1])
def test_every_stage_of_a_clip_alone(case, modality, clip):
    network, frames = case.network, int(case.batch.lengths[clip])
    lengths = torch.tensor([frames])
    inputs = {}
    if case.batch.video is not None:
        inputs["video"] = case.batch.video[clip : clip + 1, :frames]
    if case.batch.audio is not None:
        inputs["audio"] = case.batch.audio[clip : clip + 1, : 640 * frames]
    answers = {}
    for name, encoder in network.encoders.items():
        answers["frontend" if modality != "av" else f"{name}_frontend"] = encoder.frontend(inputs[name], lengths)
        answers["encoder" if modality != "av" else f"{name}_encoder"] = encoder(inputs[name], lengths)
    memory, _ = network.encode(Batch(lengths, torch.zeros(1, 0), **inputs).inputs, lengths)
    answers |= {"fused": memory} if modality == "av" else {}
    answers["ctc_log_probs"] = network.ctc_log_probs(memory)
    stored = {name.removesuffix(f"_{clip}") for name in case.expected if name.endswith(f"_{clip}")}
    assert stored <= set(answers)
    for name in stored:
        torch.testing.assert_close(answers[name][0], case.expected[f"{name}_{clip}"], atol=1e-4, rtol=0, msg=name)


def test_every_published_entry_has_its_place_and_shape(modality, parity):
    published = json.loads((parity / f"auto_avsr_{modality}_keys.json").read_text())
    with torch.device("meta"):
        state = AVSR(modality, NetworkSettings(), 5049).state_dict()
    ours = {published_name(name, modality, RELEASES[modality]): list(value.shape) for name, value in state.items()}
    assert ours == published
