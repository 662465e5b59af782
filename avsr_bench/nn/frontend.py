"""Front-ends: mouth pictures or a waveform become one vector a frame, through a stem and a ResNet-18.

The published networks' own (Petridis et al., ICASSP 2018): a 3-D convolution over five frames before a 2-D ResNet for
pictures, a 1-D ResNet straight on 16 kHz samples for sound. SiLU throughout.
"""

from __future__ import annotations

from collections import OrderedDict
from itertools import pairwise
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional as F

from .layers import length_mask, run
from .settings import FrontendSettings, NetworkSettings

SAMPLES_PER_FRAME = 640  # 16 kHz sound, 25 frames a second
CONV: dict[int, type[nn.Conv1d] | type[nn.Conv2d]] = {1: nn.Conv1d, 2: nn.Conv2d}
NORM: dict[int, type[nn.BatchNorm1d] | type[nn.BatchNorm2d]] = {1: nn.BatchNorm1d, 2: nn.BatchNorm2d}


class ResidualBlock(nn.Module):
    """Two 3-wide convolutions and the way past them, over time (1) or over a picture (2)."""

    def __init__(self, dimensions: Literal[1, 2], inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        conv, norm = CONV[dimensions], NORM[dimensions]
        self.conv1 = conv(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        self.norm1 = norm(outputs)
        self.conv2 = conv(outputs, outputs, 3, padding=1, bias=False)
        self.norm2 = norm(outputs)
        self.shortcut: nn.Module = nn.Identity()
        # Strides are taken by leaving places out before a 1-wide convolution. oneDNN writes past its memory when one
        # with a stride has fewer than 16 input channels, last in memory (uxlfoundation/oneDNN issue 6035, torch 2.11).
        self.taken = (slice(None), slice(None), *([slice(None, None, stride)] * dimensions))
        if stride != 1 or inputs != outputs:
            reach = conv(inputs, outputs, 1, bias=False)
            self.shortcut = nn.Sequential(OrderedDict(conv=reach, norm=norm(outputs)))

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """One block; `lengths` (in steps of its output) says where padding begins, which must not leak into clips."""
        inner = F.silu(self.norm1(self.conv1(x)))
        inner = self.norm2(self.conv2(hide(inner, lengths)))
        return hide(F.silu(inner + self.shortcut(x[self.taken])), lengths)


def hide(x: Tensor, lengths: Tensor | None) -> Tensor:
    """Zero what lies behind the end of each clip: x is B, C, N."""
    return x if lengths is None else x * length_mask(lengths, x.shape[-1])[:, None]


class Stage(nn.ModuleList):
    """Residual blocks of one width; the first of them takes the wanted stride."""

    def __init__(self, dimensions: Literal[1, 2], inputs: int, outputs: int, stride: int, blocks: int) -> None:
        first = ResidualBlock(dimensions, inputs, outputs, stride)
        super().__init__([first, *(ResidualBlock(dimensions, outputs, outputs, 1) for _ in range(blocks - 1))])

    def forward(self, x: Tensor, lengths: Tensor | None, checkpointing: bool) -> Tensor:
        """All blocks in turn; `lengths` as in each of them."""
        for block in self:
            x = run(block, x, lengths, checkpointing=checkpointing)
        return x


def make_stages(dimensions: Literal[1, 2], settings: FrontendSettings) -> nn.ModuleList:
    """The four stages of a ResNet; each but the first halves the rate."""
    sources = (settings.channels[0], *settings.channels[:3])
    stages = zip(sources, settings.channels, (1, 2, 2, 2), strict=True)
    return nn.ModuleList(Stage(dimensions, *stage, settings.blocks) for stage in stages)


def volume(video: Tensor) -> Tensor:
    """Pictures (B, T, H, W) as volumes of one channel (B, 1, T, H, W).

    By its strides the channel is last in memory, so what the stem gives keeps its channels there, as the rest wants
    them: on a processor stem and pooling take two thirds of the time at large. Of 16 channels at tiny they take more.
    """
    return video[..., None].movedim(-1, 1)


class VideoFrontend(nn.Module):
    """Mouth pictures to vectors: B, T, height, width to B, T, C."""

    def __init__(self, settings: FrontendSettings, mask_padding: bool, checkpointing: bool) -> None:
        super().__init__()
        self.mask_padding, self.checkpointing = mask_padding, checkpointing
        first = settings.channels[0]
        deep, high, wide = settings.stem
        padding = (deep // 2, high // 2, wide // 2)
        self.stem = nn.Conv3d(1, first, settings.stem, stride=(1, 2, 2), padding=padding, bias=False)
        self.norm = nn.BatchNorm2d(first)
        self.stages = make_stages(2, settings)
        self.width = settings.channels[-1]

    def forward(self, video: Tensor, lengths: Tensor) -> Tensor:
        """One vector a frame."""
        if self.mask_padding:
            video = video * length_mask(lengths, video.shape[1])[:, :, None, None]
        return self.behind_stem(self.stem(volume(video)))

    def behind_stem(self, x: Tensor) -> Tensor:
        """What is made of the stem's output, B, C, T, H, W: B, T, C. Each frame is a picture of its own."""
        clips, _, frames = x.shape[:3]
        x = x.permute(0, 2, 3, 4, 1).flatten(0, 1).contiguous().permute(0, 3, 1, 2)  # B T, C, H, W; channels last
        x = F.max_pool2d(F.silu(self.norm(x)), 3, stride=2, padding=1)
        for stage in self.stages:
            x = stage(x, None, self.checkpointing)
        return x.mean((-2, -1)).unflatten(0, (clips, frames))


class PlainFrontend(nn.Module):
    """Mouth pictures to vectors, at a quarter of the ResNet's cost: each convolution halves the picture, all is kept.

    The stem takes one place in four. What is left at the end (3 x 3 places of a mouth of 48 pixels) is not averaged but
    laid out, so that the vector tells where something moves.
    """

    def __init__(self, settings: FrontendSettings, mouth: int, mask_padding: bool) -> None:
        super().__init__()
        self.mask_padding = mask_padding
        first, *_ = channels = settings.channels
        padding = (settings.stem[0] // 2, settings.stem[1] // 2, settings.stem[2] // 2)
        self.stem = nn.Conv3d(1, first, settings.stem, stride=(1, 4, 4), padding=padding, bias=False)
        self.convs = nn.ModuleList(
            nn.Conv2d(inputs, outputs, 3, stride=2, padding=1, bias=False) for inputs, outputs in pairwise(channels)
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(width) for width in channels)
        self.width = plain_width(settings, mouth)

    def forward(self, video: Tensor, lengths: Tensor) -> Tensor:
        """One vector a frame."""
        if self.mask_padding:
            video = video * length_mask(lengths, video.shape[1])[:, :, None, None]
        return self.behind_stem(self.stem(video[:, None]))

    def behind_stem(self, x: Tensor) -> Tensor:
        """What is made of the stem's output, B, C, T, H, W: B, T, C H W. Each frame is a picture of its own."""
        clips, _, frames = x.shape[:3]
        x = x.permute(0, 2, 3, 4, 1).flatten(0, 1).contiguous().permute(0, 3, 1, 2)  # B T, C, H, W; channels last
        x = F.silu(self.norms[0](x))
        for conv, norm in zip(self.convs, self.norms[1:], strict=True):
            x = F.silu(norm(conv(x)))
        return x.flatten(1).unflatten(0, (clips, frames))


def plain_width(settings: FrontendSettings, mouth: int) -> int:
    """How many numbers a plain front-end gives for a frame of `mouth` pixels a side."""
    side = -(-mouth // 4)
    for _ in settings.channels[1:]:
        side = -(-side // 2)
    return settings.channels[-1] * side**2


class AudioFrontend(nn.Module):
    """A 16 kHz waveform to vectors, 640 samples a frame: B, N to B, T, C."""

    def __init__(self, settings: FrontendSettings, mask_padding: bool, checkpointing: bool) -> None:
        super().__init__()
        self.mask_padding, self.checkpointing = mask_padding, checkpointing
        first = settings.channels[0]
        self.stem = nn.Conv1d(1, first, 80, stride=4, padding=38, bias=False)
        self.norm = nn.BatchNorm1d(first)
        self.stages = make_stages(1, settings)
        self.width = settings.channels[-1]

    def forward(self, audio: Tensor, lengths: Tensor) -> Tensor:
        """One vector a frame; samples behind the last whole frame are left out."""
        frames = audio.shape[1] // SAMPLES_PER_FRAME
        steps = SAMPLES_PER_FRAME  # a frame, at the rate of the current layer
        x = hide(audio[:, None, : frames * steps], lengths * steps if self.mask_padding else None)
        steps //= 4
        x = F.silu(self.norm(self.stem(x)))
        x = hide(x, lengths * steps if self.mask_padding else None)
        for number, stage in enumerate(self.stages):
            steps //= 2 if number else 1
            ends = lengths * steps if self.mask_padding else None
            x = stage(x, ends, self.checkpointing)
        return x.unflatten(-1, (frames, steps)).mean(-1).transpose(1, 2)  # B, T, C


def make_frontend(modality: str, settings: NetworkSettings) -> VideoFrontend | PlainFrontend | AudioFrontend:
    """The front-end of one modality, video or audio; `width` is how many numbers it gives for a frame."""
    if modality == "audio":
        return AudioFrontend(settings.audio, settings.mask_padding, settings.checkpointing)
    if settings.video.kind == "plain":
        return PlainFrontend(settings.video, settings.mouth, settings.mask_padding)
    return VideoFrontend(settings.video, settings.mask_padding, settings.checkpointing)
