"""What the grey levels that tiny is shown vary by: the mean picture of all clips, of each clip, and within a clip.

avsr-bench prep synth
make bench ONLY=input_variance
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from avsr_bench import media, shards
from avsr_bench.data.inputs import shown

from .cells import DATA, need_data
from .results import record, table

SIDE = 48  # pixels that tiny reads


def main(grid: Path | None = None) -> None:
    """Write the section."""
    need_data()
    means, within, frames = [], [], []
    for _, members in shards.iterate(DATA, "train", "mouth.mp4"):
        clip = shown(media.decode_mouth(members["mouth.mp4"]), SIDE).astype(np.float64)
        means.append(clip.mean(0))
        within.append(clip.var(0).mean())
        frames.append(len(clip))
    pictures = np.array(means)
    common = np.average(pictures, 0, frames)
    parts = {
        "the mean picture of all clips": common.var(),
        "the mean pictures of clips, around it": np.average(((pictures - common) ** 2).mean((1, 2)), weights=frames),
        "frames, around the mean picture of their clip": np.average(within, weights=frames),
    }
    rows = [[name, f"{100 * part / sum(parts.values()):.1f}"] for name, part in parts.items()]
    about = f"{len(frames)} training clips of {DATA}, {SIDE} pixels a side, in the middle of the crop."
    record("data: what the input varies by", "make bench ONLY=input_variance", f"{about}\n\n{table(['', '%'], rows)}")
