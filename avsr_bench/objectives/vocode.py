"""Enhance with a vocoder: the network learns the log-mels of clean sound, and its vocoder to make sound of log-mels.

RT-LA-VocE (arXiv 2407.07825) says that there are two stages, and no numbers. Here the two are one run, since they have
no weights in common: the vocoder learns from log-mels of clean sound at first (`clean` of the updates), then from those
that the network makes. Its losses are HiFi-GAN's (arXiv 2010.05646), of pieces cut out of clips at random:

    mel |difference of log-mels| + features |difference of what discriminators have| + adversarial, as in LSGAN

Without discriminators the sound of a small vocoder is rough, and learnt in minutes: of spectra at three resolutions
(arXiv 1910.11480) beside log-mels.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..nn import Batch, Discriminators, Enhancer, Group, LossSettings, VocoderHead, persuaded
from ..nn.causal import HOP, TOKENS, Pasts
from ..nn.layers import length_mask
from ..nn.vocoder import FLOOR
from .enhance import Enhance, EnhanceSettings
from .objective import Batches

SPECTRA = ((512, 50, 240), (1024, 120, 600), (2048, 240, 1200))  # samples: of the transform, to the next, in its window
QUIET = 1e-5  # below which magnitudes of a spectrum are alike
DECIBELS = 20 / math.log(10)  # of one natural logarithm


class Vocode(Enhance):
    """The enhancer whose head is a vocoder."""

    metrics = ("mel_gain",)
    figures = ("loss", "mel_gain")
    frozen = ("discriminators",)  # for the step of the network: they have one of their own
    done: Tensor

    def __init__(self, network: Enhancer, loss: LossSettings, settings: EnhanceSettings) -> None:
        super().__init__(network, loss, settings)
        said = settings.vocoder.discriminators
        self.discriminators = None if said is None else Discriminators(said)
        self.register_buffer("done", torch.zeros((), dtype=torch.float64))  # the fraction of the updates

    def groups(self) -> list[Group]:
        """The vocoder has a rate of its own."""
        own = tuple(self._head.vocoder.parameters())
        numbers = set(map(id, own))
        others = tuple(each for each in self.network.parameters() if id(each) not in numbers)
        return [Group("network", others), Group("vocoder", own, lr=self.settings.vocoder.lr)]

    def opponent(self) -> tuple[Discriminators, float] | None:
        """The discriminators, at the vocoder's rate."""
        return None if self.discriminators is None else (self.discriminators, self.settings.vocoder.lr)

    def forward(self, batches: Batches) -> dict[str, Tensor]:
        """The distance of log-mels, and what the vocoder's sound lacks."""
        ((noisy, clean),) = batches.values()
        assert noisy.audio is not None and clean.audio is not None
        mels = self.network.mels(noisy.video, noisy.audio, noisy.lengths)
        wanted = self._head.log_mel(clean.audio, Pasts())
        clips = distance(mels, wanted, clean.lengths)
        given = (wanted if self.done < self.settings.vocoder.clean else mels).detach()
        keep = length_mask(clean.lengths * TOKENS, given.shape[1])[..., None]
        given = torch.where(keep, given, math.log(FLOOR))  # behind the end of a clip, silence
        found = self.of_vocoder(*cut(given, clean.audio, clean.lengths, self.settings.vocoder.segment))
        total = clips.mean() + found.pop("total")
        # One loss of each clip, and of the clean view none.
        both = torch.cat((clips.detach(), torch.zeros_like(clips)))
        return {"total": total, "loss": clips.mean(), **found, "clips": both}

    def of_vocoder(self, mels: Tensor, real: Tensor) -> dict[str, Tensor]:
        """The losses of the sound that the vocoder makes of log-mels, which should be the real one."""
        settings, delay = self.settings.vocoder, self._head.delay
        made = self._head.vocoder(mels, Pasts())[:, delay:]
        real = real[:, : made.shape[1]]
        off = self._head.log_mel(made, Pasts()) - self._head.log_mel(real, Pasts())
        found = {"vocoder": off.abs().mean()}
        total = settings.mel * found["vocoder"]
        if settings.spectra:
            found["spectra"] = spectral_distance(made, real)
            total = total + settings.spectra * found["spectra"]
        if self.discriminators is not None:
            found["adversarial"], found["features"] = persuaded(self.discriminators, made, real)
            total = total + found["adversarial"] + settings.features * found["features"]
            self.contest = (made.detach(), real)
        return {"total": total, **found}

    def after_update(self, progress: float) -> None:
        """Which log-mels the vocoder is given depends on it."""
        self.done.fill_(progress)

    def validation_figures(self, views: tuple[Batch, ...]) -> dict[str, Tensor]:
        """How far the log-mels of the output are from those of clean sound, and by how many dB nearer than the noisy's.

        Of the sound itself: what the vocoder gets wrong counts.
        """
        noisy, clean = views
        assert noisy.audio is not None and clean.audio is not None
        output, before, wanted = (
            self._head.log_mel(sound, Pasts()) for sound in (self.enhanced(noisy), noisy.audio, clean.audio)
        )
        off = distance(output, wanted, clean.lengths)
        return {"loss": off, "mel_gain": DECIBELS * (distance(before, wanted, clean.lengths) - off)}

    @property
    def _head(self) -> VocoderHead:
        assert isinstance(self.network.head, VocoderHead)
        return self.network.head


def taught(network: Enhancer, loss: LossSettings, settings: EnhanceSettings) -> Enhance:
    """The objective for the head that an enhancer has."""
    return (Vocode if isinstance(network.head, VocoderHead) else Enhance)(network, loss, settings)


def distance(mels: Tensor, wanted: Tensor, lengths: Tensor) -> Tensor:
    """The mean difference of log-mels (B, 4 T, 80) in the frames of each clip (B)."""
    keep = length_mask(lengths * TOKENS, mels.shape[1])
    return ((mels - wanted).abs().mean(-1) * keep).sum(1) / (lengths * TOKENS)


def cut(mels: Tensor, sound: Tensor, lengths: Tensor, frames: int) -> tuple[Tensor, Tensor]:
    """The same piece of log-mels (B, 4 T, 80) and of sound (B, 640 T), of each clip at a random place in it."""
    tokens = min(frames * TOKENS, mels.shape[1])
    free = (lengths * TOKENS - tokens).clamp(min=0)
    starts = (torch.rand(len(lengths), device=lengths.device) * (free + 1)).long().tolist()
    of_mels = [row[at : at + tokens] for row, at in zip(mels, starts, strict=True)]
    of_sound = [wave[at * HOP : (at + tokens) * HOP] for wave, at in zip(sound, starts, strict=True)]
    return torch.stack(of_mels), torch.stack(of_sound)


def spectral_distance(made: Tensor, real: Tensor) -> Tensor:
    """Spectral convergence and the difference of log magnitudes (arXiv 1910.11480), the mean of three resolutions."""
    found = []
    for size, hop, width in SPECTRA:
        window = torch.hann_window(width, device=made.device)
        of_made, of_real = (
            torch.stft(sound.float(), size, hop, width, window, pad_mode="constant", return_complex=True)
            .abs()
            .clamp(min=QUIET)
            for sound in (made, real)
        )
        found += [(of_made - of_real).norm() / of_real.norm(), (of_made.log() - of_real.log()).abs().mean()]
    return torch.stack(found).sum() / len(SPECTRA)
