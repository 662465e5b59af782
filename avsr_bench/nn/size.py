"""How many weights a network would have, counted before any memory is taken for them."""

from __future__ import annotations

import math
from itertools import pairwise

from ..records import Refused
from .frontend import plain_width
from .settings import FrontendSettings, Modality, NetworkSettings

MOST_PARAMETERS = 20 * 10**9  # 80 times BASE-L; 80 GB in float32


def check_size(modality: Modality, settings: NetworkSettings, tokens: int) -> None:
    """Refuse a network that no machine of this field holds."""
    count = parameters_of(modality, settings, tokens)
    if count > MOST_PARAMETERS:
        raise Refused(
            f"this network would have {count:,} parameters, and at most {MOST_PARAMETERS:,} are built:"
            " give smaller values of network.width, network.feed_forward, network.video or the like"
        )


def parameters_of(modality: Modality, settings: NetworkSettings, tokens: int) -> int:
    """What `sum(p.numel() for p in AVSR(modality, settings, tokens).parameters())` would say.

    >>> parameters_of("video", NetworkSettings(), 5049)
    250383410
    """
    width, hidden = settings.width, settings.feed_forward
    norm = 2 * width
    feed_forward = norm + (width + 1) * hidden + (hidden + 1) * width
    attention = norm + 4 * (width + 1) * width
    position = width * width + 2 * width  # of relative attention, with its two biases
    convolution = norm + (width + 1) * 2 * width + (settings.kernel + 1) * width + norm + (width + 1) * width
    scaled = 0 if settings.layer_scale is None else width
    conformer = 2 * feed_forward + attention + position + convolution + settings.block_norm * norm + 4 * scaled
    decoder = 2 * attention + feed_forward + 3 * scaled

    total = settings.decoder_blocks * decoder + norm + tokens * width + 2 * (width + 1) * tokens
    for name in ("video", "audio") if modality == "av" else (modality,):
        frontend = settings.video if name == "video" else settings.audio
        plain = frontend.kind == "plain"
        inputs = plain_width(frontend, settings.mouth) if plain else frontend.channels[-1]
        project = (inputs + 1) * width
        total += (_plain(frontend) if plain else _resnet(frontend, name)) + project
        total += settings.encoder_blocks * conformer + norm
    if modality == "av":
        total += (2 * width + 1) * settings.fusion + 2 * settings.fusion + (settings.fusion + 1) * width
    return total


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
