"""The mean of the weights at some moments near the end of a run, which is what a run leaves behind."""

from __future__ import annotations

from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from .module import plain_state


class Average(Callback):
    """Adds the weights up at evenly spaced updates of the last stretch; one copy of them in memory, however many.

    BatchNorm's running figures are averaged like weights, as in the published recipe; its counters are the last.
    """

    def __init__(self, steps: int, snapshots: int, share: float) -> None:
        apart = share * steps / snapshots
        self.moments = {max(round(steps - k * apart), 1) for k in range(snapshots)}
        self.sum: dict[str, Tensor] = {}
        self.count = 0
        self.done = 0  # the last update that was looked at

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        """Add, where this update is one of the moments."""
        if trainer.global_step == self.done:  # a batch of an update that is not finished
            return
        self.done = trainer.global_step
        if self.done not in self.moments:
            return
        for name, tensor in plain_state(pl_module.state_dict()).items():
            if name in self.sum and tensor.is_floating_point():
                self.sum[name] += tensor.detach()
            else:
                self.sum[name] = tensor.detach().clone()
        self.count += 1

    def weights(self) -> dict[str, Tensor]:
        """The mean."""
        return {
            name: tensor / self.count if tensor.is_floating_point() else tensor for name, tensor in self.sum.items()
        }

    def state_dict(self) -> dict[str, Any]:
        """The sum so far."""
        return {"sum": self.sum, "count": self.count, "done": self.done}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """The sum of a checkpoint."""
        self.sum, self.count, self.done = state_dict["sum"], state_dict["count"], state_dict["done"]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """To the device of the weights."""
        self.sum = {name: tensor.to(pl_module.device) for name, tensor in self.sum.items()}
