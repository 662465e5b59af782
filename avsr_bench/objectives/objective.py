"""What is learnt in training, and with which helpers: one module with one forward pass an update."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from ..nn import Batch, Discriminators, Group, LossSettings, Network, Recogniser

Batches = Mapping[str, tuple[Batch, ...]]  # of each stream one batch a view


class Objective(nn.Module):
    """Holds what is trained, what is frozen, and what follows as a moving average.

    The loop calls `forward` once a batch, through DDP where there are several ranks, and `after_update` after each
    update. What is frozen has `requires_grad=False`; DDP neither averages nor broadcasts it.
    """

    network: Network  # the method acts on this one, and its mean over the last snapshots is saved
    loss: LossSettings
    metrics: tuple[str, ...] = ("wer",)  # what it is judged by, the first above all
    figures: tuple[str, ...] = ()  # of validation clips, beside those of the recognisers on transcripts
    frozen: tuple[str, ...] = ()  # names of submodules that an update of the network leaves as they are
    contest: tuple[Tensor, Tensor]  # what the network made last, without gradient, and what is real: for an opponent

    def forward(self, batches: Batches) -> dict[str, Tensor]:
        """Losses by name: `total` is what gradients are taken of; `clips` has the loss of each clip, without gradient.

        All others are scalars for people.
        """
        raise NotImplementedError

    def recognisers(self) -> dict[str, Recogniser]:
        """What reads validation clips that have text, by name; the objective is judged by the first."""
        return {}

    def validation_figures(self, views: tuple[Batch, ...]) -> dict[str, Tensor]:
        """The `figures` of each validation clip (B)."""
        return {}

    def groups(self) -> list[Group]:
        """What is trained."""
        return [Group("network", tuple(p for p in self.network.parameters() if p.requires_grad))]

    def opponent(self) -> tuple[Discriminators, float] | None:
        """What learns to tell that which the network makes from what is real, at its highest rate.

        It is frozen in an update of the network, and has a step of its own after each (`training.adversary`).
        """
        return None

    def after_update(self, progress: float) -> None:
        """Let moving averages follow the update that was just taken; `progress` goes from 0 to 1 with the last one."""

    def remarks(self, epoch: int) -> list[str]:
        """What people should be told after an update, the next of which is in this epoch; next to never anything."""
        return []

    def frames(self, batches: Batches) -> tuple[Tensor, Tensor]:
        """Valid frames that go through trained networks, and those that go through frozen ones beside them."""
        trained = torch.stack([batch.lengths.sum() for views in batches.values() for batch in views]).sum()
        return trained, torch.zeros_like(trained)

    def kept(self) -> dict[str, Tensor]:
        """The state that a checkpoint holds: all but what is frozen, which comes from elsewhere."""
        return {name: of for name, of in self.state_dict().items() if not self.is_frozen(name)}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Take the state of a checkpoint."""
        unlike = self.load_state_dict(dict(state), strict=False)
        missing = [name for name in unlike.missing_keys if not self.is_frozen(name)]
        if missing or unlike.unexpected_keys:
            raise ValueError(f"state without {missing[:1]} or with {unlike.unexpected_keys[:1]}")

    def is_frozen(self, name: str) -> bool:
        """Whether a parameter or buffer belongs to a frozen part."""
        return name.startswith(tuple(f"{part}." for part in self.frozen))
