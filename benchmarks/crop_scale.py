"""How large faces come out in the crop: by the eight iBUG points of published weights, and by four in two ways.

    python -m benchmarks crop_scale [GRID FOLDER]

The eight points are read off mediapipe's face mesh. What is compared is the mean scale of the similarity onto the
reference face over clips of GRID.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from avsr_bench import faces, media
from avsr_bench.faces.crop import REFERENCE_4, REFERENCE_68, similarity, smooth

from .results import record, table
from .straightforward import REFERENCE as PUBLIC_4

STABLE_MESH = (197, 2, 33, 133, 362, 263, 61, 291)  # of the mesh: where iBUG 28, 33, 36, 39, 42, 45, 48 and 54 lie
CLIPS = 60


def main(grid: Path) -> None:
    """Measure and record."""
    videos = sorted((grid / "s1").glob("*.mp4"))
    scales: dict[str, list[np.ndarray]] = {}
    for path in videos[:: max(1, len(videos) // CLIPS)]:
        video = media.Video(path)
        eight = smooth(_mesh(video))
        four = smooth(faces.find_track(video, faces.FaceSettings()).points.astype(np.float64))
        median = [cv2.estimateAffinePartial2D(frame, REFERENCE_68, method=cv2.LMEDS)[0] for frame in eight]
        fits = {
            "8 points, least squares": similarity(eight, REFERENCE_68),
            "8 points, least median of squares, as the public code": np.stack(median),
            "4 points, nose at the nostrils, as the public code": similarity(four, PUBLIC_4),
            "4 points, nose tip at its own place: ours": similarity(four, REFERENCE_4),
        }
        for name, matrices in fits.items():
            scales.setdefault(name, []).append(np.hypot(matrices[:, 0, 0], matrices[:, 1, 0]))
    means = {name: float(np.concatenate(found).mean()) for name, found in scales.items()}
    first = next(iter(means.values()))
    rows = [[name, f"{mean:.4f}", f"{mean / first - 1:+.1%}"] for name, mean in means.items()]
    record("prep: size of faces in the crop", "make bench ONLY=crop_scale", table(["", "scale", "of the first"], rows))


def _mesh(video: media.Video) -> np.ndarray:
    from mediapipe.python.solutions.face_mesh import FaceMesh

    frames = []
    with FaceMesh(static_image_mode=False, max_num_faces=1) as mesh:
        for picture in video:
            found = mesh.process(picture.rgb()).multi_face_landmarks[0].landmark
            frames.append([(found[i].x * picture.width, found[i].y * picture.height) for i in STABLE_MESH])
    return np.array(frames)
