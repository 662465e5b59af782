"""The Conformer block (arXiv 2005.08100): half feed-forward, attention, convolution, half feed-forward, a norm."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from .layers import NORM_EPS, FeedForward, drop_path, layer_scale
from .low_rank import Ranks
from .relative_attention import RelativeAttention
from .settings import NetworkSettings


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
        self.drop_path = drop_path(settings.drop_path)

    def forward(self, x: Tensor, positions: Tensor, keep: Tensor) -> Tensor:
        """B, T, D to B, T, D."""
        x = x + 0.5 * self._added(self.scale_in(self.feed_forward_in(x)))
        x = x + self._added(self.scale_attention(self.attention(x, positions, keep)))
        x = x + self._added(self.scale_convolution(self.convolution(x, keep)))
        x = x + 0.5 * self._added(self.scale_out(self.feed_forward_out(x)))
        return self.norm(x)

    def _added(self, branch: Tensor) -> Tensor:
        return self.drop_path(self.dropout(branch))
