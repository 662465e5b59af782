"""The Transformer block of USR and RAVEn (arXiv 2411.02256, 2212.06246): attention, feed-forward."""

from __future__ import annotations

from torch import Tensor, nn

from .layers import Dropout, FeedForward, drop_path, layer_scale
from .low_rank import Ranks
from .relative_attention import RelativeAttention
from .settings import NetworkSettings


class TransformerBlock(nn.Module):
    """One block of an encoder without convolutions over time."""

    def __init__(self, settings: NetworkSettings, ranks: Ranks) -> None:
        super().__init__()
        width, initial = settings.width, settings.layer_scale
        self.attention = RelativeAttention(settings, ranks.attention)
        self.feed_forward = FeedForward(width, settings.feed_forward, ranks.feed_forward, settings.dropout)
        self.scale_attention, self.scale_feed_forward = (layer_scale(width, initial) for _ in range(2))
        self.dropout = Dropout(settings.dropout)
        self.drop_path = drop_path(settings.drop_path)

    def forward(self, x: Tensor, positions: Tensor, keep: Tensor) -> Tensor:
        """B, T, D to B, T, D."""
        x = x + self.drop_path(self.dropout(self.scale_attention(self.attention(x, positions, keep))))
        return x + self.drop_path(self.dropout(self.scale_feed_forward(self.feed_forward(x))))
