"""From pictures or sound to one vector a frame: a front-end, and blocks in which frames see one another."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from .conformer import ConformerBlock
from .frontend import make_frontend
from .layers import NORM_EPS, length_mask, run, sinusoids
from .low_rank import stack
from .settings import NetworkSettings
from .transformer import TransformerBlock

BLOCKS: dict[str, type[ConformerBlock] | type[TransformerBlock]] = {
    "conformer": ConformerBlock,
    "transformer": TransformerBlock,
}


def make_blocks(settings: NetworkSettings) -> nn.ModuleList:
    """The blocks of one encoder, of the kind and the ranks that the settings say."""
    kind = BLOCKS[settings.block]
    return nn.ModuleList(kind(settings, ranks) for ranks in stack(settings, settings.encoder_blocks))


def through(blocks: Iterable[nn.Module], x: Tensor, lengths: Tensor, dropout: nn.Module, checkpointing: bool) -> Tensor:
    """Frames (B, T, D) through all blocks, each of them told how far apart frames are."""
    frames, width = x.shape[1:]
    keep = length_mask(lengths, frames)
    positions = sinusoids(torch.arange(frames - 1, -frames, -1, device=x.device), width)  # 2T-1, D
    x, positions = dropout(x * width**0.5), dropout(positions.to(x.dtype))
    for block in blocks:
        x = run(block, x, positions, keep, checkpointing=checkpointing)
    return x


class Encoder(nn.Module):
    """Front-end and blocks of one modality: pictures or sound to one vector a frame."""

    def __init__(self, modality: str, settings: NetworkSettings) -> None:
        super().__init__()
        self.frontend = make_frontend(modality, settings)
        self.project = nn.Linear(self.frontend.width, settings.width)
        self.blocks = make_blocks(settings)
        self.norm = nn.LayerNorm(settings.width, eps=NORM_EPS)
        self.dropout = nn.Dropout(settings.dropout)
        self.checkpointing = settings.checkpointing

    def forward(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        """Pictures (B, T, H, W) or samples (B, N) and lengths in frames (B) to B, T, D."""
        x = self.project(self.frontend(inputs, lengths))
        return self.norm(through(self.blocks, x, lengths, self.dropout, self.checkpointing))
