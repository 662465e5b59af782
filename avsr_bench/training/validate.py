"""Validation: now and then the loss and the WER of clips that are not trained on, by the best token in each frame."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from lightning.fabric import Fabric

from .. import scoring
from ..decoding import DecodeSettings
from ..evaluation import Reader, score_batch
from ..nn import Batch, joint_loss
from ..objectives import Objective
from ..text import Tokenizer
from .machine import in_precision
from .variation import Variation

GREEDY = DecodeSettings(kind="ctc")


@torch.no_grad()
def validate(
    objective: Objective,
    batches: Iterable[tuple[Batch, Sequence[str]]],  # with their transcripts
    tokenizer: Tokenizer,
    fabric: Fabric,
    bf16: bool,
) -> dict[str, float]:
    """Loss a clip, the metrics that the objective is judged by, and how far the encoders tell frames apart.

    A figure that the objective or a recogniser before has too has the recogniser's name: `wer/audio`. Clips without
    text have no figure but the objective's own loss.

    The sums of all ranks are added up.
    """
    objective.eval()
    recognisers = objective.recognisers()
    readers = {name: Reader("validation", network, tokenizer, GREEDY) for name, network in recognisers.items()}
    variation = Variation(objective.network)
    width = 2 + 2 * len(objective.metrics)  # clips, loss, parts of each metric
    sums = torch.zeros(1 + len(readers), width, dtype=torch.float64)  # the objective's own go first
    for batch, transcripts in batches:
        batch = batch.to(fabric.device)
        with in_precision(fabric.device, bf16), variation.watch(batch.lengths):
            own = objective.validation_losses(batch)
        if own is not None:
            sums[0, :2] += torch.tensor([len(own), float(own.double().sum())], dtype=torch.float64)
        spoken = torch.tensor([bool(text.strip()) for text in transcripts], device=fabric.device)
        if not spoken.any():
            continue
        for row, reader in zip(sums[1:], readers.values(), strict=True):
            network = reader.network
            with in_precision(fabric.device, bf16):
                with variation.watch(batch.lengths):
                    memory, lengths = network.encode(batch.seen_as(network.modality).inputs, batch.lengths)
                answers = network.answers(memory, lengths, batch.tokens, objective.loss.ctc < 1)
                losses = joint_loss(answers, batch.tokens, objective.loss)
            scores = score_batch(reader, memory, lengths, batch.keys, transcripts)
            total = scoring.total(score for score, text in zip(scores, transcripts, strict=True) if text.strip())
            parts = [part for name in objective.metrics for part in (total[name].errors, total[name].length)]
            loss = float(losses.clips[spoken].double().sum())
            row += torch.tensor([int(spoken.sum()), loss, *parts], dtype=torch.float64)
    objective.train()
    of_all = fabric.all_reduce(sums.to(fabric.device, torch.float32), reduce_op="sum")
    assert isinstance(of_all, torch.Tensor)
    found: dict[str, float] = {}
    for name, (clips, loss, *counts) in zip(("", *readers), of_all.tolist(), strict=True):
        pairs = zip(objective.metrics, counts[::2], counts[1::2], strict=True)
        figures = {"loss": loss / clips} if clips else {}
        figures |= {metric: errors / length for metric, errors, length in pairs if length}
        found |= {f"{figure}/{name}" if figure in found else figure: value for figure, value in figures.items()}
    ratios = {f"varies/{place}": ratio for place, ratio in variation.ratios(fabric).items()}
    return found | ratios
