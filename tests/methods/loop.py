"""What the tests of methods share: a network of 14,000 weights, batches of noise, and a real Lightning loop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import DataLoader

from avsr_bench.methods.method import Method
from avsr_bench.nn import AVSR, Batch, FrontendSettings, LossSettings, NetworkSettings

LOSS = LossSettings(ctc=0.3)
NARROW = FrontendSettings(channels=(4, 6, 8, 10), blocks=1, stem=(3, 3, 3))
SETTINGS = NetworkSettings(
    mouth=16,
    video=NARROW,
    audio=NARROW,
    width=16,
    heads=2,
    feed_forward=24,
    kernel=5,
    encoder_blocks=2,
    decoder_blocks=1,
)


def make_network(seed: int = 1, **changes: Any) -> AVSR:
    """A small network that reads video, with first weights of its own for each seed."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return AVSR("video", replace(SETTINGS, **changes), 12)


def make_batches(count: int) -> list[Batch]:
    """Different batches of three clips of noise, with transcripts of two to four tokens."""
    noise = torch.Generator().manual_seed(2)
    tokens = torch.tensor([[3, 5, 5, 1], [7, 2, -1, -1], [4, 4, 9, -1]])
    return [
        Batch(torch.tensor([9, 6, 7]), tokens, torch.randn(3, 9, 16, 16, generator=noise), keys=("a", "b", "c"))
        for _ in range(count)
    ]


class Recogniser(LightningModule):
    """Trains a network with a method as the real one does, and keeps what each update logged."""

    def __init__(self, network: AVSR, method: Method, batches: Sequence[Batch], clip: float) -> None:
        super().__init__()
        self.network, self.method, self.batches, self.clip = network, method, batches, clip
        self.losses: list[dict[str, float]] = []

    def training_step(self, _: Tensor, index: int) -> Tensor:
        number = self.trainer.fit_loop.total_batch_idx
        torch.manual_seed(number)  # dropout, the same again in a resumed run
        batch = self.batches[(number * self.trainer.world_size + self.trainer.global_rank) % len(self.batches)]
        losses, added = self.method.loss(self.network, batch.to(self.device), LOSS)
        self.losses.append({"loss": losses.total.item()} | {name: value.item() for name, value in added.items()})
        return losses.total + sum(added.values())

    def configure_optimizers(self) -> Any:
        groups = [{"params": list(self.network.parameters())}, *self.method.parameter_groups(self.network)]
        optimizer = AdamW(groups, lr=1e-2, betas=(0.9, 0.98), weight_decay=0.03, fused=True)
        schedule = LambdaLR(optimizer, lambda step: 1 / (1 + 0.1 * step))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def configure_gradient_clipping(self, optimizer: Optimizer, *_: Any, **__: Any) -> None:
        torch.nn.utils.clip_grad_norm_(optimizer.param_groups[0]["params"], self.clip)


class Watch(Callback):
    """Calls a function after every batch, and saves the run after some updates."""

    def __init__(self, look: Callable[[Trainer], None] | None, save: dict[int, Path]) -> None:
        self.look, self.save = look, dict(save)

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        if self.look is not None:
            self.look(trainer)
        if trainer.global_step in self.save:
            trainer.save_checkpoint(self.save.pop(trainer.global_step))


def fit(
    network: AVSR,
    method: Method,
    steps: int,
    *,
    batches: Sequence[Batch] | None = None,
    look: Callable[[Trainer], None] | None = None,
    save: dict[int, Path] | None = None,
    resume: Path | None = None,
    clip: float = 1.0,
    **trainer: Any,
) -> Trainer:
    """Attach a method and train `steps` updates; `save` names files for checkpoints by update."""
    method.attach(network, steps)
    settings = {
        "max_steps": steps,
        "max_epochs": -1,
        "accelerator": "cpu",
        "devices": 1,
        "callbacks": [method, Watch(look, save or {})],
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "num_sanity_val_steps": 0,
    }
    run = Trainer(**settings | trainer)
    data = DataLoader(torch.arange(4), batch_size=None)  # type: ignore[arg-type]  # what is in it, the module knows
    module = Recogniser(network, method, batches or make_batches(4), clip)
    run.fit(module, data, ckpt_path=resume, weights_only=True if resume else None)
    return run


def moments(trainer: Trainer, network: AVSR, name: str) -> list[Tensor]:
    """What the optimiser remembers of each single weight of a layer."""
    weight = network.get_parameter(name)
    state = trainer.optimizers[0].state[weight]
    return [of for of in state.values() if isinstance(of, Tensor) and of.shape == weight.shape]
