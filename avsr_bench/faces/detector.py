"""The one adapter round mediapipe: a picture in, faces out.

Version 0.10.21 is the last that carries its models inside the wheel, and newer ones change the interface, so nothing
else that works on clips may know that mediapipe exists (`synth` measures its one photograph with it). Two models: the
short-range one (faces within about two metres, 0.8 ms a picture on one core) by the Tasks interface, the full-range
one (2.5 ms) by `mp.solutions`, the only way that still runs its file.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

import numpy as np

from ..media import Picture, Upright

MIN_CONFIDENCE = 0.5  # mediapipe's own default, and what published crops were made with


@dataclass(frozen=True, slots=True)
class Faces:
    """The faces of one picture, in its pixels. N faces; points as in `records.FaceTrack`."""

    boxes: np.ndarray  # float32 N, 4: x, y, width, height
    points: np.ndarray  # float32 N, 4, 2
    scores: np.ndarray  # float32 N

    def __len__(self) -> int:
        return len(self.scores)


Detector = Callable[[Picture], Faces]


@cache
def load_detector(reach: Literal["short", "full"]) -> Detector:
    """A detector for near faces or for far ones, loaded once a process."""
    with stderr_silenced():
        detector = _short_range() if reach == "short" else _full_range()
        blank = Picture((np.zeros((256, 256), np.uint8),), Upright(256, 256))
        detector(blank)  # the graph starts, and logs, with its first picture
    return detector


def _short_range() -> Detector:
    import mediapipe
    from mediapipe.tasks.python.core.base_options import BaseOptions
    from mediapipe.tasks.python.vision.face_detector import FaceDetector, FaceDetectorOptions

    model = Path(mediapipe.__file__).parent / "modules/face_detection/face_detection_short_range.tflite"
    options = FaceDetectorOptions(BaseOptions(model_asset_path=str(model)), min_detection_confidence=MIN_CONFIDENCE)
    graph = FaceDetector.create_from_options(options)

    def detect(picture: Picture) -> Faces:
        rgb, size = _reduced(picture, 128)
        found = graph.detect(mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=rgb)).detections
        boxes = [face.bounding_box for face in found]  # in pixels of what it was shown
        pixels = np.array([(b.origin_x, b.origin_y, b.width, b.height) for b in boxes], np.float32).reshape(-1, 4)
        return Faces(
            boxes=pixels * np.tile(size / rgb.shape[1::-1], 2).astype(np.float32),
            points=_points(([(p.x, p.y) for p in face.keypoints[:4]] for face in found), size),
            scores=np.array([face.categories[0].score for face in found], np.float32),
        )

    return detect


def _full_range() -> Detector:
    from mediapipe.python.solutions.face_detection import FaceDetection

    graph = FaceDetection(model_selection=1, min_detection_confidence=MIN_CONFIDENCE)

    def detect(picture: Picture) -> Faces:
        rgb, size = _reduced(picture, 192)
        found = graph.process(rgb).detections or []
        places = [face.location_data for face in found]
        boxes = [place.relative_bounding_box for place in places]
        relative = np.array([(b.xmin, b.ymin, b.width, b.height) for b in boxes], np.float32).reshape(-1, 4)
        return Faces(
            boxes=relative * np.tile(size, 2).astype(np.float32),
            points=_points(([(p.x, p.y) for p in place.relative_keypoints[:4]] for place in places), size),
            scores=np.array([face.score[0] for face in found], np.float32),
        )

    return detect


def _reduced(picture: Picture, side: int) -> tuple[np.ndarray, np.ndarray]:
    """What a model of `side` x `side` inputs is shown, and the size in source pixels that its answers are shares of.

    The model samples its input anyway: every other pixel of a 360-pixel picture moves no point by more than detection
    itself jitters (0.36 px), and making RGB of all pixels would cost a third of the detection.
    """
    step = max(1, int(max(picture.width, picture.height) / (1.25 * side)))
    rgb = picture.rgb(step)
    return rgb, np.array([rgb.shape[1] * step, rgb.shape[0] * step], np.float64)


def _points(relative: Iterable[list[tuple[float, float]]], size: np.ndarray) -> np.ndarray:
    return (np.array(list(relative), np.float64).reshape(-1, 4, 2) * size).astype(np.float32)


@contextlib.contextmanager
def stderr_silenced() -> Iterator[None]:
    """mediapipe's C++ logs past Python and past every log level it offers, so its file descriptor is turned away."""
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
