"""Where the figures of a run go beside metrics.csv: TensorBoard, Weights & Biases (`train.log`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

from .. import runs
from ..records import Misused

Log = Callable[[Mapping[str, float], int], None]  # takes the figures of an update, and its number


def check_logs(names: Sequence[str]) -> None:
    """Refuse a service whose package is not installed, before anything is read."""
    for name in names:
        if find_spec(name) is None:
            raise Misused(f"train.log={list(names)}: {name} is not installed: pip install it")


def open_logs(names: Sequence[str], folder: Path) -> list[Log]:
    """Each of the services that are asked for; a run that is resumed goes on where it was."""
    return [OPEN[name](folder) for name in names]


def _tensorboard(folder: Path) -> Log:
    from torch.utils.tensorboard import SummaryWriter

    writer = SummaryWriter(folder / "tensorboard")

    def log(figures: Mapping[str, float], update: int) -> None:
        for name, value in figures.items():
            writer.add_scalar(name, value, update)
        writer.flush()  # nothing is lost when the run is killed

    return log


def _wandb(folder: Path) -> Log:
    import wandb

    # The name of the folder is the run's id as well: with it, a run that is resumed is the same run there.
    name = runs.name_of(folder)
    run = wandb.init(name=name, id=name.replace("/", "-"), dir=folder, resume="allow")
    return run.log


OPEN: Mapping[str, Callable[[Path], Log]] = {"tensorboard": _tensorboard, "wandb": _wandb}
