"""The settings of a search, what it asks of a network, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, Protocol, TypeVar

from annotated_types import Interval
from torch import Tensor

from ..records import Fraction

Kind = Literal["beam", "ctc", "attention"]  # ctc and attention take the best token each time, far faster

NOT_A_NUMBER = "the network's answer is not a number (NaN): its weights are damaged, or training diverged"


@dataclass(frozen=True, slots=True)
class DecodeSettings:
    """How tokens are found; the defaults are those of the published figures."""

    kind: Kind = "beam"
    beam: Annotated[int, Interval(ge=1, le=1000)] = 40  # hypotheses that go on after each step
    ctc_weight: Fraction = 0.1  # the rest is attention's
    length_bonus: Annotated[float, Interval(ge=-100, le=100)] = 0.0  # nats a token
    # Hypotheses answered for each utterance, at most; only of a beam.
    nbest: Annotated[int, Interval(ge=1, le=1000)] = 1


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """What may have been said: tokens without those that begin and end a sentence."""

    tokens: tuple[int, ...]
    score: float  # natural logarithm


State = TypeVar("State", bound="DecoderState")


class DecoderState(Protocol):
    """Where a decoder stands with W hypotheses side by side for each of B utterances."""

    def select(self: State, parents: Tensor) -> State:
        """Other hypotheses of the same utterances: `parents` (B, W') says which old one each continues."""

    def select_utterances(self: State, utterances: Tensor) -> State:
        """Only some of the utterances, by number (B')."""


class Network(Protocol[State]):
    """What the search needs; `nn.AVSR` has it. The last token of the vocabulary is sos and eos, the first is blank."""

    def ctc_log_probs(self, memory: Tensor) -> Tensor:
        """Log-probabilities of every token in every frame: B, T, D to B, T, V."""

    def start(self, memory: Tensor, lengths: Tensor) -> State:
        """The state before the first token: one hypothesis an utterance."""

    def step(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        """Log-probabilities of what follows the newest token of every hypothesis: B, W to B, W, V."""
