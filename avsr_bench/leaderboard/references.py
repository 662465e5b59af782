"""Whom a model is compared with: dense of the same training, and itself trained without noise."""

from __future__ import annotations

from ..scoring import same_budget
from .boards import CONTINUED, DENSE, Board, Model

NEAR = 0.1  # of two sparsities that are learnt: as far apart as those of seeds
ALL = 0.95  # of the hours that any dense run had text for: clips that are left out move it a little


def dense_of(board: Board, model: Model) -> Model | str:
    """The dense model to compare with, or in a few words why there is none.

    It is plain, was trained on the same corpus, with noise or without as the model was, with the same seeds and the
    same budget, and has the same size and decoding. A round is compared with the same round of dense, begun with the
    same network. What noise in training does is seen on dense itself: one that was trained with it is compared with one
    that was not.
    """
    if is_plain(board, model) and not model.noisy_training:
        return ""
    if model.frames is None:
        return "budget unknown"
    with_noise = model.noisy_training and not is_plain(board, model)
    like = _like(board, model)
    alike = [other for other in like if is_plain(board, other)]
    alike = alike or [other for other in like if other.system == CONTINUED and _begun(other) == _begun(model)]
    trained = [other for other in alike if other.noisy_training == with_noise]
    mine = [other for other in trained if model.seeds <= other.seeds]
    if mine:
        return "" if model in mine else mine[0]
    if alike and not trained:
        return "no dense run trained with noise" if with_noise else "no dense run trained without noise"
    return "no dense run of these seeds" if trained else "no dense run of this budget"


def is_plain(board: Board, model: Model) -> bool:
    """Whether a model is dense from random weights, on all texts there are, none of them hidden or automatic."""
    budget = model.about.budget
    if model.system != DENSE or budget is None:
        return model.system == DENSE
    all_texts = max(
        other.about.budget.labelled_hours
        for other in board.models
        if other.system == DENSE and other.home == model.home and other.about.budget
    )
    return not budget.ancestors and budget.labelled_hours >= ALL * all_texts


def without_noise(board: Board, model: Model) -> Model | None:
    """The same system at the same sparsity and budget, trained without noise; for a model that was trained with it.

    A sparsity that is learnt comes out a little otherwise in each training.
    """
    if not model.noisy_training:
        return None
    for other in _like(board, model):
        near = abs(other.about.sparsity - model.about.sparsity) < NEAR
        if other.system == model.system and not other.noisy_training and near and model.seeds <= other.seeds:
            return other
    return None


def _begun(model: Model) -> tuple[str, int]:
    """The run that the first of its ancestors comes from, and in how many trainings it came from there."""
    ancestors = model.about.budget.ancestors if model.about.budget is not None else ()
    return (ancestors[-1].run, len(ancestors)) if ancestors else ("", 0)


def _like(board: Board, model: Model) -> list[Model]:
    """Models of the same training corpus, size, decoding and budget."""
    return [
        other
        for other in board.models
        if (other.home, other.about.size) == (model.home, model.about.size)
        and other.about.decoding == model.about.decoding
        and same_budget(other.about.budget, model.about.budget)
    ]
