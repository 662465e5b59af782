"""What a manifest of a million rows takes: seconds and memory of listing it and of planning its shards.

    python -m benchmarks manifest_rows

Of two kinds: every row names a video of its own, which is not there (the dearest case: a look at the disk and a reason
for each), and every row cuts a piece out of one video.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from avsr_bench import corpora, shards

from .results import record, table

ROWS = (10_000, 100_000, 1_000_000)
KINDS = {"one": "pieces of one video", "gone": "a video each, none of them there"}


def main(grid: Path) -> None:
    """Measure and record; GRID is not read."""
    rows = []
    for kind, words in KINDS.items():
        for count in ROWS:
            with tempfile.TemporaryDirectory() as folder:
                megabytes = write(Path(folder), kind, count) / 1e6
                # A process of its own: the most memory that one ever had does not go down again.
                command = [sys.executable, "-m", "benchmarks.manifest_rows", folder]
                done = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
            listing, planning, memory = map(float, done)
            each = (listing + planning) / count * 1e6
            figures = [f"{megabytes:,.1f}", f"{listing:.1f}", f"{planning:.1f}", f"{each:.0f}", f"{memory:,.0f}"]
            rows.append([f"{count:,} rows, {words}", *figures])
    record(
        "prep: manifests of a million rows",
        "make bench ONLY=manifest_rows",
        table(["", "file, MB", "listing, s", "planning, s", "µs a row", "memory, MB"], rows)
        + "\n\nCPU time; memory is the most that the process took beyond the 80 MB of its libraries. Planning includes"
        " the sizes of files and the fingerprint.",
    )


def write(root: Path, kind: str, count: int) -> int:
    """Write a manifest of so many rows into a folder; its bytes."""
    (root / "talk.mp4").touch()
    path = root / "manifest.csv"
    with path.open("w", encoding="utf-8") as file:
        file.write("path,text,start,end,split,speaker\n")
        for row in range(count):
            name = "talk.mp4" if kind == "one" else f"s{row % 1000}/clip{row:07d}.mp4"
            file.write(f"{name},bin blue at f two now,{row / 2},{row / 2 + 2},train,s{row % 1000}\n")
    return path.stat().st_size


def measure(root: Path) -> None:
    """List a folder and plan it; print the seconds of both and the megabytes of all."""
    before, begun = _megabytes(), time.process_time()
    clips = corpora.read("folder", root).clips
    listed = time.process_time()
    shards.make_plan(clips, shards.ShardSettings(), {}, root, shards.file_sizes(clips))
    print(listed - begun, time.process_time() - listed, _megabytes() - before)


def _megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    measure(Path(sys.argv[1]))
