"""USR: one network for lips, sound and both against three, with the text of 80 % of the speakers hidden, and without.

make bench ONLY=unified

Half an hour on two idle cores; what is there is kept. The three separate networks for lips and sound are those of
`make bench ONLY=labels`.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path

from avsr_bench import runs
from avsr_bench.training.recipe import load_recipe

from .labels import OUT as LABELS
from .results import record, table
from .seeds import HIDDEN, SEEDS, Job, hours_of, train_all, wers_of

COMMAND = "make bench ONLY=unified"
OUT = Path("runs/synth-unified")
SEPARATE = {"video": LABELS / "part", "audio": LABELS / "ear", "av": OUT / "both"}
VIEWS = ("video", "audio", "av")


def main(grid: Path | None = None) -> None:
    """Train what is missing, and write the section."""
    steps = "train.steps=800"
    first = [Job(_of("labelled", seed), seed, (), "usr-labelled", None, VIEWS) for seed in SEEDS]
    first += [Job(_run(SEPARATE[view], seed), seed, (steps, HIDDEN), modality=view) for view in VIEWS for seed in SEEDS]
    every = "data.hide={speakers: 0}"
    first += [Job(_of("all", seed), seed, (every,), "usr-labelled", None, VIEWS) for seed in SEEDS]
    train_all(first)
    usr = load_recipe("usr", "tiny", ()).recipe.train
    alike = (f"train.lr={usr.lr}", f"train.steps={usr.steps}")
    then = []
    for seed in SEEDS:
        begin = f"init.run={_of('labelled', seed)}"
        then.append(Job(_of("usr", seed), seed, (begin,), "usr", None, VIEWS))
        # As many updates from the same start, of transcripts alone.
        then.append(Job(_of("more", seed), seed, (begin, *alike), "usr-labelled", None, VIEWS))
    train_all(then)

    rows = [["three networks, texts of 20 %", _updates(SEPARATE.values()), *_hours(SEPARATE["av"]), *_separate()]]
    named = {
        "labelled": "one network, texts of 20 %: `usr-labelled`",
        "more": "and as many updates more as `usr` has",
        "usr": "and clips without text: `usr`",
        "all": "one network, all texts",
    }
    for name, said in named.items():
        rows.append([said, _updates([OUT / name]), *_hours(OUT / name), *_unified(OUT / name)])
    header = ["trained on", "updates", "h labelled", "unlabelled", "parameters", *VIEWS]
    progress = table(["update", "WER of the teacher", "frames", "silent clips"], _teacher(_of("usr", 0)))
    about = (
        "WER in percent on 240 test clips, greedy CTC: the mean, and each seed. Updates of runs that begin with another"
        " come on top of its. Parameters are of all that is needed for the three.\n\nThe teacher of the first seed: WER"
        " of what it writes for validation clips, and of the frames of training clips without text the percentage that"
        " it is sure of (0.8)."
    )
    record("unified: one network for lips, sound and both", COMMAND, f"{table(header, rows)}\n\n{about}\n\n{progress}")


def _of(name: str, seed: int) -> Path:
    return _run(OUT / name, seed)


def _run(place: Path, seed: int) -> Path:
    return place.with_name(f"{place.name}-s{seed}")


def _updates(places: Iterable[Path]) -> str:
    budgets = [runs.open_run(_run(place, 0)).about.budget for place in places]
    return " + ".join(f"{budget.updates:,}" for budget in budgets if budget)


def _hours(place: Path) -> list[str]:
    labelled, _, unlabelled = hours_of(_run(place, 0))
    return [labelled, unlabelled]


def _separate() -> list[str]:
    parameters = sum(runs.open_run(_run(place, 0)).about.parameters for place in SEPARATE.values())
    return [f"{parameters:,}", *(_said(SEPARATE[view], None) for view in VIEWS)]


def _unified(place: Path) -> list[str]:
    return [f"{runs.open_run(_run(place, 0)).about.parameters:,}", *(_said(place, view) for view in VIEWS)]


def _said(place: Path, view: str | None) -> str:
    mean, each = wers_of([_run(place, seed) for seed in SEEDS], view)
    return f"**{mean}** ({each})"


def _teacher(folder: Path) -> list[list[str]]:
    with (folder / "metrics.csv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["valid/wer/teacher"]]
    names = ("valid/wer/teacher", "pseudo/sure_frames", "pseudo/silent")
    return [[row["update"], *(f"{100 * float(row[name]):.1f}" for name in names)] for row in rows]


if __name__ == "__main__":
    main()
