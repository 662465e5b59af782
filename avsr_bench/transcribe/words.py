"""Words and their times: tokens laid along the frames by CTC, and the words of neighbouring windows put together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

import torch
from torch import Tensor

from ..inert import inert
from ..records import FPS
from ..text import BLANK
from ..text.tokenizer import SPACE

# CTC names a word in one or two of the frames that it lasts, near the middle. Ours: about what words of the synthetic
# corpus, whose times are known, begin before the first of these frames and end after the last.
REACH = 0.12  # seconds added on both sides, where no other word is in the way
SAME = 0.3  # seconds between the middles of one word in two windows, at most


@dataclass(frozen=True, slots=True)
class Word:
    """A word as it was read, with its times in seconds from the first frame of the video."""

    text: str
    start: float
    end: float
    confidence: float  # mean posterior of CTC's path, from the first frame of the word's first token to its last one's

    @property
    def middle(self) -> float:
        """The surest of its times."""
        return (self.start + self.end) / 2


@dataclass(frozen=True, slots=True)
class _Span:
    """The frames of one token, or of one word."""

    text: str
    first: int
    end: int


def words_of(tokens: Sequence[int], log_probs: Tensor, units: Sequence[str], start: float) -> tuple[Word, ...]:
    """The words that tokens spell, with times: `log_probs` T, V are CTC's, the first frame is at `start` seconds.

    Tokens that do not fit into the frames (a beam search may answer more than CTC can say) are spread evenly, with no
    confidence.
    """
    if not tokens:
        return ()
    frames = len(log_probs)
    repeats = sum(one == other for one, other in pairwise(tokens))
    if len(tokens) + repeats > frames:
        places = [number * frames // len(tokens) for number in range(len(tokens) + 1)]
        spans = [_Span(units[t], a, max(b, a + 1)) for t, (a, b) in zip(tokens, pairwise(places), strict=True)]
        posteriors = torch.zeros(frames + 1)
    else:
        spans, posteriors = _aligned(tokens, log_probs, units)
    words = _spelled(spans)
    free = [frames, *(b.first - a.end for a, b in pairwise(words)), frames]  # frames between neighbours
    return tuple(
        Word(
            inert(word.text),
            start + max(word.first / FPS - min(REACH, max(before, 0) / 2 / FPS), 0.0),
            start + min(word.end / FPS + min(REACH, max(after, 0) / 2 / FPS), frames / FPS),
            float(posteriors[word.first : word.end].mean()),
        )
        for word, before, after in zip(words, free, free[1:], strict=False)
    )


def _aligned(tokens: Sequence[int], log_probs: Tensor, units: Sequence[str]) -> tuple[list[_Span], Tensor]:
    """Where CTC's best path through exactly these tokens has each, and the posterior of every frame of the path."""
    from torchaudio.functional import forced_align

    path, scores = forced_align(log_probs.float().cpu()[None], torch.tensor([list(tokens)]), blank=BLANK)
    spans, frame = [], 0
    for token, run in groupby(path[0].tolist()):
        length = len(list(run))
        if token != BLANK:
            spans.append(_Span(units[token], frame, frame + length))
        frame += length
    return spans, scores[0].exp()


def _spelled(spans: Iterable[_Span]) -> list[_Span]:
    """Tokens as words: each ▁ begins another one."""
    words: list[_Span] = []
    begins = True
    for span in spans:
        for number, part in enumerate(span.text.split(SPACE)):
            begins = begins or number > 0
            if part and (begins or not words):
                words.append(_Span(part, span.first, span.end))
            elif part:
                words[-1] = _Span(words[-1].text + part, words[-1].first, span.end)
            begins = begins and not part
    return words


def join(before: Sequence[Word], after: Sequence[Word], start: float, end: float) -> tuple[Word, ...]:
    """The words of two windows that share the time from `start` to `end`, those that both have counted once.

    The seam lies where it cuts fewest words of either, nearest to the middle of that time: what has its middle before
    it comes from the window before, the rest from the one after. A word whose times differ so that it is on both sides,
    or on the other side in each, is taken from the window that is surer of it.
    """
    near = [word for word in (*before, *after) if word.end > start and word.start < end]
    middle, half = (start + end) / 2, (end - start) / 2
    places = [middle + sign * step / FPS for step in range(int(half * FPS) + 1) for sign in (1, -1)]
    seam = min(places, key=lambda place: sum(word.start < place < word.end for word in near))
    left = [word for word in before if word.middle < seam]
    right = [word for word in after if word.middle >= seam]
    late = next((word for word in before if word.middle >= seam), None)
    early = next((word for word in reversed(after) if word.middle < seam), None)
    if left and right and _are_one(left[-1], right[0], before, after):
        if left[-1].confidence < right[0].confidence:
            left.pop()
        else:
            right.pop(0)
    elif late and early and _are_one(late, early, before, after):
        left.append(max(late, early, key=lambda word: word.confidence))
    return (*left, *right)


def _are_one(one: Word, other: Word, before: Sequence[Word], after: Sequence[Word]) -> bool:
    """Whether two windows mean the same word: of those with its text, each is the nearest to the other."""
    return _nearest(one, after) is other and _nearest(other, before) is one


def _nearest(word: Word, words: Sequence[Word]) -> Word | None:
    alike = [each for each in words if each.text == word.text and abs(each.middle - word.middle) < SAME]
    return min(alike, key=lambda each: abs(each.middle - word.middle), default=None)
