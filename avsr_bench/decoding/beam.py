"""Beam search with the joint scores of CTC and attention, for a batch of utterances at once.

The score of a hypothesis is `(1 - c) * log p_attention + c * log p_ctc + length_bonus * tokens`, by the rules that the
published figures were made with:

- A step asks CTC about the best `1.5 * beam` tokens of a hypothesis by attention, and its end; no others count.
- The best `beam` pairs of hypothesis and token go on. Those that end leave the beam, and no others take their place.
- An utterance has at most as many tokens as frames: whatever still runs then is ended, at no cost.
- The search of an utterance is over when for three lengths in a row the best that ended is hopelessly behind.
- What ended with the highest score is the answer, whatever its length.

Utterances are B, hypotheses of each W side by side (a place without one has the score -inf), and nothing visits
hypotheses one by one. An utterance that is finished leaves the batch.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from ..records import Refused
from ..text import BLANK
from .ctc import IMPOSSIBLE, CtcPrefixes
from .settings import NOT_A_NUMBER, DecodeSettings, Hypothesis, Network, State

PRESELECTED = 1.5  # times the beam: the tokens of a hypothesis that get a CTC score
HOPELESS = -10.0  # nats behind the best that ended
HOPELESS_LENGTHS = 3  # in a row, after which nothing better is expected
# The last of these lengths is that of two steps ago: the rule compares a step's number, which begins at 0, with lengths
# that count sos and eos.
LAG = 2


@dataclass(frozen=True, slots=True)
class Ended:
    """The best hypotheses of each utterance that ended so far."""

    tokens: Tensor  # B, nbest, steps + 1: sos first, padded with eos
    scores: Tensor  # B, nbest: falling; -inf where there are fewer
    at_step: Tensor  # B, steps: the best score of those that ended in a step

    def add(self, tokens: Tensor, scores: Tensor, eos: int) -> Ended:
        """With those that ended in one more step: B, W, steps + 2 and B, W (-inf for any that did not)."""
        best, place = torch.cat((self.scores, scores), 1).topk(self.scores.shape[1], dim=1)
        kept = pad(self.tokens, (0, 1), value=eos)
        at_step = torch.cat((self.at_step, scores.amax(1, keepdim=True)), 1)
        return Ended(_take(torch.cat((kept, tokens), 1), place), best, at_step)

    def hopeless(self) -> Tensor:
        """For which utterances nothing better is expected: B."""
        if self.at_step.shape[1] < HOPELESS_LENGTHS + LAG:
            return torch.zeros_like(self.scores[:, 0], dtype=torch.bool)
        recent = self.at_step[:, -HOPELESS_LENGTHS - LAG : -LAG]
        return ((recent > IMPOSSIBLE) & (recent - self.scores[:, :1] < HOPELESS)).all(1)

    def select_utterances(self, utterances: Tensor) -> Ended:
        """Only some of the utterances, by number."""
        return Ended(self.tokens[utterances], self.scores[utterances], self.at_step[utterances])

    def answers(self, eos: int) -> list[tuple[Hypothesis, ...]]:
        """What was found for each utterance."""
        return [
            tuple(
                Hypothesis(tuple(token for token in tokens if token != eos), score)
                for tokens, score in zip(*of_one, strict=True)
                if score > IMPOSSIBLE
            )
            for of_one in zip(self.tokens.tolist(), self.scores.tolist(), strict=True)
        ]


@torch.inference_mode()
def beam_search(
    network: Network[State], memory: Tensor, lengths: Tensor, settings: DecodeSettings
) -> list[tuple[Hypothesis, ...]]:
    """The best hypotheses of every utterance, best first; `memory` is B, T, D, and `lengths` (B) counts its frames."""
    if int(lengths.min()) < 1:
        raise ValueError("an utterance without frames cannot be decoded")
    ctc_log_probs = network.ctc_log_probs(memory)
    eos = ctc_log_probs.shape[-1] - 1
    prefixes = CtcPrefixes.start(ctc_log_probs, lengths) if settings.ctc_weight > 0 else None
    state = network.start(memory, lengths) if settings.ctc_weight < 1 else None

    utterance = torch.arange(len(lengths), device=memory.device)  # B: those still searched
    tokens = torch.full_like(utterance, eos)[:, None, None]  # B, W, steps + 1
    scores = torch.zeros_like(tokens[:, :, 0], dtype=torch.float64)  # B, W: all but CTC's part
    nothing = scores.expand(-1, settings.nbest) + IMPOSSIBLE
    ended = Ended(tokens.expand(-1, settings.nbest, -1), nothing, scores[:, :0])
    answers: dict[int, tuple[Hypothesis, ...]] = {}
    broken = torch.zeros_like(utterance[0], dtype=torch.bool)

    for step in range(int(lengths.max())):
        # Every hypothesis with every token that may follow: B, W, S. The best of them all: B, W.
        if state is not None:
            log_probs, state = network.step(tokens[:, :, -1], state)
        else:
            log_probs = scores.new_zeros(*scores.shape, eos + 1)
        choices = _choices(log_probs, settings)
        grown, totals = _score(choices, log_probs, scores, prefixes, settings)
        best, place = totals.flatten(1).topk(min(settings.beam, totals[0].numel()), dim=1)
        broken |= best.isnan().any()
        parents = place // choices.shape[2]
        chosen = choices.flatten(1).gather(1, place)
        rows = parents + torch.arange(0, scores.numel(), scores.shape[1], device=place.device)[:, None]
        tokens = torch.cat((_take(tokens, parents), chosen[:, :, None]), 2)
        scores = grown.flatten(1).gather(1, place)

        # Those that end are set aside. The others move up to the front, and finished utterances leave.
        ends = (chosen == eos) | (lengths[utterance] == step + 1)[:, None]
        ended = ended.add(tokens, best.masked_fill(~ends, IMPOSSIBLE), eos)
        goes_on = (best > IMPOSSIBLE) & ~ends & ~ended.hopeless()[:, None]
        remaining = goes_on.sum(1).tolist()
        if 0 in remaining:
            done = utterance.new_tensor([place for place, count in enumerate(remaining) if count == 0])
            answers |= zip(utterance[done].tolist(), ended.select_utterances(done).answers(eos), strict=True)
            if not any(remaining):
                break
            stays = utterance.new_tensor([place for place, count in enumerate(remaining) if count > 0])
            utterance, ended = utterance[stays], ended.select_utterances(stays)
            tokens, scores, parents, rows, goes_on = (each[stays] for each in (tokens, scores, parents, rows, goes_on))
            if state is not None:
                state = state.select_utterances(stays)
        front = (~goes_on).sort(dim=1, stable=True).indices[:, : max(remaining)]
        tokens, parents, rows = (_take(each, front) for each in (tokens, parents, rows))
        scores = _take(scores.masked_fill(~goes_on, IMPOSSIBLE), front)
        if state is not None:
            state = state.select(parents)
        if prefixes is not None:
            prefixes = prefixes.extend(rows.flatten(), tokens[:, :, -1].flatten())

    if broken:
        raise Refused(NOT_A_NUMBER)
    return [answers[number] for number in range(len(lengths))]


def _choices(log_probs: Tensor, settings: DecodeSettings) -> Tensor:
    """The tokens that may follow each hypothesis: B, W, V to B, W, S. The last is eos; blank stands for none."""
    vocabulary = log_probs.shape[2]
    eos = vocabulary - 1
    if settings.ctc_weight == 0:  # else a blank among the best takes a place, as it did for the published figures
        log_probs = log_probs.clone()
        log_probs[:, :, BLANK] = IMPOSSIBLE
    count = int(PRESELECTED * settings.beam)
    if settings.ctc_weight < 1 and count < vocabulary:
        chosen = log_probs.topk(count, dim=2).indices
    else:
        chosen = torch.arange(vocabulary, device=log_probs.device).expand_as(log_probs)
    return pad(chosen.masked_fill(chosen == eos, BLANK), (0, 1), value=eos)


def _score(
    choices: Tensor, log_probs: Tensor, scores: Tensor, prefixes: CtcPrefixes | None, settings: DecodeSettings
) -> tuple[Tensor, Tensor]:
    """Scores of every hypothesis with every token that may follow, without CTC's part and with it: 2 x (B, W, S).

    CTC's part is that of the whole prefix, not a sum over its tokens.
    """
    attention = log_probs.gather(2, choices).double()
    grown = scores[:, :, None] + (1 - settings.ctc_weight) * attention + settings.length_bonus
    grown = grown.masked_fill(choices == BLANK, IMPOSSIBLE)
    if prefixes is None:
        return grown, grown
    ctc = torch.cat((prefixes.score(choices[:, :, :-1].flatten(0, 1)), prefixes.whole()[:, None]), 1)
    return grown, grown + settings.ctc_weight * ctc.view_as(grown)


def _take(values: Tensor, places: Tensor) -> Tensor:
    """From every utterance the hypotheses at `places`: B, W, ... and B, W' to B, W', ..."""
    return values[torch.arange(len(values), device=values.device)[:, None], places]
