"""BRAVEn, and USR's self-supervised stage: what encoders learn without text, by what a network that sees reads after it
is fine-tuned with some.

make bench ONLY=braven

Half an hour on two idle cores; what is there is kept.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from .labels import OUT as LABELS
from .results import record, table
from .seeds import SEEDS, Job, hours_of, train_all, wers_of

COMMAND = "make bench ONLY=braven"
OUT = Path("runs/synth-braven")
BEGUN = {"braven": "begun", "usr-pretrained": "begun-usr"}  # systems to begin with, and how folders are called
TUNED = 400  # updates with text
# As many frames more as pre-training took: both encoders see each of them.
LONGER = 850
LABELLED = {10: SEEDS[:1], 20: SEEDS, 100: SEEDS[:1]}  # percent of the speakers, and the seeds that are trained


def main(grid: Path | None = None) -> None:
    """Train what is missing, and write the section."""
    train_all([Job(OUT / f"{system}-s{seed}", seed, (), system, None, ()) for system in BEGUN for seed in SEEDS])
    asked = []
    for percent, seeds in LABELLED.items():
        for seed in seeds:
            hidden = f"data.hide={{speakers: {1 - percent / 100:g}}}"
            for system, name in BEGUN.items():
                begin = (f"init.run={OUT / f'{system}-s{seed}'}", "init.part=encoder")
                asked.append(Job(_of(name, percent, seed), seed, (hidden, f"train.steps={TUNED}", *begin)))
            asked.append(Job(_of("drawn", percent, seed), seed, (hidden, f"train.steps={TUNED}")))
            asked.append(Job(_of("longer", percent, seed), seed, (hidden, f"train.steps={LONGER}")))
    train_all(asked)

    rows = []
    for percent, seeds in LABELLED.items():
        named = {
            "drawn": f"random start, {TUNED} updates",
            "begun": f"BRAVEn, {TUNED} updates",
            "begun-usr": f"USR's self-supervised stage, {TUNED} updates",
            "longer": f"random start, {LONGER} updates",
        }
        for name, said in named.items():
            folders = [_of(name, percent, seed) for seed in seeds]
            rows.append([f"{percent} %", said, *_said(folders)])
        if percent == 20:
            labels = [LABELS / f"labels-0-s{seed}" for seed in seeds]
            if all(folder.is_dir() for folder in labels):
                rows.append(
                    [f"{percent} %", "random start, and labels of a network that hears, 800 updates", *_said(labels)]
                )
    header = ["speakers with text", "trained", "h labelled", "automatic", "WER", "of each seed"]
    about = (
        "WER in percent on 240 test clips, greedy CTC. Of pre-training, the first seed: the loss, the WER of probes on"
        " the teachers, which nothing learns from, and whether targets collapse: the mean cosine of two frames of"
        " them, before they are normalised. Of BRAVEn for the teacher that sees and the one that hears, of USR for each"
        " view; its targets are those of both together."
    )
    two = {"probe that sees": "valid/wer", "that hears": "valid/wer/audio"}
    braven = {**two, "cosine: sees": "target_cosine/video", "hears": "target_cosine/audio"}
    unified = {**two, "both": "valid/wer/av", "cosine: both": "target_cosine/av"}
    watched = f"BRAVEn:\n\n{_watched(OUT / 'braven-s0', braven)}"
    watched += f"\n\nUSR's self-supervised stage:\n\n{_watched(OUT / 'usr-pretrained-s0', unified)}"
    record(
        "braven: two encoders that learn without text",
        COMMAND,
        f"{table(header, rows)}\n\n{about}\n\n{watched}",
    )


def _of(name: str, percent: int, seed: int) -> Path:
    return OUT / f"{name}-{percent}-s{seed}"


def _said(folders: Sequence[Path]) -> list[str]:
    labelled, automatic, _ = hours_of(folders[0])
    return [labelled, automatic, *wers_of(folders)]


def _watched(folder: Path, columns: Mapping[str, str]) -> str:
    """Figures of validations by the heads of their columns: WER in percent, cosines as they are."""
    with (folder / "metrics.csv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["valid/loss"]]
    lines = [
        [
            row["update"],
            f"{float(row['valid/loss']):.2f}",
            *(
                f"{100 * float(row[name]):.0f}" if "wer" in name else f"{float(row[name]):.2f}"
                for name in columns.values()
            ),
        ]
        for row in rows
    ]
    return table(["update", "loss", *columns], lines)


if __name__ == "__main__":
    main()
