"""From pictures or sound to one vector a frame: a front-end, and blocks in which frames see one another."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn

from .conformer import ConformerBlock
from .frontend import make_frontend
from .layers import NORM_EPS, Dropout, length_mask, run, sinusoids
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


def stages(
    blocks: Iterable[nn.Module], x: Tensor, lengths: Tensor, dropout: nn.Module, checkpointing: bool
) -> Iterator[Tensor]:
    """Frames (B, T, D) as they enter the first block, and as they leave each; a block knows how far apart they are."""
    frames, width = x.shape[1:]
    keep = length_mask(lengths, frames)
    positions = sinusoids(torch.arange(frames - 1, -frames, -1, device=x.device), width)  # 2T-1, D
    x, positions = dropout(x * width**0.5), dropout(positions.to(x.dtype))
    yield x
    for block in blocks:
        x = run(block, x, positions, keep, checkpointing=checkpointing)
        yield x


def through(blocks: Iterable[nn.Module], x: Tensor, lengths: Tensor, dropout: nn.Module, checkpointing: bool) -> Tensor:
    """Frames (B, T, D) as they leave the last block."""
    for stage in stages(blocks, x, lengths, dropout, checkpointing):
        x = stage
    return x


class Encoder(nn.Module):
    """Front-end and blocks of one modality: pictures or sound to one vector a frame."""

    def __init__(self, modality: str, settings: NetworkSettings) -> None:
        super().__init__()
        self.frontend = make_frontend(modality, settings)
        self.project = nn.Linear(self.frontend.width, settings.width)
        self.blocks = make_blocks(settings)
        self.norm = nn.LayerNorm(settings.width, eps=NORM_EPS)
        self.dropout = Dropout(settings.dropout)
        self.checkpointing = settings.checkpointing

    def forward(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        """Pictures (B, T, H, W) or samples (B, N) and lengths in frames (B) to B, T, D."""
        return self.norm(
            through(self.blocks, self._entering(inputs, lengths), lengths, self.dropout, self.checkpointing)
        )

    def outputs(self, inputs: Tensor, lengths: Tensor) -> tuple[Tensor, ...]:
        """What each block leaves, before the norm behind the last one: B, T, D of each."""
        entering = self._entering(inputs, lengths)
        _, *found = stages(self.blocks, entering, lengths, self.dropout, self.checkpointing)
        return tuple(found)

    def _entering(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        entering: Tensor = self.project(self.frontend(inputs, lengths))
        return entering
