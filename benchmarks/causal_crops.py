"""What it costs to crop as a live stream must: no look, and no smoothing, that waits for later frames.

    python -m benchmarks causal_crops [GRID FOLDER]

Of every crop: how far the four corners and the middle of the usual one lie from their places in it, in its pixels, and
how far the mouth lies from where it is on average (as in `crops`; truth is mediapipe's face mesh).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from avsr_bench import faces, media

from .crops import distance, mesh_lips
from .results import record, table

CLIPS = 60
SIDE = faces.MOUTH - 1
PLACES = np.array([(0, 0), (SIDE, 0), (SIDE, SIDE), (0, SIDE), (SIDE / 2, SIDE / 2)], float)


def main(grid: Path) -> None:
    """Measure and record."""
    videos = sorted((grid / "s1").glob("*.mp4"))
    ways = {
        "prep's, and enhance's": (faces.FaceSettings(), False),
        "smoothed over 6 frames before": (faces.FaceSettings(), True),
        "every frame looked at": (faces.FaceSettings(stride=1), False),
        "both: enhance --stream": (faces.FaceSettings(stride=1), True),
    }
    moved: dict[str, list[np.ndarray]] = {way: [] for way in ways}
    apart: dict[str, list[np.ndarray]] = {way: [] for way in ways}
    for path in videos[:: max(1, len(videos) // CLIPS)]:
        video = media.Video(path)
        lips = mesh_lips(path)
        usual = faces.crop_matrices(faces.find_track(video, faces.FaceSettings()).points)
        for way, (settings, causal) in ways.items():
            matrices, _ = faces.fit_mouths(faces.find_track(video, settings).points, causal=causal)
            moved[way].append(_moved(usual, matrices))
            apart[way].append(distance(matrices, lips))
    rows = []
    for way in ways:
        moves, errors = np.concatenate(moved[way]), np.concatenate(apart[way])
        rows.append([way, f"{moves.mean():.2f}", f"{np.percentile(moves, 95):.2f}", f"{errors.mean():.2f}"])
    header = ["GRID", "moved, mean px of 96", "95th percentile", "mouth from its mean place"]
    record("enhance: crops that wait for no later frame", "make bench ONLY=causal_crops", table(header, rows))


def _moved(usual: np.ndarray, other: np.ndarray) -> np.ndarray:
    """How far each place of the usual crops lies from there in the others: T, 5."""
    back = np.linalg.inv(usual[:, :, :2])
    source = np.einsum("tij,tkj->tki", back, PLACES - usual[:, None, :, 2])
    there = np.einsum("tij,tkj->tki", other[:, :, :2], source) + other[:, None, :, 2]
    return np.asarray(np.hypot(*np.moveaxis(there - PLACES, 2, 0)))
