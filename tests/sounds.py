"""Sounds made for tests, and how loud one is in another."""

from __future__ import annotations

import wave

import numpy as np
from videos import tone

SPEECH = np.random.default_rng(1).normal(0, 0.1, 16_000) * np.sin(np.arange(16_000) / 900)
SPEECH_INT = (SPEECH * 32768).astype(np.int16)


def power(samples):
    return np.mean(np.square(samples, dtype=np.float64))


def reached(noisy, speech, over=slice(None)):
    """The ratio in dB between speech and what was added to it."""
    speech = speech / 32768 if speech.dtype == np.int16 else speech.astype(np.float64)
    return 10 * np.log10(power(speech[over]) / power(noisy - speech))


def noise_at(pitch, seconds=1.0, rate=16_000):
    return tone(seconds, rate, pitch)


def pitches(samples):
    """The loudest frequency, in Hz."""
    return np.abs(np.fft.rfft(samples)).argmax() * 16_000 / len(samples)


def write_wave(path, samples, rate=16_000):
    """Write int16 samples as a plain WAV, without FFmpeg."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples.astype("<i2").tobytes())
    return path


def carried(seconds: float, rate: int = 16_000, seed: int = 0, level: float = 2500) -> np.ndarray:
    """Sound in which every sample is told from its neighbours, and which 16 kHz can carry."""
    rng = np.random.default_rng(seed)
    coarse = rng.normal(size=round(seconds * rate) + 64)
    smooth = np.convolve(coarse, np.hanning(16), "valid")[: round(seconds * rate)]
    return (level * smooth / max(smooth.std(), 1.0)).clip(-30_000, 30_000).astype(np.int16)
