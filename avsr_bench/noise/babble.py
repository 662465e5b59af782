"""Babble: many voices at once, none of them the speaker's own."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from hashlib import blake2b

import numpy as np

from ..records import Refused
from .sound import Recording

VOICES = 30  # that speak at once, where there are as many; so did AV-HuBERT (arXiv 2201.01763) mix its babble
# Kinds of noise that are made of voices, and of how many: babble is a crowd, the others can be understood.
KINDS = {"babble": VOICES, "voice": 1, "two-voices": 2, "three-voices": 3}


class Voices:
    """Speakers and what each of them says, from which babble is mixed; a `noise.sound.Source`.

    An utterance hears some of the others, as many as the kind says or all there are, each from a random place on and
    all equally loud.
    """

    def __init__(self, speech: Mapping[str, np.ndarray], kind: str = "babble") -> None:
        self.together = KINDS[kind]
        if len(speech) < 2:
            raise Refused(
                f"{kind} needs at least two speakers and there is {next(iter(speech), 'none')}: "
                "give a sound file (--sound FILE.wav:DB), or set sound.babble=synth"
            )
        self._voices = {speaker: Recording(speech[speaker], f"the voice of {speaker}") for speaker in sorted(speech)}
        contents = "\0".join(f"{speaker} {voice.name}" for speaker, voice in self._voices.items())
        digest = blake2b(contents.encode(errors="surrogatepass"), digest_size=4)
        self.name = f"{kind}-{digest.hexdigest()}"

    def of_kind(self, kind: str) -> Voices:
        """The same voices, in memory once, as another kind has them."""
        other = copy.copy(self)
        other.together, other.name = KINDS[kind], f"{kind}-{self.name.rpartition('-')[2]}"
        return other

    @property
    def speakers(self) -> tuple[str, ...]:
        """Whose voices there are, in order."""
        return tuple(self._voices)

    def draw(self, samples: int, rng: np.random.Generator, speaker: str = "") -> np.ndarray:
        """Voices for an utterance of `speaker`, who is not heard among them."""
        others = [other for other in self._voices if other != speaker]
        chosen = rng.choice(len(others), min(self.together, len(others)), replace=False)
        babble = np.zeros(samples)
        for voice in (self._voices[others[index]] for index in chosen):
            babble += voice.draw(samples, rng) / math.sqrt(voice.power)  # a Python float: numpy 1 and 2 agree on it
        return babble.astype(np.float32)
