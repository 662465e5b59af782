"""How dense each layer of a sparse network should be: Erdos-Renyi-Kernel (arXiv 1911.11134), for any kernel."""

from __future__ import annotations

import math
from collections.abc import Mapping

from torch import Size


def erk(shapes: Mapping[str, Size], density: float) -> dict[str, float]:
    """The density of each layer, so that together they keep a fraction `density` of all weights.

    A layer is as dense as the sum of its dimensions over their product, the kernel's dimensions among them, times one
    factor for the network: small layers stay denser. Where that says more than 1 for a layer, it is dense, and the
    factor is found again for the others; if for several, the one it exceeds most comes first.
    """
    raw = {name: sum(shape) / math.prod(shape) for name, shape in shapes.items()}
    sizes = {name: math.prod(shape) for name, shape in shapes.items()}
    wanted = density * sum(sizes.values())
    dense: set[str] = set()
    while len(dense) < len(shapes):
        rest = [name for name in shapes if name not in dense]
        left = wanted - sum(sizes[name] for name in dense)
        factor = left / sum(sizes[name] * raw[name] for name in rest)
        largest = max(raw[name] for name in rest)
        if factor * largest <= 1:
            return {name: 1.0 if name in dense else factor * raw[name] for name in shapes}
        dense |= {name for name in rest if raw[name] == largest}
    return dict.fromkeys(shapes, 1.0)
