"""Noise as a training transform: another family and level for every clip and epoch."""

from __future__ import annotations

import numpy as np

from ..records import rng_for
from .families import SEEN
from .visual import LEVELS, apply

CLEAN = 0.2  # share of clips left clean, as likely as each of the four families; the paper gives no figure


def choose(seed: int, key: str, epoch: int, clean: float = CLEAN) -> tuple[str, int]:
    """What a clip suffers in an epoch: one of the families the paper trained with, at level 1 to 10, or 0 for clean."""
    rng = rng_for(seed, key, str(epoch), "choose")
    kept, family, level = rng.random(3)
    chosen = SEEN[int(family * len(SEEN))]
    return (chosen, 0) if kept < clean else (chosen, 1 + int(level * LEVELS))


def augment(frames: np.ndarray, seed: int, key: str, epoch: int, clean: float = CLEAN) -> np.ndarray:
    """Mouths as training sees them: a pure function of the seed, the clip's key and the epoch."""
    family, level = choose(seed, key, epoch, clean)
    return apply(frames, family, level, rng_for(seed, key, str(epoch), family))
