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
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim import Optimizer

from ..nn import Group, Network
from ..records import Fraction, Misused, PartOfAll, Refused, rng_for
from .gates import Gates
from .masked import Masked
from .masks import Masks, keep_largest, size, sparsity

POWERS = {"exp_avg": 1, "exp_avg_sq": 2, "max_exp_avg_sq": 2, "momentum_buffer": 1}  # of the gradient, in a moment
PHI = "phi"  # the name of its group in the optimiser
LOOKS = 100  # in a search, at where the threshold has to be for the wanted sparsity
MOMENTUM = 0.1  # torch's own, of batch norms outside of the average
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
    first_stage: Fraction = 0.5  # two-stage: fraction of the search spent at l0
    initial: Annotated[float, Interval(ge=-100, le=100)] = 0.0  # phi before the first update, or its middle
    spread: Annotated[float, Interval(ge=0, le=100)] = 0.0  # phi begins uniform within initial +- spread
    frozen: bool = False  # phi is never learnt: the control, a random mask that closes along the same schedule
    rescale: bool = False  # divide gates by their first value, as Continuous Sparsification: starts as initialised
    # How far a gate can go in the search: phi's rate, which is constant, is this over the updates of the search. Adam
    # moves nearly every phi by one rate an update and in one direction while the network learns nothing yet.
    reach: Annotated[float, Interval(gt=0, le=1000)] = 0.32
    lr: Annotated[float, Interval(gt=0, le=1000)] | None = None  # of phi, instead of what reach gives
    clip: Annotated[float, Interval(ge=0, le=10**9)] = 0.0  # greatest norm of phi's gradient; 0: no clipping
    sparsity: PartOfAll | None = None  # gates shut around this quantile of all phi instead of around 0: ours
    after: Literal["dense", "sparse"] = "dense"
    restart: Literal["zero", "stored", "fresh"] = "zero"  # dense: the removed weights' first values; zero does not jump
    # Training batches after the search over which batch norms average anew.
    norm_batches: Annotated[int, Interval(ge=0, le=10**6)] = 50

    def __post_init__(self) -> None:
        if self.frozen and not self.spread:
            raise Misused("frozen=true with spread=0 leaves nothing that tells gates apart: give spread=1")

    def search_steps(self, steps: int) -> int:
        """How many of a run's updates are the search."""
        return max(1, round(self.search * (steps if self.search < 1 else 1)))

    def check_average(self, steps: int, average_from: int) -> None:
        """Refuse a search that ends between two snapshots: gated weights and those after the switch have no mean."""
        if average_from <= self.search_steps(steps) < steps:
            raise Refused(
                f"method.search={self.search:g} is too long: it would end while the snapshots are taken whose mean the"
                f" run leaves behind, in its last {1 - average_from / steps:.1%}. Set method.search lower, or"
                " train.average=1"
            )


class MSRS(Masked):
    """Searches, switches, and holds the mask where training stays sparse.

    Phi is a group of the optimiser with a rate and a limit of its own and without decay, so the network's gradient norm
    does not see it, and nothing of it is left after the search.
    """

    def __init__(self, settings: MSRSSettings, seed: int = 0) -> None:
        super().__init__()
        self.settings, self.seed = settings, seed
        first = 1 / (1 + math.exp(-settings.temperature * settings.initial))
        scale = 1 / first if settings.rescale else 1.0
        self.gates = Gates(settings.initial, settings.temperature, scale, settings.spread, seed)
        self.searching = True
        self.averaging = False  # whether batch norms average over the batches since the switch

    def attach(self, network: Network, steps: int, average_from: int | None = None) -> None:
        """Put gates before the weights, unless a checkpoint says that the search is over."""
        self.settings.check_average(steps, average_from or steps)
        self.network = network
        self.search_steps = self.settings.search_steps(steps)
        if self.searching:
            self.gates.put_before(network)
            for phi in self.gates.phi.values():
                phi.requires_grad_(not self.settings.frozen)
        else:
            self._average_norms(self.averaging)
            self.replace(self.masks)

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

    def trained(self) -> list[nn.Parameter]:
        """Phi, as long as the mask is searched and learnt."""
        return [] if self.settings.frozen else list(self.gates.phi.values())

    def groups(self) -> list[Group]:
        """Phi at a constant rate."""
        phi, settings = tuple(self.trained()), self.settings
        lr = settings.lr or settings.reach / self.search_steps
        return [Group(PHI, phi, lr, 0.0, settings.clip, scheduled=False)] if phi else []

    def penalty(self) -> dict[str, Tensor]:
        """The push on all gates."""
        if not self.searching or self.settings.frozen:
            return {}
        total = self.gates.sum_of_phi() if self.settings.penalty == "phi" else self.gates.sum_of_gates()
        return {"penalty": self.settings.penalty_weight * total}

    def before_update(self, update: int, optimizer: Optimizer) -> bool:
        """Follow the schedule; before the first update after the search, switch."""
        if self.searching and update < self.search_steps:
            self.gates.temperature = self.temperature(update)
            if self.settings.sparsity is not None and update % max(1, self.search_steps // LOOKS) == 0:
                self.gates.place_threshold(self.settings.sparsity)
            return False
        if self.searching:
            self.switch(optimizer)
            return True
        if self.averaging and int(self._counters()[0]) >= self.settings.norm_batches:
            self._average_norms(False)
        return False

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
        self._forget_phi(optimizer)
        self.gates.take_away()
        self.searching = False
        for counter in self._counters():
            counter.zero_()
        self._average_norms(self.settings.norm_batches > 0)
        if sparse:
            self.replace(masks, optimizer)

    def _forget_phi(self, optimizer: Optimizer | None) -> None:
        if optimizer is None:
            return
        for group in [group for group in optimizer.param_groups if group.get("name") == PHI]:
            optimizer.param_groups.remove(group)
            for phi in group["params"]:
                optimizer.state.pop(phi, None)

    def _norms(self) -> list[_BatchNorm]:
        return [module for module in self.network.modules() if isinstance(module, _BatchNorm)]

    def _counters(self) -> list[Tensor]:
        """How many batches each norm has counted."""
        return [norm.num_batches_tracked for norm in self._norms() if norm.num_batches_tracked is not None]

    def _average_norms(self, averaging: bool) -> None:
        """Without a momentum batch norms take the plain mean of all batches that they have counted."""
        self.averaging = averaging
        for norm in self._norms():
            norm.momentum = None if averaging else MOMENTUM

    def _first_values(self, name: str, weight: Tensor) -> Tensor:
        """Where the removed weights of a layer start again in a dense network."""
        if self.settings.restart == "zero":
            return torch.zeros_like(weight)
        if self.settings.restart == "stored":
            return weight
        bound = weight[0].numel() ** -0.5  # torch's own initial weights: uniform, by the number of inputs
        values = rng_for(self.seed, "fresh", name).uniform(-bound, bound, tuple(weight.shape))
        return torch.from_numpy(values).to(weight)

    def state_dict(self) -> dict[str, Any]:
        """The search, or what came out of it."""
        return super().state_dict() | {
            "searching": self.searching,
            "averaging": self.averaging,
            "temperature": self.gates.temperature,
            "threshold": self.gates.threshold,
            "phi": {name: phi.detach() for name, phi in self.gates.phi.items()},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """The state of a checkpoint, before the method is attached."""
        super().load_state_dict(state)
        self.searching, self.averaging = state["searching"], state["averaging"]
        self.gates.temperature, self.gates.threshold = state["temperature"], state["threshold"]
        self.gates.phi = {name: nn.Parameter(phi) for name, phi in state["phi"].items()}

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
