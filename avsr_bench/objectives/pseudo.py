"""Labels that a network gives to clips without text, while it is taught (USR, arXiv 2411.02256 and 2602.19316)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from ..nn import BLANK, PADDING, Unified
from ..nn.layers import length_mask

FRAMES_A_TOKEN = 5  # published: a transcript of greedy decoding has at most a fifth as many tokens as frames


@dataclass(frozen=True, slots=True)
class PseudoLabels:
    """What a teacher says of a batch: a token for each frame, and what the decoder is given and should answer."""

    frames: Tensor  # B, T: the best token of each, padded
    sure_frames: Tensor  # B, T: its probability
    before: Tensor  # B, U: what the decoder is given; the first is sos
    after: Tensor  # B, U: what follows each, padded
    sure_tokens: Tensor  # B, U

    def confident(self, least: float) -> tuple[Tensor, Tensor]:
        """The labels of frames and of tokens, those below a confidence padded."""
        return (
            self.frames.masked_fill(self.sure_frames < least, PADDING),
            self.after.masked_fill(self.sure_tokens < least, PADDING),
        )


@torch.no_grad()
def pseudo_labels(teacher: Unified, memory: Tensor, lengths: Tensor, greedy: bool) -> PseudoLabels:
    """The labels of clips whose sound and picture, together, a teacher encoded as `memory`.

    `greedy`: as first published, the decoder writes a transcript token by token. Else, as in USR 2.0, it is given what
    CTC reads, all at once, and says what it would follow each token by: as many answers for one pass.
    """
    sure, frames = teacher.ctc["av"](memory).float().softmax(-1).max(-1)
    frames = frames.masked_fill(~length_mask(lengths, frames.shape[1]), PADDING)
    # Ours: a clip in which CTC reads nothing has no labels. It learns first that blank is always likely, and a teacher
    # that is sure of it would keep everybody there.
    silent = (frames <= BLANK).all(1, keepdim=True)
    if greedy:
        before, after, sure_tokens = _written(teacher, memory, lengths)
    else:
        before = F.pad(collapsed(frames), (1, 0), value=teacher.tokens - 1)
        given = before.masked_fill(before == PADDING, teacher.tokens - 1)  # behind the end: attention looks back only
        logits = teacher.outputs["av"](teacher.decoder(given, memory, lengths))
        sure_tokens, after = logits.float().softmax(-1).max(-1)
        after, before = after.masked_fill(before == PADDING, PADDING), given
    return PseudoLabels(
        frames.masked_fill(silent, PADDING), sure, before, after.masked_fill(silent, PADDING), sure_tokens
    )


def _written(teacher: Unified, memory: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Greedy decoding of all clips at once, each to its end, or to the most tokens that one may have."""
    view, end = teacher.view("av"), teacher.tokens - 1
    state, newest = view.start(memory, lengths), torch.full_like(lengths, end)[:, None]
    given, answers, sure = [newest], [], []
    ended = torch.zeros_like(lengths, dtype=torch.bool)
    for _ in range(max(memory.shape[1] // FRAMES_A_TOKEN, 1)):
        log_probs, state = view.step(newest, state)
        best, newest = log_probs[:, 0].max(-1, keepdim=True)
        answers.append(newest.masked_fill(ended[:, None], PADDING))
        sure.append(best.exp())
        ended = ended | (newest[:, 0] == end)
        given.append(newest)
        if bool(ended.all()):
            break
    return torch.cat(given[:-1], 1), torch.cat(answers, 1), torch.cat(sure, 1)


def collapsed(frames: Tensor) -> Tensor:
    """The transcripts that best tokens of frames (B, T, padded) come to, without repeats and blanks: B, U, padded."""
    changes = F.pad(frames[:, 1:] != frames[:, :-1], (1, 0), value=True)
    wanted = changes & (frames != BLANK) & (frames != PADDING)
    places = wanted.cumsum(1) - 1
    found = frames.new_full((len(frames), max(int(wanted.sum(1).max()), 1)), PADDING)
    rows, columns = wanted.nonzero(as_tuple=True)
    found[rows, places[rows, columns]] = frames[rows, columns]
    return found
