"""Where training runs: its devices and processes, and who is told about it."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.environments import SLURMEnvironment, TorchElasticEnvironment
from lightning.pytorch.utilities import rank_zero_only

from .. import runs
from ..records import Misused
from .recipe import TrainSettings


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


def loggers_for(settings: TrainSettings, folder: Path) -> Any:
    """The loggers of `train.log`; none is False, as Lightning wants it."""
    loggers: list[Any] = []
    try:
        if "tensorboard" in settings.log:
            from lightning.pytorch.loggers import TensorBoardLogger

            loggers.append(TensorBoardLogger(folder, name="", version="tensorboard"))
        if "wandb" in settings.log:
            from lightning.pytorch.loggers import WandbLogger

            loggers.append(WandbLogger(name=runs.name_of(folder), save_dir=folder))
    except ModuleNotFoundError as error:
        raise Misused(
            f"train.log={list(settings.log)}: {error.name or error} is not installed: pip install it"
        ) from None
    return loggers or False


def check_started_outside(settings: TrainSettings) -> None:
    """Lightning starts the processes of one run; several runs, one after another, want them started for all."""
    outside = TorchElasticEnvironment.detect() or SLURMEnvironment.detect()
    if not outside and devices_for(settings)[1] > 1:
        raise Misused(
            "runs that begin with one another, on several devices, want processes from outside: start it with"
            " `torchrun --nproc-per-node N -m avsr_bench train ...` or under Slurm, or set train.devices=1"
        )


def rank() -> int:
    """Which of the processes of a run this is, as torchrun, Slurm or Lightning told it."""
    return int(getattr(rank_zero_only, "rank", 0) or 0)


def quiet_lightning() -> None:
    """Lightning's own remarks are for those who program with it."""
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    logging.getLogger("lightning.fabric").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")
