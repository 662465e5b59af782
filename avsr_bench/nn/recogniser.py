"""What every recogniser does once its frames are encoded: two heads, a search step by step, and the joint loss."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .decoder import Decoder, DecoderState, HeadedDecoder
from .inputs import Batch, Inputs
from .layers import dropout
from .loss import PADDING, Answers, Losses, joint_loss
from .settings import LossSettings, Modality, NetworkSettings


class Recogniser(nn.Module):
    """Reads lips, hears, or both."""

    modality: Modality
    settings: NetworkSettings
    tokens: int
    decoder: Decoder | HeadedDecoder
    ctc: nn.Linear

    @property
    def sos(self) -> int:
        """The token that begins every transcript, and ends it: `eos`."""
        return self.tokens - 1

    eos = sos

    @property
    def senses(self) -> tuple[Literal["video", "audio"], ...]:
        """What its inputs are, in their order."""
        return ("video", "audio") if self.modality == "av" else (self.modality,)

    def encode(self, inputs: Inputs, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """One vector a frame (B, T, D) and the number of frames of each clip (B), which are those that came in.

        `inputs` is video (B, T, H, W), audio (B, 640 T) or (video, audio); `lengths` counts frames for all of them.
        """
        raise NotImplementedError

    def ctc_log_probs(self, memory: Tensor) -> Tensor:
        """Log-probabilities of every token in every frame, in float32: B, T, V."""
        return F.log_softmax(self.ctc(memory), dim=-1, dtype=torch.float32)

    @torch.no_grad()
    def start(self, memory: Tensor, lengths: Tensor) -> DecoderState:
        """The state of a search before its first token, `sos`: one hypothesis an utterance."""
        return self.decoder.start(memory, lengths)

    @torch.no_grad()
    def step(self, tokens: Tensor, state: DecoderState) -> tuple[Tensor, DecoderState]:
        """Log-probabilities of what follows `tokens`, the newest one of every hypothesis: B, W to B, W, V."""
        logits, state = self.decoder.step(tokens, state)
        return F.log_softmax(logits, dim=-1, dtype=torch.float32), state

    def answers(self, memory: Tensor, lengths: Tensor, tokens: Tensor, attention: bool = True) -> Answers:
        """What both heads say of the frames in `memory`; the decoder is shown the transcripts, `tokens`."""
        ctc = self.ctc(dropout(memory, self.settings.ctc_dropout, self.training))
        if not attention:
            return Answers(ctc, lengths)
        before, after = framed(tokens, self.sos, self.eos)
        return Answers(ctc, lengths, self.decoder(before, memory, lengths), after)

    def loss(self, batch: Batch, settings: LossSettings) -> Losses:
        """The joint loss of a batch, with both of its parts."""
        answers = self.answers(*self.encode(batch.inputs, batch.lengths), batch.tokens, settings.ctc < 1)
        return joint_loss(answers, batch.tokens, settings, batch.weights)


def framed(tokens: Tensor, sos: int, eos: int) -> tuple[Tensor, Tensor]:
    """What the decoder reads (sos before the transcript) and what it should answer (eos after it): 2 x (B, U+1)."""
    before = F.pad(tokens, (1, 0), value=sos)
    before = before.masked_fill(before == PADDING, eos)  # nothing that counts sees these: attention looks back only
    after = F.pad(tokens, (0, 1), value=PADDING)
    ends = (tokens != PADDING).sum(1, keepdim=True)
    return before, after.scatter(1, ends, eos)
