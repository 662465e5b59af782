"""What network a set of weights belongs to, read off its shapes."""

from __future__ import annotations

import math
from collections.abc import Mapping

from torch import Tensor

from ..records import Refused
from .settings import FrontendSettings, NetworkSettings


def settings_of(tensors: Mapping[str, Tensor]) -> tuple[NetworkSettings, int]:
    """The settings and the number of tokens of the network that these weights (by our names) are whole for.

    Dropouts and the like leave no trace and have their defaults; `mouth` too, for a ResNet takes any picture.
    """
    unified = any(name.startswith("frontends.") for name in tensors)
    encoders = sorted({name.split(".")[1] for name in tensors if name.startswith("encoders.")}, reverse=True)
    output = _output(tensors)
    if not (encoders or unified) or output is None:
        raise Refused("these weights are a part of a network: a size has to be named for them")
    roots = {name: f"frontends.{name}." for name in ("video", "audio")}
    if not unified:
        roots = {encoder: f"encoders.{encoder}.frontend." for encoder in encoders}
    frontends = {name: _frontend(tensors, root) for name, root in roots.items()}
    video = frontends.get("video", FrontendSettings())
    block = "blocks." if unified else f"encoders.{encoders[0]}.blocks."
    conformer = f"{block}0.convolution.norm.weight" in tensors
    expand, scale = ("feed_forward_in", "scale_in") if conformer else ("feed_forward", "scale_feed_forward")
    tokens, width = output.shape
    default = NetworkSettings()
    settings = NetworkSettings(
        mouth=_mouth(tensors, video) if video.kind == "plain" else default.mouth,
        video=video,
        audio=frontends.get("audio", FrontendSettings()),
        width=width,
        heads=len(tensors[f"{block}0.attention.content_bias"]),
        feed_forward=len(tensors[f"{block}0.{expand}.expand.weight"]),
        block="conformer" if conformer else "transformer",
        kernel=tensors[f"{block}0.convolution.depthwise.weight"].shape[-1] if conformer else default.kernel,
        encoder_blocks=_count(tensors, block),
        decoder_blocks=_count(tensors, "decoder.blocks."),
        fusion=len(tensors["fusion.expand.weight"]) if "fusion.expand.weight" in tensors else default.fusion,
        block_norm=not conformer or f"{block}0.norm.weight" in tensors,
        layer_scale=0.1 if f"{block}0.{scale}.factors" in tensors else None,
    )
    return settings, tokens


def tokens_of(tensors: Mapping[str, Tensor]) -> int | None:
    """How many tokens the network of these weights knows; none where they are a part of one."""
    output = _output(tensors)
    return None if output is None else len(output)


def _output(tensors: Mapping[str, Tensor]) -> Tensor | None:
    """The output layer that every whole network has: that of CTC, in a unified network that of lips and sound."""
    return next((tensors[name] for name in ("ctc.weight", "ctc.av.weight") if name in tensors), None)


def _frontend(tensors: Mapping[str, Tensor], root: str) -> FrontendSettings:
    stem = tensors[f"{root}stem.weight"].shape[2:]
    kernel = (stem[0], stem[1], stem[2]) if len(stem) == 3 else FrontendSettings().stem
    if f"{root}norms.0.weight" in tensors:
        norms = range(_count(tensors, f"{root}norms."))
        return FrontendSettings("plain", tuple(len(tensors[f"{root}norms.{norm}.weight"]) for norm in norms), 1, kernel)
    channels = tuple(len(tensors[f"{root}stages.{stage}.0.conv1.weight"]) for stage in range(4))
    return FrontendSettings("resnet", channels, _count(tensors, f"{root}stages.0."), kernel)


def _mouth(tensors: Mapping[str, Tensor], video: FrontendSettings) -> int:
    project = "entrances.video.weight" if "entrances.video.weight" in tensors else "encoders.video.project.weight"
    side = math.isqrt(tensors[project].shape[1] // video.channels[-1])
    return 4 * 2 ** (len(video.channels) - 1) * side


def _count(names: Mapping[str, Tensor], root: str) -> int:
    """How many numbers follow `root`."""
    return len({name.removeprefix(root).split(".")[0] for name in names if name.startswith(root)})
