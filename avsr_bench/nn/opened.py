"""The tensors in a file, whoever wrote it: safetensors, plain or packed, or a pickle, of which no code is run."""

from __future__ import annotations

import argparse
import pickle
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path

import safetensors
import torch
from torch import Tensor

from ..bounded import check_file
from ..records import Refused
from .packed import load_packed
from .size import MOST_PARAMETERS


def tensors_in(path: Path) -> dict[str, Tensor]:
    """The tensors by name, out of the wrapping that Lightning and others put around them."""
    content = _open(path)
    for wrapper in ("state_dict", "model_state_dict"):
        if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
    entries = content.items() if isinstance(content, Mapping) else ()
    # Keys that are no text are of an optimiser, or of a list of tensors: no weights by name.
    tensors = {name: value for name, value in entries if isinstance(name, str) and isinstance(value, Tensor)}
    if not tensors:
        raise Refused(f"{path} holds no weights: expected tensors by name")
    for name, tensor in tensors.items():
        _check_tensor(path, name, tensor)
    return tensors


def _check_tensor(path: Path, name: str, tensor: Tensor) -> None:
    """Refuse one that is not wholly in the file: a view may say that it has more numbers than there are."""
    whole = tensor.layout == torch.strided and tensor.device.type == "cpu" and not tensor.is_quantized
    if not whole or tensor.nbytes > tensor.untyped_storage().nbytes():
        raise Refused(f"{path}: {name[:100]!r} {tuple(tensor.shape)} is not a plain tensor with all its numbers")


def _open(path: Path) -> object:
    check_file(path)
    try:
        with path.open("rb") as file:
            start = file.read(64).lstrip()
    except OSError as error:
        raise Refused(f"cannot read {path}: {error.strerror}") from None
    if start.startswith(b"version https://git-lfs"):
        raise Refused(f"{path} is a Git LFS pointer, not the weights: fetch it with `git lfs pull`")
    if start.startswith((b"<", b"{")) and path.suffix != ".safetensors":
        raise Refused(f"{path} is a web page or text, not weights: the download went wrong")
    try:
        if path.suffix == ".safetensors":
            return load_packed(path)
        _check_zip(path)
        # A Namespace holds the command line in Lightning's files, and is plain data.
        with torch.serialization.safe_globals([argparse.Namespace]):
            return torch.load(path, map_location="cpu", weights_only=True)
    except safetensors.SafetensorError as error:
        raise Refused(f"{path} is not a whole safetensors file: {' '.join(str(error).split())[:200]}") from None
    except pickle.UnpicklingError as error:
        if match := re.search(r"GLOBAL (\S+)", str(error)):
            raise Refused(
                f"{path} would run {match[1][:100]} when opened, and only plain weights are read: it is damaged or not"
                " what it seems; if you trust it, save its state_dict alone"
            ) from None
        raise Refused(f"{path} is not a whole file of weights: fetch it again") from None
    except Refused:
        raise
    except Exception:  # noqa: BLE001 torch raises whatever a wrong byte leads it to
        raise Refused(f"{path} is not a whole file of weights: fetch it again") from None


def _check_zip(path: Path) -> None:
    """Refuse an archive that would unpack to more than its bytes: torch packs nothing, and reads it all the same."""
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        unpacked = sum(part.file_size for part in archive.infolist())
    if unpacked > path.stat().st_size:
        raise Refused(f"{path} unpacks to {unpacked:,} bytes, more than it has: torch writes no such file")
    if unpacked > 16 * MOST_PARAMETERS:  # float32 with the two moments of an optimiser
        raise Refused(f"{path} holds {unpacked:,} bytes, more than any network that is built here")
