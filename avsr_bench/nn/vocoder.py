"""The vocoder: log-mels of 10 ms each become sound, with nothing of what comes later.

C-HiFi-GAN of RT-LA-VocE (arXiv 2407.07825), of which the name alone is public: a HiFi-GAN (arXiv 2010.05646) whose
convolutions look back only.

log-mels ─► convolution ─► 4 x (transposed convolution ─► residual blocks of several kernels) ─► convolution ─► tanh
100 Hz                      5, 4, 4, 2 times as many                                                       16 kHz
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .causal import HOP, Pasts
from .settings import VocoderSettings

BANDS = 80
MEL_WINDOW = 4 * HOP  # samples of a spectrum: 40 ms
FLOOR = 1e-5  # of a band whose full scale is about 1: -100 dB
RATES = (5, 4, 4, 2)  # together the samples of a token
EDGE = 7  # places of the first and of the last convolution
SLOPE = 0.1
# Of log-mels of speech, about: brings them to deviation 1.
MEL_MEAN, MEL_DEVIATION = -6.0, 2.5


class LogMel(nn.Module):
    """How much there is in each of 80 bands (to 8 kHz) of the 40 ms that end with each 10 ms: B, 160 N to B, N, 80."""

    window: Tensor
    bank: Tensor

    def __init__(self) -> None:
        super().__init__()
        from torchaudio.functional import melscale_fbanks  # takes a second that no recogniser should wait for

        window = torch.hann_window(MEL_WINDOW)
        self.register_buffer("window", 2 * window / window.sum(), persistent=False)
        bank = melscale_fbanks(MEL_WINDOW // 2 + 1, 0.0, 8000.0, BANDS, 16_000)
        self.register_buffer("bank", bank, persistent=False)

    def forward(self, sound: Tensor, pasts: Pasts) -> Tensor:
        """Natural logarithms, nowhere below that of the floor."""
        pieces = pasts.extend(sound.float(), MEL_WINDOW - HOP).unfold(1, MEL_WINDOW, HOP)
        with torch.autocast(sound.device.type, enabled=False):  # sums of bands in 16 bits would be off by 0.3 %
            spectra = torch.fft.rfft(pieces * self.window).abs()
            return (spectra @ self.bank).clamp(min=FLOOR).log()


class VocoderHead(nn.Module):
    """Log-mels of the clean sound, then sound made of them: its phases are new."""

    def __init__(self, width: int, settings: VocoderSettings) -> None:
        super().__init__()
        self.delay = settings.wait * HOP
        self.log_mel = LogMel()
        self.change = nn.Linear(width, BANDS)
        self.vocoder = Vocoder(settings)

    def forward(self, context: Tensor, sound: Tensor, pasts: Pasts) -> Tensor:
        """Tokens (B, 4 T, D) and the noisy samples that they are of (B, 640 T) to as many samples."""
        made: Tensor = self.vocoder(self.mels(context, sound, pasts), pasts)
        return made

    def mels(self, context: Tensor, sound: Tensor, pasts: Pasts) -> Tensor:
        """Log-mels of the clean sound as the tokens have it: those of the noisy sound, and what is added to them."""
        changed: Tensor = self.log_mel(sound, pasts) + self.change(context)
        return changed


class Vocoder(nn.Module):
    """Log-mels to sound: B, N, 80 to B, 160 N."""

    def __init__(self, settings: VocoderSettings) -> None:
        super().__init__()
        channels = settings.channels
        self.enter = nn.Conv1d(BANDS, channels, EDGE)
        stages = []
        for rate in RATES:
            stages.append(Stage(channels, rate, settings))
            channels //= 2
        self.stages = nn.ModuleList(stages)
        self.leave = nn.Conv1d(channels, 1, EDGE)

    def forward(self, mels: Tensor, pasts: Pasts) -> Tensor:
        """Samples between -1 and 1."""
        x = (mels.transpose(1, 2) - MEL_MEAN) / MEL_DEVIATION
        x = self.enter(pasts.extend(x, EDGE - 1))
        for stage in self.stages:
            x = stage(x, pasts)
        return self.leave(pasts.extend(F.leaky_relu(x, SLOPE), EDGE - 1)).squeeze(1).tanh()


class Stage(nn.Module):
    """More places, and half of the channels; then the mean of what blocks of several kernels make of them."""

    def __init__(self, channels: int, rate: int, settings: VocoderSettings) -> None:
        super().__init__()
        self.rate = rate
        self.up = nn.ConvTranspose1d(channels, channels // 2, 2 * rate, stride=rate)
        self.blocks = nn.ModuleList(
            DilatedBlock(channels // 2, kernel, settings.dilations) for kernel in settings.kernels
        )

    def forward(self, x: Tensor, pasts: Pasts) -> Tensor:
        """B, C, N to B, C / 2, rate N."""
        # A place reaches into those of the next one, whose first half is not known before it: the last half is cut.
        x = self.up(pasts.extend(F.leaky_relu(x, SLOPE), 1))[..., self.rate : -self.rate]
        return torch.stack([block(x, pasts) for block in self.blocks]).mean(0)


class DilatedBlock(nn.Module):
    """Pairs of convolutions with a way past each, the first of every pair dilated."""

    def __init__(self, channels: int, kernel: int, dilations: Sequence[int]) -> None:
        super().__init__()
        self.kernel, self.dilations = kernel, tuple(dilations)
        self.wide = nn.ModuleList(nn.Conv1d(channels, channels, kernel, dilation=each) for each in dilations)
        self.near = nn.ModuleList(nn.Conv1d(channels, channels, kernel) for _ in dilations)

    def forward(self, x: Tensor, pasts: Pasts) -> Tensor:
        """B, C, N."""
        for wide, near, dilation in zip(self.wide, self.near, self.dilations, strict=True):
            inner = wide(pasts.extend(F.leaky_relu(x, SLOPE), (self.kernel - 1) * dilation))
            x = x + near(pasts.extend(F.leaky_relu(inner, SLOPE), self.kernel - 1))
        return x
