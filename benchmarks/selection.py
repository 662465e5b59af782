"""Choosing clips: what DDP-ASR's strategies come to on the board, and how long the clips are that each of them keeps.

make leaderboard MODELS=ddp-asr,ddp-asr-full,... SEEDS=0,1,2 PUBLISH=1
make bench ONLY=selection
"""

from __future__ import annotations

import csv
from pathlib import Path
from statistics import fmean, median

from .results import of_entry, record, table, wers

COMMAND = "make bench ONLY=selection"
RESULTS = Path("leaderboards/results/synth")
BUDGET = ("updates", "own_frames", "train_seconds")
ENTRIES = {
    "ddp-asr-full": "everything, eight passes",
    "ddp-asr-fewer": "everything, as few updates",
    "ddp-asr-random": "random",
    "ddp-asr": "easy2hard",
    "ddp-asr-easy": "easy",
    "ddp-asr-hard": "hard",
    "ddp-asr-infobatch": "infobatch",
    "ddp-asr-points": "points of every clip",
    "ddp-asr-chunks": "chunks of every clip",
}


def main(grid: Path | None = None) -> None:
    """Write the section."""
    rows = []
    for entry, name in ENTRIES.items():
        if found := of_entry(entry):
            updates, frames, seconds = (fmean(float(row[of]) for row in found) for of in BUDGET)
            lengths = _lengths(entry, found[0]["train_seed"])
            rows.append([name, f"{updates:,.0f}", f"{frames:,.0f}", f"{seconds:.0f}", *wers(found), lengths])
    header = ["a pass has", "updates", "frames", "seconds", "WER", "of each seed", "frames of the median clip"]
    about = (
        "WER in percent, on 240 test clips, greedy. Seconds are those of a machine with other work beside it. The last"
        " column: of the clips in the first two passes, in the first that was chosen, in the last; of the first seed."
    )
    record("data: which clips a pass has", COMMAND, f"{table(header, rows)}\n\n{about}")


def _lengths(entry: str, seed: str) -> str:
    """The median length of the clips of some passes."""
    path = RESULTS / f"{entry}-tiny-s{seed}" / "passes.csv"
    if not path.is_file():
        return ""
    with path.open(encoding="utf-8") as file:
        medians = [float(row["median_frames"]) for row in csv.DictReader(file)]
    return f"{median(medians[:2]):.0f}, {medians[2]:.0f}, {medians[-1]:.0f}" if len(medians) > 2 else ""


if __name__ == "__main__":
    main()
