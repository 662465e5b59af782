"""Checkpoints: everything that a resumed run needs to end as if it had never stopped, whole or not there."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..files import settle, temporary_name
from ..records import Refused

CHECKPOINT = "last.ckpt"
FORMAT = 2  # 1 was Lightning's
SEAL = 64  # bytes of a SHA-256 in hexadecimal digits


def write_checkpoint(path: Path, state: dict[str, Any]) -> str:
    """Write the checkpoint beside the last one, then put it in its place; why it could not be, or nothing."""
    unfinished = temporary_name(path)
    try:
        torch.save({"format": FORMAT, **state}, unfinished)
        seal(unfinished)
        settle(unfinished, path)
    except (OSError, RuntimeError) as error:  # torch says RuntimeError when the disk is full
        unfinished.unlink(missing_ok=True)
        kept = "the one before is kept" if path.exists() else "there is none to resume from yet"
        return f"cannot write {path}: {getattr(error, 'strerror', None) or 'is the disk full?'}; {kept}"
    return ""


def read_checkpoint(path: Path) -> dict[str, Any]:
    """The state in a checkpoint; one that is not byte for byte what was written is refused."""
    if not is_sealed(path):
        raise Refused(
            f"{path} is not what was written (it is truncated, damaged or of another program):"
            " delete it to start again, with --resume"
        )
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    if state.get("format") != FORMAT:
        raise Refused(
            f"{path} was written by an earlier version of avsr-bench: finish the run with that version, or delete"
            " the checkpoint to start again, with --resume"
        )
    return state


def seal(path: Path) -> None:
    """Write the digest of a checkpoint behind it, where torch does not look.

    torch checks no checksum: it would resume from flipped bits, and moments of a wrong shape end it with SIGSEGV.
    """
    with path.open("r+b") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        file.write(digest.encode())


def is_sealed(path: Path) -> bool:
    """Whether a checkpoint is byte for byte what was written."""
    try:
        digest, left = hashlib.sha256(), path.stat().st_size - SEAL
        with path.open("rb") as file:
            while left > 0 and (block := file.read(min(left, 1 << 20))):
                digest.update(block)
                left -= len(block)
            return file.read() == digest.hexdigest().encode()
    except OSError as error:
        raise Refused(f"{path} cannot be read: {error.strerror}; fix that, then resume") from None


def random_state() -> dict[str, Any]:
    """The states of Python's, numpy's and torch's generators as plain values and tensors."""
    version, numbers, gauss = random.getstate()
    kind, keys, place, has_gauss, cached = np.random.get_state()  # noqa: NPY002 what others may draw from
    state: dict[str, Any] = {
        "python": [version, list(numbers), gauss],
        "numpy": [str(kind), torch.from_numpy(np.asarray(keys).astype(np.int64)), int(place), int(has_gauss), cached],
        "torch": torch.get_rng_state(),
    }
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state()  # of the device of this rank
    return state


def set_random_state(state: dict[str, Any]) -> None:
    """Put the generators where they were."""
    version, numbers, gauss = state["python"]
    random.setstate((version, tuple(numbers), gauss))
    kind, keys, place, has_gauss, cached = state["numpy"]
    np.random.set_state((kind, keys.numpy().astype(np.uint32), place, has_gauss, cached))  # noqa: NPY002
    torch.set_rng_state(state["torch"].cpu())
    if torch.cuda.is_available() and "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"].cpu())
