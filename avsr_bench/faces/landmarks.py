"""Landmarks that somebody has ready: read, checked against the video, and made into a face track.

Known forms: `.npy` (T, K, 2), `.npz` with `points` (and `width`, `height`), `.json` (a list of frames, null where there
is no face, or the same under `points` beside `width`, `height`) and the published `.pkl` files (a list of arrays or
None). K is 68 (iBUG) or 4 (ours). A pickle can run code when it is read; ours admits arrays, lists, numbers and None.
"""

from __future__ import annotations

import io
import json
import pickle
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..media import Picture
from ..records import FPS, FaceTrack, Unusable
from .crop import LIPS_68
from .detector import load_detector
from .watch import nearest

SUFFIXES = (".npz", ".npy", ".json", ".pkl")
CHECKED_FRAMES = 5  # frames in which a face is sought to see that the landmarks lie on it
LIPS_OFF = 0.6  # ... and how far their mouths may usually be apart, in eye distances
RATE_OFF = 0.01  # share by which an announced number of frames may err: 24 frames a second are off by 0.04


@dataclass(frozen=True, slots=True)
class Landmarks:
    """Points of one face in every frame, NaN where there is none, and the picture size they were made for if known."""

    points: np.ndarray  # float32 T, K, 2
    size: tuple[int, int] | None = None  # width, height


def find_landmarks(folder: Path, video: Path) -> Path | None:
    """The landmark file of a video by the video's path below its corpus: s1/bbaf2n.mp4 has s1/bbaf2n.npz or so."""
    paths = (folder / video.with_suffix(suffix) for suffix in SUFFIXES)
    return next((path for path in paths if path.is_file()), None)


def load_landmarks(path: Path) -> Landmarks:
    """Read one landmark file of any known form."""
    try:
        frames, size = _READERS[path.suffix](path.read_bytes())
        return Landmarks(_stack(frames), size)
    except OSError as error:
        raise Unusable("unreadable", f"{path}: {error.strerror}") from None
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001  a damaged file can fail in any way inside numpy, json or pickle
        raise Unusable("bad-landmarks", f"{path.name}: {' '.join(str(error).split())[:160]}") from None


def _stack(frames: Any) -> np.ndarray:
    """Frames of K points, some of them None -> float32 T, K, 2."""
    # `same_kind` refuses complex numbers, of which numpy would drop a part with a warning.
    given = [None if frame is None else np.asarray(frame).astype(np.float32, casting="same_kind") for frame in frames]
    shapes = {frame.shape for frame in given if frame is not None}
    if len(shapes) != 1 or (shape := shapes.pop()) not in ((68, 2), (4, 2)):
        raise ValueError(f"expected frames of 68 or 4 points with x and y, found shapes {sorted(shapes)}")
    return np.stack([np.full(shape, np.nan, np.float32) if frame is None else frame for frame in given])


def _from_npz(data: bytes) -> tuple[Any, tuple[int, int] | None]:
    with np.load(io.BytesIO(data), allow_pickle=False) as stored:
        size = (int(stored["width"]), int(stored["height"])) if {"width", "height"} <= set(stored.files) else None
        return stored["points"], size


def _from_npy(data: bytes) -> tuple[Any, None]:
    return np.load(io.BytesIO(data), allow_pickle=False), None


def _from_json(data: bytes) -> tuple[Any, tuple[int, int] | None]:
    stored = json.loads(data)
    if isinstance(stored, list):
        return stored, None
    size = (int(stored["width"]), int(stored["height"])) if {"width", "height"} <= stored.keys() else None
    return stored["points"], size


def _from_pickle(data: bytes) -> tuple[Any, None]:
    return _DataUnpickler(io.BytesIO(data)).load(), None


_READERS = {".npz": _from_npz, ".npy": _from_npy, ".json": _from_json, ".pkl": _from_pickle}


def _encode_latin1(text: str, encoding: str) -> bytes:
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"it encodes text as {encoding}")
    return text.encode("latin1")


# All that pickled arrays of numbers name, in any protocol.
_NUMPY: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("numpy.core.multiarray", "_reconstruct"): np.core.multiarray._reconstruct,  # type: ignore[attr-defined]
    ("numpy.core.multiarray", "scalar"): np.core.multiarray.scalar,  # type: ignore[attr-defined]
    ("numpy.core.numeric", "_frombuffer"): np.core.numeric._frombuffer,  # type: ignore[attr-defined]
    ("_codecs", "encode"): _encode_latin1,  # how protocol 2 writes the bytes of an array
}


class _DataUnpickler(pickle.Unpickler):
    """Reads pickled lists, numbers, None and numpy arrays of numbers, and calls nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        known = _NUMPY.get((module.replace("numpy._core", "numpy.core"), name))  # numpy 2 moved its core
        if known is None:
            raise pickle.UnpicklingError(f"it holds {module}.{name}; only arrays, lists, numbers and None are read")
        return known


def track_from_landmarks(
    landmarks: Landmarks, pictures: Iterable[Picture], first: int, end: int | None, video: int | None, max_gap: int
) -> FaceTrack:
    """The track that landmarks give for a clip of their frames from `first` to `end`, after checking that they fit it.

    Without an `end` the clip reaches to the end of its video. `video` is how many frames the whole video announces, if
    it does: landmarks of another frame rate are known by their number. The resolution is compared where the file states
    it; always, the mouth is compared with a face that our detector finds in a few frames.
    """
    points = landmarks.points[first:end]
    whole = first == 0 and end is None
    if not whole and video is not None and not _about_as_many(len(landmarks.points), video):
        detail = f"landmarks for {len(landmarks.points)} frames, the video has {video} at {FPS} a second"
        raise Unusable("landmarks-mismatch", detail)
    checked = set(np.linspace(0, len(points) - 1, CHECKED_FRAMES).astype(int).tolist())
    frames, apart = 0, []
    for picture in pictures:
        if frames == 0:
            width, height = picture.width, picture.height
            if landmarks.size not in (None, (width, height)):
                raise Unusable("landmarks-mismatch", f"made for {landmarks.size}, the video is {(width, height)}")
        if frames in checked and frames < len(points) and not np.isnan(points[frames]).any():
            apart += _distance_to_face(points[frames], picture)
        frames += 1
    too_many = len(points) != frames if whole else end is None and not _about_as_many(len(points), frames)
    if len(points) < frames or too_many:
        raise Unusable("landmarks-mismatch", f"landmarks for {len(points)} frames, the video has {frames}")
    if apart and np.median(apart) > LIPS_OFF:
        far = f"{np.median(apart):.1f} eye distances"
        raise Unusable(
            "landmarks-mismatch", f"the landmarks' mouth is {far} from the face's: another resolution or rate?"
        )
    return _complete(points[:frames], width, height, max_gap)


def _about_as_many(landmarks: int, frames: int) -> bool:
    return abs(landmarks - frames) <= max(2, RATE_OFF * frames)


def _distance_to_face(points: np.ndarray, picture: Picture) -> list[float]:
    """How far the landmarks' mouth is from that of the nearest face, in eye distances; empty where no face is found."""
    faces = load_detector("short")(picture)
    if not len(faces):
        return []
    corner, extent = points.min(axis=0), np.ptp(points, axis=0)
    face, _ = nearest(faces, np.concatenate([corner, np.maximum(extent, 1)]))
    mouth = points[3] if len(points) == 4 else points[LIPS_68].mean(axis=0)
    eyes = np.hypot(*(faces.points[face, 1] - faces.points[face, 0]))
    return [float(np.hypot(*(mouth - faces.points[face, 3])) / max(eyes, 1.0))]


def _complete(points: np.ndarray, width: int, height: int, max_gap: int) -> FaceTrack:
    given = np.flatnonzero(~np.isnan(points).any(axis=(1, 2)))
    if not len(given):
        raise Unusable("no-face", f"the landmarks have no face in {len(points)} frames")
    gaps = np.diff(np.concatenate([[-1], given, [len(points)]])) - 1
    if gaps.max() > max_gap:
        raise Unusable(
            "face-lost", f"the landmarks have no face in {gaps.max()} frames on end, faces.max_gap is {max_gap}"
        )
    frames = np.arange(len(points))
    flat = points[given].reshape(len(given), -1)
    filled = np.stack([np.interp(frames, given, column) for column in flat.T], axis=1).reshape(points.shape)
    corner = filled.min(axis=1)
    scores = np.zeros(len(points), np.float32)
    scores[given] = 1.0
    return FaceTrack(
        boxes=np.concatenate([corner, filled.max(axis=1) - corner], axis=1).astype(np.float32),
        points=filled.astype(np.float32),
        scores=scores,
        width=width,
        height=height,
    )
