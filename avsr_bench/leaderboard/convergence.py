"""Whether a network had converged when its training ended: by how much its validation loss still fell."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from ..records import Refused
from .boards import Model
from .curves import read_validation

LAST = 0.2  # of the updates
ENOUGH = 0.02  # a loss that falls by less in that stretch has converged
MARK = "†"


def loss_fall(points: Sequence[tuple[float, float]]) -> float | None:
    """By which fraction the loss fell over the last fifth of the updates; none where that was not measured.

    Between two validations the loss is taken to go straight. One that rises falls by less than 0.

    >>> loss_fall([(100, 4.0), (800, 2.0), (1000, 1.9)])
    0.05
    """
    points = sorted(points)
    start = (1 - LAST) * points[-1][0] if points else 0.0
    for (before, high), (after, low) in pairwise(points):
        if before <= start <= after and after > before:
            then = high + (low - high) * (start - before) / (after - before)
            return round(1 - points[-1][1] / then, 6) if then > 0 else None
    return None


def unconverged(model: Model) -> dict[str, float]:
    """The runs of a model that had not converged, with the fall of their loss."""
    falls = {run[0].result.run: loss_fall(read_validation(run[0].path.parent.parent)) for run in model.runs}
    return {run: fall for run, fall in falls.items() if fall is not None and fall >= ENOUGH}


def find_unconverged(models: Sequence[Model], notes: list[str]) -> dict[Model, dict[str, float]]:
    """The models that are marked, each with its runs; a file that is damaged is named in the notes."""
    found = {}
    for model in models:
        try:
            found[model] = unconverged(model)
        except Refused as refused:
            notes.append(f"Whether {model.run} had converged is not known: {refused}.")
    return {model: runs for model, runs in found.items() if runs}
