"""How much each level of each family corrupts a mouth: the PSNR and SSIM of docs/noise.md, over clips of GRID.

    python -m benchmarks corruption [GRID FOLDER]

Set to be as even as they are by these figures, so whoever changes a level looks here.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from skimage.metrics import structural_similarity

from avsr_bench import faces, media, noise
from avsr_bench.records import rng_for

from .results import put_between, table

PAGE = Path(__file__).parent.parent / "docs/noise.md"
BEGIN, END = "<!-- levels: made by `make bench ONLY=corruption`, do not edit -->", "<!-- levels end -->"
CLIPS = 40
SHOWN = slice(None, None, 10)  # the frames looked at
UNITS = {
    "blockwise": "% hidden",
    "blur": "σ, px",
    "motion": "length, px",
    "pixelate": "cell, px",
    "jpeg": "quality",
    "gaussian": "σ of 255",
    "contrast": "kept",
}


def main(grid: Path) -> None:
    """Measure and write the table."""
    videos = sorted((grid / "s1").glob("*.mp4"))
    chosen = videos[:: max(1, len(videos) // CLIPS)][:CLIPS]
    mouths = {path.stem: mouth_of(path) for path in chosen}
    rows = []
    for family, kind in noise.FAMILIES.items():
        pairs = [similarity(mouths, family, level) for level in range(1, noise.LEVELS + 1)]
        strengths = [100 * value if family == "blockwise" else value for value in kind.levels]
        rows.append([f"**{family}**", UNITS[family], *(f"{value:g}" for value in strengths)])
        rows.append(["", "PSNR, dB", *(f"{psnr:.1f}" for psnr, _ in pairs)])
        rows.append(["", "SSIM", *(f"{ssim:.2f}" for _, ssim in pairs)])
    head = ["family", "", *(str(level) for level in range(1, noise.LEVELS + 1))]
    put_between(PAGE, BEGIN, END, f"Means over {len(mouths)} clips of GRID:\n\n{table(head, rows)}")
    print(f"written: {PAGE}")


def mouth_of(path: Path) -> np.ndarray:
    """The mouth of a clip, as prep crops it before it is compressed."""
    video = media.Video(path)
    matrices = faces.crop_matrices(faces.find_track(video, faces.FaceSettings()).points)
    pictures = [picture.warp(matrix, 96, "grey") for picture, matrix in zip(video, matrices, strict=True)]
    return np.stack(pictures)


def similarity(mouths: dict[str, np.ndarray], family: str, level: int) -> tuple[float, float]:
    """PSNR and SSIM under a condition: means over clips of means over frames."""
    found = []
    for key, clean in mouths.items():
        corrupted = noise.apply(clean, family, level, rng_for(0, key, family))[SHOWN]
        seen = clean[SHOWN]
        error = np.mean((seen.astype(float) - corrupted) ** 2, axis=(1, 2))
        alike = [structural_similarity(one, other) for one, other in zip(seen, corrupted, strict=True)]
        found.append((np.mean(10 * np.log10(255**2 / error)), np.mean(alike)))
    psnr, ssim = np.mean(found, axis=0)
    return float(psnr), float(ssim)
