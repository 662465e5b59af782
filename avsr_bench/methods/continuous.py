"""MSRS (arXiv 2406.17614): a mask is learnt with the weights in the first epochs; what follows is dense or sparse.

A reconstruction: no code was released, and of the paper only its abstract, a summary and its loss could be read, which
is `L_att + gamma L_ctc + lambda sum(phi)`. What is not in them is as in Continuous Sparsification (arXiv 1912.04427),
the closest relative, or chosen here; docs/msrs.md says which is which.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import torch
from annotated_types import Interval
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils import clip_grad_norm_
from torch.optim import Adam, Optimizer

from ..nn import AVSR, Batch, Losses, LossSettings
from ..records import Fraction, PartOfAll, Refused, draws
from .gates import Gates
from .masked import Masked
from .masks import Masks, keep_largest, size, sparsity

POWERS = {"exp_avg": 1, "exp_avg_sq": 2, "max_exp_avg_sq": 2, "momentum_buffer": 1}  # of the gradient, in a moment
Temperature = Annotated[float, Interval(gt=0, le=10**6)]


@dataclass(frozen=True, slots=True)
class MSRSSettings:
    """The search for the mask, and what comes after it."""

    # Share of the run's updates in which the mask is learnt; from 1 on: that many updates.
    search: Annotated[float, Interval(gt=0, le=10**8)] = 0.0667
    penalty: Literal["phi", "mask"] = "phi"  # lambda * sum(phi) as printed, or lambda * sum(mask)
    # Lambda; the losses beside it are means over clips.
    penalty_weight: Annotated[float, Interval(ge=0, le=10**6)] = 1e-4
    temperature: Temperature = 1.0  # l0: how steep gates are at first; 1 and 200 are Continuous Sparsification's
    last_temperature: Temperature = 200.0  # l1: so steep that nearly all gates are open or shut
    schedule: Literal["exponential", "two-stage"] = "exponential"  # from l0 to l1 update by update, or in one step
    first_stage: Fraction = 0.5  # two-stage: share of the search spent at l0
    initial: Annotated[float, Interval(ge=-100, le=100)] = 0.0  # phi of every weight before the first update
    rescale: bool = False  # divide gates by their first value, as Continuous Sparsification: starts as initialised
    lr: Annotated[float, Interval(gt=0, le=1000)] = 1e-3  # of phi: constant, whatever the run's schedule does
    clip: Annotated[float, Interval(ge=0, le=10**9)] = 0.0  # greatest norm of phi's gradient; 0: no clipping
    sparsity: PartOfAll | None = None  # shut the share of lowest phi instead of those below 0, which may jump: ours
    after: Literal["dense", "sparse"] = "dense"
    restart: Literal["zero", "stored", "fresh"] = "zero"  # dense: the removed weights' first values; zero does not jump
    # Training batches after the search over which batch norms average anew.
    norm_batches: Annotated[int, Interval(ge=0, le=10**6)] = 50


class MSRS(Masked):
    """Searches, switches, and holds the mask where training stays sparse.

    Phi has an optimiser of its own (Adam: no decay, its own rate and clipping), so the run's global gradient norm does
    not see it and nothing of it is left after the search. DDP knows the network's parameters only: the gradients of phi
    are averaged over ranks here.
    """

    def __init__(self, settings: MSRSSettings, seed: int = 0) -> None:
        super().__init__()
        self.settings, self.seed = settings, seed
        first = 1 / (1 + math.exp(-settings.temperature * settings.initial))
        self.gates = Gates(settings.initial, settings.temperature, 1 / first if settings.rescale else 1.0)
        self.searching = True
        self.averaged = 0  # batches that batch norms have averaged over since the switch
        self._optimizer: Adam | None = None
        self._remembered: dict[str, Any] = {}  # of the optimiser, from a checkpoint
        self._momenta: list[tuple[_BatchNorm, float | None]] = []

    def attach(self, network: AVSR, steps: int) -> None:
        """Put gates before the weights, unless a checkpoint says that the search is over."""
        self.network = network
        self.search_steps = max(1, round(self.settings.search * (steps if self.settings.search < 1 else 1)))
        if self.searching:
            self.gates.put_before(network)

    def found(self) -> Masks:
        """The masks that a search which ended now would have found."""
        if self.settings.sparsity is None:
            return self.gates.masks()
        return keep_largest(self.gates.phi, round((1 - self.settings.sparsity) * size(self.gates.phi)))

    def temperature(self, step: int) -> float:
        """How steep gates are in an update of the search, counted from 0."""
        first, last = self.settings.temperature, self.settings.last_temperature
        done = step / max(1, self.search_steps - 1)
        if self.settings.schedule == "two-stage":
            return first if done < self.settings.first_stage else last
        return first * (last / first) ** min(1.0, done)

    def loss(self, network: AVSR, batch: Batch, settings: LossSettings) -> tuple[Losses, dict[str, Tensor]]:
        """The losses of the network behind its gates, and the penalty."""
        losses = network.loss(batch, settings)
        if not (self.searching and network.training):
            return losses, {}
        total = self.gates.sum_of_phi() if self.settings.penalty == "phi" else self.gates.sum_of_gates()
        return losses, {"penalty": self.settings.penalty_weight * total}

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """The network is where it is trained: phi goes there too, and gets its optimiser."""
        if not self.searching:
            return
        if getattr(trainer.precision_plugin, "scaler", None) is not None:
            raise Refused(
                "MSRS cannot train in float16, whose scaled gradients phi's optimiser does not know: use bf16"
            )
        self.gates.to_weights_of(self.network)
        # Fused: the other forms of Adam allocate another tensor a parameter.
        self._optimizer = Adam(self.gates.phi.values(), lr=self.settings.lr, betas=(0.9, 0.98), fused=True)
        if self._remembered:
            self._optimizer.load_state_dict(self._remembered)
            self._remembered = {}

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Follow the schedule; before the first batch after the search, switch."""
        if self.searching and trainer.global_step >= self.search_steps:
            self.switch(trainer.optimizers[0])
        if self.searching:
            self.gates.temperature = self.temperature(trainer.global_step)
        elif self.averaged < self.settings.norm_batches:  # a plain mean over the batches since the switch
            norms = [module for module in self.network.modules() if isinstance(module, _BatchNorm)]
            self._momenta = [(norm, norm.momentum) for norm in norms]
            self.averaged += 1
            for norm in norms:
                norm.momentum = 1 / self.averaged

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Batch norms have their own momentum between batches."""
        for norm, momentum in self._momenta:
            norm.momentum = momentum
        self._momenta = []

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:
        """Update phi beside the weights, all gradients being there; later, keep those of removed weights away."""
        super().on_before_optimizer_step(trainer, pl_module, optimizer)
        if self._optimizer is None:
            return
        phi = list(self.gates.phi.values())
        if trainer.world_size > 1:
            gradients = [of.grad for of in phi if of.grad is not None]
            pending = [torch.distributed.all_reduce(gradient, async_op=True) for gradient in gradients]
            for gradient, work in zip(gradients, pending, strict=True):
                work.wait()
                gradient.div_(trainer.world_size)
        if self.settings.clip > 0:
            clip_grad_norm_(phi, self.settings.clip)
        self._optimizer.step()
        self._optimizer.zero_grad()

    @torch.no_grad()
    def switch(self, optimizer: Optimizer | None = None) -> None:
        """End the search: open gates become part of their weights, shut ones remove theirs."""
        masks, scale = self.found(), self.gates.scale
        sparse = self.settings.after == "sparse"
        for name, mask in masks.items():
            weight = self.network.get_parameter(name)
            first = torch.zeros_like(weight) if sparse else self._first_values(name, weight)
            weight.copy_(torch.where(mask, weight * scale, first))
            for what, moment in optimizer.state.get(weight, {}).items() if optimizer else ():
                if what in POWERS and isinstance(moment, Tensor):  # as if the weights had always been the larger ones
                    moment.div_(scale ** POWERS[what]).masked_fill_(~mask, 0)
        self.gates.take_away()
        self.searching, self._optimizer = False, None
        if sparse:
            self.replace(masks, optimizer)

    def _first_values(self, name: str, weight: Tensor) -> Tensor:
        """Where the removed weights of a layer start again in a dense network."""
        if self.settings.restart == "zero":
            return torch.zeros_like(weight)
        if self.settings.restart == "stored":
            return weight
        bound = weight[0].numel() ** -0.5  # torch's own first weights: uniform, by the number of inputs
        values = draws(self.seed, "fresh", name).uniform(-bound, bound, tuple(weight.shape))
        return torch.from_numpy(values).to(weight)

    def state_dict(self) -> dict[str, Any]:
        """The search, or what came out of it."""
        return super().state_dict() | {
            "searching": self.searching,
            "temperature": self.gates.temperature,
            "phi": {name: phi.detach() for name, phi in self.gates.phi.items()},
            "optimizer": self._optimizer.state_dict() if self._optimizer else {},
            "averaged": self.averaged,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a checkpoint, whether `attach` was called before or comes after."""
        super().load_state_dict(state_dict)
        self.searching, self.averaged = state_dict["searching"], state_dict["averaged"]
        self.gates.temperature, self._remembered = state_dict["temperature"], state_dict["optimizer"]
        if self.searching:
            self.gates.phi.update({name: phi.requires_grad_() for name, phi in state_dict["phi"].items()})
        else:
            self.gates.take_away()

    def figures(self) -> dict[str, float]:
        """In the search: how steep and how undecided gates are, and what they would remove; then what is removed."""
        if not self.searching:
            return super().figures()
        search = {"temperature": self.gates.temperature, "undecided": self.gates.undecided()}
        return search | sparsity(self.gates.masks())

    def settled(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """`weights` as the switch would leave them now: open gates in them, the others 0."""
        if not self.searching:
            return super().settled(weights)
        settled = dict(weights)
        for name, mask in self.found().items():
            settled[name] = (weights[name] * self.gates.scale).masked_fill(~mask.to(weights[name].device), 0)
        return settled
