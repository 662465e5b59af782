"""Speech from espeak-ng, with the time of every phoneme, through ctypes in synchronous mode."""

from __future__ import annotations

import _ctypes
import ctypes
from dataclasses import dataclass

import numpy as np

from ..records import Refused

RATE = 22_050  # samples a second: espeak-ng's own

# Constants of espeak-ng's speak_lib.h.
_SYNCHRONOUS = 2
_PHONEME_EVENTS, _DONT_EXIT = 0x0001, 0x8000
_EVENT_END_OF_LIST, _EVENT_PHONEME = 0, 7
_SPEED, _PITCH, _PITCH_RANGE = 1, 3, 4
_FLAGS = 0x0001 | 0x0100  # text in UTF-8; [[...]] holds phonemes

# The letter's name in phonemes, where the bare letter would be read as a word.
_SPOKEN = {"a": "[[eI]]"}


@dataclass(frozen=True, slots=True)
class Voice:
    """How a speaker sounds, in espeak-ng's terms."""

    name: str  # accent+variant
    rate: int = 160  # words a minute
    pitch: int = 50  # 0 to 99
    pitch_range: int = 50  # 0 to 99; 0 is monotone


@dataclass(frozen=True, slots=True)
class Phone:
    """One phoneme as spoken, in espeak-ng's own letters, stress marks removed; seconds from the start of the sound."""

    label: str
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Speech:
    """A spoken sentence: mono sound at `RATE`, and its phonemes in order, touching one another."""

    sound: np.ndarray  # float32, -1 to 1
    phones: tuple[Phone, ...]


class _Name(ctypes.Union):
    _fields_ = (("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8))


class _Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _Name),
    )


_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


def speak(text: str, voice: Voice) -> Speech:
    """Speak one sentence; the same text and voice give the same samples, whatever was spoken before.

    The library keeps the phase of its oscillators between sentences and across its own initialisation, so it is loaded
    afresh each time: 2 ms, and the only way to be independent of history.
    """
    try:
        import espeakng_loader
    except ImportError:
        raise Refused("the synthetic corpus needs espeak-ng: pip install 'avsr-bench[synth]'") from None
    chunks: list[np.ndarray] = []
    marks: list[tuple[str, int]] = []

    @_Callback
    def collect(samples, count, events) -> int:  # type: ignore[no-untyped-def]
        if samples and count > 0:
            chunks.append(np.ctypeslib.as_array(samples, (count,)).copy())
        i = 0
        while events[i].type != _EVENT_END_OF_LIST:
            if events[i].type == _EVENT_PHONEME:
                marks.append((events[i].id.string.decode("utf-8", "replace"), events[i].sample))
            i += 1
        return 0

    library = ctypes.CDLL(espeakng_loader.get_library_path())
    try:
        data = espeakng_loader.get_data_path().encode()
        if library.espeak_Initialize(_SYNCHRONOUS, 0, data, _PHONEME_EVENTS | _DONT_EXIT) != RATE:
            raise Refused("espeak-ng could not start: reinstall it with pip install --force-reinstall espeakng-loader")
        library.espeak_ng_SetRandSeed(ctypes.c_long(0))  # breath and hiss, which espeak-ng seeds by the clock
        library.espeak_SetSynthCallback(collect)
        if library.espeak_SetVoiceByName(voice.name.encode()) != 0:
            raise Refused(f"espeak-ng has no voice {voice.name!r}: reinstall espeakng-loader, or name another")
        for parameter, value in ((_SPEED, voice.rate), (_PITCH, voice.pitch), (_PITCH_RANGE, voice.pitch_range)):
            library.espeak_SetParameter(parameter, value, 0)
        words = " ".join(_SPOKEN.get(word, word) for word in text.split()).encode()
        if library.espeak_Synth(words, len(words) + 1, 0, 1, 0, _FLAGS, None, None) != 0:
            raise Refused(f"espeak-ng failed at {text!r}: reinstall espeakng-loader")
    finally:
        library.espeak_Terminate()
        _ctypes.dlclose(library._handle)
    sound = np.concatenate(chunks or [np.zeros(0)]).astype(np.float32) / 32768
    ends = [at for _, at in marks[1:]] + [len(sound)]
    phones = tuple(
        Phone(label.lstrip("',%="), at / RATE, end / RATE)
        for (label, at), end in zip(marks, ends, strict=True)
        if not label.startswith("_") and end > at
    )
    if not phones:
        raise Refused(f"espeak-ng found nothing to say in {text!r}: use plain English words")
    return Speech(sound, phones)
