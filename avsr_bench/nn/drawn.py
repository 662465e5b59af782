"""A network as training begins it: of random weights, or of what its ranks leave of them."""

from __future__ import annotations

from dataclasses import replace

import torch

from .enhancer import Enhancer
from .low_rank import factored, scaled
from .model import AVSR
from .settings import LowRankSettings, NetworkSettings, Reads
from .unified import Unified

Network = AVSR | Unified | Enhancer


def make(modality: Reads, settings: NetworkSettings, tokens: int) -> Network:
    """A network of the form that reads this; an enhancer where the settings say so."""
    if settings.enhancer is not None:
        return Enhancer(modality, settings)
    return Unified(settings, tokens) if modality == "unified" else AVSR(modality, settings, tokens)


def draw(modality: Reads, settings: NetworkSettings, tokens: int) -> Network:
    """A new network. One of low ranks begins with the weights that the dense one draws from the same random numbers."""
    low = settings.low_rank
    if low.whole or (low.factored and low.start == "random"):
        return make(modality, settings, tokens)
    dense = make(modality, replace(settings, low_rank=LowRankSettings()), tokens)
    with torch.device("meta"):
        thin = make(modality, replace(settings, low_rank=replace(low, factored=True)), tokens)
    if not low.factored:
        dense.load_state_dict(scaled(dense.state_dict(), thin))
        dense.settings = settings
        return dense
    weights = factored(dense.state_dict(), thin)
    thin.load_state_dict(weights, assign=True)
    return thin
