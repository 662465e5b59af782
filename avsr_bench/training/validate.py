"""Validation: now and then the loss and the WER of clips that are not trained on, by the best token in each frame."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from lightning.fabric import Fabric

from .. import scoring
from ..decoding import DecodeSettings
from ..evaluation import Reader, score_batch
from ..nn import Batch, joint_loss
from ..objectives import Recognise
from ..text import Tokenizer
from .machine import in_precision
from .variation import Variation

GREEDY = DecodeSettings(kind="ctc")


@torch.no_grad()
def validate(
    objective: Recognise,
    batches: Iterable[tuple[Batch, Sequence[str]]],  # with their transcripts
    tokenizer: Tokenizer,
    fabric: Fabric,
    bf16: bool,
) -> dict[str, float]:
    """Loss a clip, the metrics that the objective is judged by, and how far the encoders tell frames apart.

    The sums of all ranks are added up.
    """
    network = objective.network
    reader = Reader("validation", network, tokenizer, GREEDY)
    network.eval()
    variation = Variation(network)
    sums = torch.zeros(2 + 2 * len(objective.metrics), dtype=torch.float64)  # clips, loss, parts of each metric
    for batch, transcripts in batches:
        batch = batch.to(fabric.device)
        with in_precision(fabric.device, bf16):
            with variation.watch(batch.lengths):
                memory, lengths = network.encode(batch.inputs, batch.lengths)
            answers = network.answers(memory, lengths, batch.tokens, objective.loss.ctc < 1)
            losses = joint_loss(answers, batch.tokens, objective.loss)
        total = scoring.total(score_batch(reader, memory, lengths, batch.keys, transcripts))
        parts = [part for name in objective.metrics for part in (total[name].errors, total[name].length)]
        loss = float(losses.clips.double().sum())
        sums += torch.tensor([len(transcripts), loss, *parts], dtype=torch.float64)
    network.train()
    of_all = fabric.all_reduce(sums.to(fabric.device, torch.float32), reduce_op="sum")
    assert isinstance(of_all, torch.Tensor)
    clips, loss, *counts = of_all.tolist()
    pairs = zip(objective.metrics, counts[::2], counts[1::2], strict=True)
    rates = {name: errors / max(length, 1) for name, errors, length in pairs}
    ratios = {f"varies/{place}": ratio for place, ratio in variation.ratios(fabric).items()}
    return {"loss": loss / max(clips, 1), **rates, **ratios}
