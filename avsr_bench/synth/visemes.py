"""From phonemes to the movements of lips, jaw and tongue: a target for each phoneme, blended by dominance.

Neighbouring phonemes pull at the mouth at the same time, each with a dominance that fades with distance in time
(Löfqvist 1990; Cohen and Massaro 1993). The mouth is their weighted mean, so it glides between targets and never
switches; what a phoneme cannot do without, such as the closed lips of a p, has a dominance so high that neighbours
hardly move it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..records import Refused
from .speech import Phone

# The columns of what `articulate` returns.
CONTROLS = ("jaw", "part", "width", "tuck", "tongue")


@dataclass(frozen=True, slots=True)
class Target:
    """Where a phoneme wants the mouth, and how strongly.

    jaw: 0 closed, 1 wide open. part: the gap between the lips, 0 touching, 1 wide, below 0 pressed together. width: -1
    rounded, 1 spread. tuck: lower lip under the upper teeth. tongue: 0 low, 0.5 behind the teeth, 1 between them.
    """

    jaw: float
    part: float
    width: float = 0.0
    tuck: float = 0.0
    tongue: float = 0.0
    weight: tuple[float, float, float, float, float] = (1.0, 1.0, 1.0, 1.0, 1.0)  # of each control, in their order


_LAX = (0.5, 0.5, 0.4, 1.0, 1.0)  # consonants made inside the mouth leave the lips to their neighbours
_TEETH = (1.6, 0.9, 0.5, 1.0, 1.5)
_REST = Target(0.0, 0.0)

_I, _U, _SCHWA = Target(0.28, 0.40, 0.55), Target(0.18, 0.20, -0.90), Target(0.35, 0.40)
_A, _E, _O = Target(0.90, 0.92, -0.05), Target(0.50, 0.58, 0.45), Target(0.52, 0.52, -0.60)
_EE = Target(0.16, 0.34, 0.95)
_RR = Target(0.22, 0.28, -0.55, weight=(0.8, 0.8, 1.2, 1.0, 1.0))
_BILABIAL = Target(0.08, -0.30, 0.0, weight=(1.0, 4.0, 0.4, 3.0, 1.0))
_LABIODENTAL = Target(0.12, 0.16, 0.15, tuck=1.0, weight=(1.5, 4.0, 0.7, 5.0, 1.0))
_W = Target(0.16, 0.08, -1.10, weight=(1.0, 3.0, 3.0, 1.0, 1.0))
_SIBILANT = Target(0.03, 0.32, 0.45, tongue=0.3, weight=(2.2, 1.2, 0.7, 1.0, 1.5))
_POSTALVEOLAR = Target(0.06, 0.36, -0.55, tongue=0.3, weight=(2.0, 1.2, 1.3, 1.0, 1.5))
_ALVEOLAR = Target(0.14, 0.28, 0.20, tongue=0.5, weight=_TEETH)
_LATERAL = Target(0.36, 0.44, 0.10, tongue=0.6, weight=_TEETH)
_DENTAL = Target(0.22, 0.40, 0.10, tongue=1.0, weight=(1.6, 1.5, 0.7, 1.0, 4.0))
_VELAR = Target(0.30, 0.38, weight=_LAX)

# espeak-ng's phonemes for our sentences, in all our accents: to one target, or two for a glide.
TARGETS: dict[str, tuple[Target, ...]] = {
    **dict.fromkeys(("p", "b", "m"), (_BILABIAL,)),
    **dict.fromkeys(("f", "v"), (_LABIODENTAL,)),
    **dict.fromkeys(("w", "w#"), (_W,)),
    **dict.fromkeys(("s", "z"), (_SIBILANT,)),
    **dict.fromkeys(("tS", "dZ"), (_POSTALVEOLAR,)),
    **dict.fromkeys(("t", "d", "n", "t#", "t["), (_ALVEOLAR,)),
    **dict.fromkeys(("T", "D"), (_DENTAL,)),
    **dict.fromkeys(("k", "g"), (_VELAR,)),
    **dict.fromkeys(("r", "r-"), (_RR,)),
    **dict.fromkeys(("i:", "j"), (_EE,)),
    **dict.fromkeys(("I", ";"), (_I,)),
    **dict.fromkeys(("@", "a#"), (_SCHWA,)),
    **dict.fromkeys(("aI", "aI2"), (_A, _I)),
    **dict.fromkeys(("o@", "O@"), (_O, _SCHWA)),
    "l": (_LATERAL,),
    "E": (_E,),
    "a": (Target(0.75, 0.80, 0.40),),
    "V": (Target(0.60, 0.62, 0.05),),
    "0": (Target(0.65, 0.60, -0.35),),
    "u:": (_U,),
    "eI": (_E, _I),
    "aU": (_A, _U),
    "oU": (_O, _U),
    "i@": (_EE, _SCHWA),
    "A@": (_A, _SCHWA),
}
_STOPS = frozenset(["p", "b", "t", "d", "k", "g", "t#", "t["])
_CLOSURE = 0.04  # seconds: espeak-ng marks a stop at its burst; the mouth closed for it before
FADE = 0.034  # seconds: outside its phoneme dominance falls like a Gaussian so wide; the common speaker's


def articulate(
    phones: Sequence[Phone],
    times: np.ndarray,
    strength: tuple[float, float, float] = (1.0, 1.0, 1.0),
    fade: float = FADE,
) -> np.ndarray:
    """The mouth at each of `times` (seconds in the same clock as the phones): float32 of T x `CONTROLS`.

    `strength` scales how far jaw, parting and width travel, but not what closes: a weak speaker still shuts the lips
    for a p. A longer `fade` slurs.
    """
    parts = [(_REST, -1e3, phones[0].start - 0.06)] if phones else []
    for phone in phones:
        if phone.label not in TARGETS:
            raise Refused(f"no mouth shape for espeak-ng's phoneme {phone.label!r}: use plain English words")
        targets = TARGETS[phone.label]
        start = phone.start - (_CLOSURE if phone.label in _STOPS else 0.0)
        for k, target in enumerate(targets):
            # A glide stays with its first target for the longer part.
            cut = [start, start + 0.6 * (phone.end - start), phone.end] if len(targets) == 2 else [start, phone.end]
            parts.append((target, cut[k], cut[k + 1]))
    if phones:
        parts.append((_REST, phones[-1].end + 0.08, 1e3))
    wanted = np.array([[getattr(target, name) for name in CONTROLS] for target, _, _ in parts])
    weight = np.array([target.weight for target, _, _ in parts])
    start, end = np.array([(s, e) for _, s, e in parts]).T
    edge = np.minimum(0.2 * (end - start), 0.03)  # a target is reached a little inside its phoneme
    outside = np.maximum(start + edge - times[:, None], times[:, None] - end + edge)
    away = np.maximum(outside, 0.0) / fade
    faded = -0.5 * away**2
    dominance = np.exp(faded - faded.max(1, keepdims=True))[:, :, None] * weight  # T x phones x controls
    wanted[:, :3] *= np.where((wanted[:, :3] < 0) & (np.arange(3) == CONTROLS.index("part")), 1.0, strength)
    mouth = (dominance * wanted).sum(1) / dominance.sum(1)
    return mouth.astype(np.float32)
