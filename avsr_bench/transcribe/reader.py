"""A run at work: windows in, words out."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ..data import Clip, collate, levelled, shown
from ..decoding import DecodeSettings, decode
from ..nn import AVSR
from ..records import FPS
from ..runs import Run
from ..text import Tokenizer
from .windows import Window
from .words import Word, words_of


@dataclass(frozen=True, slots=True)
class Reader:
    """A network with all that it takes to read with it."""

    run: Run
    network: AVSR
    tokenizer: Tokenizer
    settings: DecodeSettings
    device: torch.device

    @classmethod
    def of(cls, run: Run, settings: DecodeSettings, device: torch.device) -> Reader:
        """Load the network of a run."""
        return cls(run, run.load(device), run.tokenizer(), settings, device)

    @property
    def sees(self) -> bool:
        """Whether it reads lips."""
        return self.run.about.modality != "audio"

    @property
    def hears(self) -> bool:
        """Whether it listens."""
        return self.run.about.modality != "video"

    @torch.inference_mode()
    def read(self, window: Window) -> tuple[Word, ...]:
        """The words of one window, their times those of the video."""
        mouth, sound = window.mouths, window.sound
        clip = Clip(
            key=f"{window.start / FPS:.2f} s",
            frames=len(window),
            video=shown(mouth, self.run.network.mouth) if mouth is not None and self.sees else None,
            audio=levelled(sound) if sound is not None and self.hears else None,
        )
        batch = collate([clip]).to(self.device)
        memory, lengths = self.network.encode(batch.inputs, batch.lengths)
        best = decode(self.network, memory, lengths, self.settings)[0][0]
        log_probs = self.network.ctc_log_probs(memory)[0]
        return words_of(best.tokens, log_probs, self.tokenizer.units, window.start / FPS)
