"""Settings of the network. The defaults are BASE-L, the published 250 M network; `models/sizes/` holds the others."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from annotated_types import Interval, Len

from ..records import Fraction, Misused, PartOfAll

Modality = Literal["video", "audio", "av"]  # what is read at once
Reads = Literal["video", "audio", "av", "unified"]  # what a network can read; unified: each of the three
Width = Annotated[int, Interval(ge=1, le=16_384)]  # of a layer; BASE-L has 768
Side = Annotated[int, Interval(ge=1, le=31)]  # of a kernel
Kept = Annotated[float, Interval(gt=0, le=1)]  # fraction of the rank that a layer could have


@dataclass(frozen=True, slots=True)
class FrontendSettings:
    """What turns a mouth, or 40 ms of waveform, into one vector a frame."""

    kind: Literal["resnet", "plain"] = "resnet"  # plain, for video alone: a few convolutions, a quarter of the cost
    # resnet: of its four stages, the stem has as many as the first; plain: of the stem and of each convolution.
    channels: Annotated[tuple[Width, ...], Len(1, 6)] = (64, 128, 256, 512)
    blocks: Annotated[int, Interval(ge=1, le=50)] = 2  # residual blocks a stage: 2 is ResNet-18
    stem: tuple[Side, Side, Side] = (5, 7, 7)  # kernel of the video stem: frames, height, width

    def __post_init__(self) -> None:
        if self.kind == "resnet" and len(self.channels) != 4:
            raise Misused(f"a resnet has four stages, and channels has {len(self.channels)} values")
        if any(side % 2 == 0 for side in self.stem):
            raise Misused(f"the sides of stem must be odd, not {list(self.stem)}")


@dataclass(frozen=True, slots=True)
class LowRankSettings:
    """Attention and feed-forward layers as two thin factors each; 1 leaves a layer as it is.

    Of a layer's full rank each keeps a fraction, which goes in a line from the first block of a stack to the last.
    """

    attention: tuple[Kept, Kept] = (1.0, 1.0)
    feed_forward: tuple[Kept, Kept] = (1.0, 1.0)
    # spectral: the factors nearest to the weight that the dense network would have drawn; random: drawn themselves.
    start: Literal["spectral", "random"] = "spectral"
    # False is a control: layers stay whole, each scaled to the norm that its factors would have had.
    factored: bool = True

    @property
    def whole(self) -> bool:
        """Whether no layer is touched."""
        return self.attention == self.feed_forward == (1.0, 1.0)


@dataclass(frozen=True, slots=True)
class VocoderSettings:
    """What makes sound of log-mels: with the sizes of HiFi-GAN V1 (arXiv 2010.05646)."""

    channels: Annotated[int, Interval(ge=16, le=16_384)] = 512  # of the first; four stages halve them
    kernels: Annotated[tuple[Side, ...], Len(1, 8)] = (3, 7, 11)
    dilations: Annotated[tuple[Side, ...], Len(1, 8)] = (1, 3, 5)
    # Tokens of 10 ms that it waits for before it makes the sound of one, ours: the newest samples hardly count in a
    # log-mel, whose window has its middle 20 ms before its end. On synth, clean speech made anew by 144,000 weights and
    # 400 updates has ESTOI 0.53 without waiting and 0.64 with 2 (one run each, tried by hand).
    wait: Annotated[int, Interval(ge=0, le=4)] = 2


@dataclass(frozen=True, slots=True)
class EnhancerSettings:
    """What makes a network an enhancer: noisy sound, and lips, become clean sound. All numbers are ours."""

    left: Annotated[int, Interval(ge=0, le=100_000)] = 120  # tokens of 10 ms that it looks back, beside its own frame
    still: Annotated[int, Interval(ge=1, le=100_000)] = 75  # frames over which the mean picture is followed
    causal: bool = True  # false is a control: attention over the whole clip, which no stream could have
    # mask: a gain for each frequency of the noisy sound; vocoder: log-mels, of which new sound is made.
    head: Literal["mask", "vocoder"] = "mask"
    vocoder: VocoderSettings = field(default_factory=VocoderSettings)


@dataclass(frozen=True, slots=True)
class NetworkSettings:
    """The architecture of one size, and what is switched on inside it."""

    mouth: Annotated[int, Interval(ge=8, le=512)] = 88  # pixels a side of the pictures it reads
    video: FrontendSettings = field(default_factory=FrontendSettings)
    audio: FrontendSettings = field(default_factory=FrontendSettings)

    width: Width = 768
    heads: Annotated[int, Interval(ge=1, le=512)] = 12
    feed_forward: Annotated[int, Interval(ge=1, le=131_072)] = 3072
    block: Literal["conformer", "transformer"] = "conformer"  # of encoders; transformer: without convolutions, USR's
    kernel: Annotated[int, Interval(ge=1, le=999)] = 31  # frames that the convolution of a Conformer block sees
    encoder_blocks: Annotated[int, Interval(ge=1, le=200)] = 12
    decoder_blocks: Annotated[int, Interval(ge=1, le=200)] = 6
    fusion: Annotated[int, Interval(ge=1, le=131_072)] = 8192  # hidden width of the audio-visual fusion
    low_rank: LowRankSettings = field(default_factory=LowRankSettings)
    enhancer: EnhancerSettings | None = None  # none: a recogniser

    dropout: PartOfAll = 0.1
    attention_dropout: PartOfAll = 0.0  # 0.1 in the first public release, 0 in the current one
    ctc_dropout: PartOfAll = 0.1
    drop_path: PartOfAll = 0.0  # of the branches of encoder blocks, a fraction left out, clip by clip
    # Initial value of LayerScale, 0.1 in this family of papers; none: no LayerScale.
    layer_scale: Annotated[float, Interval(ge=0, le=100)] | None = None
    mask_padding: bool = True  # False lets padding into convolutions over time, as the public code does
    centre: bool = False  # take the clip's mean picture out of every frame; the published networks see it
    block_norm: bool = True  # a norm at the end of each Conformer block, as published; each branch has one of its own
    checkpointing: bool = False  # compute each block again in the backward pass: slower, far less memory

    def __post_init__(self) -> None:
        if self.width % self.heads or self.width // self.heads % 2:
            raise Misused(f"width {self.width} must be an even multiple of heads ({self.heads})")
        if self.kernel % 2 == 0:
            raise Misused(f"kernel must be odd, not {self.kernel}: it looks as far back as ahead")
        if self.audio.kind != "resnet":
            raise Misused("network.audio.kind: only the front-end for video can be plain")


@dataclass(frozen=True, slots=True)
class LossSettings:
    """How the two losses are joined: `ctc * CTC + (1 - ctc) * attention`."""

    ctc: Fraction = 0.1  # with 1 the decoder is neither run nor trained
    label_smoothing: PartOfAll = 0.1
