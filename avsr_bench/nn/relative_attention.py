"""Self-attention that knows how far apart two frames are (arXiv 1901.02860): (query + bias) . position in each score.

Torch's fused attention takes that part as its mask, so the sum and its softmax need not be written to memory.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .layers import NORM_EPS
from .low_rank import linear
from .settings import NetworkSettings


def relative_shift(scores: Tensor) -> Tensor:
    """From one column a distance (T-1 first, -(T-1) last) to one column a key: ..., T, 2T-1 to ..., T, T.

    Row i wants columns T-1-i to 2T-2-i. In memory the wanted piece of each row begins 2T-2 after that of the row
    before, so two views do it and nothing is copied. One frame has no such piece, and an exported graph must serve any
    number of frames: there a column in front shifts each row by one against the row before.
    """
    frames = scores.shape[-2]
    if torch.compiler.is_exporting() or frames == 1:
        shifted = F.pad(scores, (1, 0)).flatten(-2).unflatten(-1, (2 * frames, frames))[..., 1:, :]
        return shifted.flatten(-2).unflatten(-1, (frames, 2 * frames - 1))[..., :frames]
    return scores.flatten(-2)[..., frames - 1 : -1].unflatten(-1, (frames, 2 * frames - 2))[..., :frames]


class RelativeAttention(nn.Module):
    """Self-attention over frames with relative positions: one residual branch."""

    def __init__(self, settings: NetworkSettings, kept: float = 1.0) -> None:
        super().__init__()
        width, self.heads = settings.width, settings.heads
        self.dropout = settings.attention_dropout
        self.norm = nn.LayerNorm(width, eps=NORM_EPS)
        self.query = linear(width, width, kept)
        self.key = linear(width, width, kept)
        self.value = linear(width, width, kept)
        self.position = linear(width, width, kept, bias=False)
        self.output = linear(width, width, kept)
        self.content_bias = nn.Parameter(torch.empty(self.heads, width // self.heads))
        self.position_bias = nn.Parameter(torch.empty(self.heads, width // self.heads))
        nn.init.xavier_uniform_(self.content_bias)
        nn.init.xavier_uniform_(self.position_bias)

    def forward(self, x: Tensor, positions: Tensor, keep: Tensor) -> Tensor:
        """What the branch adds to x: B, T, D; positions: 2T-1, D; keep: B, T."""
        x = self.norm(x)
        query, key, value = (self._split(layer(x)) for layer in (self.query, self.key, self.value))  # B, H, T, C
        distance = self._split(self.position(positions))  # H, 2T-1, C
        scale = query.shape[-1] ** -0.5
        for_position = (query + self.position_bias[:, None].to(query.dtype)) * scale
        bias = relative_shift(for_position @ distance.transpose(-2, -1))  # B, H, T, T
        bias = bias.masked_fill(~keep[:, None, None], float("-inf"))
        mixed = F.scaled_dot_product_attention(
            query + self.content_bias[:, None].to(query.dtype),
            key,
            value,
            attn_mask=bias,
            dropout_p=self.dropout if self.training else 0.0,
        )
        return self.output(mixed.transpose(1, 2).flatten(2))

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(-3, -2)
