"""How far the encoder tells one frame from another: the deviation of its stream against its mean, block by block.

Near 0 every frame of every clip looks alike, which is the plateau that training begins with: the loss falls, since the
heads learn how often each token comes, and nothing is read. The ratio compares across blocks and systems, which the
norm of a gradient does not: that carries the scale of the weights it has passed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from ..nn import Enhancer, Network, Unified
from ..nn.layers import length_mask

CONSTANT = 0.1  # below it the line of a run says that the output is constant


class Variation:
    """Sums over valid frames at every place of the encoders, which add up over batches and ranks."""

    def __init__(self, network: Network) -> None:
        self.places: dict[str, nn.Module] = {}
        encoders: dict[str, Any] = {}  # an enhancer has none
        if isinstance(network, Unified):
            encoders = {"all": network}
        elif not isinstance(network, Enhancer):
            encoders = dict(network.encoders.items())
        for modality, encoder in encoders.items():
            for number, block in enumerate(encoder.blocks, start=1):
                self.places[f"{modality}/block-{number:02d}"] = block
            self.places[f"{modality}/output"] = encoder.norm
        # Of each place: frames, the sum of squares, the sum of each channel.
        self.sums = torch.zeros(len(self.places), 2 + network.settings.width, dtype=torch.float64)

    @contextmanager
    def watch(self, lengths: Tensor) -> Iterator[None]:
        """Look at what passes through the encoders while they read clips of these lengths."""
        places = enumerate(self.places.values())
        hooks = [module.register_forward_hook(partial(self._add, place, lengths)) for place, module in places]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def _add(self, place: int, lengths: Tensor, module: nn.Module, inputs: object, stream: Tensor) -> None:
        of_views = lengths.repeat(len(stream) // len(lengths))  # a unified network is shown clips one way after another
        frames = stream[length_mask(of_views, stream.shape[1])].float()  # N, D
        sums = torch.cat((frames.new_tensor([len(frames)]), frames.square().sum()[None], frames.sum(0)))
        self.sums[place] += sums.cpu()

    def ratios(self, fabric: Fabric) -> dict[str, float]:
        """Deviation over all frames of all ranks, as a fraction of the length of their mean; none of no frames."""
        of_all = fabric.all_reduce(self.sums.to(fabric.device, torch.float32), reduce_op="sum")
        assert isinstance(of_all, Tensor)
        frames, squares, channels = of_all[:, 0], of_all[:, 1], of_all[:, 2:]
        if not frames.all():
            return {}
        means = (channels / frames[:, None]).square().sum(1)
        ratios = ((squares / frames - means).clamp(min=0) / means.clamp(min=1e-12)).sqrt()
        return dict(zip(self.places, ratios.tolist(), strict=True))
