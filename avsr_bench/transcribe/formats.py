"""A transcript as text, JSON or subtitles."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from ..files import MARK
from ..records import FPS
from .cues import srt, vtt
from .transcript import Take, Transcript, Utterance


def txt(transcript: Transcript) -> str:
    """One utterance a line; with several faces each begins with the number of its face."""
    several = len(transcript.faces) > 1
    return "".join(f"{f'[{u.face}] ' if several else ''}{u.text}\n" for u in transcript.utterances)


def as_json(transcript: Transcript) -> dict[str, Any]:
    """All that is known, as plain values; times in seconds from the first frame of the video."""
    return {
        "about": MARK,
        "video": str(transcript.video),
        "seconds": round(transcript.seconds, 2),
        "text": " ".join(utterance.text for utterance in transcript.utterances),
        "confidence": _confidence(transcript),
        "utterances": [_utterance(utterance) for utterance in transcript.utterances],
        "faces": [
            {"face": face, "in_view": [_take(take) for take in transcript.takes if take.face == face]}
            for face in transcript.faces
        ],
        "gaps": [asdict(gap) for gap in transcript.gaps],
        "notes": list(transcript.notes),
        **transcript.about,
    }


def _confidence(transcript: Transcript) -> float | None:
    words = [word.confidence for utterance in transcript.utterances for word in utterance.words]
    return round(sum(words) / len(words), 4) if words else None


def _utterance(utterance: Utterance) -> dict[str, Any]:
    return {
        "face": utterance.face,
        "start": round(utterance.start, 2),
        "end": round(utterance.end, 2),
        "text": utterance.text,
        "confidence": round(utterance.confidence, 4),
        "words": [
            {
                "word": word.text,
                "start": round(word.start, 2),
                "end": round(word.end, 2),
                "confidence": round(word.confidence, 4),
            }
            for word in utterance.words
        ],
    }


def _take(take: Take) -> dict[str, Any]:
    return {"start": take.start / FPS, "end": take.end / FPS, **take.facts}


def _json_text(transcript: Transcript) -> str:
    return json.dumps(as_json(transcript), ensure_ascii=False, indent=1) + "\n"


FORMATS: dict[str, Callable[[Transcript], str]] = {"txt": txt, "json": _json_text, "srt": srt, "vtt": vtt}
