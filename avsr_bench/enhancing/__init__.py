"""Noisy recordings of any length made clean: the lips that are seen to speak, and the sound, frame by frame."""

from .job import Enhanced, EnhanceRequest, Gap, Latency, enhance
from .lips import Lips, Shown, find_lips
from .stream import Speed, Stream, enhanced

__all__ = [
    "EnhanceRequest",
    "Enhanced",
    "Gap",
    "Latency",
    "Lips",
    "Shown",
    "Speed",
    "Stream",
    "enhance",
    "enhanced",
    "find_lips",
]
