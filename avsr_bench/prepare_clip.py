"""One clip to one sample: decode, find the face, crop the mouth, encode, take the sound. Used by every job.

    sample = make_sample(ClipJob(clip, "s1/bbaf2n"), SampleSettings())

The same clip with the same settings gives the same bytes.
"""

from __future__ import annotations

import gc
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from annotated_types import Interval, MultipleOf

from . import faces, media, noise, shards
from .faces import FaceSettings
from .media.picture import Colour
from .records import FPS, Clip, FaceTrack, Misused, Sample, Seed, Skipped, Unusable, rng_for


@dataclass(frozen=True, slots=True)
class ClipSettings:
    """Which clips are taken."""

    min_frames: Annotated[int, Interval(ge=1, le=10**6)] = 5  # 0.2 s: the shortest word of the corpora
    max_seconds: Annotated[float, Interval(gt=0, le=10**6)] | None = None  # longer clips are left out


@dataclass(frozen=True, slots=True)
class CropSettings:
    """What a mouth clip looks like."""

    size: Annotated[int, Interval(ge=16, le=512), MultipleOf(2)] = (
        faces.MOUTH
    )  # pixels of a side; the region is the same at any size
    colour: Colour = "grey"
    lossless: bool = False  # 5 times the bytes, for work on compression itself
    already_cropped: bool = False  # the videos are mouths: only scaled, no face is sought


@dataclass(frozen=True, slots=True)
class NoiseSettings:
    """Noise on the whole picture, before anything looks for a face in it."""

    frames: str | None = None  # FAMILY:LEVEL
    seed: Seed = 0

    def __post_init__(self) -> None:
        if self.frames is not None:
            try:
                noise.parse(self.frames)
            except Misused as misused:
                raise ValueError(str(misused)) from None


@dataclass(frozen=True, slots=True)
class SampleSettings:
    """All that decides the bytes of a sample."""

    clips: ClipSettings = field(default_factory=ClipSettings)
    faces: FaceSettings = field(default_factory=FaceSettings)
    crop: CropSettings = field(default_factory=CropSettings)
    noise: NoiseSettings = field(default_factory=NoiseSettings)
    only_detect: bool = False  # stop after the face track


@dataclass(frozen=True, slots=True)
class ClipJob:
    """A clip, its name for people (the path under the corpus), and its landmarks where they are ready."""

    clip: Clip
    name: str
    landmarks: Path | None = None  # a landmark file, or a `.tracks.npz` of ours that holds the clip's key


def make_sample(
    job: ClipJob, settings: SampleSettings, report_length: Callable[[float], None] = lambda seconds: None
) -> Sample | Skipped:
    """Make one sample. `report_length` hears the clip's length in seconds as soon as it is known, and where the video
    announces none, how much of it was seen.
    """
    try:
        return _make_sample(job, settings, report_length)
    except Unusable as unusable:
        return Skipped(job.clip.key, job.clip.split, unusable.reason)
    finally:
        # PyAV's containers and streams refer to one another. Without this (0.06 ms) the decoders of the last dozens of
        # clips, each with its pool of frames, wait for Python's own time to collect: 380 MB in place of 190.
        gc.collect(1)


def _make_sample(job: ClipJob, settings: SampleSettings, report_length: Callable[[float], None]) -> Sample:
    clip = job.clip
    if clip.problem is not None:
        raise Unusable(clip.problem.code, clip.problem.detail)
    video = media.Video(clip.video, clip.start, clip.end)
    plain: Iterable[media.Picture] = video
    seconds = _expected_seconds(clip, video.info)
    if seconds is None:
        plain = _Measured(video, settings.clips, report_length)
    else:
        report_length(seconds)
        _check_seconds(seconds, settings.clips)
    pictures, held = plain, None
    if settings.noise.frames is not None:
        pictures = _Noisy(plain, video.info, clip.key, settings.noise)
    if settings.crop.already_cropped:
        track = None
    elif job.landmarks is None:
        if not settings.only_detect and (settings.noise.frames is not None or not video.fits(seconds)):
            held = faces.Surroundings(settings.crop.colour)
        track = faces.find_track(pictures, _face_to_keep(clip, settings.faces, video.info), held)
    elif job.landmarks.name.endswith(".tracks.npz"):
        track = _stored_track(job, job.landmarks, video.info, plain)
    else:
        track = _track_from_landmarks(job, job.landmarks, video.info, pictures, settings.faces)
    about: dict[str, Any] = {
        "text": clip.text,
        "speaker": clip.speaker,
        "frames": 0,
        "source": _source(job, video.info),
    }
    if track is not None:
        _check_length(len(track), settings.clips.min_frames)
        about |= {"frames": len(track), "faces": face_facts(track)}
        if settings.only_detect:
            return Sample(clip.key, clip.split, len(track), clip.text, clip.speaker, {}, track)
        faces.check_in_picture(track)

    if settings.noise.frames is not None:
        about["noise"] = {**asdict(settings.noise), "version": noise.VERSION}
    # One crop at a time: an hour of mouths would take 830 MB.
    members = {
        "mouth.mp4": media.encode_mouth(
            _mouths(pictures, video.info, track, settings.crop, held), settings.crop.lossless
        )
    }
    frames = about["frames"] = video.frames or 0
    _check_length(frames, settings.clips.min_frames)
    origin = None if clip.audio else video.info.origin
    sound = media.read_sound(clip.audio or clip.video, frames, clip.start, clip.end, origin)
    if sound is not None:
        members["flac"] = media.encode_flac(sound.samples)
        about["sound"] = {"difference": round(sound.difference, 3)}
    notes = {**video.notes, **(sound.notes() if sound is not None else {})}
    if notes:
        about["notes"] = notes
    members["json"] = json.dumps(about, ensure_ascii=False, sort_keys=True).encode("utf-8", "backslashreplace")
    return Sample(clip.key, clip.split, frames, clip.text, clip.speaker, members, track)


def _face_to_keep(clip: Clip, settings: FaceSettings, info: media.VideoInfo) -> FaceSettings:
    """The settings with the face that the corpus names, unless the user has named another."""
    if clip.face is None or settings.face != "largest":
        return settings
    x, y = clip.face
    return replace(settings, face=f"{x * info.width:.1f},{y * info.height:.1f}")


class _Measured:
    """The pictures of a video that announces no length: it is reported and checked while they come."""

    def __init__(self, video: media.Video, settings: ClipSettings, report_length: Callable[[float], None]) -> None:
        self.video, self.settings, self.report_length = video, settings, report_length
        self.seen = 0  # frames, in the longest pass

    def __iter__(self) -> Iterator[media.Picture]:
        for frames, picture in enumerate(self.video, start=1):
            if frames > self.seen:
                self.seen = frames
                _check_seconds(frames / FPS, self.settings)
                if frames % FPS == 1:
                    self.report_length(frames / FPS)
            yield picture


class _Noisy:
    """The pictures of a video with noise on them, the same in every pass."""

    def __init__(
        self, pictures: Iterable[media.Picture], info: media.VideoInfo, key: str, settings: NoiseSettings
    ) -> None:
        assert settings.frames is not None
        self.pictures, self.info, self.key, self.seed = pictures, info, key, settings.seed
        self.family, self.level = noise.parse(settings.frames)

    def __iter__(self) -> Iterator[media.Picture]:
        upright = media.Upright(self.info.width, self.info.height)
        shape = (upright.height, upright.width, 3)
        corrupt = noise.begin(self.family, self.level, rng_for(self.seed, self.key, self.family), shape, on="frame")
        for picture in self.pictures:
            yield media.Picture((corrupt(picture.rgb()[None])[0],), upright, full_range=True)


def _track_from_landmarks(
    job: ClipJob, path: Path, info: media.VideoInfo, pictures: Iterable[media.Picture], settings: faces.FaceSettings
) -> FaceTrack:
    clip = job.clip
    first = round(clip.start * FPS)
    end = None if clip.end is None else first + media.frame_count(clip.end - clip.start)
    video = None if info.seconds is None else media.frame_count(info.seconds)
    return faces.track_from_landmarks(faces.load_landmarks(path), pictures, first, end, video, settings.max_gap)


def _stored_track(job: ClipJob, path: Path, info: media.VideoInfo, pictures: Iterable[media.Picture]) -> FaceTrack:
    """A track that an earlier run stored with its shard; it must be of a clip as long and as large."""
    track = _read_tracks(path).get(job.clip.key)
    if track is None:
        raise Unusable("no-landmarks", f"{path.name} has no track of this clip")
    frames = sum(1 for _ in pictures)
    stored, found = (len(track), track.width, track.height), (frames, info.width, info.height)
    if stored != found:
        raise Unusable("landmarks-mismatch", f"the track is of (frames, width, height) {stored}, the video has {found}")
    return track


_read_tracks = lru_cache(maxsize=2)(shards.read_tracks)  # a shard's clips come one after another


def _mouths(
    pictures: Iterable[media.Picture],
    info: media.VideoInfo,
    track: FaceTrack | None,
    crop: CropSettings,
    held: faces.Surroundings | None,
) -> Iterator[np.ndarray]:
    if track is None:
        matrix = faces.centre_matrix(info.width, info.height, crop.size)
        yield from (picture.warp(matrix, crop.size, crop.colour) for picture in pictures)
    else:
        matrices = faces.crop_matrices(track.points, crop.size)
        pictures = (held.pictures(matrices, crop.size) if held else None) or pictures
        frames = 0
        for frames, picture in enumerate(pictures, start=1):
            if frames > len(matrices):
                break
            yield picture.warp(matrices[frames - 1], crop.size, crop.colour)
        if frames != len(matrices):
            raise Unusable("damaged", "the file became another while it was read: it has more frames now, or fewer")


def _expected_seconds(clip: Clip, info: media.VideoInfo) -> float | None:
    # What a row says may be any number: where the video says how long it is, no more than that is waited for.
    end = min((end for end in (clip.end, info.seconds) if end is not None), default=None)
    return None if end is None else max(end - clip.start, 0.0)


def _check_seconds(seconds: float, settings: ClipSettings) -> None:
    most = settings.max_seconds
    if most is not None and seconds > most + 1 / FPS:
        raise Unusable("too-long", f"at least {seconds:.1f} s, clips.max_seconds is {most:g}")


def _check_length(frames: int, least: int) -> None:
    if frames < least:
        raise Unusable("too-short", f"{frames} frames, clips.min_frames is {least}")


def _source(job: ClipJob, info: media.VideoInfo) -> dict[str, Any]:
    try:
        size = job.clip.video.stat().st_size
    except OSError as error:
        raise Unusable("missing-file", f"{job.clip.video} went away while it was read: {error.strerror}") from None
    source: dict[str, Any] = {
        "path": job.name,
        "bytes": size,
        "width": info.width,
        "height": info.height,
        "fps": round(info.fps, 3),
        "start": job.clip.start,
    }
    if job.clip.end is not None:
        source["end"] = job.clip.end
    if job.clip.source:
        source["recording"] = job.clip.source
    return source


def face_facts(track: FaceTrack) -> dict[str, Any]:
    """How surely a face was seen, and how large, for a clip's record."""
    looked = ~np.isnan(track.scores)
    found = looked & (track.scores > 0)
    eyes = np.hypot(*(track.points[:, 1] - track.points[:, 0]).T) if track.points.shape[1] == 4 else track.boxes[:, 2]
    return {
        "looked": int(looked.sum()),
        "detected": round(float(found.sum() / looked.sum()), 4),
        "score": round(float(track.scores[found].mean()), 4),
        "width": round(float(np.median(track.boxes[:, 2])), 1),
        "eyes" if track.points.shape[1] == 4 else "span": round(float(np.median(eyes)), 1),
    }
