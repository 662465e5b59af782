"""Noise: seven visual families at ten levels. Usable alone, from a notebook:

    corrupted = noise.apply(mouths, "motion", 4, rng_for(0, "s1%2Fbbaf2n", "motion"))

`levels` is the table of strengths, `families` the seven functions, `visual` applies them, `training` draws from them.
"""

from .example import drawn_mouth
from .families import FAMILIES, SEEN, Family
from .training import augment, choose
from .visual import LEVELS, SIDE, VERSION, Noisy, On, apply, begin, check, parse

__all__ = [
    "FAMILIES",
    "LEVELS",
    "SEEN",
    "SIDE",
    "VERSION",
    "Family",
    "Noisy",
    "On",
    "apply",
    "augment",
    "begin",
    "check",
    "choose",
    "drawn_mouth",
    "parse",
]
