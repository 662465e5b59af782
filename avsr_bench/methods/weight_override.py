"""Let a layer compute with something made of its weight, while the weight stays what the network knows and saves."""

from __future__ import annotations

from collections.abc import Callable
from types import MethodType

from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.conv import _ConvNd


def override_weight(layer: nn.Module, make: Callable[[Tensor], Tensor]) -> None:
    """From now on a linear or convolutional layer computes with `make(weight)`.

    torch's parametrizations would do this too, but they rename the parameter: states before and after a switch would
    not load into each other, and whatever asks the network for its weights would have to know.
    """

    def forward(layer: nn.Module, x: Tensor) -> Tensor:
        if isinstance(layer, nn.Linear):
            return F.linear(x, make(layer.weight), layer.bias)
        assert isinstance(layer, _ConvNd)
        return layer._conv_forward(x, make(layer.weight), layer.bias)  # as torch's own QAT does

    layer.forward = MethodType(forward, layer)  # bound, so that a copy of the network has its own


def restore_weight(layer: nn.Module) -> None:
    """The layer computes with its weight again."""
    del layer.forward
