"""Runs of a small enhancer that nobody trained: what it makes of sound is about the sound itself, softer."""

from dataclasses import asdict, replace
from pathlib import Path

import torch
from small_runs import SMALL, with_statistics

from avsr_bench import runs
from avsr_bench.nn import Enhancer, EnhancerSettings, Modality


def small_enhancer(modality: Modality = "av", seed: int = 1, causal: bool = True) -> Enhancer:
    """A network whose gains depend on what it is shown."""
    torch.manual_seed(seed)
    own = EnhancerSettings(left=20, still=10, causal=causal)
    network = Enhancer(modality, replace(SMALL, centre=True, enhancer=own))
    with torch.no_grad():
        network.head.gains.weight.mul_(3)
        network.enter.weight.mul_(3)
    return with_statistics(network)  # type: ignore[type-var]


def enhancer_run(folder: Path, modality: Modality = "av", seed: int = 1, corpus: str = "small") -> Path:
    """A finished run of it."""
    network = small_enhancer(modality, seed)
    about = runs.About(system="enhance", corpus=corpus, size="tiny", modality=modality, seed=seed)
    runs.write_recipe(folder, about, {"network": asdict(network.settings)})
    runs.write_weights(folder, network.state_dict())
    return folder
