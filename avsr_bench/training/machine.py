"""Where training runs: its devices, its processes and its precision."""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import resource
import warnings
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments import SLURMEnvironment, TorchElasticEnvironment
from lightning_fabric.strategies import DDPStrategy
from lightning_fabric.utilities.rank_zero import rank_zero_only
from torch import Tensor

from ..records import Misused, Refused
from .recipe import TrainSettings

Mine = TypeVar("Mine")

BYTES = 16  # a parameter in float32: its weight, its gradient, and the two moments of AdamW
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # mallopt(3)
LIMIT_OF_GROUP = Path("/sys/fs/cgroup/memory.max")  # of a container; "max" where there is none


def devices_for(settings: TrainSettings) -> tuple[str, int]:
    """Where it trains, and on how many devices of this machine."""
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if settings.device == "cuda" and not gpus:
        raise Misused(
            "train.device=cuda: torch sees no GPU here (see `avsr-bench doctor`); train.device=auto takes a CPU"
        )
    on_gpu = gpus > 0 and settings.device != "cpu"
    if settings.devices == "auto":
        return ("cuda", gpus) if on_gpu else ("cpu", 1)
    if on_gpu and settings.devices > gpus:
        raise Misused(f"train.devices={settings.devices}: there are {gpus} GPUs")
    return ("cuda" if on_gpu else "cpu"), settings.devices


def check_memory(parameters: int, settings: TrainSettings) -> None:
    """Refuse a network that this machine cannot hold while it trains, before any memory is taken for it.

    Activations come on top, and a GPU says for itself when it is full.
    """
    needed, free = BYTES * parameters, free_memory()
    if devices_for(settings)[0] == "cpu" and needed > free:
        raise Refused(
            f"a network of {parameters:,} parameters takes at least {needed / 1e9:.1f} GB while it trains, and"
            f" {free / 1e9:.1f} GB are free: give a smaller --size, or a machine with more memory"
        )


def free_memory() -> int:
    """Bytes that this process can still get: of the machine, of its container, of its own limit."""
    fields = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    found = [1024 * int(fields["MemAvailable"].split()[0])]
    with contextlib.suppress(OSError, ValueError):
        found.append(int(LIMIT_OF_GROUP.read_text()))
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit != resource.RLIM_INFINITY:
        taken = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        found.append(max(limit - taken, 0))
    return min(found)


def keep_memory() -> None:
    """Keep what is freed for the next update, where the C library can: the system would hand out empty pages again.

    On a processor a BASE-L update spends a quarter of its time on page faults without it, and the most memory that a
    run takes is the same but for 1 to 5 % (`make bench ONLY=update_speed`).
    """
    with contextlib.suppress(AttributeError):  # a C library without mallopt
        libc = ctypes.CDLL(None)
        libc.mallopt(M_MMAP_MAX, 0)
        libc.mallopt(M_TRIM_THRESHOLD, -1)


def make_fabric(settings: TrainSettings) -> Fabric:
    """Lightning's Fabric for the devices of this run. It installs no handlers of signals, Slurm's among them."""
    logging.getLogger("lightning_fabric").setLevel(logging.ERROR)  # its remarks are for those who program with it
    warnings.filterwarnings("ignore", module="lightning_fabric")
    accelerator, devices = devices_for(settings)
    patience = timedelta(minutes=settings.wait_minutes)  # torch's own default is half an hour
    return Fabric(
        accelerator=accelerator,
        devices=devices,
        num_nodes=settings.nodes,
        strategy=DDPStrategy(timeout=patience) if devices * settings.nodes > 1 else "auto",
    )


def in_precision(device: torch.device, bf16: bool) -> contextlib.AbstractContextManager[None]:
    """Matrix products in 16 bits where asked for; weights and losses stay in 32."""
    return torch.autocast(device.type, torch.bfloat16, enabled=bf16)


def check_started_outside(settings: TrainSettings) -> None:
    """Fabric starts the processes of one run; several runs, one after another, need them started for all."""
    outside = TorchElasticEnvironment.detect() or SLURMEnvironment.detect()
    if not outside and devices_for(settings)[1] > 1:
        raise Misused(
            "several runs one after another, on several devices, need their processes started from outside: start them"
            " with `torchrun --nproc-per-node N -m avsr_bench train ...` or under Slurm, or set train.devices=1"
        )


def rank() -> int:
    """Which of the processes of a run this is, as torchrun, Slurm or Fabric set it."""
    return int(getattr(rank_zero_only, "rank", 0) or 0)


def lost_another(error: BaseException) -> bool:
    """Whether an error of torch says that another process of the run ended or does not answer."""
    # gloo's errors have no type of their own
    return isinstance(error, torch.distributed.DistError) or "gloo" in str(error).lower()


def agreed(fabric: Fabric, *wishes: bool) -> tuple[bool, ...]:
    """What any rank wishes, all do: signals reach one of them first, and their clocks differ."""
    if fabric.world_size == 1:
        return wishes
    total = fabric.all_reduce(torch.tensor(wishes, dtype=torch.int, device=fabric.device), reduce_op="sum")
    assert isinstance(total, Tensor)
    return tuple(bool(wish) for wish in total.tolist())


def everyones(mine: Mine, ranks: int) -> list[Mine]:
    """What each rank has, by its number."""
    if ranks == 1:
        return [mine]
    states = [mine] * ranks
    torch.distributed.all_gather_object(states, mine)
    return states
