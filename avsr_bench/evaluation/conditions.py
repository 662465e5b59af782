"""Conditions: what is done to the clips of a split before a network meets them.

Noise for the eye falls on mouths as they were prepared, before they are scaled for a network; noise for the ear on the
whole utterance. Both are drawn from (seed, key of the clip, what the noise is), so every network meets the same.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from .. import noise
from ..babble_sources import open_source
from ..data import Example, Prepared
from ..nn import Modality
from ..noise import sound as ear
from ..noise.sound import SoundSettings, Source
from ..records import Refused, rng_for


@dataclass(frozen=True, slots=True)
class Condition:
    """One thing that is done to clips, or nothing."""

    name: str = "clean"  # as results call it: gaussian:3, babble:-5
    visual: tuple[str, int] | None = None  # family and level
    sound: tuple[Source, float] | None = None  # noise, and its ratio in dB
    over: ear.Over = "utterance"  # what the ratio is to
    on: Literal["mouth", "frame", "sound"] | None = None  # where it is done
    asked: str = ""  # how the command line asks for a sound: a file by its path

    def met_by(self, modality: Modality) -> bool:
        """Whether a network of this modality notices: noise for the ear means nothing to one that only sees."""
        return not (self.visual and modality == "audio") and not (self.sound and modality == "video")

    @property
    def version(self) -> int | None:
        """The version of what is done; none of clean clips."""
        return noise.VERSION if self.visual else ear.VERSION if self.sound else None


CLEAN = Condition()


def visual(family: str, level: int, on: Literal["mouth", "frame"] = "mouth") -> Condition:
    """Noise for the eye; level 0 is the clean condition itself."""
    noise.check(family, level)
    return Condition(f"{family}:{level}", visual=(family, level), on=on) if level else CLEAN


def open_sound(
    requests: Iterable[str], corpus: Prepared, split: str, seed: int, settings: SoundSettings | None = None
) -> list[Condition]:
    """Noise for the ear as `KIND:DB[,DB...]` asks for it, in the order given, each once; sources are opened once."""
    settings = settings or SoundSettings()
    found: dict[str, Condition] = {}
    for request in requests:
        asked = ear.parse(request)
        if asked[0].kind in ear.OF_VOICES and settings.babble == "corpus" and corpus.is_remote:
            raise Refused(
                f"{asked[0].kind} is made from voices of a local corpus: set sound.babble=synth, or copy the corpus"
                " here"
            )
        source = open_source(asked[0].kind, settings, Path(corpus.location), split, seed)
        for each in asked:
            name = str(ear.SoundNoise(sound_name(each.kind, source.name, settings), each.snr_db))
            heard = source, each.snr_db
            condition = Condition(name, None, heard, settings.snr_over, "sound", asked=str(each))
            found.setdefault(name, condition)
    return list(found.values())


def sound_name(kind: str, source: str, settings: SoundSettings) -> str:
    """`voice`; a file by its name and a digest of its sound, and whatever is not by default beside the kind."""
    if kind not in ear.KINDS:
        kind = f"{Path(kind).stem}-{source.rpartition('-')[2]}"
    elif kind in ear.OF_VOICES and settings.babble != "corpus":
        kind = f"{kind}-{settings.babble}"
    if settings.snr_over != "utterance":
        kind = f"{kind}-over-{settings.snr_over}"
    return kind


def corrupted(example: Example, condition: Condition, seed: int) -> Example:
    """The clip under a condition. What it lacks (a mouth, sound) stays missing."""
    if condition.visual and condition.on == "mouth" and example.mouth is not None:
        family, level = condition.visual
        mouth = noise.apply(example.mouth, family, level, rng_for(seed, example.key, family))
        return replace(example, mouth=mouth)
    if condition.sound and example.sound is not None:
        source, ratio = condition.sound
        rng = rng_for(seed, example.key, source.name)
        try:
            noisy = ear.mix(example.sound, source, ratio, rng, example.speaker, condition.over)
        except Refused as refused:
            raise Refused(f"{example.key} under {condition.name}: {refused}") from None
        return replace(example, sound=noisy * np.float32(32768))  # in the units of int16, unclipped
    return example
