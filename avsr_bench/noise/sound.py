"""Noise for the ear: white, pink, voices or a recording, mixed into speech at a signal-to-noise ratio.

    source = source_of("pink")
    noisy = mix(speech, source, 2.5, rng_for(seed, key, source.name))

The noise is drawn from (seed, key, source) and then scaled: at every ratio it is the same noise, louder or softer. A
source is whatever has a `name` and can `draw`; voices are in `noise.babble`. What the numbers mean: docs/sound.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Literal, Protocol

import numpy as np

from ..recipes import nearest
from ..records import FPS, RATE, Misused, Refused, Unusable

VERSION = 1  # stored in every result; raised when the same request gives other samples

OF_VOICES = ("babble", "voice", "two-voices", "three-voices")  # how many speak in each: `noise.babble.KINDS`
KINDS = ("white", "pink", *OF_VOICES)
_ALLOWED = f"{', '.join(KINDS)} or a sound file such as cafe.wav"

_LOUDEST, _SOFTEST = -100.0, 100.0  # dB; float32 holds 144 dB, so within these neither loses the other
_SILENT = 1e-10  # mean square, -100 dB of full scale; the last of 16 bits, on in every sample, is -90 dB
_WINDOW = RATE // 50  # 20 ms, the usual window of speech measurement
_SPEECH_RANGE = 25.0  # dB below the loudest window: closest to transcribed speech on GRID and espeak (docs/sound.md)
_SOUND_RANGE = 60.0  # dB below the loudest window: softer than that is a pause in a recording
_LOWEST = 20.0  # Hz: below it pink noise is not heard, but would hold 40 % of the power of a clip of 3 s
_LONGEST = 600  # seconds of a recording that are used: 19 MB, and longer than the noise files of the field
_FADE = RATE // 100  # 10 ms, in which the end of a recording turns into its beginning


Over = Literal["utterance", "speech"]
Babble = Literal["corpus", "synth"]


@dataclass(frozen=True, slots=True)
class SoundSettings:
    """The section `sound:` of a recipe."""

    # Published results measure over the whole utterance, so a clip with long pauses gets softer noise.
    snr_over: Over = "utterance"
    babble: Babble = "corpus"  # whose voices all kinds of voices have: those of the prepared corpus, or espeak's

    def __post_init__(self) -> None:
        for name, allowed in (("snr_over", ("utterance", "speech")), ("babble", ("corpus", "synth"))):
            if getattr(self, name) not in allowed:
                raise Misused(f"sound.{name} is {getattr(self, name)!r}: say {' or '.join(allowed)}")


@dataclass(frozen=True, slots=True)
class SoundNoise:
    """One condition to hear under: a kind of `KINDS` or the path of a sound file, and a ratio in dB."""

    kind: str
    snr_db: float

    def __str__(self) -> str:  # parse() reads it back
        return f"{self.kind}:{np.format_float_positional(self.snr_db, trim='-')}"


def parse(text: str) -> tuple[SoundNoise, ...]:
    """The conditions that `KIND:DB[,DB...]` asks for, each once, in the order given.

    >>> [str(noise) for noise in parse("babble:12.5,0,-7.5")]
    ['babble:12.5', 'babble:0', 'babble:-7.5']
    """
    kind, colon, ratios = text.rpartition(":")
    if not colon or not kind.strip() or not ratios.strip():
        raise Misused(f"--sound {text!r} is not of the form KIND:DB[,DB...], for example babble:5,0,-5")
    _check_kind(kind)
    return tuple(dict.fromkeys(SoundNoise(kind, _ratio(ratio, text)) for ratio in ratios.split(",")))


def _ratio(number: str, text: str) -> float:
    try:
        return _checked_ratio(float(number))
    except ValueError:
        raise Misused(f"--sound {text!r}: {number!r} is no number; say decibels, for example babble:5,0,-5") from None


def _checked_ratio(snr_db: float) -> float:
    if not _LOUDEST <= snr_db <= _SOFTEST:  # neither is NaN
        raise Misused(
            f"a signal-to-noise ratio of {snr_db:g} dB: give a number from {_LOUDEST:g} to {_SOFTEST:g}, "
            "or leave the noise out for clean sound"
        )
    return float(snr_db) + 0.0  # no minus zero


def _check_kind(kind: str) -> None:
    if kind not in KINDS and not Path(kind).suffix:
        raise Misused(f"unknown sound {kind!r}.{nearest(kind, KINDS)} Or give a sound file such as cafe.wav")


class Source(Protocol):
    """Where noise comes from."""

    @property
    def name(self) -> str:
        """What it is, in a word, with a digest of any sound in it: the same name and draws give the same noise."""

    def draw(self, samples: int, rng: np.random.Generator, speaker: str = "") -> np.ndarray:
        """So many samples of noise for an utterance of `speaker`: float32 at 16 kHz, at a level of its own."""


def source_of(kind: str) -> Source:
    """The source of white or pink noise, or of the noise in a sound file; `avsr_bench.babble_sources` opens voices."""
    _check_kind(kind)
    if kind in OF_VOICES:
        raise Misused(f"{kind} is mixed from voices: open it with avsr_bench.babble_sources.open_source")
    return Coloured(kind) if kind in KINDS else read_recording(Path(kind))


def mix(
    speech: np.ndarray,
    source: Source,
    snr_db: float,
    rng: np.random.Generator,
    speaker: str = "",
    over: Over = "utterance",
) -> np.ndarray:
    """Speech with noise drawn for it; the same `rng` gives the same noise at every ratio. See `add`."""
    return add(speech, source.draw(len(_as_float(speech)), rng, speaker), snr_db, over)


def add(speech: np.ndarray, noise: np.ndarray, snr_db: float, over: Over = "utterance") -> np.ndarray:
    """Speech plus as much of `noise` as makes the ratio of their powers `snr_db`: float32, never clipped.

    Speech is int16, or floats of which 1 is full scale. Power is the mean square, as in published results: of the noise
    over the whole utterance, of the speech over the whole utterance too or, with `over="speech"`, over `speech_mask`.
    """
    SoundSettings(snr_over=over)  # refuses another word
    snr_db = _checked_ratio(snr_db)
    clean, noise = _as_float(speech), _as_float(noise)
    if len(clean) != len(noise):
        raise Misused(f"{len(clean)} samples of speech and {len(noise)} of noise: they must be equally long")
    if is_silent(clean):
        raise Refused("the speech is silent, so there is no ratio to it: leave the clip out, or prepare it with sound")
    if _power(noise) == 0:
        raise Refused(f"the noise is silent, so no gain makes it loud enough: give {_ALLOWED} that can be heard")
    level = _power(clean[speech_mask(clean)] if over == "speech" else clean)
    gain = np.sqrt(level / _power(noise) * 10 ** (-snr_db / 10))
    return (clean + gain * noise).astype(np.float32)


def is_silent(samples: np.ndarray) -> bool:
    """Whether the power lies below -100 dB of full scale."""
    return _power(_as_float(samples)) < _SILENT


def speech_mask(samples: np.ndarray) -> np.ndarray:
    """Where there is speech: the windows of 20 ms whose power is at most 25 dB below that of the loudest one."""
    loud = _loud_windows(_as_float(samples), _SPEECH_RANGE)
    return np.repeat(loud, _WINDOW)[: len(samples)]


def _loud_windows(samples: np.ndarray, range_db: float) -> np.ndarray:
    """For each window of 20 ms, the last may be shorter, whether its power comes within `range_db` of the loudest."""
    starts = np.arange(0, len(samples), _WINDOW)
    power = np.add.reduceat(samples**2, starts) / np.diff([*starts, len(samples)])
    return power >= power.max() * 10 ** (-range_db / 10)


def _power(samples: np.ndarray) -> float:
    return float(samples @ samples) / len(samples)


def _as_float(samples: np.ndarray) -> np.ndarray:
    """Sound as float64 of which 1 is full scale."""
    samples = np.asarray(samples)
    if samples.dtype != np.int16 and samples.dtype not in (np.float32, np.float64):
        raise Misused(f"sound of {samples.dtype}: give int16, or float of which 1 is full scale")
    if samples.ndim != 1 or not len(samples):
        raise Misused(f"sound of shape {samples.shape}: give the samples of one channel, at least one of them")
    if samples.dtype == np.int16:
        return samples / 32768
    if not np.isfinite(samples).all():
        raise Misused(f"{(~np.isfinite(samples)).sum()} samples of the sound are NaN or infinite: give numbers")
    return samples.astype(np.float64)


@dataclass(frozen=True, slots=True)
class Coloured:
    """Gaussian noise: white, with the same power in every hertz, or pink, with the same power in every octave."""

    name: str

    def draw(self, samples: int, rng: np.random.Generator, speaker: str = "") -> np.ndarray:
        """White noise of variance 1, or that with its spectrum shaped; the speaker does not matter."""
        if self.name == "white":
            return rng.standard_normal(samples).astype(np.float32)
        # A short clip is cut from a second, so that its noise too reaches down to 20 Hz.
        return make_pink(rng.standard_normal(max(samples, RATE)))[:samples].astype(np.float32)


def make_pink(white: np.ndarray) -> np.ndarray:
    """White noise at 16 kHz with the power of each frequency f times 20 Hz / f, and nothing below 20 Hz."""
    spectrum = np.fft.rfft(white)
    frequency = np.fft.rfftfreq(len(white), 1 / RATE)
    heard = frequency >= _LOWEST
    spectrum[~heard] = 0
    spectrum[heard] *= np.sqrt(_LOWEST / frequency[heard])
    return np.fft.irfft(spectrum, len(white))


class Recording:
    """A recorded noise or voice as an endless loop, of which a random stretch is taken.

    Its end fades into its beginning within 10 ms, so the seam does not click. A stretch begins where the recording
    sounds, within 60 dB of its loudest: it is never silent, whatever pauses there are.
    """

    def __init__(self, samples: np.ndarray, what: str = "the recording") -> None:
        sound = _as_float(samples)
        if is_silent(sound):
            raise Refused(f"{what} is silent and cannot be noise: give {_ALLOWED} that can be heard")
        sound = _closed(sound)
        self.power = _power(sound)
        self._loop = np.clip(np.round(sound * 32768), -32768, 32767).astype(np.int16)  # half of float32, in memory
        self._starts = np.fromiter(_loudest_places(sound), np.int64)
        self.name = f"recording-{blake2b(self._loop.astype('<i2').tobytes(), digest_size=4).hexdigest()}"

    def draw(self, samples: int, rng: np.random.Generator, speaker: str = "") -> np.ndarray:
        """A random stretch at the level of the recording; the speaker does not matter."""
        start = rng.choice(self._starts)
        stretch = np.take(self._loop, np.arange(start, start + samples), mode="wrap")
        return stretch.astype(np.float32) / 32768


def _closed(sound: np.ndarray) -> np.ndarray:
    """The sound with its end faded into its beginning, at constant power, and so 10 ms shorter."""
    if len(sound) < 4 * _FADE:
        return sound
    angle = (np.arange(_FADE) + 0.5) / _FADE * np.pi / 2
    seam = np.sin(angle) * sound[:_FADE] + np.cos(angle) * sound[-_FADE:]
    return np.concatenate([seam, sound[_FADE:-_FADE]])


def _loudest_places(sound: np.ndarray) -> Iterator[int]:
    """The place of the loudest sample in each window that is no pause."""
    for window in np.flatnonzero(_loud_windows(sound, _SOUND_RANGE)):
        start = int(window) * _WINDOW
        yield start + int(np.abs(sound[start : start + _WINDOW]).argmax())


def read_recording(path: Path) -> Recording:
    """The sound of a file of any format, rate and number of channels, as noise; the first ten minutes of a long one."""
    from ..media import read_sound  # needs PyAV and OpenCV, which a machine that only trains may lack

    try:
        sound = read_sound(path, _LONGEST * FPS, end=_LONGEST)
    except Unusable as error:
        raise Refused(f"cannot take noise from {path} ({error.reason.detail}): give {_ALLOWED}") from None
    if sound is None:
        raise Refused(f"there is no sound in {path}: give {_ALLOWED}")
    length = round((_LONGEST + sound.difference) * RATE)
    if length < 1:
        raise Refused(f"there is no sound in {path}: give {_ALLOWED}")
    return Recording(sound.samples[:length], str(path))
