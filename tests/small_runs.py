"""Runs of a small network that take a moment to make: for tests of what is done with a run."""

from dataclasses import asdict, replace
from pathlib import Path

import torch

from avsr_bench import runs
from avsr_bench.decoding import DecodeSettings
from avsr_bench.nn import AVSR, FrontendSettings, Modality, NetworkSettings, prunable
from avsr_bench.text import Tokenizer, TokenizerSettings, learn_tokenizer

NARROW = FrontendSettings(channels=(4, 6, 8, 10), blocks=1, stem=(3, 3, 3))
SMALL = NetworkSettings(
    mouth=16,
    video=NARROW,
    audio=NARROW,
    width=16,
    heads=2,
    feed_forward=24,
    kernel=5,
    encoder_blocks=2,
    decoder_blocks=2,
    fusion=20,
)


def small_tokenizer() -> Tokenizer:
    """The characters of a sentence."""
    tokenizer, _ = learn_tokenizer(["bin blue at f two now"], TokenizerSettings(kind="characters"))
    return tokenizer


def small_network(modality: Modality = "video", tokens: int | None = None, seed: int = 1, **changes: object) -> AVSR:
    """A network with weights of its own, its batch statistics among them."""
    torch.manual_seed(seed)
    network = AVSR(modality, replace(SMALL, **changes), tokens or len(small_tokenizer())).eval()  # type: ignore[arg-type]
    with torch.no_grad():
        for name, value in network.state_dict().items():
            if name.endswith(("running_mean", "running_var")):
                value.add_(torch.rand_like(value))
    return network


def thinned(network: AVSR, sparsity: float) -> AVSR:
    """The same network with the smallest weights of every prunable layer set to zero."""
    with torch.no_grad():
        for weight in prunable(network).values():
            order = weight.abs().flatten().argsort()
            weight.view(-1)[order[: round(sparsity * weight.numel())]] = 0.0
    return network


def small_run(folder: Path, network: AVSR) -> Path:
    """A finished run of a network."""
    about = runs.About(system="dense", corpus="synth", size="tiny", modality=network.modality, seed=0)
    folder.mkdir(parents=True, exist_ok=True)
    small_tokenizer().save(folder)
    runs.write_recipe(
        folder, about, {"network": asdict(network.settings), "decode": asdict(DecodeSettings(kind="ctc"))}
    )
    runs.write_weights(folder, network.state_dict())
    return folder
