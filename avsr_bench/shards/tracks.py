"""The face tracks of a shard in one `.npz`: enough to crop again without detecting again."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ..records import FaceTrack


def pack_tracks(tracks: Mapping[str, FaceTrack]) -> bytes:
    """All tracks end to end, one after another, in the order of `tracks`; the same tracks give the same bytes.

    `frames` and `landmarks` say how many rows of `boxes`, `scores` and `points` belong to each key.
    """
    values = tracks.values()
    points = [track.points.reshape(-1, 2) for track in values]
    buffer = io.BytesIO()
    # Not compressed: detector coordinates shrink by a tenth, and zlib's bytes differ from one version to the next.
    np.savez(
        buffer,
        keys=np.array([key.encode() for key in tracks], dtype=np.bytes_),
        frames=np.array([len(track) for track in values], dtype=np.int64),
        landmarks=np.array([track.points.shape[1] for track in values], dtype=np.int64),
        sizes=np.array([(track.width, track.height) for track in values], dtype=np.int64).reshape(-1, 2),
        boxes=_joined([track.boxes for track in values], (0, 4)),
        points=_joined(points, (0, 2)),
        scores=_joined([track.scores for track in values], (0,)),
    )
    return buffer.getvalue()


def _joined(arrays: list[np.ndarray], empty: tuple[int, ...]) -> np.ndarray:
    return np.concatenate([np.zeros(empty, np.float32), *arrays]).astype(np.float32, copy=False)


def read_tracks(path: Path) -> dict[str, FaceTrack]:
    """The face track of each clip by key."""
    with np.load(path, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    frames, landmarks = arrays["frames"], arrays["landmarks"]
    rows = np.cumsum(frames)[:-1]
    points = np.split(arrays["points"], np.cumsum(frames * landmarks)[:-1])
    boxes, scores = np.split(arrays["boxes"], rows), np.split(arrays["scores"], rows)
    return {
        key.decode(): FaceTrack(
            boxes[i], points[i].reshape(frames[i], landmarks[i], 2), scores[i], int(width), int(height)
        )
        for i, (key, (width, height)) in enumerate(zip(arrays["keys"], arrays["sizes"], strict=True))
    }
