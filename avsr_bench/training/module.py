"""What Lightning drives: the losses of a batch, the optimiser and its schedule, and the figures of each update."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from ..methods import Method
from ..nn import AVSR, Batch, LossSettings
from ..records import Refused
from .recipe import TrainSettings

# The blocks whose gradient norms are logged: a front-end, a Conformer or decoder block, and what is not in one.
BLOCK = re.compile(r"(encoders\.\w+\.frontend|encoders\.\w+\.blocks\.\d+|decoder\.blocks\.\d+|decoder|fusion|ctc|\w+)")
# The paper's Figure 1 shows this one alone: the first feed-forward layer of the encoder.
FIRST = re.compile(r"encoders\.\w+\.blocks\.0\.feed_forward_in\.expand\.")


class Recogniser(LightningModule):
    """A network in training, with a method that may do more to it than gradients do."""

    def __init__(self, network: AVSR, method: Method, loss: LossSettings, settings: TrainSettings, steps: int) -> None:
        super().__init__()
        self.network, self.method = network, method
        self.loss_settings, self.settings, self.steps = loss, settings, steps
        self.figures: dict[str, Tensor | float] = {}  # of the newest update, for whoever reports it
        self.batches: list[dict[str, Tensor]] = []  # losses of the batches since the last update
        if loss.ctc == 1:  # else DDP would wait for gradients that never come
            network.decoder.requires_grad_(False)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The loss of one batch; one that is not finite ends the run, with the clips that it came from."""
        losses, added = self.method.loss(self.network, batch, self.loss_settings)
        total = losses.total + sum(added.values(), torch.zeros((), device=losses.total.device))
        if not torch.isfinite(total):
            worst = [key for key, loss in zip(batch.keys, losses.clips, strict=True) if not torch.isfinite(loss)]
            clips = ", ".join(worst or batch.keys)
            raise Refused(
                f"the loss is {total.item()} after {self.global_step:,} updates, with the clips {clips}: look at them"
                " with `avsr-bench inspect`, or begin anew, in another --out, with a lower train.lr or train.clip"
            )
        parts = {"loss": losses.total, "ctc": losses.ctc, "attention": losses.attention, **added}
        frames = batch.lengths.sum()
        self.batches.append({name: value.detach() for name, value in parts.items()} | {"frames": frames})
        return total

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Note what is known of this update: mean losses, gradient norms before clipping."""
        count = len(self.batches)
        sums = {name: sum(batch[name] for batch in self.batches) for name in self.batches[0]}
        self.figures = {name: value if name == "frames" else value / count for name, value in sums.items()}
        self.figures["lr"] = optimizer.param_groups[0]["lr"]
        self.figures |= gradient_norms(self.network)
        self.batches = []

    def configure_gradient_clipping(
        self,
        optimizer: Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip the network's own gradient; parameters of the method have groups, and limits, of their own."""
        own = optimizer.param_groups[0]["params"]
        if self.settings.clip:
            torch.nn.utils.clip_grad_norm_(own, self.settings.clip, foreach=True)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """AdamW, and a rate that rises linearly and falls as a cosine, by update."""
        settings = self.settings
        groups = self.method.parameter_groups(self.network)
        taken = {id(parameter) for group in groups for parameter in group["params"]}
        own = [p for p in self.network.parameters() if p.requires_grad and id(p) not in taken]
        optimizer = AdamW(
            [{"params": own}, *groups],
            lr=settings.lr,
            betas=settings.betas,
            weight_decay=settings.weight_decay,
            fused=True,
        )
        schedule = LambdaLR(optimizer, lambda step: rate(step, self.steps, settings.warmup))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def rate(step: int, steps: int, warmup: float) -> float:
    """The learning rate of update number `step` of `steps`, as a share of its highest.

    >>> [round(rate(step, 10, 0.2), 2) for step in range(10)]
    [0.5, 1.0, 1.0, 0.96, 0.85, 0.69, 0.5, 0.31, 0.15, 0.04]
    """
    rising = max(round(warmup * steps), 1) if warmup else 0
    if step < rising:
        return (step + 1) / rising
    return (1 + math.cos(math.pi * (step - rising) / max(steps - rising, 1))) / 2


@torch.no_grad()
def gradient_norms(network: AVSR) -> dict[str, Tensor]:
    """The L2 norm of the gradient of every block, and of the encoder's first feed-forward layer."""
    found: dict[str, list[Tensor]] = {}
    for name, parameter in network.named_parameters():
        if parameter.grad is None:
            continue
        block = BLOCK.match(name)
        assert block is not None
        found.setdefault(f"grad/{block[1]}", []).append(parameter.grad)
        if FIRST.match(name):
            found.setdefault("grad/first", []).append(parameter.grad)
    return {name: torch.nn.utils.get_total_norm(gradients, foreach=True) for name, gradients in found.items()}


def plain_state(weights: Mapping[str, Tensor], prefix: str = "network.") -> dict[str, Tensor]:
    """The network's part of a LightningModule's state."""
    return {name.removeprefix(prefix): tensor for name, tensor in weights.items() if name.startswith(prefix)}
