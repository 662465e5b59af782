"""The two losses of a batch and their sum, as the published networks were trained with."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from .settings import LossSettings

PADDING = -1  # in the tokens of a batch, behind the end of a transcript
BLANK = 0  # the first token is CTC's blank, the last one begins and ends every transcript


@dataclass(frozen=True, slots=True)
class Losses:
    """Means over the clips of a batch, not over tokens; and what each clip had in it."""

    total: Tensor  # the one in which clips count by their weights
    ctc: Tensor
    attention: Tensor  # 0 where the decoder is not trained
    clips: Tensor  # B: the joint loss of each clip, without gradient


@dataclass(frozen=True, slots=True)
class Answers:
    """The logits of both heads."""

    ctc: Tensor  # B, T, V
    lengths: Tensor  # B: frames of each clip
    attention: Tensor | None = None  # B, U+1, V; none where the decoder is not trained
    following: Tensor | None = None  # B, U+1: the tokens that these should be, padded


def joint_loss(answers: Answers, tokens: Tensor, settings: LossSettings, weights: Tensor | None = None) -> Losses:
    """`ctc * CTC + (1 - ctc) * attention`, for the transcripts in `tokens`."""
    ctc = ctc_loss(F.log_softmax(answers.ctc, dim=-1, dtype=torch.float32), answers.lengths, tokens)  # B
    attention = torch.zeros_like(ctc)
    if answers.attention is not None and answers.following is not None:
        attention = attention_loss(answers.attention, answers.following, settings.label_smoothing)
    clips = settings.ctc * ctc + (1 - settings.ctc) * attention
    return Losses(weighted_mean(clips, weights), ctc.mean(), attention.mean(), clips.detach())


def weighted_mean(clips: Tensor, weights: Tensor | None) -> Tensor:
    """The mean over clips of what each has (B), times its weight."""
    return (clips if weights is None else clips * weights).mean()


def ctc_loss(log_probs: Tensor, lengths: Tensor, tokens: Tensor) -> Tensor:
    """CTC of each clip (B) from B, T, V; a transcript that does not fit into its frames counts as 0."""
    targets = (tokens != PADDING).sum(1)
    return F.ctc_loss(
        log_probs.transpose(0, 1), tokens.clamp(min=0), lengths, targets, BLANK, "none", zero_infinity=True
    )


def attention_loss(logits: Tensor, following: Tensor, smoothing: float) -> Tensor:
    """Each clip's divergence (B) of the smoothed transcript from the logits, B, U, V, summed over its tokens.

    The published smoothing spreads its weight over all tokens but the right one, torch's over all: V / (V - 1) is the
    difference. The entropy of the target has no gradient and is part of the published figure.
    """
    vocabulary = logits.shape[-1]
    spread = smoothing * vocabulary / (vocabulary - 1)
    cross = F.cross_entropy(
        logits.float().flatten(0, 1),
        following.flatten(),
        ignore_index=PADDING,
        reduction="none",
        label_smoothing=spread,
    )
    entropy = 0.0
    if smoothing > 0:
        entropy = (1 - smoothing) * math.log(1 - smoothing) + smoothing * math.log(smoothing / (vocabulary - 1))
    count = (following != PADDING).sum(1)
    return cross.view_as(following).sum(1) + count * entropy
