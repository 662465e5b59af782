"""How near crops are to the mouth: detection on every frame against ours, on GRID and on the synthetic corpus.

    python -m benchmarks crops [GRID FOLDER]

The error of a frame is the distance, in pixels of the 96x96 crop, between where the true mouth lies in it and where it
lies on average over the clip: a constant offset is only the meaning of "the middle of the mouth". Truth is the centre
of the outer lips: by mediapipe's face mesh on GRID, and as it was drawn on synth.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from avsr_bench import faces, media

from .results import record, table

OUTER_LIPS = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185)  # of the mesh
GRID_CLIPS, SYNTH_CLIPS = 60, 60


def main(grid: Path) -> None:
    """Measure and record."""
    corpora: dict[str, Iterator[tuple[Path, np.ndarray]]] = {}
    if grid.is_dir():
        videos = sorted((grid / "s1").glob("*.mp4"))
        corpora["GRID"] = ((video, mesh_lips(video)) for video in videos[:: max(1, len(videos) // GRID_CLIPS)])
    synth = Path("data/raw/synth")
    if synth.is_dir():
        videos = sorted((synth / "test").rglob("*.mp4"))
        corpora["synth"] = ((video, _drawn_lips(video)) for video in videos[:: max(1, len(videos) // SYNTH_CLIPS)])
    ways: dict[str, faces.FaceSettings] = {
        "every frame": faces.FaceSettings(stride=1),
        "ours": faces.FaceSettings(),
    }
    rows = []
    for corpus, clips in corpora.items():
        errors: dict[str, list[np.ndarray]] = {way: [] for way in ways}
        looks: dict[str, list[np.ndarray]] = {way: [] for way in ways}
        for video, lips in clips:
            for way, settings in ways.items():
                track = faces.find_track(media.Video(video), settings)
                errors[way].append(distance(faces.crop_matrices(track.points), lips))
                looks[way].append(~np.isnan(track.scores))
        for way in ways:
            error = np.concatenate(errors[way])
            share = np.concatenate(looks[way]).mean()
            rows.append([f"{corpus}, {way}", f"{share:.0%}", f"{error.mean():.2f}", f"{np.percentile(error, 95):.2f}"])
    record(
        "prep: distance of crops from the mouth",
        "make bench ONLY=crops",
        table(["", "frames looked at", "mean, px of 96", "95th percentile"], rows)
        + "\n\nGoal: within 0.1 px in the mean and 0.3 px in the 95th percentile of looking at every frame.",
    )


def distance(matrices: np.ndarray, lips: np.ndarray) -> np.ndarray:
    """How far true mouths lie in their crops from where they lie on average."""
    place = np.einsum("tij,tj->ti", matrices[:, :, :2], lips) + matrices[:, :, 2]
    return np.hypot(*(place - place.mean(axis=0)).T)


def mesh_lips(video: Path) -> np.ndarray:
    """The middle of the outer lips in every frame, by mediapipe's face mesh."""
    from mediapipe.python.solutions.face_mesh import FaceMesh

    centres = []
    with FaceMesh(static_image_mode=False, max_num_faces=1) as mesh:
        for picture in media.Video(video):
            found = mesh.process(picture.rgb()).multi_face_landmarks[0].landmark
            points = [(found[i].x * picture.width, found[i].y * picture.height) for i in OUTER_LIPS]
            centres.append(np.mean(points, axis=0))
    return np.array(centres)


def _drawn_lips(video: Path) -> np.ndarray:
    with np.load(video.with_suffix(".truth.npz")) as truth:
        return truth["mouth"]
