"""How the vectors of sound and picture become one: a two-layer perceptron on both, frame by frame."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Fusion(nn.Module):
    """Both encodings of each frame to one: 2 x (B, T, D) to B, T, D."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.expand = nn.Linear(2 * width, hidden)
        self.norm = nn.BatchNorm1d(hidden)
        self.reduce = nn.Linear(hidden, width)

    def forward(self, video: Tensor, audio: Tensor) -> Tensor:
        """The joint vector of every frame."""
        hidden = self.expand(torch.cat((video, audio), dim=-1))  # B, T, F
        hidden = self.norm(hidden.flatten(0, 1)).relu().unflatten(0, hidden.shape[:2])
        return self.reduce(hidden)
