"""Validation: now and then the loss and the WER of clips that are not trained on, by the best token in each frame."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from lightning.fabric import Fabric

from .. import decoding, scoring
from ..decoding import DecodeSettings
from ..nn import Batch, joint_loss
from ..objectives import Recognise
from ..text import Tokenizer
from .machine import in_precision

GREEDY = DecodeSettings(kind="ctc")


@torch.no_grad()
def validate(
    objective: Recognise, batches: Iterable[Batch], tokenizer: Tokenizer, fabric: Fabric, bf16: bool
) -> dict[str, float]:
    """Loss a clip and word error rate; each rank validates its batches, and the counts are added up."""
    network = objective.network
    network.eval()
    sums = torch.zeros(4, dtype=torch.float64)  # clips, loss, errors, words
    for batch in batches:
        batch = batch.to(fabric.device)
        with in_precision(fabric.device, bf16):
            memory, lengths = network.encode(batch.inputs, batch.lengths)
            answers = network.answers(memory, lengths, batch.tokens, objective.loss.ctc < 1)
            losses = joint_loss(answers, batch.tokens, objective.loss)
        best = decoding.decode(network, memory.float(), lengths, GREEDY)
        for row, hypotheses in zip(batch.tokens, best, strict=True):
            said = tokenizer.decode(token for token in row.tolist() if token >= 0)
            edits = scoring.count(said.split(), tokenizer.decode(hypotheses[0].tokens).split())
            sums += torch.tensor([1.0, 0.0, edits.errors, edits.length], dtype=torch.float64)
        sums[1] += losses.clips.double().sum().cpu()
    network.train()
    total = fabric.all_reduce(sums.to(fabric.device, torch.float32), reduce_op="sum")
    assert isinstance(total, torch.Tensor)
    clips, loss, errors, words = total.tolist()
    return {"loss": loss / max(clips, 1), "wer": errors / max(words, 1)}
