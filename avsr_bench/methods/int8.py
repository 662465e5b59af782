"""Quantisation-aware training: layers compute with weights of 8 bits, and learn to live with them.

Uniform and symmetric, by torchao, with one scale for each row of a linear layer and each output channel of a
convolution; activations stay as they are. The 8-bit row of SparseVSR's Table 1 quantises non-uniformly (arXiv
2307.04552, after Gui et al. 2019): this one is ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from ..nn import Network, prunable
from ..records import Refused
from .method import Method
from .weight_override import override_weight


@dataclass(frozen=True, slots=True)
class Int8Settings:
    """Nothing to set: 8 bits, from the first update to the last."""


class Int8(Method):
    """Weights are rounded each time a layer computes; gradients go to the weights themselves as if they were not."""

    def __init__(self, settings: Int8Settings) -> None:
        try:
            from torchao.quantization.qat import IntxFakeQuantizeConfig, IntxFakeQuantizer
        except ImportError:
            raise Refused("int8 needs torchao: pip install 'avsr-bench[int8]'") from None
        self.quantizer = IntxFakeQuantizer(IntxFakeQuantizeConfig(torch.int8, "per_channel", is_symmetric=True))

    def rounded(self, weight: Tensor) -> Tensor:
        """A weight with at most 256 evenly spaced values in a row, which is what makes one output; kernels lie flat."""
        rows: Tensor = self.quantizer(weight.flatten(1))
        return rows.view_as(weight)

    def attach(self, network: Network, steps: int, average_from: int | None = None) -> None:
        """Let rounded weights stand in for those of every linear layer and every convolution."""
        self.names = list(prunable(network))
        for name in self.names:
            override_weight(network.get_submodule(name.removesuffix(".weight")), self.rounded)

    @torch.no_grad()
    def settled(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """`weights`, those of linear layers and convolutions rounded."""
        return dict(weights) | {name: self.rounded(weights[name]) for name in self.names}
