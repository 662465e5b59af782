"""The face tracks of a shard in one `.npz`: enough to crop again without detecting again."""

from __future__ import annotations

import io
import os
import re
import zipfile
from collections.abc import Mapping
from math import prod
from pathlib import Path

import numpy as np

from ..bounded import open_file
from ..records import FaceTrack

HEADER = re.compile(
    rb"\{'descr': '([<|][if]\d|\|S[1-9]\d{0,3})', 'fortran_order': False, 'shape': \(([\d, ]*)\), \} *\n"
)
# Each array: kind and bytes of a value (keys of any length), and the shape of a row.
FORMS: dict[str, tuple[str, tuple[int, ...]]] = {
    "keys": ("S", ()),
    "frames": ("i8", ()),
    "landmarks": ("i8", ()),
    "sizes": ("i8", (2,)),
    "boxes": ("f4", (4,)),
    "points": ("f4", (2,)),
    "scores": ("f4", ()),
}


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
    """The face track of each clip by key; `ValueError` where the file is not one of ours, whoever wrote it."""
    arrays = {name: _checked(name, array) for name, array in _read_arrays(path).items()}
    keys, frames, landmarks = arrays["keys"], arrays["frames"].tolist(), arrays["landmarks"].tolist()
    sizes = arrays["sizes"]
    if not len(keys) == len(frames) == len(landmarks) == len(sizes) == len(set(keys.tolist())):
        raise ValueError("its arrays are not of one number of clips, or a key stands there twice")
    if min([*frames, *landmarks, *sizes.ravel().tolist()], default=0) < 0:
        raise ValueError("it has a negative length")
    points_of = [length * points for length, points in zip(frames, landmarks, strict=True)]
    if not sum(frames) == len(arrays["boxes"]) == len(arrays["scores"]) or sum(points_of) != len(arrays["points"]):
        raise ValueError("its arrays are not as long as its lengths say")
    if not np.isfinite(arrays["boxes"]).all() or not np.isfinite(arrays["points"]).all():
        raise ValueError("a place in it is not a number")
    looked = arrays["scores"][~np.isnan(arrays["scores"])]
    if ((looked < 0) | (looked > 1)).any():
        raise ValueError("a confidence in it is not between 0 and 1")
    rows = np.cumsum(frames)[:-1]
    points = np.split(arrays["points"], np.cumsum(points_of)[:-1])
    boxes, scores = np.split(arrays["boxes"], rows), np.split(arrays["scores"], rows)
    if not all((each > 0).any() for each in scores if len(each)):
        raise ValueError("a track in it has no frame in which a face was found")
    return {
        key.decode("ascii"): FaceTrack(
            boxes[i], points[i].reshape(frames[i], landmarks[i], 2), scores[i], int(width), int(height)
        )
        for i, (key, (width, height)) in enumerate(zip(keys, sizes, strict=True))
    }


def _read_arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays of the file. They are stored and not compressed, so none takes more memory than the file has bytes."""
    found = {}
    with open_file(path) as file, zipfile.ZipFile(file) as stored:
        if sorted(stored.namelist()) != sorted(f"{name}.npy" for name in FORMS):
            raise ValueError(f"it holds {len(stored.namelist())} files, not the {len(FORMS)} arrays of tracks")
        size = os.fstat(file.fileno()).st_size
        for info in stored.infolist():
            if info.compress_type != zipfile.ZIP_STORED or info.file_size > size:
                raise ValueError(f"{info.filename} is compressed, or longer than the file")
            found[info.filename.removesuffix(".npy")] = _array(stored.read(info))
    return found


def _array(data: bytes) -> np.ndarray:
    """An array as `np.save` writes it. numpy's own reader takes the memory that a header asks for, and evaluates it."""
    end = 10 + int.from_bytes(data[8:10], "little")
    header = HEADER.fullmatch(data[10:end])
    if data[:8] != b"\x93NUMPY\x01\x00" or header is None:
        raise ValueError("an array in it is of another form than tracks have")
    kind, shape = np.dtype(header[1].decode()), tuple(int(length) for length in header[2].split(b",") if length.strip())
    if prod(shape) * kind.itemsize != len(data) - end:
        raise ValueError("an array in it is not as long as it says")
    return np.frombuffer(data, kind, offset=end).reshape(shape) if prod(shape) else np.zeros(shape, kind)


def _checked(name: str, array: np.ndarray) -> np.ndarray:
    kind, shape = FORMS[name]
    if array.dtype.kind + str(array.dtype.itemsize) != kind and not array.dtype.kind == kind == "S":
        raise ValueError(f"{name} are of {array.dtype}")
    if array.ndim != 1 + len(shape) or array.shape[1:] != shape:
        raise ValueError(f"{name} have the shape {array.shape}")
    return array
