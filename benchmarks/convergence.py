"""Whether tiny converges: WER on unseen speakers after so many updates and seconds, three seeds, beside the targets.

    avsr-bench prep synth
    make bench ONLY=convergence                    half an hour on two idle cores; nothing should run beside it

What was run stands in convergence.jsonl and is not run again; take the file away to measure anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

from .cells import DATA, Cell, Measured, Store
from .results import record, table

STORE = Path(__file__).with_name("convergence.jsonl")
SEEDS = (0, 1, 2)
UPDATES, SECONDS = 800, 90
GRID_SECONDS = 480
GRID = Path("data/grid")
LOW_DATA = (
    *("network.layer_scale=0.1", "network.dropout=0", "network.ctc_dropout=0"),
    *("augment.flip=0", "augment.video_mask=0"),
)


def main(grid: Path | None = None) -> None:
    """Train, read, and write the section; the rows of GRID are of `data/grid`, where that was prepared."""
    store = Store(STORE)
    at_800 = _cells("dense", UPDATES)
    store.train(at_800, 1)
    first = store.of(at_800[0])
    if first is None:
        return
    in_time = int(UPDATES * SECONDS / first.last.seconds)  # updates, on this machine
    rows: list[tuple[str, str, list[Cell]]] = [
        (f"dense, {UPDATES} updates", "8", at_800),
        (f"dense, {SECONDS} s: {in_time:,} updates", "6", _cells("dense", in_time)),
        (
            f"dense, 8 blocks without their norms, {UPDATES} updates",
            "12",
            _cells("dense", UPDATES, "network.encoder_blocks=8", "network.block_norm=false"),
        ),
        ("dense, 1,600 updates, the recipe", "3.5, a goal", _cells("dense", 1600)),
        (f"msrs, {UPDATES} updates", "dense + 1", _cells("msrs", UPDATES)),
        ("the same, phi frozen", "", _cells("msrs-frozen", UPDATES)),
    ]
    if (GRID / "prep.json").is_file():
        one_seed = _cells("dense", 4000, *LOW_DATA, data=GRID)[:1]
        store.train(one_seed, 1)
        if (found := store.of(one_seed[0])) is None:
            return
        longer = int(4000 * GRID_SECONDS / found.last.seconds)
        as_long = _cells("dense", longer, *LOW_DATA, data=GRID)[:1]
        rows[3:3] = [  # before what is no target
            ("GRID, speaker s1, dense, 4,000 updates", "", one_seed),
            (f"GRID, speaker s1, dense, {GRID_SECONDS} s: {longer:,} updates", "20; 15 the stretch", as_long),
        ]
    for _, _, cells in rows:
        store.train(cells, 1)
    lines = [line for what, goal, cells in rows if (line := _line(what, goal, [store.of(cell) for cell in cells]))]
    head = ["", "WER on test clips, %, mean", "of each seed", "interval of the first", "seconds of training", "target"]
    about = (
        "WER of greedy CTC on 240 clips of 15 speakers who are not trained on; intervals are over speakers, and seconds"
        " are those of training with its looks at validation clips, without the start. Everything was chosen by the 60"
        " validation clips. Each run with its command and curve: benchmarks/convergence.jsonl."
    )
    record("train: tiny converges", "make bench ONLY=convergence", f"{table(head, lines)}\n\n{about}")


def _cells(system: str, updates: int, *settings: str, data: Path = DATA) -> list[Cell]:
    words = "-".join(setting.partition(".")[2].replace("=", "") for setting in settings)
    name = f"{data.name}-{system}-{updates}{f'-{words}' if words else ''}"
    return [Cell(f"{name}-s{seed}", system, seed, settings, updates, tested=True, data=data) for seed in SEEDS]


def _line(what: str, goal: str, found: Sequence[Measured | None]) -> list[str] | None:
    rows = [row for row in found if row is not None and row.test is not None]
    if not rows:
        return None
    each = [100 * row.test[0] for row in rows if row.test]
    _, low, high = rows[0].test or (0.0, 0.0, 0.0)
    seconds = fmean(row.last.seconds for row in rows)
    shown = ", ".join(f"{wer:.1f}" for wer in each)
    return [what, f"{fmean(each):.1f}", shown, f"[{100 * low:.1f}, {100 * high:.1f}]", f"{seconds:.0f}", goal]
