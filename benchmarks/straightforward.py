"""What prep is measured against: the per-frame pipeline as the field's scripts have it, written plainly.

Every frame is decoded to RGB, searched for faces by the full-range detector, warped to 256x256 and cut to 96x96;
then H.264, FLAC, tar. And the floor: decoding luma and sound and nothing else.
"""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

REFERENCE = np.array(
    [(102.07, 94.27), (156.36, 93.58), (129.00, 135.90), (129.31, 157.82)]
)  # the public code's targets


def prepare(video: Path, detector: Any, tar: tarfile.TarFile) -> int:
    """One clip into the tar; its frames."""
    with av.open(str(video)) as container:
        container.streams.video[0].thread_count = 1
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    points = _interpolate([_four_points(detector, frame) for frame in frames])
    mouths = [_crop(frame, points, t) for t, frame in enumerate(frames)]
    _add(tar, f"{video.stem}.mouth.mp4", _encode(mouths))
    _add(tar, f"{video.stem}.flac", _flac(_sound(video)))
    return len(frames)


def decode_only(video: Path) -> int:
    """The floor: luma as the decoder leaves it and sound at 16 kHz, nothing kept."""
    frames = 0
    with av.open(str(video)) as container:
        container.streams.video[0].thread_count = 1
        for frame in container.decode(video=0):
            memoryview(frame.planes[0])
            frames += 1
    _sound(video)
    return frames


def load_detector() -> Any:
    """The full-range detector of mp.solutions."""
    from mediapipe.python.solutions.face_detection import FaceDetection

    return FaceDetection(model_selection=1, min_detection_confidence=0.5)


def _four_points(detector: Any, frame: np.ndarray) -> np.ndarray | None:
    found = detector.process(frame).detections
    if not found:
        return None
    height, width = frame.shape[:2]
    face = max(found, key=lambda face: face.location_data.relative_bounding_box.width)
    return np.array([(p.x * width, p.y * height) for p in face.location_data.relative_keypoints[:4]])


def _interpolate(points: list[np.ndarray | None]) -> np.ndarray:
    given = [t for t, four in enumerate(points) if four is not None]
    flat = np.stack([four.ravel() for four in points if four is not None])
    filled = [np.interp(np.arange(len(points)), given, column) for column in flat.T]
    return np.stack(filled, axis=1).reshape(-1, 4, 2)


def _crop(frame: np.ndarray, points: np.ndarray, t: int) -> np.ndarray:
    reach = min(6, t, len(points) - 1 - t)
    shape = points[t - reach : t + reach + 1].mean(axis=0)
    shape += points[t].mean(axis=0) - shape.mean(axis=0)
    matrix, _ = cv2.estimateAffinePartial2D(shape, REFERENCE, method=cv2.LMEDS)
    whole = cv2.warpAffine(frame, matrix, (256, 256), flags=cv2.INTER_LINEAR)
    x, y = matrix[:, :2] @ shape[3] + matrix[:, 2]
    top, left = round(y - 48), round(x - 48)
    return whole[top : top + 96, left : left + 96]


def _encode(mouths: list[np.ndarray]) -> bytes:
    memory = io.BytesIO()
    with av.open(memory, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width = stream.height = 96
        stream.pix_fmt = "yuv420p"
        stream.thread_count = 1
        stream.options = {"crf": "10"}  # as ours: about 49 dB
        for mouth in mouths:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(mouth, format="rgb24")))
        container.mux(stream.encode(None))
    return memory.getvalue()


def _sound(video: Path) -> np.ndarray:
    resampler = av.AudioResampler("s16", "mono", 16_000)
    with av.open(str(video)) as container:
        frames = [out for frame in container.decode(audio=0) for out in resampler.resample(frame)]
        frames += resampler.resample(None)
    return np.concatenate([frame.to_ndarray()[0] for frame in frames])


def _flac(samples: np.ndarray) -> bytes:
    memory = io.BytesIO()
    with av.open(memory, "w", format="flac") as container:
        stream = container.add_stream("flac", rate=16_000, layout="mono", format="s16")
        frame = av.AudioFrame.from_ndarray(samples[None], "s16", "mono")
        frame.sample_rate = 16_000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return memory.getvalue()


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))
