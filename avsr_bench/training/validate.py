"""Validation: now and then the loss and the WER of clips that are not trained on, by the best token in each frame."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor

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
    batches: Iterable[tuple[tuple[Batch, ...], Sequence[str]]],  # every view of some clips, with their transcripts
    tokenizer: Tokenizer | None,  # none where nothing is read
    fabric: Fabric,
    bf16: bool,
) -> dict[str, float]:
    """Loss a clip, the metrics that the objective is judged by, and how far the encoders tell frames apart.

    A figure that the objective or a recogniser before has too has the recogniser's name: `wer/audio`. Clips without
    text have no figures but the objective's own.

    The sums of all ranks are added up.
    """
    objective.eval()
    recognisers = objective.recognisers()
    readers = {}
    for name, network in recognisers.items():
        assert tokenizer is not None
        readers[name] = Reader("validation", network, tokenizer, GREEDY)
    variation = Variation(objective.network)
    width = 2 + 2 * len(objective.metrics)  # clips, loss, parts of each metric
    sums = torch.zeros(len(readers), width, dtype=torch.float64)
    own = torch.zeros(1 + len(objective.figures), dtype=torch.float64)  # clips, and of the objective's figures the sums
    for views, transcripts in batches:
        views = tuple(view.to(fabric.device) for view in views)
        batch = views[0]
        with in_precision(fabric.device, bf16), variation.watch(batch.lengths):
            figures = objective.validation_figures(views)
        own += torch.tensor([len(batch.lengths), *(float(figures[name].double().sum()) for name in objective.figures)])
        spoken = torch.tensor([bool(text.strip()) for text in transcripts], device=fabric.device)
        if not spoken.any():
            continue
        for row, reader in zip(sums, readers.values(), strict=True):
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
    clips, *figures_of_all = added_up(fabric, own)
    found = {name: total / clips for name, total in zip(objective.figures, figures_of_all, strict=True)}
    for name, (read, loss, *counts) in zip(readers, added_up(fabric, sums), strict=True):
        pairs = zip(objective.metrics, counts[::2], counts[1::2], strict=True)
        of_reader = {"loss": loss / read} if read else {}
        of_reader |= {metric: errors / length for metric, errors, length in pairs if length}
        found |= {f"{figure}/{name}" if figure in found else figure: value for figure, value in of_reader.items()}
    ratios = {f"varies/{place}": ratio for place, ratio in variation.ratios(fabric).items()}
    return found | ratios


def added_up(fabric: Fabric, sums: Tensor) -> Any:
    """The sums of all ranks together, as plain numbers."""
    of_all = fabric.all_reduce(sums.to(fabric.device, torch.float32), reduce_op="sum")
    assert isinstance(of_all, Tensor)
    return of_all.tolist()
