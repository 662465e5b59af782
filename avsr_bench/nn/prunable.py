"""Which weights sparsity is about: one rule, shared by every method and every count."""

from __future__ import annotations

from torch import nn


def prunable(network: nn.Module) -> dict[str, nn.Parameter]:
    """The weights of every convolution and linear layer by name, the output layers among them.

    Not the token embedding, biases, norms, LayerScale or the biases of relative attention: so counted, 10 to 90 % of
    BASE-L and 20 and 50 % of BASE-S give the parameters of the SparseVSR paper's Table 1 (arXiv 2307.04552) to 0.1 M.
    """
    kinds = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
    layers = (name for name, module in network.named_modules() if isinstance(module, kinds))
    return {f"{name}.weight": network.get_parameter(f"{name}.weight") for name in layers}
