"""Which device does the work."""

from __future__ import annotations

import torch

from ..records import Misused, Refused


def pick_device(name: str) -> torch.device:
    """The device called `cpu`, `cuda` or `cuda:1`; `auto` is a GPU where there is one."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise Misused(f"--device {name}: say cpu, cuda or auto") from None
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        found = torch.cuda.device_count() or "no"
        raise Refused(
            f"--device {name}: torch finds {found} CUDA devices here: use --device cpu, or ask `avsr-bench doctor`"
        )
    if device.type not in ("cpu", "cuda"):
        raise Misused(f"--device {name}: say cpu, cuda or auto")
    return device
