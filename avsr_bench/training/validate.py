"""Now and then a look at clips that are not trained on: their loss, and the WER of the best token in each frame."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from .. import decoding, scoring
from ..decoding import DecodeSettings
from ..nn import Batch
from ..text import Tokenizer
from .module import Recogniser
from .report import Report


class Validation(Callback):
    """After every `every` updates, and after the last: each rank looks at its batches, the counts are added up."""

    def __init__(
        self, batches: Callable[[], Iterable[Batch]], tokenizer: Tokenizer, every: int, report: Report
    ) -> None:
        self.batches, self.tokenizer, self.every, self.report = batches, tokenizer, every, report
        self.done = 0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """What a checkpoint has behind it was looked at."""
        self.done = trainer.global_step

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        """Look, where it is time to."""
        assert isinstance(pl_module, Recogniser)
        step = trainer.global_step
        if step == self.done or (step % self.every and step != pl_module.steps):
            return
        self.done = step
        self.report.extra = self.look(trainer, pl_module)

    @torch.no_grad()
    def look(self, trainer: Trainer, module: Recogniser) -> dict[str, float]:
        """Loss a clip and word error rate over all batches of all ranks."""
        network, device = module.network, module.device
        network.eval()
        greedy = DecodeSettings(kind="ctc")
        sums = torch.zeros(4, dtype=torch.float64)  # clips, loss, errors, words
        for batch in self.batches():
            batch = batch.to(device)
            with trainer.precision_plugin.forward_context():
                memory, lengths = network.encode(batch.inputs, batch.lengths)
                losses = network.losses(memory, lengths, batch.tokens, module.loss_settings)
            best = decoding.decode(network, memory.float(), lengths, greedy)
            for row, hypotheses in zip(batch.tokens, best, strict=True):
                said = self.tokenizer.decode(token for token in row.tolist() if token >= 0)
                edits = scoring.count(said.split(), self.tokenizer.decode(hypotheses[0].tokens).split())
                sums += torch.tensor([1.0, 0.0, edits.errors, edits.length], dtype=torch.float64)
            sums[1] += losses.clips.double().sum().cpu()
        network.train()
        total = trainer.strategy.reduce(sums.to(device, torch.float32), reduce_op="sum").tolist()
        clips, loss, errors, words = total
        return {"loss": loss / max(clips, 1), "wer": errors / max(words, 1)}
