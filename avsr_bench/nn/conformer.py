"""The Conformer block (arXiv 2005.08100): half feed-forward, attention, convolution, half feed-forward, a norm."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from .layers import NORM_EPS, Dropout, FeedForward, drop_path, layer_scale
from .low_rank import Ranks
from .relative_attention import RelativeAttention
from .settings import NetworkSettings


class Pointwise(nn.Conv1d):
    """A convolution over one frame, with channels last: the product that it is, and nothing is transposed."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 1)

    def _conv_forward(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """B, T, C."""
        return F.linear(x, weight[..., 0], bias)


class Depthwise(nn.Conv1d):
    """A convolution over time of each channel for itself, with channels last."""

    def __init__(self, width: int, kernel: int) -> None:
        super().__init__(width, width, kernel, padding=kernel // 2, groups=width)

    def _conv_forward(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """B, T, D. As a picture of one column oneDNN takes half of the time that it needs for sound."""
        column = x.transpose(1, 2)[..., None]  # B, D, T, 1
        padding = (self.kernel_size[0] // 2, 0)
        return F.conv2d(column, weight[..., None], bias, padding=padding, groups=self.groups)[..., 0].transpose(1, 2)


class Convolution(nn.Module):
    """A gated convolution over time, each channel for itself: one residual branch."""

    def __init__(self, width: int, kernel: int, mask_padding: bool) -> None:
        super().__init__()
        self.mask_padding = mask_padding
        self.norm = nn.LayerNorm(width, eps=NORM_EPS)
        self.expand = Pointwise(width, 2 * width)
        self.depthwise = Depthwise(width, kernel)
        self.batch_norm = nn.BatchNorm1d(width)
        self.reduce = Pointwise(width, width)

    def forward(self, x: Tensor, keep: Tensor) -> Tensor:
        """What the branch adds to x: B, T, D; keep: B, T."""
        x = F.glu(self.expand(self.norm(x)), dim=-1)
        if self.mask_padding:
            x = x * keep[..., None]
        x = self.depthwise(x)
        return self.reduce(F.silu(self.batch_norm(x.flatten(0, 1))).view_as(x))


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
        self.dropout = Dropout(settings.dropout)
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
