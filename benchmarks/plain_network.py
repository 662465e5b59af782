"""The published video network (arXiv 2303.14307) in the plain form of public code: a reference for the speed of ours.

Written with torch's own layers, one call an operation: attention in full with its scores in memory, the convolution
with channels before frames, pictures with channels before rows. Weights have the published names, so those of our
network load into it and tests/benchmarks/test_plain_network.py holds both to one answer.
"""

from __future__ import annotations

import math
from collections import OrderedDict

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from avsr_bench.nn import Batch, LossSettings, NetworkSettings
from avsr_bench.nn.layers import NORM_EPS, length_mask, sinusoids
from avsr_bench.nn.loss import Answers, Losses, joint_loss
from avsr_bench.nn.recogniser import framed


class Block(nn.Module):
    """Two convolutions over a picture, and the way past them."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs)
        self.conv2, self.bn2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs)
        self.downsample: nn.Module = nn.Identity()
        if stride > 1:
            reach = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
            self.downsample = nn.Sequential(reach, nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """B T, C, H, W."""
        inner = self.bn2(self.conv2(F.silu(self.bn1(self.conv1(x)))))
        return F.silu(inner + self.downsample(x))


class Frontend(nn.Module):
    """Pictures to vectors: a convolution over five frames, and a ResNet-18 over each."""

    def __init__(self) -> None:
        super().__init__()
        self.frontend3D = nn.Sequential(
            nn.Conv3d(1, 64, (5, 7, 7), (1, 2, 2), (2, 3, 3), bias=False),
            nn.BatchNorm3d(64),
            nn.SiLU(),
            nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1)),
        )
        stages = {"layer1": (64, 64), "layer2": (64, 128), "layer3": (128, 256), "layer4": (256, 512)}
        self.trunk = nn.Sequential(
            OrderedDict(
                (name, nn.Sequential(Block(inputs, outputs, outputs // inputs), Block(outputs, outputs, 1)))
                for name, (inputs, outputs) in stages.items()
            )
        )

    def forward(self, video: Tensor) -> Tensor:
        """B, T, H, W to B, T, 512."""
        x = self.frontend3D(video[:, None]).transpose(1, 2).contiguous()  # B, T, C, H, W
        return self.trunk(x.flatten(0, 1)).mean((2, 3)).unflatten(0, x.shape[:2])


class Attention(nn.Module):
    """Attention with its scores written out; with `relative`, scores know how far apart two frames are."""

    def __init__(self, settings: NetworkSettings, relative: bool) -> None:
        super().__init__()
        width, self.heads = settings.width, settings.heads
        self.linear_q, self.linear_k = nn.Linear(width, width), nn.Linear(width, width)
        self.linear_v, self.linear_out = nn.Linear(width, width), nn.Linear(width, width)
        self.dropout = nn.Dropout(settings.attention_dropout)
        if relative:
            self.linear_pos = nn.Linear(width, width, bias=False)
            self.pos_bias_u = nn.Parameter(torch.zeros(self.heads, width // self.heads))
            self.pos_bias_v = nn.Parameter(torch.zeros(self.heads, width // self.heads))

    def forward(self, x: Tensor, memory: Tensor, keep: Tensor, positions: Tensor | None = None) -> Tensor:
        """x: B, U, D; memory: B, T, D; keep: B, 1 or U, T; positions: 1, 2T-1, D."""
        query, key, value = (self._split(of) for of in (self.linear_q(x), self.linear_k(memory), self.linear_v(memory)))
        if positions is None:
            scores = query @ key.transpose(-2, -1)
        else:
            distance = self._split(self.linear_pos(positions))
            content = (query + self.pos_bias_u[:, None]) @ key.transpose(-2, -1)
            scores = content + self._shifted((query + self.pos_bias_v[:, None]) @ distance.transpose(-2, -1))
        hidden = ~keep[:, None]
        scores = (scores / math.sqrt(query.shape[-1])).masked_fill(hidden, torch.finfo(scores.dtype).min)
        weights = self.dropout(torch.softmax(scores, dim=-1).masked_fill(hidden, 0.0))
        return self.linear_out((weights @ value).transpose(1, 2).contiguous().flatten(2))

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)

    @staticmethod
    def _shifted(scores: Tensor) -> Tensor:
        """One column a distance to one column a key, by a column in front and another shape."""
        rows, columns = scores.shape[-2:]
        shifted = F.pad(scores, (1, 0)).flatten(-2).unflatten(-1, (columns + 1, rows))[..., 1:, :]
        return shifted.flatten(-2).unflatten(-1, (rows, columns))[..., :rows]


class FeedForward(nn.Module):
    """Widen, activate, narrow."""

    def __init__(self, settings: NetworkSettings) -> None:
        super().__init__()
        self.w_1 = nn.Linear(settings.width, settings.feed_forward)
        self.w_2 = nn.Linear(settings.feed_forward, settings.width)
        self.dropout = nn.Dropout(settings.dropout)

    def forward(self, x: Tensor) -> Tensor:
        """B, T, D."""
        return self.w_2(self.dropout(torch.relu(self.w_1(x))))


class Convolution(nn.Module):
    """A gated convolution over time, each channel for itself."""

    def __init__(self, settings: NetworkSettings) -> None:
        super().__init__()
        width, kernel = settings.width, settings.kernel
        self.pointwise_cov1 = nn.Conv1d(width, 2 * width, 1)
        self.depthwise_conv = nn.Conv1d(width, width, kernel, padding=kernel // 2, groups=width)
        self.norm = nn.BatchNorm1d(width)
        self.pointwise_cov2 = nn.Conv1d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """B, T, D."""
        x = F.glu(self.pointwise_cov1(x.transpose(1, 2)), dim=1)
        return self.pointwise_cov2(F.silu(self.norm(self.depthwise_conv(x)))).transpose(1, 2)


class EncoderLayer(nn.Module):
    """Half feed-forward, attention, convolution, half feed-forward, a norm."""

    def __init__(self, settings: NetworkSettings) -> None:
        super().__init__()
        self.feed_forward_macaron, self.feed_forward = FeedForward(settings), FeedForward(settings)
        self.self_attn, self.conv_module = Attention(settings, True), Convolution(settings)
        self.norm_ff_macaron, self.norm_mha, self.norm_conv, self.norm_ff, self.norm_final = (
            nn.LayerNorm(settings.width, eps=NORM_EPS) for _ in range(5)
        )
        self.dropout = nn.Dropout(settings.dropout)

    def forward(self, x: Tensor, positions: Tensor, keep: Tensor) -> Tensor:
        """B, T, D."""
        x = x + 0.5 * self.dropout(self.feed_forward_macaron(self.norm_ff_macaron(x)))
        normed = self.norm_mha(x)
        x = x + self.dropout(self.self_attn(normed, normed, keep, positions))
        x = x + self.dropout(self.conv_module(self.norm_conv(x)))
        x = x + 0.5 * self.dropout(self.feed_forward(self.norm_ff(x)))
        return self.norm_final(x)


class DecoderLayer(nn.Module):
    """Attention to the tokens before, to the frames, and feed-forward."""

    def __init__(self, settings: NetworkSettings) -> None:
        super().__init__()
        self.self_attn, self.src_attn = Attention(settings, False), Attention(settings, False)
        self.feed_forward = FeedForward(settings)
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(settings.width, eps=NORM_EPS) for _ in range(3))
        self.dropout = nn.Dropout(settings.dropout)

    def forward(self, x: Tensor, before: Tensor, memory: Tensor, keep: Tensor) -> Tensor:
        """x: B, U, D; memory: B, T, D."""
        normed = self.norm1(x)
        x = x + self.dropout(self.self_attn(normed, normed, before))
        x = x + self.dropout(self.src_attn(self.norm2(x), memory, keep))
        return x + self.dropout(self.feed_forward(self.norm3(x)))


class Encoder(nn.Module):
    """Frames that see one another: B, T, D."""

    def __init__(self, settings: NetworkSettings) -> None:
        super().__init__()
        self.encoders = nn.ModuleList(EncoderLayer(settings) for _ in range(settings.encoder_blocks))
        self.after_norm = nn.LayerNorm(settings.width, eps=NORM_EPS)
        self.dropout = nn.Dropout(settings.dropout)

    def forward(self, x: Tensor, keep: Tensor) -> Tensor:
        """x: B, T, D; keep: B, 1, T."""
        frames, width = x.shape[1:]
        positions = sinusoids(torch.arange(frames - 1, -frames, -1), width)[None]
        x, positions = self.dropout(x * math.sqrt(width)), self.dropout(positions)
        for layer in self.encoders:
            x = layer(x, positions, keep)
        return self.after_norm(x)


class Decoder(nn.Module):
    """Tokens that see those before them, and the frames."""

    def __init__(self, settings: NetworkSettings, tokens: int) -> None:
        super().__init__()
        width = settings.width
        self.embed = nn.Sequential(nn.Embedding(tokens, width))
        self.decoders = nn.ModuleList(DecoderLayer(settings) for _ in range(settings.decoder_blocks))
        self.after_norm, self.output_layer = nn.LayerNorm(width, eps=NORM_EPS), nn.Linear(width, tokens)
        self.dropout = nn.Dropout(settings.dropout)

    def forward(self, tokens: Tensor, memory: Tensor, keep: Tensor) -> Tensor:
        """B, U and B, T, D to B, U, V."""
        said, width = tokens.shape[1], memory.shape[-1]
        x = self.dropout(self.embed(tokens) * math.sqrt(width) + sinusoids(torch.arange(said), width))
        past = torch.ones(1, said, said, dtype=torch.bool).tril()
        for layer in self.decoders:
            x = layer(x, past, memory, keep)
        return self.output_layer(self.after_norm(x))


class PlainNetwork(nn.Module):
    """Reads lips, as `AVSR("video", settings, tokens)` does."""

    def __init__(self, settings: NetworkSettings, tokens: int) -> None:
        super().__init__()
        self.tokens = tokens
        self.frontend, self.proj_encoder = Frontend(), nn.Linear(512, settings.width)
        self.encoder, self.decoder = Encoder(settings), Decoder(settings, tokens)
        self.ctc = nn.ModuleDict({"ctc_lo": nn.Linear(settings.width, tokens)})
        self.dropout = nn.Dropout(settings.ctc_dropout)

    def loss(self, batch: Batch, settings: LossSettings) -> Losses:
        """The joint loss of a batch of floats."""
        assert batch.video is not None
        keep = length_mask(batch.lengths, batch.video.shape[1])[:, None]
        memory = self.encoder(self.proj_encoder(self.frontend(batch.video)), keep)
        before, after = framed(batch.tokens, self.tokens - 1, self.tokens - 1)
        logits, ctc = self.decoder(before, memory, keep), self.ctc["ctc_lo"](self.dropout(memory))
        return joint_loss(Answers(ctc, batch.lengths, logits, after), batch.tokens, settings)
