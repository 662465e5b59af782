"""How fast the visual noise is, against albumentations and imagecorruptions at the same strengths.

python -m benchmarks noise_speed [GRID FOLDER]

The two bring an OpenCV and a numpy that break mediapipe, so they live in `.venv-peers`, made on the first run. A
process in there works on one clip at a time; ours and theirs take turns.
"""

from __future__ import annotations

import functools
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from .results import record, table

PEERS = Path(".venv-peers")
PINNED = (
    "albumentations==2.0.8",
    "imagecorruptions==1.1.2",
    "scikit-image==0.25.2",
    "numpy==1.26.4",
    "opencv-python==4.11.0.86",  # the same as ours
    "opencv-python-headless==4.11.0.86",
    "setuptools<81",  # imagecorruptions imports pkg_resources
)
TURNS = 7
FRAMES = 75
# What imagecorruptions does at its severities 1 to 5, in our words; its motion blur adds up so many shifted pictures.
SEVERITIES = {
    "blur": (1, 2, 3, 4, 6),
    "motion": (21, 31, 31, 31, 41),
    "pixelate": (1 / 0.6, 2, 2.5, 1 / 0.3, 4),
    "jpeg": (25, 18, 15, 10, 7),
    "gaussian": (20.4, 30.6, 45.9, 66.3, 96.9),
    "contrast": (0.4, 0.3, 0.2, 0.1, 0.05),
}


def main(grid: Path) -> None:
    """Measure and record."""
    import cv2

    cv2.setNumThreads(1)
    python = _environment()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    clip = _mouths(grid)
    with tempfile.NamedTemporaryFile(suffix=".npy") as file:
        np.save(file.name, clip)
        with _Peers(python, Path(file.name)) as peers:
            rows, summary = _compare(clip, peers)
    whole = statistics.median(_all_conditions(clip) for _ in range(TURNS))
    os.sched_setaffinity(0, range(os.cpu_count() or 1))
    record(
        "noise: speed of the visual families",
        "make bench ONLY=noise_speed",
        table(
            [
                "thousand frames/s, grey 96x96, one core",
                "ours",
                "albumentations",
                "ratio",
                "its `images=`",
                "ratio",
                "ours, 5 severities",
                "imagecorruptions",
                "ratio",
            ],
            rows,
        )
        + f"\n\n- {summary}"
        + f"\n- All 70 conditions of one clip of {FRAMES} frames: **{whole:.3f} s** (goal: under 0.12 s)."
        + "\n\nMeans over our ten levels (albumentations) and over the five severities of imagecorruptions, at equal"
        + f" strength; medians of {TURNS} turns, CPU time; OpenCV 4.11 on both sides. `images=` is the call of"
        + " albumentations for a whole clip: its Gaussian noise is then the same in every frame (ours is new in each),"
        + " and its contrast one table (ours follows the mean of each frame). imagecorruptions works in RGB.",
    )


def _compare(clip: np.ndarray, peers: _Peers) -> tuple[list[list[str]], str]:
    from avsr_bench import noise

    rows, by_frame, by_clip, corruptions = [], [], [], []
    for name, family in noise.FAMILIES.items():
        strengths = [(strength, _for_albumentations(name, strength)) for strength in family.levels]
        ours, frame, whole = _turns(clip, peers, name, strengths, ("albumentations", "albumentations images"))
        row = [name, *(f"{FRAMES / seconds / 1e3:.0f}" for seconds in (ours, frame)), f"{frame / ours:.1f}x"]
        row += [f"{FRAMES / whole / 1e3:.0f}", f"{whole / ours:.1f}x"]
        by_frame.append(frame / ours)
        by_clip.append(whole / ours)
        if name in SEVERITIES:
            severities = [(strength, severity) for severity, strength in enumerate(SEVERITIES[name], 1)]
            ours, theirs = _turns(clip, peers, name, severities, ("imagecorruptions",))
            row += [f"{FRAMES / ours / 1e3:.0f}", f"{FRAMES / theirs / 1e3:.1f}", f"{theirs / ours:.0f}x"]
            corruptions.append(theirs / ours)
        else:
            row += ["", "", ""]
        rows.append(row)
    summary = (
        f"albumentations, frame by frame: **{math.prod(by_frame) ** (1 / len(by_frame)):.1f}x** in the geometric mean,"
        f" at least {min(by_frame):.1f}x (goal: 2x, none slower); against its `images=`"
        f" {math.prod(by_clip) ** (1 / len(by_clip)):.1f}x, at least {min(by_clip):.1f}x."
        f"\n- imagecorruptions: at least **{min(corruptions):.0f}x** (goal: 5x each)."
    )
    return rows, summary


def _turns(
    clip: np.ndarray, peers: _Peers, name: str, strengths: Sequence[tuple[float, float]], ways: tuple[str, ...]
) -> list[float]:
    """Mean seconds a clip over the strengths: ours, then each of theirs; all take turns."""
    sums = [0.0] * (1 + len(ways))
    for ours, theirs in strengths:
        times = []
        for _ in range(TURNS + 1):
            asked = [functools.partial(peers.seconds, way, name, theirs) for way in ways]
            times.append([call() for call in (functools.partial(_ours, clip, name, ours), *asked)])
        for place, taken in enumerate(zip(*times[1:], strict=True)):  # the first turn fills caches
            sums[place] += statistics.median(taken) / len(strengths)
    return sums


def _ours(clip: np.ndarray, name: str, strength: float) -> float:
    from avsr_bench import noise
    from avsr_bench.noise.visual import in_chunks
    from avsr_bench.records import rng_for

    start = time.process_time()
    begun = noise.FAMILIES[name].begin(strength, 1.0, clip.shape[1:], rng_for(0, "clip", name))
    in_chunks(begun, clip.shape[1:])(clip)
    return time.process_time() - start


def _all_conditions(clip: np.ndarray) -> float:
    from avsr_bench import noise
    from avsr_bench.records import rng_for

    start = time.process_time()
    for name in noise.FAMILIES:
        for level in range(1, noise.LEVELS + 1):
            noise.apply(clip, name, level, rng_for(0, "clip", name))
    return time.process_time() - start


def _for_albumentations(name: str, strength: float) -> float:
    """The same strength in its terms: so many squares of 8 px, and a length that is odd (the next shorter one)."""
    if name == "blockwise":
        return int(strength * 144)
    if name == "motion":
        return int(strength) - 1 + int(strength) % 2
    return strength


def _mouths(grid: Path) -> np.ndarray:
    from avsr_bench import faces, media

    video = media.Video(sorted((grid / "s1").glob("*.mp4"))[0])
    matrices = faces.crop_matrices(faces.find_track(video, faces.FaceSettings()).points)
    mouths = [picture.warp(matrix, 96, "grey") for picture, matrix in zip(video, matrices, strict=True)]
    return np.stack(mouths[:FRAMES])


def _environment() -> Path:
    """The peers' Python, with everything pinned."""
    python, ready = PEERS / "bin" / "python", PEERS / "ready"
    if not ready.exists() or ready.read_text() != "\n".join(PINNED):
        subprocess.run([sys.executable, "-m", "venv", "--clear", PEERS], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *PINNED], check=True)
        ready.write_text("\n".join(PINNED))
    return python


class _Peers:
    """The process in the peers' environment."""

    def __init__(self, python: Path, clip: Path) -> None:
        script = Path(__file__).with_name("noise_peers.py")
        self.process = subprocess.Popen(
            [python, "-W", "ignore", script, clip],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"NO_ALBUMENTATIONS_UPDATE": "1"},  # it would ask the network
        )

    def __enter__(self) -> _Peers:
        return self

    def __exit__(self, *_: object) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()

    def seconds(self, way: str, family: str, strength: float) -> float:
        """CPU seconds of one clip."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(json.dumps({"way": way, "family": family, "strength": strength}), file=self.process.stdin, flush=True)
        return float(self.process.stdout.readline())
