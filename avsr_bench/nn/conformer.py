"""The Conformer encoder (arXiv 2005.08100): half feed-forward, attention, convolution, half feed-forward, a norm.

Attention knows how far apart two frames are (arXiv 1901.02860): every score gets `(query + bias) . position` added.
Torch's fused attention takes that part as its mask, so the sum and its softmax need not be written to memory.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .frontend import make_frontend
from .layers import NORM_EPS, FeedForward, layer_scale, length_mask, run, sinusoids
from .low_rank import Ranks, linear, stack
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


class Convolution(nn.Module):
    """A gated convolution over time, each channel for itself: one residual branch."""

    def __init__(self, width: int, kernel: int, mask_padding: bool) -> None:
        super().__init__()
        self.mask_padding = mask_padding
        self.norm = nn.LayerNorm(width, eps=NORM_EPS)
        self.expand = nn.Conv1d(width, 2 * width, 1)
        self.depthwise = nn.Conv1d(width, width, kernel, padding=kernel // 2, groups=width)
        self.batch_norm = nn.BatchNorm1d(width)
        self.reduce = nn.Conv1d(width, width, 1)

    def forward(self, x: Tensor, keep: Tensor) -> Tensor:
        """What the branch adds to x: B, T, D; keep: B, T."""
        x = F.glu(self.expand(self.norm(x).transpose(1, 2)), dim=1)  # B, D, T
        if self.mask_padding:
            x = x * keep[:, None]
        x = F.silu(self.batch_norm(self.depthwise(x)))
        return self.reduce(x).transpose(1, 2)


class ConformerBlock(nn.Module):
    """One block of the encoder."""

    def __init__(self, settings: NetworkSettings, ranks: Ranks) -> None:
        super().__init__()
        width, hidden, initial = settings.width, settings.feed_forward, settings.layer_scale
        self.feed_forward_in = FeedForward(width, hidden, ranks.feed_forward, settings.dropout)
        self.attention = RelativeAttention(settings, ranks.attention)
        self.convolution = Convolution(width, settings.kernel, settings.mask_padding)
        self.feed_forward_out = FeedForward(width, hidden, ranks.feed_forward, settings.dropout)
        self.norm = nn.LayerNorm(width, eps=NORM_EPS) if settings.block_norm else nn.Identity()
        self.scale_in, self.scale_attention, self.scale_convolution, self.scale_out = (
            layer_scale(width, initial) for _ in range(4)
        )
        self.dropout = nn.Dropout(settings.dropout)

    def forward(self, x: Tensor, positions: Tensor, keep: Tensor) -> Tensor:
        """B, T, D to B, T, D."""
        x = x + 0.5 * self.dropout(self.scale_in(self.feed_forward_in(x)))
        x = x + self.dropout(self.scale_attention(self.attention(x, positions, keep)))
        x = x + self.dropout(self.scale_convolution(self.convolution(x, keep)))
        x = x + 0.5 * self.dropout(self.scale_out(self.feed_forward_out(x)))
        return self.norm(x)


class Encoder(nn.Module):
    """Front-end and Conformer of one modality: pictures or sound to one vector a frame."""

    def __init__(self, modality: str, settings: NetworkSettings) -> None:
        super().__init__()
        self.frontend = make_frontend(modality, settings)
        self.project = nn.Linear(self.frontend.width, settings.width)
        self.blocks = nn.ModuleList(
            ConformerBlock(settings, ranks) for ranks in stack(settings, settings.encoder_blocks)
        )
        self.norm = nn.LayerNorm(settings.width, eps=NORM_EPS)
        self.dropout = nn.Dropout(settings.dropout)
        self.checkpointing = settings.checkpointing

    def forward(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        """Pictures (B, T, H, W) or samples (B, N) and lengths in frames (B) to B, T, D."""
        x = self.project(self.frontend(inputs, lengths))
        frames, width = x.shape[1:]
        keep = length_mask(lengths, frames)
        positions = sinusoids(torch.arange(frames - 1, -frames, -1, device=x.device), width)  # 2T-1, D
        x, positions = self.dropout(x * width**0.5), self.dropout(positions.to(x.dtype))
        for block in self.blocks:
            x = run(block, x, positions, keep, checkpointing=self.checkpointing)
        return self.norm(x)
