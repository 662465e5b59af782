"""Which device does the work."""

from __future__ import annotations

import torch

from ..records import Misused, Refused


def ran_out_of_memory(error: BaseException) -> bool:
    """Whether an error of torch or Python says that there is no memory left, of the machine or of the GPU."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "allocate memory" in str(error)


def pick_device(name: str) -> torch.device:
    """The device called `cpu`, `cuda` or `cuda:1`; `auto` is a GPU where there is one."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise Misused(f"--device {name}: give auto, cpu, cuda or cuda:1") from None
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        found = torch.cuda.device_count()
        raise Refused(f"--device {name}: torch sees {found} GPUs here (see `avsr-bench doctor`); auto takes a CPU")
    if device.type not in ("cpu", "cuda"):
        raise Misused(f"--device {name}: give auto, cpu, cuda or cuda:1")
    return device
