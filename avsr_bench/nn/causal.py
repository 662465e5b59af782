"""Layers that look back alone. What they need of the past is handed in and out, so that a clip can come in pieces.

    pasts = Pasts()                       # a clip as a whole: nothing was before it
    y = layer(x, pasts)
    more = layer(x2, Pasts(pasts.kept))   # what comes next, as if it had been one

The answer is that of the joined input, whatever the pieces.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .frontend import SAMPLES_PER_FRAME, AudioFrontend, ResidualBlock, make_frontend
from .settings import FrontendSettings, NetworkSettings

TOKENS = 4  # that the front-end for sound gives for a frame: one every 10 ms (RT-LA-VocE)
HOP = SAMPLES_PER_FRAME // TOKENS  # samples of a token


class Pasts:
    """What layers keep of what went before, in the order in which they ask for it; at the beginning, zeros."""

    def __init__(self, kept: Sequence[Tensor] = ()) -> None:
        self._before = iter(kept)
        self._after: list[Tensor] = []

    @property
    def kept(self) -> tuple[Tensor, ...]:
        """What the next piece needs."""
        return tuple(self._after)

    def take(self, first: Tensor) -> Tensor:
        """What was kept last time, or `first`, what there is before anything was seen. `keep` must follow."""
        return next(self._before, first)

    def keep(self, x: Tensor) -> None:
        """Hand something over to the next piece."""
        self._after.append(x)

    def extend(self, x: Tensor, reach: int, dim: int = -1) -> Tensor:
        """x with the `reach` places that went before it."""
        shape = list(x.shape)
        shape[dim] = reach
        joined = torch.cat((self.take(x.new_zeros(shape)), x), dim)
        self.keep(joined.narrow(dim, joined.shape[dim] - reach, reach))
        return joined


class CausalResidualBlock(ResidualBlock):
    """A residual block over time whose convolutions end at the newest place they stand for."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__(1, inputs, outputs, stride)
        self.conv1.padding = self.conv2.padding = (0,)
        self.reach = 3 - stride  # a step of `stride` places begins where the one before ended

    def forward(self, x: Tensor, pasts: Pasts) -> Tensor:  # type: ignore[override]
        """One block: B, C, N."""
        inner = F.silu(self.norm1(self.conv1(pasts.extend(x, self.reach))))
        inner = self.norm2(self.conv2(pasts.extend(inner, 2)))
        return F.silu(inner + self.shortcut(x[self.taken]))


class CausalAudioFrontend(nn.Module):
    """A 16 kHz waveform to vectors, one every 10 ms: B, 640 T to B, 4 T, C."""

    def __init__(self, settings: FrontendSettings) -> None:
        super().__init__()
        first = settings.channels[0]
        self.stem = nn.Conv1d(1, first, 80, stride=4, bias=False)
        self.norm = nn.BatchNorm1d(first)
        sources = (first, *settings.channels[:3])
        blocks = []
        for inputs, outputs, stride in zip(sources, settings.channels, (1, 2, 2, 2), strict=True):
            blocks.append(CausalResidualBlock(inputs, outputs, stride))
            blocks += [CausalResidualBlock(outputs, outputs, 1) for _ in range(settings.blocks - 1)]
        self.blocks = nn.ModuleList(blocks)
        self.width = settings.channels[-1]

    def forward(self, sound: Tensor, pasts: Pasts) -> Tensor:
        """Vectors of whole frames."""
        x = F.silu(self.norm(self.stem(pasts.extend(sound[:, None], 80 - 4))))
        for block in self.blocks:
            x = block(x, pasts)
        steps = sound.shape[1] // SAMPLES_PER_FRAME * TOKENS
        return x.unflatten(-1, (steps, -1)).mean(-1).transpose(1, 2)


class CausalVideoFrontend(nn.Module):
    """Mouth pictures to vectors, whose stem sees the frames before: B, T, H, W to B, T, C."""

    def __init__(self, settings: NetworkSettings) -> None:
        super().__init__()
        self.frontend = make_frontend("video", settings)
        assert not isinstance(self.frontend, AudioFrontend)
        stem = self.frontend.stem
        deep, high, wide = stem.kernel_size
        stem.padding = (0, high // 2, wide // 2)
        self.reach, self.width = deep - 1, self.frontend.width

    def forward(self, video: Tensor, pasts: Pasts) -> Tensor:
        """One vector a frame."""
        seen = pasts.extend(video, self.reach, dim=1)
        assert not isinstance(self.frontend, AudioFrontend)
        return self.frontend.behind_stem(self.frontend.stem(seen[:, None]))


class RunningMean(nn.Module):
    """Takes out of every frame the mean of the frames so far: of all, then of about the last `memory` of them.

    What is constant in a clip is most of what its pictures are (`nn.inputs.centred`), and its mean is known only at
    its end. Here it is followed: mean_t = mean_{t-1} + (x_t - mean_{t-1}) / min(t, memory).
    """

    def __init__(self, memory: int) -> None:
        super().__init__()
        self.memory = memory

    def forward(self, video: Tensor, pasts: Pasts) -> Tensor:
        """B, T, ...: the same frames without it."""
        mean = pasts.take(video.new_zeros(video[:, :1].shape))
        seen = pasts.take(torch.zeros(1, dtype=torch.long, device=video.device))
        means = []
        for t in range(video.shape[1]):
            seen = (seen + 1).clamp(max=self.memory)
            mean = mean + (video[:, t : t + 1] - mean) / seen
            means.append(mean)
        pasts.keep(mean)
        pasts.keep(seen)
        return video - torch.cat(means, dim=1)
