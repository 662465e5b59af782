"""Whose voices are heard in babble, or as one, two or three other speakers: those of a prepared corpus, or espeak's.

    source = open_source("babble", SoundSettings(), Path("data/lrs3"), "test", seed=0)

Training hears voices of the training split; every other split hears voices of all splits but that one. So a network is
never tested in the crowd that it was trained in.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np

from . import shards
from .noise.babble import VOICES, Voices
from .noise.sound import OF_VOICES, SoundSettings, Source, is_silent, source_of, speech_mask
from .records import RATE, Refused, Unusable, rng_for

T = TypeVar("T")

TRAIN = "train"

_POOL = 40  # voices in memory: 30 for any utterance, with some to choose from and its own speaker left out
_SECONDS = 60  # of each: 40 voices are 77 MB
_SYNTH_SENTENCES = 10  # of each of espeak's voices: about 20 s


def open_source(kind: str, settings: SoundSettings, data: Path, split: str, seed: int) -> Source:
    """The source of any kind of noise for the utterances of one split of a prepared corpus."""
    if kind not in OF_VOICES:
        return source_of(kind)
    return synth_voices(seed, kind) if settings.babble == "synth" else corpus_voices(data, split, seed, kind)


def open_sources(
    kinds: Sequence[str], settings: SoundSettings, data: Path, split: str, seed: int
) -> tuple[Source, ...]:
    """A source for each of some kinds; voices are read once, however many kinds are made of them."""
    voices: Voices | None = None
    found: dict[str, Source] = {}
    for kind in dict.fromkeys(kinds):
        if kind in OF_VOICES and voices is not None:
            found[kind] = voices.of_kind(kind)
            continue
        found[kind] = source = open_source(kind, settings, data, split, seed)
        voices = source if isinstance(source, Voices) else voices
    return tuple(found[kind] for kind in kinds)


def babble_splits(split: str, known: Sequence[str]) -> tuple[str, ...]:
    """The splits whose voices the utterances of `split` hear.

    >>> babble_splits("test", ["test", "train", "valid"])
    ('test', 'valid')
    """
    return tuple(sorted(other for other in known if (other == TRAIN) == (split == TRAIN)))


def corpus_voices(data: Path, split: str, seed: int, kind: str = "babble") -> Voices:
    """Up to 40 speakers of a prepared corpus, a minute of each, chosen by the seed.

    Which clips of a speaker are taken does not depend on what other speakers or shards there are. Silent clips lend
    nothing.
    """
    splits = babble_splits(split, list(shards.read_prep(data)["splits"]))
    clips = defaultdict(list)
    for index in (index for name in splits for index in shards.shard_indexes(data, name)):
        for entry in shards.read_index(index):
            if "flac" in entry.members:
                clips[entry.speaker].append((entry.key, index.with_suffix(".tar"), entry))
    speech: dict[str, np.ndarray] = {}
    for speaker in _shuffled(sorted(clips), rng_for(seed, "babble", "speakers")):
        if len(speech) == _POOL:
            break
        own = sorted(clips[speaker], key=lambda clip: clip[0])
        said = _said(_shuffled(own, rng_for(seed, "babble", "clips", speaker)))
        if len(said):
            speech[speaker] = said
    try:
        return Voices(speech, kind)
    except Refused as error:
        raise Refused(f"{data}, {' and '.join(splits) or split}: {error}") from None


def _shuffled(things: Sequence[T], rng: np.random.Generator) -> list[T]:
    return [things[place] for place in rng.permutation(len(things))]


def _said(clips: Sequence[tuple[str, Path, shards.Entry]]) -> np.ndarray:
    """What one speaker says, clip after clip without the pauses at their ends, up to a minute of it."""
    from .media import decode_flac  # needs PyAV, which white noise does not

    pieces = [np.zeros(0, np.int16)]
    for key, tar, entry in clips:
        if sum(map(len, pieces)) >= _SECONDS * RATE:
            break
        try:
            samples = decode_flac(shards.read_member(tar, entry, "flac"))
        except Unusable as error:
            raise Refused(f"{tar}: {key}.flac: {error.reason.detail}; see `avsr-bench validate`") from None
        if len(samples) and not is_silent(samples):
            spoken = np.flatnonzero(speech_mask(samples))
            pieces.append(samples[spoken[0] : spoken[-1] + 1])
    return np.concatenate(pieces)[: _SECONDS * RATE]


def synth_voices(seed: int, kind: str = "babble") -> Voices:
    """Thirty of espeak's voices, each saying ten sentences of the GRID grammar; 2 s to make."""
    from .synth.settings import GRID
    from .synth.speaker import ACCENTS, VARIANTS
    from .synth.speech import Voice, speak

    accents = [f"{accent}+{variant}" for accent in ACCENTS for variant in VARIANTS]
    speech = {}
    for number, name in enumerate(rng_for(seed, "babble", "synth").choice(accents, VOICES, replace=False)):
        rng = rng_for(seed, "babble", "synth", str(number))
        voice = Voice(str(name), int(rng.integers(140, 181)), int(rng.integers(30, 71)), int(rng.integers(30, 71)))
        words = [str(rng.choice(choices)) for _ in range(_SYNTH_SENTENCES) for choices in GRID]
        speech[f"espeak {number + 1:02d}"] = _at_our_rate(speak(" ".join(words), voice).sound)
    return Voices(speech, kind)


def _at_our_rate(sound: np.ndarray) -> np.ndarray:
    """espeak's sound at 16 kHz as int16: its spectrum cut off at 8 kHz."""
    from .synth.speech import RATE as SPOKEN

    samples = len(sound) * RATE // SPOKEN
    resampled = np.fft.irfft(np.fft.rfft(sound)[: samples // 2 + 1], samples)
    return np.round(resampled / np.abs(resampled).max() * 16384).astype(np.int16)
