"""`transcribe`: from a video of any length to words with times. Reads top to bottom as it happens.

Two passes: one that finds and follows the faces, and one that cuts their mouths and reads them window by window. What
is held of the video is the faces' places and the frames of one window a face.
"""

from __future__ import annotations

import gc
import importlib.metadata
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from .. import faces, media
from ..evaluation import Reader
from ..faces import FaceSettings, People, Stretch
from ..media import Counted, Picture, Video, in_words
from ..prepare_clip import ClipSettings, face_facts
from ..records import FPS, SAMPLES_PER_FRAME, SILENCE, Progress, Refused, Unusable
from ..text import TEXT_VERSION
from .transcript import Gap, Take, Transcript, Utterance, utterances
from .windows import Reading, WindowSettings, read_window

MIN_FRAMES = ClipSettings().min_frames
MIN_SEEN = 1.0  # seconds in view, below which one of several faces is not followed: passers-by, and what is no face
PACKAGES = ("avsr-bench", "torch", "torchaudio", "mediapipe", "av", "numpy")
KEPT = 32 << 20  # bytes of pictures held between the passes: a clip's; a longer video is decoded again
NO_FACE, OTHER_FACE, NO_MOUTH, READ = range(4)  # what is in a frame, the most useful of it
WHY = ("no face in view", "another face in view (--all-faces)", "the face in view too shortly, or turned away")


@dataclass(frozen=True, slots=True)
class TranscribeSettings:
    """What is read of a video, and how it is cut."""

    faces: FaceSettings = field(default_factory=FaceSettings)
    windows: WindowSettings = field(default_factory=WindowSettings)
    all_faces: bool = False  # everybody in view for `MIN_SEEN`, not only the face that `faces.face` asks for


def transcribe(path: Path, reader: Reader, settings: TranscribeSettings, progress: Progress = SILENCE) -> Transcript:
    """Read one video. One that cannot be read raises `Unusable`, or `Refused` where it lacks what the model takes."""
    try:
        if reader.network.modality == "audio":
            return _listen(path, reader, settings)
        return _watch(path, reader, settings, progress)
    finally:
        gc.collect(1)  # PyAV's containers refer to one another: see prepare_clip.make_sample


def _watch(path: Path, reader: Reader, settings: TranscribeSettings, progress: Progress) -> Transcript:
    video = Video(path, keep_bytes=KEPT)
    if reader.network.modality == "av" and not video.info.has_sound:
        raise Refused(f"{path} has no sound, and {reader.name} listens: use a model of --modality video")
    people = faces.find_people(Counted(video, "faces", progress), settings.faces)
    if people.frames < MIN_FRAMES:
        raise Unusable("too-short", f"{people.frames} frames, and the shortest word takes {MIN_FRAMES}")
    chosen = [0]
    if settings.all_faces:
        chosen += [n for n, person in enumerate(people.persons) if n and person.frames >= MIN_SEEN * FPS]
    takes, content = _takes(people, chosen)
    if not takes:
        raise Unusable("mouth-outside", f"the face is in view for {people.persons[0].frames} frames, its mouth in none")
    found = _read(Counted(video, "reading", progress), path, video.info.origin, takes, reader, settings)
    gaps = tuple(_gaps(content))
    notes = [_gap_note(gaps, people.frames)] if gaps else []
    if settings.all_faces and len(people.persons) > len(chosen):
        notes.append(f"left out, in view for less than {MIN_SEEN:g} s: {len(people.persons) - len(chosen)} faces")
    if settings.all_faces and people.too_small:
        notes.append(f"left out, too small to be read: {people.too_small} faces")
    return Transcript(
        video=path,
        seconds=people.frames / FPS,
        utterances=tuple(sorted(found, key=lambda utterance: (utterance.start, utterance.face))),
        takes=takes,
        gaps=gaps,
        notes=tuple(notes),
        about=_about(reader, settings)
        | {"picture": {"width": people.width, "height": people.height, "fps": round(video.info.fps, 3)}}
        | {"detector": people.reach, "video_notes": video.notes},
    )


def _takes(people: People, chosen: list[int]) -> tuple[tuple[Take, ...], np.ndarray]:
    """The frames to be read of each chosen face, and what is in every frame."""
    takes = []
    content = np.full(people.frames, NO_FACE, np.uint8)
    for number, person in enumerate(people.persons):
        for stretch in person.stretches:
            inside = content[stretch.start : stretch.end]
            np.maximum(inside, NO_MOUTH if number in chosen else OTHER_FACE, out=inside)
    for face, number in enumerate(chosen, 1):
        for stretch in people.persons[number].stretches:
            for take in _takes_of(face, stretch):
                content[take.start : take.end] = READ
                takes.append(take)
    return tuple(sorted(takes, key=lambda take: (take.start, take.face))), content


def _takes_of(face: int, stretch: Stretch) -> Iterator[Take]:
    """A stretch without the frames in which the mouth is not where a face has it."""
    for start, matrices in faces.visible_mouths(stretch, MIN_FRAMES):
        first = start - stretch.start
        box = np.median(stretch.track.boxes[first : first + len(matrices)], axis=0)
        facts = {"box": [round(float(side), 1) for side in box], **face_facts(stretch.track)}
        yield Take(face, start, matrices, facts)


def _read(
    pictures: Iterable[Picture],
    path: Path,
    origin: float,
    takes: tuple[Take, ...],
    reader: Reader,
    settings: TranscribeSettings,
) -> list[Utterance]:
    """Cut the mouths of all takes in one pass and read each window as soon as it is full."""
    sounds = media.sound_by_frames(path, origin) if reader.network.modality == "av" else None
    silence = np.zeros(SAMPLES_PER_FRAME, np.int16)
    waiting = list(reversed(takes))
    running: list[tuple[Take, Reading]] = []
    found: list[Utterance] = []
    for t, picture in enumerate(pictures):
        sound = next(sounds, silence) if sounds is not None else None
        while waiting and waiting[-1].start == t:
            running.append((waiting.pop(), Reading(partial(read_window, reader), settings.windows, t)))
        for take, reading in running:
            mouth = picture.warp(take.matrices[t - take.start], faces.MOUTH, "grey")
            reading.add(mouth, sound)
            if t + 1 == take.end:
                found += utterances(take.face, reading.finish())
        running = [(take, reading) for take, reading in running if t + 1 < take.end]
    return found


def _listen(path: Path, reader: Reader, settings: TranscribeSettings) -> Transcript:
    """For a model that only listens: the whole sound, whoever is in view. A file of sound alone will do."""
    try:
        origin: float | None = media.probe(path).origin
    except Unusable as unusable:
        if unusable.reason.code != "no-video-stream":
            raise
        origin = None
    reading = Reading(partial(read_window, reader), settings.windows, 0)
    frames = 0
    for sound in media.sound_by_frames(path, origin):
        reading.add(None, sound)
        frames += 1
    if not frames:
        raise Refused(f"{path} has no sound, and {reader.name} listens: use a model of --modality video")
    if frames < MIN_FRAMES:
        raise Unusable("too-short", f"{frames / FPS:.2f} s of sound, and the shortest word takes {MIN_FRAMES / FPS} s")
    return Transcript(
        video=path,
        seconds=frames / FPS,
        utterances=tuple(utterances(0, reading.finish())),
        about=_about(reader, settings),
    )


def _gaps(content: np.ndarray) -> Iterator[Gap]:
    edges = np.flatnonzero(np.diff(content)) + 1
    for first, end in zip([0, *edges], [*edges, len(content)], strict=True):
        if content[first] != READ:
            yield Gap(float(first / FPS), float(end / FPS), WHY[content[first]])


def _gap_note(gaps: tuple[Gap, ...], frames: int) -> str:
    away = sum(gap.end - gap.start for gap in gaps)
    named = ", ".join(f"{in_words(gap.start)}-{in_words(gap.end)} {gap.why}" for gap in gaps[:3])
    more = f", and {len(gaps) - 3} more" if len(gaps) > 3 else ""
    return f"nothing is read in {away:.1f} of {frames / FPS:.1f} s: {named}{more}"


def _about(reader: Reader, settings: TranscribeSettings) -> dict[str, Any]:
    return {
        "model": {
            "run": reader.name,
            **(asdict(reader.about) if reader.about else {}),
            "modality": reader.network.modality,  # of a unified network, as which it read
        },
        "decode": asdict(reader.settings),
        "settings": asdict(settings),
        "versions": {name: importlib.metadata.version(name) for name in PACKAGES} | {"text": TEXT_VERSION},
        "device": str(reader.device),
    }
