"""How near enhanced sound comes to clean sound: SI-SDR, ESTOI and PESQ, and what was gained over the noisy sound.

    measured = measure(enhanced, clean, noisy)   # of one clip; its parts go into an Utterance

Sound is a waveform at 16 kHz of which 1 is full scale. It is measured as it is: what exceeds full scale is not clipped.
Where the clean sound is silent no metric has a value. Silence in place of speech has one, the worst: left out, it would
raise the mean of an enhancer that mutes what it cannot clean.
"""

from __future__ import annotations

import warnings
from importlib.util import find_spec

import numpy as np

from .metrics import Sums

RATE = 16_000
SILENT = 1e-10  # mean square, -100 dB of full scale, as for noise (`noise.sound`)
MOST_SDR = 60.0  # dB; without bounds one clip that is muted, or left as it is, would be the mean. See docs/evaluate.md
NO_ESTOI = 1e-5  # what pystoi answers where fewer than 30 of its frames (0.4 s) are speech
LEAST_PESQ = 1.0  # of the scale of opinions that it predicts: bad
DIGITS = 4  # behind the point; results add up thousands of them


def si_sdr(sound: np.ndarray, clean: np.ndarray) -> float | None:
    """Scale-invariant signal-to-distortion ratio in dB (arXiv 1811.02508), of both without their means."""
    if _is_silent(clean):
        return None
    if _is_silent(sound):  # the ratio alone is 0 dB
        return -MOST_SDR
    heard, wanted = (_plain(each) - _plain(each).mean() for each in (sound, clean))
    return float(np.clip(distortion_ratio(heard, wanted), -MOST_SDR, MOST_SDR))


def distortion_ratio(sound: np.ndarray, clean: np.ndarray) -> np.ndarray:
    """SI-SDR in dB of waveforms along the last axis, as they are.

    Written out: torchmetrics has it too, but importing that takes a third of the time in which `train` starts.
    """
    least = np.finfo(np.float64).eps
    scale = ((sound * clean).sum(-1) + least) / (np.square(clean).sum(-1) + least)
    wanted = scale[..., None] * clean
    return 10 * np.log10((np.square(wanted).sum(-1) + least) / (np.square(wanted - sound).sum(-1) + least))


def estoi(sound: np.ndarray, clean: np.ndarray) -> float | None:
    """Extended short-time objective intelligibility (Jensen and Taal, 2016): 1 for clean sound, about 0 for noise."""
    if _is_silent(clean):
        return None
    from pystoi import stoi

    warnings.filterwarnings("ignore", "Not enough STFT frames")  # said by leaving the clip out
    found = float(stoi(_plain(clean), _plain(sound), RATE, extended=True))
    if found == NO_ESTOI:
        return None
    return 0.0 if _is_silent(sound) else found


def pesq(sound: np.ndarray, clean: np.ndarray) -> float | None:
    """Perceptual evaluation of speech quality, wideband (ITU-T P.862.2): from about 1 to 4.64 for the clean sound.

    None of clips under 0.25 s, and of those in whose clean sound it finds no utterance. Needs the extra `enhance`.
    """
    if _is_silent(clean):
        return None
    import pesq as itu

    def of(heard: np.ndarray) -> float | None:
        try:
            return float(itu.pesq(RATE, _plain(clean), _plain(heard), "wb"))
        except (itu.BufferTooShortError, itu.NoUtterancesError):
            return None

    found = None if _is_silent(sound) else of(sound)
    if found is None and of(clean) is not None:
        return LEAST_PESQ
    return found


MEASURES = {"si_sdr": si_sdr, "estoi": estoi, "pesq": pesq}


def computable() -> tuple[str, ...]:
    """The metrics of sound that can be computed here: PESQ where its package is installed."""
    return tuple(name for name in MEASURES if name != "pesq" or find_spec("pesq") is not None)


def measure(sound: np.ndarray, clean: np.ndarray, noisy: np.ndarray | None = None) -> dict[str, Sums]:
    """What one clip adds to every metric of sound that can be computed here, and its gains where there was noise.

    A clip of which a metric has no value adds nothing to it: the length of the sum says of how many clips it is.
    """
    found: dict[str, float | None] = {}
    for name in computable():
        found[name] = value = MEASURES[name](sound, clean)
        if noisy is not None:
            before = MEASURES[name](noisy, clean)
            found[f"{name}_gain"] = None if value is None or before is None else value - before
    return {name: Sums() if value is None else Sums(round(value, DIGITS), 1.0) for name, value in found.items()}


def _is_silent(sound: np.ndarray) -> bool:
    return not len(sound) or float(np.mean(np.square(sound, dtype=np.float64))) < SILENT


def _plain(sound: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(sound, dtype=np.float64)
