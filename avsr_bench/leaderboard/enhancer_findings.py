"""What a board of enhancers shows, in a sentence for each kind of sound, made of its numbers."""

from __future__ import annotations

from ..records import Refused
from ..scoring import WER, Comparison
from .boards import Key
from .comparisons import against, mean_of
from .enhancer_figures import name_of
from .enhancers import EnhancerBoard, ReadBy, noisy_wer
from .table import points

KINDS = 2  # that sentences are about


def enhancer_findings(board: EnhancerBoard) -> tuple[str, ...]:
    """Of the first kinds of sound, at the lowest ratio: whose output is read best, and how that compares."""
    said = []
    for where in board.noises[:1]:
        for kind, ratios in board.kinds(where).items():
            sentences = (_sentence(board, (where, kind, ratios[-1]), reader) for reader in board.readers)
            said += [sentence for sentence in sentences if sentence][:1]
    return tuple(said[:KINDS])


def _sentence(board: EnhancerBoard, key: Key, reader: ReadBy) -> str | None:
    """None where the noisy sound was not read, or hypotheses are missing."""
    where, kind, ratio = key
    noisy = noisy_wer(board, reader, key)
    models = [model for model in board.compared(WER, reader, where, kind) if model.have([key])] if where else []
    if noisy is None or not models:
        return None
    try:
        means = {model: mean_of(model.have([key])).value for model in models}
    except Refused:  # the table says what is missing
        return None
    best, *others = sorted(models, key=lambda model: means[model])
    several = max(len(model.runs) for model in models) > 1
    names = {
        model: name_of(board, model) + (" (one seed)" if several and len(model.runs) == 1 else "") for model in models
    }
    (read,) = best.have([key])
    pair = against([(noisy,) * len(read)], [read])
    if not isinstance(pair, Comparison):
        return None
    clear = "significant" if pair.interval.low > 0 or pair.interval.high < 0 else "not significant"
    said = (
        f"Against {kind} at {ratio:g} dB, {reader.run} reads the output of {names[best]} best, with a WER of"
        f" {points(means[best])} %; in the noisy sound it is {points(noisy.result.wer)} %"
        f" (difference {points(pair.difference)} points [{points(pair.interval.low)}, {points(pair.interval.high)}],"
        f" {clear} at 5 %)"
    )
    said += "".join(f"; {names[model]}: {points(means[model])} %" for model in others)
    return f"{said}."
