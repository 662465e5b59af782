"""Enhance: the clean sound of who is seen to speak, from sound with other voices or noise in it.

RT-LA-VocE (arXiv 2407.07825), whose losses are not public. A head of gains is taught by the ratio, in dB, of the clean
sound to what the output is off by:

    loss = - 10 log10(|clean|^2 / (|output - clean|^2 + |clean|^2 / 1000))

so that more than 30 dB is worth nothing, as in MixIT (arXiv 2006.12701). The level is learnt too: it is not the
scale-invariant ratio that results are given in. A head with a vocoder is taught in `objectives.vocode`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

import torch
from annotated_types import Interval
from torch import Tensor

from ..data import InterferenceSettings, StreamSettings
from ..nn import Batch, DiscriminatorSettings, Enhancer, LossSettings
from ..nn.layers import length_mask
from ..records import SAMPLES_PER_FRAME, Fraction
from ..scoring.sound import distortion_ratio
from .objective import Batches, Objective

ENOUGH = 1e-3  # of the power of the clean sound: what is off by less is good enough
SILENT = 1e-8  # added to mean squares, -80 dB of full scale: of silence there is no ratio
Weight = Annotated[float, Interval(ge=0, le=10_000)]  # of a loss


@dataclass(frozen=True, slots=True)
class VocodeSettings:
    """How a vocoder learns. Rate, weights of losses and discriminators are those of HiFi-GAN V1; the rest is ours."""

    clean: Fraction = 0.6  # of the updates, the first, in which it is given log-mels of clean sound
    segment: Annotated[int, Interval(ge=4, le=1000)] = 24  # frames cut out of each clip, of which it makes sound
    lr: Annotated[float, Interval(gt=0, le=1000)] = 2e-4
    mel: Weight = 45.0
    features: Weight = 2.0
    spectra: Weight = 0.0  # of the distance of spectra at three resolutions, where there are no discriminators
    discriminators: DiscriminatorSettings | None = field(default_factory=DiscriminatorSettings)


@dataclass(frozen=True, slots=True)
class EnhanceSettings:
    """What is taken away, and how a vocoder learns where the network has one."""

    interference: InterferenceSettings = field(default_factory=InterferenceSettings)
    vocoder: VocodeSettings = field(default_factory=VocodeSettings)

    def streams(self) -> dict[str, StreamSettings]:
        """One, of all clips, whether they have text or not."""
        return {"clips": StreamSettings(take="all", views=("noisy", "clean"))}


class Enhance(Objective):
    """The enhancer alone, with a head of gains."""

    network: Enhancer
    metrics = ("si_sdr_gain",)
    figures = ("loss", "si_sdr_gain")

    def __init__(self, network: Enhancer, loss: LossSettings, settings: EnhanceSettings) -> None:
        super().__init__()
        self.network, self.loss, self.settings = network, loss, settings

    def forward(self, batches: Batches) -> dict[str, Tensor]:
        """How far the output is from the clean sound."""
        ((noisy, clean),) = batches.values()
        clips = self.losses(self.enhanced(noisy), clean)
        loss = clips.mean()
        # One loss of each clip, and of the clean view none.
        return {"total": loss, "loss": loss, "clips": torch.cat((clips.detach(), torch.zeros_like(clips)))}

    def validation_figures(self, views: tuple[Batch, ...]) -> dict[str, Tensor]:
        """The loss, and by how many dB the output is nearer to the clean sound than the noisy sound was."""
        noisy, clean = views
        assert noisy.audio is not None and clean.audio is not None
        output = self.enhanced(noisy)
        # Means are not taken out, as `si_sdr` does of single clips: they would put sound into the padding.
        after, before, wanted = (each.detach().double().cpu().numpy() for each in (output, noisy.audio, clean.audio))
        gain = torch.from_numpy(distortion_ratio(after, wanted) - distortion_ratio(before, wanted))
        return {"loss": self.losses(output, clean), "si_sdr_gain": gain.to(output)}

    def enhanced(self, noisy: Batch) -> Tensor:
        """What the network makes of a batch, 0 behind the end of each clip: B, 640 T."""
        assert noisy.audio is not None
        output: Tensor = self.network(noisy.video, noisy.audio, noisy.lengths)
        return output * length_mask(noisy.lengths * SAMPLES_PER_FRAME, output.shape[1])

    def losses(self, output: Tensor, clean: Batch) -> Tensor:
        """Of each clip (B)."""
        assert clean.audio is not None
        power = clean.audio.square().mean(1) + SILENT
        off = (output - clean.audio).square().mean(1) + SILENT
        return -10 * torch.log10(power / (off + ENOUGH * power))

    def frames(self, batches: Batches) -> tuple[Tensor, Tensor]:
        """Each frame once, though clips come noisy and clean."""
        ((noisy, _),) = batches.values()
        return noisy.lengths.sum(), torch.zeros_like(noisy.lengths.sum())
