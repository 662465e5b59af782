"""Sparse from scratch: systems whose masks change while the network trains, and the one whose masks do not.

`gmp` removes more and more weights; `granet` does so and lets removed ones come back; `set` and `rigl` start sparse and
exchange weights inside each layer, by chance or by gradient; `chase` exchanges them over the whole network and takes
away whole channels; `static-erk` keeps the masks it has drawn. Their recipes say what is from papers and what is ours.

All change masks at one moment: the gradients of a step are there (averaged over ranks, not yet clipped) and the step is
not yet taken. A weight that comes back sits out this step, at zero and with nothing in the optimiser's memory, and
moves from the next gradient on. RigL's own program takes no gradient step at all where it changes masks, those of
GraNet and Chase change them after it; here the weights that stay take it, and what goes is chosen before it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import torch
from annotated_types import Interval
from torch import Tensor
from torch.optim import Optimizer

from ..nn import Network, prunable
from ..records import Fraction, Misused, PartOfAll, Refused
from .channels import Alive, all_alive, allowed, find_groups, remove_weakest, strengths
from .erk import erk
from .masked import Masked
from .masks import Masks, draw, kept, size
from .updates import chance, cosine, cubic, grow, prune, rewire, strength, window

Updates = Annotated[int, Interval(ge=1, le=10**4)]


def check_gradients(gradients: int, every: int) -> None:
    """Refuse to add up gradients from before the last change of masks: they are those of another network."""
    if gradients > every:
        raise Misused(f"gradients={gradients} must not be more than every={every}")


@dataclass(frozen=True)
class StaticErkSettings:
    """Random masks with the densities of Erdős-Rényi-Kernel, drawn once."""

    sparsity: PartOfAll = 0.5  # fraction of the prunable weights that are zero when the run is over: ours


@dataclass(frozen=True)
class DynamicSettings(StaticErkSettings):
    """When masks change. The steps are the optimiser's."""

    every: Annotated[int, Interval(ge=1, le=10**8)] = 100  # steps from one update to the next
    start: Fraction = 0.0  # fraction of the run before the first update
    stop: Fraction = 0.75  # fraction of the run at which updates end

    def __post_init__(self) -> None:
        if self.start >= self.stop:
            raise Misused(f"start={self.start} must lie before stop={self.stop}")

    def check_average(self, steps: int, average_from: int) -> None:
        """Refuse a schedule that ends while snapshots are averaged: a weight of k in n would be saved at k / n."""
        if round(self.stop * steps) > average_from:
            raise Refused(
                f"method.stop={self.stop:g} is too late: masks would change while the snapshots are taken whose mean"
                f" the run leaves behind, in its last {1 - average_from / steps:.1%}. Set method.stop lower, or"
                " train.average=1"
            )


@dataclass(frozen=True)
class SetSettings(DynamicSettings):
    """Sparse evolutionary training (arXiv 1707.04780) as in RigL's repository: dropped by magnitude, ever fewer.

    SET itself drops 0.3 each epoch, of positive and of negative weights alike. `every` is RigL's, and so about `stop`:
    25,000 of 32,000 steps there, 0.75 here.
    """

    drop: Fraction = 0.3  # fraction of each layer's weights exchanged at first (both papers); to 0 along half a cosine


@dataclass(frozen=True)
class RiglSettings(SetSettings):
    """RigL (arXiv 1911.11134)."""

    # Last updates whose gradients are added up for growth; 1: that of the update in which masks change, as published.
    gradients: Updates = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        check_gradients(self.gradients, self.every)


@dataclass(frozen=True)
class GmpSettings(DynamicSettings):
    """Gradual magnitude pruning (arXiv 1710.01878) of the whole network together, as in GraNet's repository."""

    every: Annotated[int, Interval(ge=1, le=10**8)] = 1000  # GraNet's repository, CIFAR; 4,000 on ImageNet
    stop: Fraction = 0.67  # the wanted sparsity is reached: ours, 50 of 75 epochs; GraNet's repository: 110 of 160


@dataclass(frozen=True)
class GranetSettings(GmpSettings):
    """GraNet (arXiv 2106.10404) from a dense start. It exchanges weights until snapshots are averaged."""

    drop: Fraction = 0.5  # fraction of each layer's weights exchanged at first, beside the pruning ...
    drop_last: Fraction = 0.005  # ... and when exchanges end, along half a cosine
    gradients: Updates = 1  # as RigL's

    def __post_init__(self) -> None:
        super().__post_init__()
        check_gradients(self.gradients, self.every)


@dataclass(frozen=True)
class ChaseSettings(GranetSettings):
    """Chase (arXiv 2305.19454). Before `stop` growth is bound softly, after it weights are exchanged.

    `drop` is what would be exchanged in the first step: it falls over the whole run, and only its end is used.
    """

    # Not at 0, as in Chase's repository: the warm-up of the published training, before which no channel is known.
    start: Fraction = 5 / 75
    stop: Fraction = 0.8  # from here on the bound is hard and all channels to go are gone: 80 of 100 epochs, ImageNet
    # Share of all weights that growth may at first add to the wanted ones; to 0 along half a cosine.
    soft: Fraction = 0.05
    channels: Fraction = 0.3  # fraction of inner channels removed, along GMP's cubic: ImageNet 0.3 and 0.4, CIFAR 0.5
    least: Fraction = 0.5  # each branch keeps at least this fraction of what it would if all lost alike (ResNet-50)


class StaticErk(Masked):
    """Sparse from the first step to the last in the same places."""

    settings: StaticErkSettings

    def __init__(self, settings: StaticErkSettings, seed: int = 0) -> None:
        super().__init__()
        self.settings, self.seed = settings, seed

    def first_masks(self, network: Network, steps: int) -> Masks:
        """Random weights of each layer, as many as its ERK density says."""
        shapes = {name: weight.shape for name, weight in prunable(network).items()}
        return draw(shapes, erk(shapes, 1 - self.settings.sparsity), self.seed)


class Dynamic(StaticErk, ABC):
    """Masks that change: a subclass says how."""

    settings: DynamicSettings
    goes_on = False  # whether weights are exchanged after `stop`

    def __init__(self, settings: StaticErkSettings, seed: int = 0) -> None:
        super().__init__(settings, seed)
        self.gathered: dict[str, Tensor] = {}  # the sum of gradients of the updates before the one that changes masks

    @property
    def counted(self) -> int:
        """Of how many last updates the gradients count for growth; 0 where they do not."""
        return 0

    def attach(self, network: Network, steps: int, average_from: int | None = None) -> None:
        """Turn fractions of the run into steps."""
        settings, last = self.settings, average_from or steps
        settings.check_average(steps, last)
        self.window = window(steps, settings.start, settings.stop, settings.every, last if self.goes_on else None)
        super().attach(network, steps, average_from)
        self.gathered = {name: of.to(network.get_parameter(name).device) for name, of in self.gathered.items()}

    def scores(self, step: int, gradients: dict[str, Tensor]) -> dict[str, Tensor]:
        """What removed weights come back by, of gradients that are there for all weights."""
        return strength(gradients)

    @abstractmethod
    def changes(self, step: int, scores: dict[str, Tensor]) -> Iterator[Masks]:
        """The masks of one update, one after the other where what the first removes loses its value."""

    def weights(self) -> dict[str, Tensor]:
        """The weights under the masks."""
        return {name: self.network.get_parameter(name).detach() for name in self.masks}

    def gradients(self) -> dict[str, Tensor]:
        """Their gradients, added to those that were gathered; zero where the loss does not see a layer.

        The sum, not that of magnitudes: its noise falls with the number of batches, and the gradient of all clips is
        what RigL means. Magnitudes of noise add up as fast as those of the gradient.
        """
        weights = {name: self.network.get_parameter(name) for name in self.masks}
        now = {name: torch.zeros_like(of) if of.grad is None else of.grad for name, of in weights.items()}
        return {name: self.gathered[name] + of for name, of in now.items()} if self.gathered else now

    def before_step(self, update: int, optimizer: Optimizer) -> None:
        """Change masks where it is time to; in any case take the gradients of removed weights away."""
        due, scores = self.window.due(update), {}
        gradients = self.gradients() if self.counted and self.window.due_soon(update, self.counted) else {}
        if due:
            scores, self.gathered = self.scores(update, gradients), {}
        elif gradients:
            self.gathered = {name: of.clone() for name, of in gradients.items()}  # what is left of them below is masked
        super().before_step(update, optimizer)  # what grows below has no gradient any more
        if due:
            for masks in self.changes(update, scores):
                self.replace(masks, optimizer)
                super().before_step(update, optimizer)

    def state_dict(self) -> dict[str, Any]:
        """The masks, and gradients that were gathered for their next change."""
        return super().state_dict() | {"gathered": dict(self.gathered)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Those of a checkpoint."""
        super().load_state_dict(state)
        self.gathered = dict(state.get("gathered", {}))


class Set(Dynamic):
    """Each layer keeps its count; weights grow anywhere, in the same places on all ranks."""

    settings: SetSettings

    def scores(self, step: int, gradients: dict[str, Tensor]) -> dict[str, Tensor]:
        """Chance."""
        return chance(self.masks, self.seed, step)

    def changes(self, step: int, scores: dict[str, Tensor]) -> Iterator[Masks]:
        """Exchange a fraction of each layer that falls to 0 at the end of the window."""
        share = cosine(self.settings.drop, 0.0, self.window.progress(step))
        yield rewire(self.weights(), self.masks, scores, share)


class Rigl(Set):
    """As SET, but weights grow where the dense gradient is largest."""

    settings: RiglSettings

    @property
    def counted(self) -> int:
        """As many as are set."""
        return self.settings.gradients

    def scores(self, step: int, gradients: dict[str, Tensor]) -> dict[str, Tensor]:
        """The dense gradient."""
        return strength(gradients)


class Gmp(Dynamic):
    """From dense to sparse; what is gone stays gone."""

    settings: GmpSettings

    def first_masks(self, network: Network, steps: int) -> Masks:
        """All weights."""
        return {name: torch.ones_like(weight, dtype=torch.bool) for name, weight in prunable(network).items()}

    def changes(self, step: int, scores: dict[str, Tensor]) -> Iterator[Masks]:
        """Keep as many of the largest weights as the schedule says."""
        density = 1 - cubic(0.0, self.settings.sparsity, self.window.progress(step))
        yield prune(self.weights(), self.masks, round(density * size(self.masks)))


class Granet(Gmp):
    """Gradual pruning with regrowth: after each pruning, and on from there, layers exchange weights as in RigL."""

    settings: GranetSettings
    goes_on = True

    @property
    def counted(self) -> int:
        """As many as are set."""
        return self.settings.gradients

    def changes(self, step: int, scores: dict[str, Tensor]) -> Iterator[Masks]:
        """Prune, then exchange."""
        if step <= self.window.stop:
            yield from super().changes(step, scores)
        if step < self.window.end:
            share = cosine(self.settings.drop, self.settings.drop_last, step / self.window.end)
            yield rewire(self.weights(), self.masks, scores, share)


class Chase(Dynamic):
    """The network keeps its count, the layers do not; weak channels are removed for good.

    Chase removes channels half an interval after it changes weights, and so falls below its count until the next
    change; here both happen together and the count is on its schedule after every update. Which channels of a
    Conformer can be removed is ours: `channels.py`. Where more channels are gone than the wanted number of weights has
    room for (`sparsity` below about 0.2 with the default `channels`), all that may exist do.
    """

    settings: ChaseSettings
    goes_on = True

    def __init__(self, settings: StaticErkSettings, seed: int = 0) -> None:
        super().__init__(settings, seed)
        self.alive: Alive = {}

    @property
    def counted(self) -> int:
        """As many as are set."""
        return self.settings.gradients

    def attach(self, network: Network, steps: int, average_from: int | None = None) -> None:
        """Find the channels; those that came with a checkpoint stay removed."""
        self.inner = find_groups(network)
        self.alive = self.alive or all_alive(self.inner)
        super().attach(network, steps, average_from)

    def changes(self, step: int, scores: dict[str, Tensor]) -> Iterator[Masks]:
        """Remove channels and the smallest weights, then grow where the gradient is largest, as far as the bound is."""
        settings, total = self.settings, size(self.masks)
        wanted = round((1 - settings.sparsity) * total)
        progress = self.window.progress(step)
        if step <= self.window.stop:
            self.remove_channels(progress)
            keep, soft = wanted, cosine(settings.soft, 0.0, progress)
        else:
            share = cosine(settings.drop, settings.drop_last, step / self.window.end)
            keep, soft = wanted - int(share * wanted), 0.0
        places = allowed(self.inner, self.alive, self.masks)
        yield prune(self.weights(), {name: mask & places[name] for name, mask in self.masks.items()}, keep)
        bound = min(wanted + round(soft * total), total)
        yield grow(scores, self.masks, bound - kept(self.masks), places)

    def remove_channels(self, progress: float) -> None:
        """As many as are to be gone by now, those that are weakest beside their neighbours."""
        gone = cubic(0.0, self.settings.channels, progress)
        keep = size(self.alive) - round(gone * size(self.alive))
        least = self.settings.least * (1 - self.settings.channels)
        self.alive = remove_weakest(self.alive, strengths(self.inner, self.weights()), keep, least)

    def state_dict(self) -> dict[str, Any]:
        """The channels too."""
        return super().state_dict() | {"channels": dict(self.alive)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Those of a checkpoint."""
        super().load_state_dict(state)
        self.alive = dict(state["channels"])

    def figures(self) -> dict[str, float]:
        """Beside the sparsity: the fraction of inner channels that are gone."""
        return super().figures() | {"sparsity/channels": 1 - kept(self.alive) / size(self.alive)}
