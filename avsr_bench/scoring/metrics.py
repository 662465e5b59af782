"""Metrics by name. The value of each is a ratio of sums over clips, so its parts add up wherever they were counted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from .edits import MOST, Edits

Amount = Annotated[float, Field(ge=-MOST, le=MOST, allow_inf_nan=False)]
WER = "wer"  # what rows are ordered by


@dataclass(frozen=True, slots=True)
class Sums:
    """The parts of a metric that counts no edits: what is divided by what."""

    errors: Amount = 0.0
    length: Amount = 0.0

    def __add__(self, other: Sums) -> Sums:
        return Sums(self.errors + other.errors, self.length + other.length)

    @property
    def rate(self) -> float:
        """The value of the metric."""
        return self.errors / max(self.length, 1)


Parts = Edits | Sums  # both have errors, length and rate


@dataclass(frozen=True, slots=True)
class Metric:
    """What a metric is called, and how its numbers are read."""

    label: str
    what: str
    counts: str  # what its length counts
    parts: type[Edits] | type[Sums] = Edits
    unit: str = "%"  # of a fraction; else its value is printed as it is
    lower_is_better: bool = True

    def said(self, value: float, decimals: int = 2) -> str:
        """A value for people, with its unit."""
        return f"{100 * value if self.unit == '%' else value:.{decimals}f} {self.unit}".rstrip()


METRICS = {
    WER: Metric("WER", "word error rate", "words"),
    "cer": Metric("CER", "character error rate", "characters"),
    # Of sound that was enhanced, against the clean sound (`scoring.sound`), and over what the noisy sound had.
    "si_sdr": Metric("SI-SDR", "scale-invariant signal-to-distortion ratio", "clips", Sums, "dB", False),
    "si_sdr_gain": Metric("SI-SDR gain", "SI-SDR above that of the noisy sound", "clips", Sums, "dB", False),
    "mel_gain": Metric(
        "mel gain", "how much nearer log-mels are than those of the noisy sound", "clips", Sums, "dB", False
    ),
    "estoi": Metric("ESTOI", "extended short-time objective intelligibility", "clips", Sums, "", False),
    "estoi_gain": Metric("ESTOI gain", "ESTOI above that of the noisy sound", "clips", Sums, "", False),
    "pesq": Metric("PESQ", "perceptual evaluation of speech quality, wideband", "clips", Sums, "", False),
    "pesq_gain": Metric("PESQ gain", "PESQ above that of the noisy sound", "clips", Sums, "", False),
    # Of a network that works while somebody speaks, as papers print it; what it waits for, and how long it computes.
    "input_frame": Metric("input frame", "sound and pictures that are taken in at once", "frames", Sums, "ms"),
    "frame_compute": Metric("compute", "processing of an input frame", "frames", Sums, "ms"),
}
