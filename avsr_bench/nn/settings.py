"""Settings of the network. The defaults are BASE-L, the published 250 M network; `models/sizes/` holds the others."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from ..records import Misused

Modality = Literal["video", "audio", "av"]


@dataclass(frozen=True, slots=True)
class FrontendSettings:
    """The residual network that turns a mouth, or 40 ms of waveform, into one vector a frame."""

    channels: tuple[int, int, int, int] = (64, 128, 256, 512)  # of the four stages; the stem has as many as the first
    blocks: int = 2  # residual blocks a stage: 2 is ResNet-18
    stem: tuple[int, int, int] = (5, 7, 7)  # kernel of the video stem: frames, height, width

    def __post_init__(self) -> None:
        if min(self.channels) < 1 or self.blocks < 1 or any(side % 2 == 0 for side in self.stem):
            raise Misused(f"front-end settings must be positive and kernels odd, not {self}")


@dataclass(frozen=True, slots=True)
class NetworkSettings:
    """The architecture of one size, and what is switched on inside it."""

    mouth: int = 88  # pixels a side of the pictures it reads
    video: FrontendSettings = field(default_factory=FrontendSettings)
    audio: FrontendSettings = field(default_factory=FrontendSettings)

    width: int = 768
    heads: int = 12
    feed_forward: int = 3072
    kernel: int = 31  # frames that the convolution of a Conformer block sees
    encoder_blocks: int = 12
    decoder_blocks: int = 6
    fusion: int = 8192  # hidden width of the audio-visual fusion

    dropout: float = 0.1
    attention_dropout: float = 0.0  # 0.1 in the first public release, 0 in the current one
    ctc_dropout: float = 0.1
    layer_scale: float | None = None  # initial value of LayerScale, 0.1 in this family of papers; none: no LayerScale
    mask_padding: bool = True  # False lets padding into convolutions over time, as the public code does
    checkpointing: bool = False  # compute each block again in the backward pass: slower, far less memory

    def __post_init__(self) -> None:
        for name in ("mouth", "width", "heads", "feed_forward", "kernel", "fusion"):
            if getattr(self, name) < 1:
                raise Misused(f"{name} of network must be positive, not {getattr(self, name)}")
        for name in ("dropout", "attention_dropout", "ctc_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise Misused(f"{name} of network is a share, at least 0 and below 1, not {getattr(self, name)}")
        if self.width % self.heads or self.width // self.heads % 2:
            raise Misused(f"width {self.width} must be an even multiple of heads ({self.heads})")
        if self.kernel % 2 == 0:
            raise Misused(f"kernel must be odd, not {self.kernel}: it looks as far back as ahead")


@dataclass(frozen=True, slots=True)
class LossSettings:
    """How the two losses are joined: `ctc * CTC + (1 - ctc) * attention`."""

    ctc: float = 0.1  # with 1 the decoder is neither run nor trained
    label_smoothing: float = 0.1

    def __post_init__(self) -> None:
        if not 0 <= self.ctc <= 1 or not 0 <= self.label_smoothing < 1:
            raise Misused(f"loss weights lie between 0 and 1, not {self}")
