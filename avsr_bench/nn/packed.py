"""Sparse weights on disk: at most one bit a weight, and the values that are not zero. The format: docs/export.md.

A packed file is a safetensors file whose header says so; what comes back is equal to the bit, minus zeros included.
"""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np
import safetensors
import safetensors.torch
import torch
from torch import Tensor

from ..bounded import check_file, parse_json
from ..records import Refused

FORMAT, VERSION = "avsr-bench packed", 1
MOST_A_BYTE = 1000  # weights a byte of the file; at 99.9 % removed there are 200
WORDS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}  # integers of as many bytes


def save_packed(path: Path, weights: Mapping[str, Tensor], sparse: Collection[str], about: Mapping[str, str]) -> None:
    """Write weights, those named in `sparse` as mask and values where that is smaller; `about` goes into the header."""
    tensors: dict[str, Tensor] = {}
    shapes: dict[str, list[int]] = {}
    for name, weight in weights.items():
        weight = weight.detach().cpu().contiguous()
        values = weight.flatten()
        stays = values.view(WORDS[weight.element_size()]) != 0  # bits, so that -0.0 is a value like any other
        mask = _deflated(np.packbits(stays.numpy(), bitorder="little"))
        values = values[stays]
        if name in sparse and values.nbytes + mask.nbytes < weight.nbytes:
            shapes[name] = list(weight.shape)
            tensors[f"{name}.mask"], tensors[f"{name}.values"] = mask, values
        else:
            tensors[name] = weight
    header = {"format": FORMAT, "version": str(VERSION), "shapes": json.dumps(shapes, separators=(",", ":"))}
    safetensors.torch.save_file(tensors, path, {**about, **header})


def load_packed(path: Path) -> dict[str, Tensor]:
    """The weights in a safetensors file, packed or plain."""
    with safetensors.safe_open(path, framework="pt") as file:
        header = file.metadata() or {}
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  it is no mapping
    if header.get("format") != FORMAT:
        return tensors
    if header.get("version") != str(VERSION):
        raise Refused(
            f"{path} is packed by version {header.get('version')}, and this reads {VERSION}: update avsr-bench"
        )
    try:
        shapes = parse_json(header["shapes"])
        _check_shapes(path, shapes)
        for name, shape in shapes.items():
            mask, values = tensors.pop(f"{name}.mask"), tensors.pop(f"{name}.values")
            tensors[name] = _unpack(mask, values, shape)
    except (ValueError, LookupError, TypeError, AttributeError, RuntimeError, zlib.error) as error:
        raise Refused(f"{path} is damaged: its packed weights do not fit together ({error}); fetch it again") from None
    return tensors


def header_of(path: Path) -> dict[str, str]:
    """What the header of a safetensors file says; nothing for other files, and for those that say nothing."""
    check_file(path)
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            return file.metadata() or {}
    except (safetensors.SafetensorError, OSError):
        return {}


def _check_shapes(path: Path, shapes: dict[str, list[int]]) -> None:
    """Refuse what would unpack to far more than was ever packed: zeros deflate to a thousandth."""
    if not all(isinstance(side, int) and side > 0 for shape in shapes.values() for side in shape):
        raise ValueError("sides of tensors that are no whole numbers above 0")
    weights = sum(math.prod(shape) for shape in shapes.values())
    if weights > MOST_A_BYTE * path.stat().st_size:
        raise ValueError(f"{weights:,} weights in {path.stat().st_size:,} bytes")


def _deflated(bits: np.ndarray) -> Tensor:
    # Run lengths and a Huffman code alone: 0.74 of the bytes for random bits of which a fifth is set, better than the
    # full search and ten times as fast; masks of whole channels shrink to nothing.
    deflate = zlib.compressobj(strategy=zlib.Z_RLE)
    return torch.from_numpy(np.frombuffer(deflate.compress(bits.tobytes()) + deflate.flush(), np.uint8).copy())


def _unpack(mask: Tensor, values: Tensor, shape: list[int]) -> Tensor:
    whole = torch.zeros(shape, dtype=values.dtype)
    expected = -(-whole.numel() // 8)
    packed = zlib.decompressobj().decompress(mask.numpy().tobytes(), expected + 1)
    bits = np.unpackbits(np.frombuffer(packed, np.uint8), bitorder="little")
    stays = torch.from_numpy(bits[: whole.numel()]).bool()
    if len(packed) != expected or not len(values) == int(stays.sum()) == int(bits.sum()):
        raise ValueError(f"{len(packed)} bytes of bits, {int(bits.sum())} of them set, {len(values)} values of {shape}")
    whole.view(-1)[stays] = values
    return whole
