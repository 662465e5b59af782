"""From any video to words with times: faces found and followed as in `prep`, read window by window, written down."""

from .cues import Cue, cues, srt, vtt
from .formats import FORMATS, as_json, txt
from .job import TranscribeSettings, transcribe
from .preview import preview
from .transcript import Gap, Take, Transcript, Utterance
from .windows import Window, WindowSettings
from .words import Word, join, words_of

__all__ = [
    "FORMATS",
    "Cue",
    "Gap",
    "Take",
    "TranscribeSettings",
    "Transcript",
    "Utterance",
    "Window",
    "WindowSettings",
    "Word",
    "as_json",
    "cues",
    "join",
    "preview",
    "srt",
    "transcribe",
    "txt",
    "vtt",
    "words_of",
]
