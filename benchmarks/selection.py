"""Choosing clips: what DDP-ASR's strategies come to on the board, and how long the clips are that each of them keeps.

make leaderboard MODELS=ddp-asr,ddp-asr-full,... SEEDS=0,1,2 PUBLISH=1
make bench ONLY=selection
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, median

from .results import record, table

COMMAND = "make bench ONLY=selection"
BOARD, RUNS = Path("leaderboards/results.csv"), Path("runs/synth")
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
    with BOARD.open(encoding="utf-8") as file:
        clean = [row for row in csv.DictReader(file) if row["condition"] == "clean" and row["corpus"] == "synth"]
    rows, seeds = [], set()
    for entry, name in ENTRIES.items():
        found = [row for row in clean if row["row"].split("/")[1].rpartition("-tiny-s")[0] == entry]
        if not found:
            continue
        seeds |= {row["train_seed"] for row in found}
        wers = [100 * float(row["wer"]) for row in found]
        frames = fmean(float(row["own_frames"]) for row in found)
        rows.append(
            [
                name,
                f"{fmean(float(row['updates']) for row in found):,.0f}",
                f"{frames:,.0f}",
                f"{fmean(float(row['train_seconds']) for row in found):.0f}",
                f"{fmean(wers):.1f}",
                ", ".join(f"{wer:.1f}" for wer in wers),
                _lengths(entry, sorted(row["train_seed"] for row in found)),
            ]
        )
    header = ["a pass has", "updates", "frames", "seconds", "WER", "of each seed", "frames of the median clip"]
    about = (
        "WER in percent, on 240 test clips, greedy. Seconds are those of a machine with other work beside it. The last"
        " column: of the clips in the first two passes, in the first that was chosen, in the last; of the first seed."
    )
    record("data: which clips a pass has", COMMAND, f"{table(header, rows)}\n\n{about}")


def _lengths(entry: str, seeds: Sequence[str]) -> str:
    """The median length of the clips of some passes."""
    path = RUNS / f"{entry}-tiny-s{seeds[0]}" / "passes.csv"
    if not path.is_file():
        return ""
    with path.open(encoding="utf-8") as file:
        medians = [float(row["median_frames"]) for row in csv.DictReader(file)]
    return f"{median(medians[:2]):.0f}, {medians[2]:.0f}, {medians[-1]:.0f}" if len(medians) > 2 else ""


if __name__ == "__main__":
    main()
