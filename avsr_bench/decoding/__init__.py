"""Decoding: from a network's probabilities to tokens, by beam search over CTC and attention or by the best token."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from .beam import beam_search
from .ctc import CtcPrefixes, best_path
from .settings import DecoderState, DecodeSettings, Hypothesis, Kind, Network, State

__all__ = [
    "CtcPrefixes",
    "DecodeSettings",
    "DecoderState",
    "Hypothesis",
    "Kind",
    "Network",
    "beam_search",
    "best_path",
    "decode",
]


@torch.inference_mode()
def decode(
    network: Network[State], memory: Tensor, lengths: Tensor, settings: DecodeSettings
) -> list[tuple[Hypothesis, ...]]:
    """Hypotheses of every utterance, best first: `memory` B, T, D is what the encoder made, `lengths` its frames."""
    match settings.kind:
        case "beam":
            return beam_search(network, memory, lengths, settings)
        case "ctc":
            return [(hypothesis,) for hypothesis in best_path(network.ctc_log_probs(memory), lengths)]
        case "attention":  # a beam of one that does not hear of CTC
            return beam_search(network, memory, lengths, replace(settings, beam=1, ctc_weight=0.0, nbest=1))
