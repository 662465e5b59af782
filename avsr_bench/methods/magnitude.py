"""Magnitude pruning: the smallest weights go, before the first update, and stay away. SparseVSR is rounds of it."""

from __future__ import annotations

from dataclasses import dataclass

from ..nn import Network, prunable
from ..records import PartOfAll, Refused
from .masked import Masked
from .masks import Masks, Scope, magnitude, size


@dataclass(frozen=True, slots=True)
class MagnitudeSettings:
    """How much goes, and among which weights the smallest are looked for."""

    sparsity: PartOfAll = 0.5  # fraction of the prunable weights that are removed when the run is over
    scope: Scope = "global"  # layer: the same fraction of each layer


class Magnitude(Masked):
    """Prunes once, from the weights that the run begins with; the run then trains what is left.

    Learning-rate rewinding (arXiv 2003.02389), as in SparseVSR, is such a run after another, each from the last weights
    of the one before and with the schedule restarted. What an earlier run removed is zero, nothing is smaller, and so
    it stays removed.
    """

    def __init__(self, settings: MagnitudeSettings) -> None:
        super().__init__()
        self.settings = settings

    def first_masks(self, network: Network, steps: int) -> Masks:
        """The largest weights of the network as it is."""
        weights, sparsity = prunable(network), self.settings.sparsity
        zeros = sum(int((weight == 0).sum()) for weight in weights.values())
        masks = magnitude(weights, sparsity, self.settings.scope)
        if zeros > 1e-4 * size(masks) and any(bool((weights[name] == 0)[mask].any()) for name, mask in masks.items()):
            raise Refused(
                f"method.sparsity={sparsity:g} would let removed weights grow again: of those it starts from "
                f"{zeros / size(masks):.1%} are removed. Ask for more, or start from a dense network"
            )
        return masks
