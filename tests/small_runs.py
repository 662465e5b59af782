"""Runs of a small network that take a moment to make: for tests of what is done with a run."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import TypeVar

import torch

from avsr_bench import runs
from avsr_bench.decoding import DecodeSettings
from avsr_bench.nn import (
    AVSR,
    Enhancer,
    EnhancerSettings,
    FrontendSettings,
    Modality,
    Network,
    NetworkSettings,
    Unified,
    prunable,
)
from avsr_bench.text import Tokenizer, TokenizerSettings, learn_tokenizer

N = TypeVar("N", AVSR, Unified, Enhancer)

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
    return with_statistics(AVSR(modality, replace(SMALL, **changes), tokens or len(small_tokenizer())))  # type: ignore[arg-type]


def small_unified(tokens: int | None = None, seed: int = 1, **changes: object) -> Unified:
    """A unified network of the same kind."""
    torch.manual_seed(seed)
    return with_statistics(Unified(replace(SMALL, **changes), tokens or len(small_tokenizer())))  # type: ignore[arg-type]


def small_enhancer(modality: Modality = "av", seed: int = 1, **changes: object) -> Enhancer:
    """An enhancer of the same kind; `changes` are of its own settings."""
    torch.manual_seed(seed)
    own = EnhancerSettings(**changes)  # type: ignore[arg-type]
    return with_statistics(Enhancer(modality, replace(SMALL, centre=True, enhancer=own)))


@torch.no_grad()
def open_wide(network: Enhancer) -> Enhancer:
    """A network whose gains are 1 everywhere: what goes in comes out."""
    network.head.gains.weight.zero_()
    network.head.gains.bias.fill_(20.0)
    return network


@torch.no_grad()
def with_statistics(network: N) -> N:
    """A network as it is used, with batch statistics that are not those it was made with."""
    for name, value in network.state_dict().items():
        if name.endswith(("running_mean", "running_var")):
            value.add_(torch.rand_like(value))
    return network.eval()


def thinned(network: N, sparsity: float) -> N:
    """The same network with the smallest weights of every prunable layer set to zero."""
    with torch.no_grad():
        for weight in prunable(network).values():
            order = weight.abs().flatten().argsort()
            weight.view(-1)[order[: round(sparsity * weight.numel())]] = 0.0
    return network


def small_run(folder: Path, network: Network) -> Path:
    """A finished run of a network."""
    about = runs.About(system="dense", corpus="synth", size="tiny", modality=network.modality, seed=0)
    folder.mkdir(parents=True, exist_ok=True)
    sections: dict[str, object] = {"network": asdict(network.settings)}
    if not isinstance(network, Enhancer):
        small_tokenizer().save(folder)
        sections["decode"] = asdict(DecodeSettings(kind="ctc"))
    runs.write_recipe(folder, about, sections)
    runs.write_weights(folder, network.state_dict())
    return folder
