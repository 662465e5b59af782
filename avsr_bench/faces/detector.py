"""The one adapter round mediapipe: a picture in, faces out.

Version 0.10.21 is the last that carries its models inside the wheel, and newer ones change the interface, so nothing
else in the package may know that mediapipe exists. Two models: the short-range one (faces within about two metres,
0.8 ms a picture on one core) by the Tasks interface, the full-range one (2.5 ms) by `mp.solutions`, the only way that
still runs its file.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

import numpy as np

MIN_CONFIDENCE = 0.5  # mediapipe's own default, and what published crops were made with


@dataclass(frozen=True, slots=True)
class Faces:
    """The faces of one picture, in its pixels. N faces; points as in `records.FaceTrack`."""

    boxes: np.ndarray  # float32 N, 4: x, y, width, height
    points: np.ndarray  # float32 N, 4, 2
    scores: np.ndarray  # float32 N

    def __len__(self) -> int:
        return len(self.scores)


Detector = Callable[[np.ndarray], Faces]  # uint8 H, W, 3 in RGB


@cache
def load_detector(reach: Literal["short", "full"]) -> Detector:
    """A detector for near faces or for far ones, loaded once a process."""
    with _stderr_silenced():
        detector = _short_range() if reach == "short" else _full_range()
        detector(np.zeros((128, 128, 3), np.uint8))  # the graph starts, and logs, with its first picture
    return detector


def _short_range() -> Detector:
    import mediapipe
    from mediapipe.tasks.python.core.base_options import BaseOptions
    from mediapipe.tasks.python.vision.face_detector import FaceDetector, FaceDetectorOptions

    model = Path(mediapipe.__file__).parent / "modules/face_detection/face_detection_short_range.tflite"
    options = FaceDetectorOptions(BaseOptions(model_asset_path=str(model)), min_detection_confidence=MIN_CONFIDENCE)
    graph = FaceDetector.create_from_options(options)

    def detect(rgb: np.ndarray) -> Faces:
        image = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=np.ascontiguousarray(rgb))
        found = graph.detect(image).detections
        pixel_boxes = [face.bounding_box for face in found]
        boxes = [(b.origin_x, b.origin_y, b.width, b.height) for b in pixel_boxes]
        points = [[(p.x, p.y) for p in face.keypoints[:4]] for face in found]
        return _faces(rgb, boxes, points, [face.categories[0].score for face in found])

    return detect


def _full_range() -> Detector:
    from mediapipe.python.solutions.face_detection import FaceDetection

    graph = FaceDetection(model_selection=1, min_detection_confidence=MIN_CONFIDENCE)

    def detect(rgb: np.ndarray) -> Faces:
        found = graph.process(np.ascontiguousarray(rgb)).detections or []
        height, width = rgb.shape[:2]
        relative = [face.location_data.relative_bounding_box for face in found]
        boxes = [(b.xmin * width, b.ymin * height, b.width * width, b.height * height) for b in relative]
        points = [[(p.x, p.y) for p in face.location_data.relative_keypoints[:4]] for face in found]
        return _faces(rgb, boxes, points, [face.score[0] for face in found])

    return detect


def _faces(rgb: np.ndarray, boxes: list, relative_points: list, scores: list) -> Faces:
    height, width = rgb.shape[:2]
    points = np.array(relative_points, np.float32).reshape(-1, 4, 2) * np.array([width, height], np.float32)
    return Faces(np.array(boxes, np.float32).reshape(-1, 4), points, np.array(scores, np.float32))


@contextlib.contextmanager
def _stderr_silenced() -> Iterator[None]:
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
