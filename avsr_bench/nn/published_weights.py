"""Published weights: reading their files, and a table between their names and ours.

Known are the Auto-AVSR networks of the current release (video or audio) and of the first one (also both at once),
front-ends trained on LRW, and the unified networks of USR; bare, or wrapped by Lightning. One table serves both
directions.

>>> published_name("encoders.video.blocks.3.attention.query.weight", "video")
'encoder.encoders.3.self_attn.linear_q.weight'
>>> our_name("encoder.encoders.3.self_attn.linear_q.weight", "video")
'encoders.video.blocks.3.attention.query.weight'
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from ..records import Refused
from .drawn import Network, make
from .low_rank import factored, layers_of
from .model import AVSR
from .opened import tensors_in
from .settings import NetworkSettings, Reads
from .size import parameters_of

Release = Literal["current", "first", "lrw", "usr", "ours"]
Part = Literal["all", "encoder", "frontend"]
Rows = tuple[tuple[str, str], ...]

# Ours, theirs. A row stands for all names that begin with it; `*` is a number that both have.
ATTENTION: Rows = (("query", "linear_q"), ("key", "linear_k"), ("value", "linear_v"), ("output", "linear_out"))
CONFORMER_BLOCK: Rows = (
    ("feed_forward_in.norm", "norm_ff_macaron"),
    ("feed_forward_in.expand", "feed_forward_macaron.w_1"),
    ("feed_forward_in.reduce", "feed_forward_macaron.w_2"),
    ("attention.norm", "norm_mha"),
    *((f"attention.{ours}", f"self_attn.{theirs}") for ours, theirs in ATTENTION),
    ("attention.position", "self_attn.linear_pos"),
    ("attention.content_bias", "self_attn.pos_bias_u"),
    ("attention.position_bias", "self_attn.pos_bias_v"),
    ("convolution.norm", "norm_conv"),
    ("convolution.expand", "conv_module.pointwise_cov1"),
    ("convolution.depthwise", "conv_module.depthwise_conv"),
    ("convolution.batch_norm", "conv_module.norm"),
    ("convolution.reduce", "conv_module.pointwise_cov2"),
    ("feed_forward_out.norm", "norm_ff"),
    ("feed_forward_out.expand", "feed_forward.w_1"),
    ("feed_forward_out.reduce", "feed_forward.w_2"),
    ("norm", "norm_final"),
)
TRANSFORMER_BLOCK: Rows = (
    ("attention.norm", "norm_mha"),
    *((f"attention.{ours}", f"self_attn.{theirs}") for ours, theirs in ATTENTION),
    ("attention.position", "self_attn.linear_pos"),
    ("attention.content_bias", "self_attn.pos_bias_u"),
    ("attention.position_bias", "self_attn.pos_bias_v"),
    ("feed_forward.norm", "norm_ff"),
    ("feed_forward.expand", "feed_forward.w_1"),
    ("feed_forward.reduce", "feed_forward.w_2"),
    ("scale_attention.factors", "gamma_mha"),
    ("scale_feed_forward.factors", "gamma_ff"),
)
DECODER_BLOCK: Rows = (
    ("attention.norm", "norm1"),
    *((f"attention.{ours}", f"self_attn.{theirs}") for ours, theirs in ATTENTION),
    ("cross_attention.norm", "norm2"),
    *((f"cross_attention.{ours}", f"src_attn.{theirs}") for ours, theirs in ATTENTION),
    ("feed_forward.norm", "norm3"),
    ("feed_forward.expand", "feed_forward.w_1"),
    ("feed_forward.reduce", "feed_forward.w_2"),
)
DECODER: Rows = (
    ("decoder.embed", "decoder.embed.0"),
    *((f"decoder.blocks.*.{ours}", f"decoder.decoders.*.{theirs}") for ours, theirs in DECODER_BLOCK),
    ("decoder.norm", "decoder.after_norm"),
)
HEADS: Rows = (
    ("fusion.expand", "fusion.fc1"),
    ("fusion.norm", "fusion.bn1"),
    ("fusion.reduce", "fusion.fc2"),
    *DECODER,
    ("decoder.output", "decoder.output_layer"),
    ("ctc", "ctc.ctc_lo"),
)
SHORT = {"video": "v", "audio": "a", "av": "av"}  # USR's
RESIDUAL_BLOCK: Rows = (
    ("conv1", "conv1"),
    ("norm1", "bn1"),
    ("conv2", "conv2"),
    ("norm2", "bn2"),
    ("shortcut.conv", "downsample.0"),
    ("shortcut.norm", "downsample.1"),
)
STEM: dict[str, Rows] = {
    "video": (("stem", "frontend3D.0"), ("norm", "frontend3D.1")),
    "audio": (("stem", "trunk.conv1"), ("norm", "trunk.bn1")),
}
# How a release calls an encoder's front-end, the projection behind it, and the rest of the encoder.
PLACES: dict[str, tuple[str, str, str]] = {
    "current": ("frontend.", "proj_encoder", "encoder."),
    "first": ("encoder.frontend.", "encoder.embed.0", "encoder."),
    "second encoder": ("aux_encoder.frontend.", "aux_encoder.embed.0", "aux_encoder."),
}


def _frontend(modality: str, ours: str, theirs: str) -> Iterator[tuple[str, str]]:
    for mine, name in STEM[modality]:
        yield f"{ours}{mine}", f"{theirs}{name}"
    for stage in range(4):
        for mine, name in RESIDUAL_BLOCK:
            yield f"{ours}stages.{stage}.*.{mine}", f"{theirs}trunk.layer{stage + 1}.*.{name}"


def _encoder(modality: str, places: tuple[str, str, str]) -> Iterator[tuple[str, str]]:
    frontend, project, encoder = places
    ours = f"encoders.{modality}."
    yield from _frontend(modality, f"{ours}frontend.", frontend)
    yield f"{ours}project", project
    for mine, name in CONFORMER_BLOCK:
        yield f"{ours}blocks.*.{mine}", f"{encoder}encoders.*.{name}"
    yield f"{ours}norm", f"{encoder}after_norm"


def _unified() -> Iterator[tuple[str, str]]:
    for modality in STEM:
        yield from _frontend(modality, f"frontends.{modality}.", f"encoder.frontend_{SHORT[modality]}.")
    for view, short in SHORT.items():
        yield f"entrances.{view}", f"encoder.linear_{short}"
        yield f"outputs.{view}", f"decoder.out_layer_{short}"
        yield f"ctc.{view}", f"ctc_{short}.ctc_lo"
    for mine, name in TRANSFORMER_BLOCK:
        yield f"blocks.*.{mine}", f"encoder.encoders.*.{name}"
    yield "norm", "encoder.after_norm"
    yield from DECODER


@cache
def table(modality: Reads, release: Release) -> Rows:
    """All rows of one kind of file: (ours, theirs)."""
    if modality == "unified":
        return tuple(_unified())
    if release == "lrw":
        return tuple(_frontend(modality, f"encoders.{modality}.frontend.", ""))
    if modality == "av":
        first, second = PLACES["first"], PLACES["second encoder"]
        return (*_encoder("video", first), *_encoder("audio", second), *HEADS)
    return (*_encoder(modality, PLACES[release]), *HEADS)


@cache
def _patterns(modality: Reads, release: Release, back: bool) -> tuple[tuple[re.Pattern[str], str], ...]:
    rows = table(modality, release)
    if back:
        rows = tuple((theirs, ours) for ours, theirs in rows)
    return tuple((re.compile(re.escape(here).replace(r"\*", r"(\d+)") + r"(?=\.|$)"), there) for here, there in rows)


def _translate(name: str, patterns: Iterable[tuple[re.Pattern[str], str]]) -> str | None:
    for pattern, there in patterns:
        if match := pattern.match(name):
            for number in match.groups():
                there = there.replace("*", number, 1)
            return there + name[match.end() :]
    return None


def published_name(name: str, modality: Reads, release: Release = "current") -> str | None:
    """What the published code calls one of our weights; none where it has no such weight (LayerScale)."""
    return _translate(name, _patterns(modality, release, False))


def our_name(name: str, modality: Reads, release: Release = "current") -> str | None:
    """What we call a published weight; none where we have no such weight."""
    return _translate(name, _patterns(modality, release, True))


@dataclass(frozen=True, slots=True)
class Weights:
    """The weights of one file by our names, and what else was in it."""

    path: Path
    release: Release
    modality: Reads
    tensors: Mapping[str, Tensor]
    unknown: tuple[str, ...]  # names of the file that have no place in our network


@dataclass(frozen=True, slots=True)
class Report:
    """What became of a file's weights."""

    path: Path
    release: Release
    loaded: tuple[str, ...]
    unused: tuple[str, ...]  # in the file, but not asked for or without a place in the network
    kept: tuple[str, ...]  # in the network, but left as they were
    factored: tuple[str, ...]  # layers that were whole in the file and are two factors in the network
    parameters: int

    def __str__(self) -> str:
        names = {"ours": "own", "lrw": "LRW front-end", "usr": "USR", "current": "current Auto-AVSR"}
        names["first"] = "first Auto-AVSR"
        text = f"{self.path} ({names[self.release]} names): {len(self.loaded)} entries loaded, "
        text += f"{self.parameters:,} parameters"
        if self.factored:
            text += f"; {len(self.factored)} layers factored"
        for title, entries in (("not used", self.unused), ("left as they were", self.kept)):
            if entries:
                places = sorted({entry.split(".")[0] for entry in entries})
                text += f"; {len(entries)} {title}, under {', '.join(places)}"
        return text


def read(path: Path) -> Weights:
    """The weights in a file, whoever wrote it: safetensors, plain or packed, or the tensors of a pickle and no code."""
    tensors = tensors_in(path)
    for prefix in ("model.", "module."):  # Lightning's and DistributedDataParallel's
        if all(name.startswith(prefix) for name in tensors):
            tensors = {name.removeprefix(prefix): value for name, value in tensors.items()}
    if "backbone.encoder.linear_av.weight" in tensors:  # a training of USR: the student, with its teacher beside it
        tensors = {name.removeprefix("backbone."): value for name, value in tensors.items()}
    release, modality = _kind(path, tensors)
    if release == "ours":
        return Weights(path, release, modality, tensors, ())
    renamed = {name: our_name(name, modality, release) for name in tensors}
    known = {ours: tensors[name] for name, ours in renamed.items() if ours is not None}
    return Weights(path, release, modality, known, tuple(name for name, ours in renamed.items() if ours is None))


def network_of(weights: Weights, modality: Reads, settings: NetworkSettings, tokens: int) -> tuple[Network, Report]:
    """The network of these settings with the weights of a file; refused before it is made if the file has too few."""
    there = sum(weight.numel() for weight in weights.tensors.values())
    needed = parameters_of(modality, settings, tokens)
    if there < needed:
        raise Refused(
            f"{weights.path} holds {there:,} numbers, and a network of its settings has {needed:,} parameters: is it"
            " of another size, modality or set of tokens, or not whole?"
        )
    network = make(modality, settings, tokens)
    return network, load(network, weights)


def load(network: nn.Module, weights: Weights, part: Part = "all") -> Report:
    """Copy weights into a network: all of it, or only its encoders or front-ends of the file's modality.

    What is whole in the file and in two factors in the network is factored. Of a unified network, each encoder of one
    that is not takes the shared blocks and its own way into them.

    Refused, by name, if the file lacks one of them or has another shape for it; the network is then untouched.
    """
    own = network.state_dict()
    if weights.modality == "unified" and part != "all" and isinstance(network, AVSR):
        weights = replace(weights, modality=network.modality, tensors=_apart(weights.tensors, network.senses))
    roots = roots_of(weights.modality, part)
    wanted = [name for name in own if name.startswith(roots)]
    tensors = factored(weights.tensors, network)
    if not wanted:
        raise Refused(f"{weights.path} holds {weights.modality} weights, and the network has no such encoder")
    for name in wanted:
        if name not in tensors:
            advice = "is it of another size or modality?"
            if weights.release == "lrw":
                advice = "its front-end alone can be loaded"
            elif name.removesuffix("weight") + "up.weight" in tensors:
                advice = "there it is two factors: give the network.low_rank of that run"
            raise Refused(f"{weights.path} has no {name} {tuple(own[name].shape)}, which the network needs; {advice}")
        if (there := tensors[name].shape) != own[name].shape:
            raise Refused(
                f"{weights.path} does not fit the network: {name} is {tuple(there)} in the file and "
                f"{tuple(own[name].shape)} in the network; is it of another size, modality, rank or set of tokens?"
            )
        if own[name].is_floating_point() != tensors[name].is_floating_point():
            kind = str(tensors[name].dtype).removeprefix("torch.")
            raise Refused(f"{weights.path} does not fit the network: {name} is of {kind}, which no weight of ours is")
        if not bool(torch.isfinite(tensors[name]).all()):
            raise Refused(
                f"{weights.path}: {name} holds what is not a number (NaN) or without end: it is damaged, or training"
                " diverged"
            )
    network.load_state_dict({name: tensors[name] for name in wanted}, strict=False)
    taken = set(wanted)
    counted = {name for name, _ in network.named_parameters()}
    return Report(
        path=weights.path,
        release=weights.release,
        loaded=tuple(wanted),
        unused=(*(name for name in tensors if name not in taken), *weights.unknown),
        kept=tuple(name for name in own if name not in taken),
        factored=tuple(name for name in layers_of(network) if f"{name}.up.weight" in tensors.keys() - weights.tensors),
        parameters=sum(own[name].numel() for name in wanted if name in counted),
    )


def _apart(tensors: Mapping[str, Tensor], senses: Iterable[str]) -> dict[str, Tensor]:
    """The encoder of a unified network under the names of encoders of one sense each, which share nothing."""
    found: dict[str, Tensor] = {}
    for sense in senses:
        places = {f"frontends.{sense}.": "frontend.", f"entrances.{sense}.": "project.", "blocks.": "blocks."}
        places["norm."] = "norm."
        for theirs, ours in places.items():
            own = {name.removeprefix(theirs): value for name, value in tensors.items() if name.startswith(theirs)}
            found |= {f"encoders.{sense}.{ours}{name}": value for name, value in own.items()}
    return found


def roots_of(modality: Reads, part: Part) -> tuple[str, ...]:
    """How the names of a part begin, in a network that reads this."""
    if part == "all":
        return ("",)
    if modality == "unified":
        return ("frontends.",) if part == "frontend" else ("frontends.", "entrances.", "blocks.", "norm.")
    within = "frontend." if part == "frontend" else ""
    return tuple(f"encoders.{name}.{within}" for name in (("video", "audio") if modality == "av" else (modality,)))


def _kind(path: Path, names: Iterable[str]) -> tuple[Release, Reads]:
    """Whose names these are, and what the network reads."""
    names = set(names)
    if any(name.startswith("encoders.") for name in names):
        found = {name.split(".")[1] for name in names if name.startswith("encoders.")}
        return "ours", "av" if found == {"video", "audio"} else "video" if "video" in found else "audio"
    if any(name.startswith("frontends.") for name in names):
        return "ours", "unified"
    if any(name.startswith("ear.") for name in names):
        return "ours", "av" if any(name.startswith("eye.") for name in names) else "audio"
    if "encoder.linear_av.weight" in names:
        return "usr", "unified"
    frontends: dict[str, Reads] = {"frontend3D.0.weight": "video", "trunk.conv1.weight": "audio"}
    if "aux_encoder.frontend.trunk.conv1.weight" in names:
        return "first", "av"
    places: tuple[tuple[str, Release], ...] = (("frontend.", "current"), ("encoder.frontend.", "first"), ("", "lrw"))
    for place, release in places:
        for entry, modality in frontends.items():
            if place + entry in names:
                return release, modality
    few = ", ".join(sorted(names)[:3])
    raise Refused(f"{path} is no network that we know: it holds {few}, ...")
