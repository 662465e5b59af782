"""How many weights a network would have, counted before any memory is taken for them."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

from ..records import Refused
from .enhancer import BINS
from .frontend import plain_width
from .low_rank import Ranks, rank_of, stack
from .settings import FrontendSettings, NetworkSettings, Reads, VocoderSettings
from .vocoder import BANDS, EDGE, RATES

MOST_PARAMETERS = 20 * 10**9  # 80 times BASE-L; 80 GB in float32


def check_size(modality: Reads, settings: NetworkSettings, tokens: int) -> None:
    """Refuse a network that no machine of this field holds."""
    count = parameters_of(modality, settings, tokens)
    if count > MOST_PARAMETERS:
        raise Refused(
            f"this network would have {count:,} parameters, and at most {MOST_PARAMETERS:,} are built:"
            " give smaller values of network.width, network.feed_forward, network.video or the like"
        )


def parameters_of(modality: Reads, settings: NetworkSettings, tokens: int) -> int:
    """What `sum(p.numel() for p in make(modality, settings, tokens).parameters())` would say.

    >>> parameters_of("video", NetworkSettings(), 5049)
    250383410
    >>> parameters_of("unified", NetworkSettings(width=512, heads=8, feed_forward=2048, block="transformer",
    ...                                          layer_scale=0.1), 1049)
    86072534
    """
    if settings.enhancer is not None:
        return _enhancer(modality, settings)
    width, norm, head = settings.width, 2 * settings.width, (settings.width + 1) * tokens
    blocks = sum(_block(settings, ranks) for ranks in stack(settings, settings.encoder_blocks)) + norm
    embedding = tokens * width
    (seen, video), (heard, audio) = _frontend(settings, "video"), _frontend(settings, "audio")
    if modality == "unified":
        entrances = 2 * (seen + heard) * width + 3 * width
        decoder = _decoder(replace(settings, layer_scale=None)) + embedding
        return video + audio + entrances + blocks + decoder + 6 * head

    total = _decoder(settings) + embedding + 2 * head
    if modality != "audio":
        total += video + (seen + 1) * width + blocks
    if modality != "video":
        total += audio + (heard + 1) * width + blocks
    if modality == "av":
        total += (2 * width + 1) * settings.fusion + 2 * settings.fusion + (settings.fusion + 1) * width
    return total


def _enhancer(modality: Reads, settings: NetworkSettings) -> int:
    width, norm, hidden = settings.width, 2 * settings.width, settings.feed_forward
    (seen, video), (heard, audio) = _frontend(settings, "video"), _frontend(settings, "audio")
    entering, frontends = (seen + heard, video + audio) if modality == "av" else (heard, audio)
    block = 4 * (width**2 + width) + 3 * norm + 2 * width * hidden + hidden + width
    body = frontends + (entering + 1) * width + settings.encoder_blocks * block + norm
    assert settings.enhancer is not None
    if settings.enhancer.head == "mask":
        return body + (width + 1) * BINS
    return body + (width + 1) * BANDS + _vocoder(settings.enhancer.vocoder)


def _vocoder(settings: VocoderSettings) -> int:
    channels = settings.channels
    total = (BANDS * EDGE + 1) * channels
    for rate in RATES:
        half = channels // 2
        blocks = sum(2 * len(settings.dilations) * (kernel * half + 1) * half for kernel in settings.kernels)
        total += (channels * 2 * rate + 1) * half + blocks
        channels = half
    return total + EDGE * channels + 1


def _block(settings: NetworkSettings, ranks: Ranks) -> int:
    width, norm = settings.width, 2 * settings.width
    scaled = 0 if settings.layer_scale is None else width
    attention = _attention(settings, ranks) + _linear(width, width, ranks.attention) + 2 * width  # of positions
    if settings.block == "transformer":
        return attention + _feed_forward(settings, ranks) + 2 * scaled
    convolution = norm + (width + 1) * 2 * width + (settings.kernel + 1) * width + norm + (width + 1) * width
    return 2 * _feed_forward(settings, ranks) + attention + convolution + settings.block_norm * norm + 4 * scaled


def _decoder(settings: NetworkSettings) -> int:
    """All of it but what has a row for each token."""
    scaled = 0 if settings.layer_scale is None else 3 * settings.width
    stacked = stack(settings, settings.decoder_blocks)
    blocks = sum(2 * _attention(settings, ranks) + _feed_forward(settings, ranks) + scaled for ranks in stacked)
    return blocks + 2 * settings.width


def _frontend(settings: NetworkSettings, name: str) -> tuple[int, int]:
    """How many numbers the front-end gives for a frame, and how many weights it has."""
    frontend = settings.video if name == "video" else settings.audio
    if frontend.kind == "plain":
        return plain_width(frontend, settings.mouth), _plain(frontend)
    return frontend.channels[-1], _resnet(frontend, name)


def _linear(inputs: int, outputs: int, kept: float) -> int:
    rank = rank_of(inputs, outputs, kept)
    return inputs * outputs if rank is None else rank * (inputs + outputs)


def _attention(settings: NetworkSettings, ranks: Ranks) -> int:
    width = settings.width
    return 2 * width + 4 * (_linear(width, width, ranks.attention) + width)


def _feed_forward(settings: NetworkSettings, ranks: Ranks) -> int:
    width, hidden = settings.width, settings.feed_forward
    return 2 * width + 2 * _linear(width, hidden, ranks.feed_forward) + hidden + width


def _plain(settings: FrontendSettings) -> int:
    convolutions = sum(9 * inputs * outputs for inputs, outputs in pairwise(settings.channels))
    return settings.channels[0] * math.prod(settings.stem) + convolutions + 2 * sum(settings.channels)


def _resnet(settings: FrontendSettings, name: str) -> int:
    first = settings.channels[0]
    frames, height, side = settings.stem
    total = first * (frames * height * side if name == "video" else 80) + 2 * first
    around = 9 if name == "video" else 3  # a kernel of three, in two dimensions or one
    for stage, (inputs, outputs) in enumerate(pairwise((first, *settings.channels))):
        shortcut = (inputs + 2) * outputs if stage > 0 or inputs != outputs else 0
        total += around * inputs * outputs + 2 * outputs + around * outputs**2 + 2 * outputs + shortcut
        total += (settings.blocks - 1) * (2 * around * outputs**2 + 4 * outputs)
    return total
