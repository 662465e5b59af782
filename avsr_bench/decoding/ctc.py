"""CTC: the best path, and the probabilities of prefixes that the beam search adds to those of the attention decoder.

The prefix scores follow Graves' prefix search and the joint decoding of Watanabe et al. (2017). Two things make them
cheap. A candidate token needs only one sum over the frames; the forward recursion is run for those that go on, not for
all that were asked about. And the recursion is a linear one, so that running sums in the log domain solve it for every
frame at once.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..records import Refused
from ..text import BLANK
from .settings import NOT_A_NUMBER, Hypothesis

IMPOSSIBLE = -torch.inf
# Running sums cannot hold -inf. A token of this log-probability in any frame is as good as impossible, and sums of it
# over thousands of frames still leave float64 nine decimals.
FLOOR = -1e4
CHUNK = 2**24  # numbers held at once while prefixes are scored: 128 MB


@dataclass(frozen=True, slots=True)
class CtcPrefixes:
    """Some prefixes of some utterances, and how likely CTC finds each after every number of frames.

    Column t of the forward variables stands for the first t frames, so that column 0 is before all of them.
    """

    frames: Tensor  # utterances * vocabulary, T: log p of a token in each frame; after the end only blanks are possible
    blanks: Tensor  # utterances, T + 1: running sums of log p(blank)
    utterance: Tensor  # rows: which one a prefix belongs to
    last: Tensor  # rows: the last token of a prefix, blank for the empty one
    reached: Tensor  # rows, T + 1: log p that the first t frames say exactly the prefix
    reached_blank: Tensor  # rows, T + 1: the same, and the last of these frames is a blank

    @classmethod
    def start(cls, log_probs: Tensor, lengths: Tensor) -> CtcPrefixes:
        """The empty prefix of every utterance: `log_probs` utterances, T, vocabulary; `lengths` in frames."""
        utterances, frames, vocabulary = log_probs.shape
        padding = torch.arange(frames, device=log_probs.device) >= lengths[:, None]
        log_probs = log_probs.float().masked_fill(padding[:, :, None], IMPOSSIBLE)
        log_probs[:, :, BLANK].masked_fill_(padding, 0.0)
        blanks = _running_sum(log_probs[:, :, BLANK])
        number = torch.arange(utterances, device=log_probs.device)
        return cls(
            frames=log_probs.transpose(1, 2).reshape(utterances * vocabulary, frames),
            blanks=blanks,
            utterance=number,
            last=torch.full_like(number, BLANK),
            reached=blanks,
            reached_blank=blanks,
        )

    def score(self, tokens: Tensor) -> Tensor:
        """Log p that an utterance begins with its prefix and then the token: for `tokens` rows, S."""
        rows = max(1, CHUNK // (tokens.shape[1] * self.frames.shape[1]))
        scores = torch.cat(
            [
                (self._tokens_of(utterance, chosen) + reached[:, None, :-1]).logsumexp(-1)
                for utterance, chosen, reached in zip(
                    self.utterance[:, None].split(rows), tokens.split(rows), self.reached.split(rows), strict=True
                )
            ]
        )
        # The same token twice is two only where a blank stands between.
        again = (self._tokens_of(self.utterance, self.last) + self.reached_blank[:, :-1]).logsumexp(-1)
        return torch.where(tokens == self.last[:, None], again[:, None], scores)

    def whole(self) -> Tensor:
        """Log p that an utterance says exactly its prefix and nothing more."""
        return self.reached[:, -1]

    def extend(self, rows: Tensor, tokens: Tensor) -> CtcPrefixes:
        """The prefixes that go on: those of `rows`, each with one more token."""
        utterance = self.utterance[rows]
        again = tokens == self.last[rows]
        before = torch.where(again[:, None], self.reached_blank[rows], self.reached[rows])
        own = self._tokens_of(utterance, tokens)
        reached_token = _recursion(before, _running_sum(own))
        reached_token[:, 1:].masked_fill_(own == IMPOSSIBLE, IMPOSSIBLE)
        reached_blank = _recursion(reached_token, self.blanks[utterance])
        reached = torch.logaddexp(reached_token, reached_blank)
        return CtcPrefixes(self.frames, self.blanks, utterance, tokens, reached, reached_blank)

    def _tokens_of(self, utterance: Tensor, tokens: Tensor) -> Tensor:
        """Log p in every frame of the tokens of an utterance."""
        vocabulary = len(self.frames) // len(self.blanks)
        place = utterance * vocabulary + tokens
        return self.frames.index_select(0, place.flatten()).view(*place.shape, -1).double()


def _running_sum(log_probs: Tensor) -> Tensor:
    """Sums over the first 0, 1, ... T frames, in float64."""
    total = log_probs.double().clamp(min=FLOOR).cumsum(-1)
    return torch.nn.functional.pad(total, (1, 0))


def _recursion(entering: Tensor, total: Tensor) -> Tensor:
    """Solve y[t] = log(exp y[t-1] + exp entering[t-1]) + step[t], y[0] = log 0, where `total` sums the steps up to t.

    y[t] - total[t] grows by what enters and by nothing else: it is a running sum.
    """
    solved = torch.full_like(entering, IMPOSSIBLE)
    solved[:, 1:] = total[:, 1:] + (entering - total)[:, :-1].logcumsumexp(-1)
    return solved


@torch.inference_mode()
def best_path(log_probs: Tensor, lengths: Tensor) -> list[Hypothesis]:
    """What the most likely path through the frames says: `log_probs` B, T, V, one hypothesis an utterance.

    The score is that of the path alone. The last of the vocabulary, which begins and ends a sentence for the attention
    decoder, means nothing to CTC and is never chosen.
    """
    scores, path = log_probs[:, :, :-1].double().max(-1)
    inside = torch.arange(path.shape[1], device=path.device) < lengths[:, None]
    changed = torch.ones_like(inside)
    changed[:, 1:] = path[:, 1:] != path[:, :-1]
    spoken = (inside & changed & (path != BLANK)).cpu()
    totals = scores.where(inside, 0.0).sum(-1)
    if totals.isnan().any():
        raise Refused(NOT_A_NUMBER)
    return [
        Hypothesis(tuple(tokens[said].tolist()), total)
        for tokens, said, total in zip(path.cpu(), spoken, totals.tolist(), strict=True)
    ]
