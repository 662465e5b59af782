"""Automatic labels: who hears labels for who sees, where the truth is known. Half an hour on two idle cores, kept.

Of 80 % of the training speakers of synth the text is hidden. A network that hears is trained on the others, and labels
all clips. Networks that see are trained on the texts that are left, on these and the labels, and on all texts.

make bench ONLY=labels
"""

from __future__ import annotations

from pathlib import Path

from avsr_bench import data
from avsr_bench.data import DataSettings, Label, LabelHeader
from avsr_bench.records import rng_for

from .results import record, table
from .seeds import DATA, HIDDEN, SEEDS, Job, hours_of, run, train_all, wers_of

COMMAND = "make bench ONLY=labels"
OUT = Path("runs/synth-labels")
UPDATES = 800
STEPS = f"train.steps={UPDATES}"
LEAST = (0.0, 0.8, 0.9, 0.95)  # data.min_confidence
WRONG = (0.0, 0.1, 0.2, 0.4)  # of the words of true texts, exchanged for others


def main(grid: Path | None = None) -> None:
    """Train what is missing, two at a time, and write the section."""
    ears = {seed: OUT / f"ear-s{seed}" for seed in SEEDS}
    train_all([Job(ears[seed], seed, (STEPS, HIDDEN), modality="audio") for seed in SEEDS])
    for seed in SEEDS:
        run("label", DATA, "--with", str(ears[seed]), "--name", f"ear{seed}", "--decode", "ctc")
    for wrong in WRONG:
        _corrupted(wrong)
    asked = [Job(OUT / f"part-s{seed}", seed, (STEPS, HIDDEN)) for seed in SEEDS]
    asked += [Job(OUT / f"all-s{seed}", seed, (STEPS,)) for seed in SEEDS]
    for least in LEAST:
        for seed in SEEDS if least == 0 else SEEDS[:1]:
            given = (STEPS, HIDDEN, f"data.labels=ear{seed}", f"data.min_confidence={least}")
            asked.append(Job(OUT / f"labels-{round(100 * least)}-s{seed}", seed, given))
    for wrong in WRONG:
        asked.append(Job(OUT / f"wrong-{round(100 * wrong)}-s0", 0, (STEPS, HIDDEN, f"data.labels={_name(wrong)}")))
    train_all(asked)
    rows = [["hears: texts of 20 % of the speakers", *_row([ears[seed] for seed in SEEDS])]]
    rows += [["texts of 20 % of the speakers", *_row([OUT / f"part-s{seed}" for seed in SEEDS])]]
    for least in LEAST:
        found = [OUT / f"labels-{round(100 * least)}-s{seed}" for seed in (SEEDS if least == 0 else SEEDS[:1])]
        name = f"and labels of confidence {least:g} and more" if least else "and labels of the others"
        rows.append([name, *_row(found)])
    for wrong in WRONG:
        name = f"and true texts of the others, {wrong:.0%} of their words exchanged"
        rows.append([name, *_row([OUT / f"wrong-{round(100 * wrong)}-s0"])])
    rows += [["all texts", *_row([OUT / f"all-s{seed}" for seed in SEEDS])]]
    header = ["trained on", "hours labelled", "automatic", "unlabelled", "WER", "of each seed"]
    body = table(header, rows)
    about = f"{UPDATES} updates each, tiny, WER in percent on 240 test clips, greedy CTC."
    record("labels: who hears for who sees", COMMAND, f"{body}\n\n{about}")


def _name(wrong: float) -> str:
    return f"wrong{round(100 * wrong)}"


def _corrupted(wrong: float) -> None:
    """An overlay of true texts in which a part of the words is exchanged for others of the corpus."""
    corpus = data.find_data(DATA)
    clips = [clip for clip in data.choose(corpus, "video", DataSettings()).clips if clip.text]
    words = sorted({word for clip in clips for word in (clip.text or "").split()})
    labels = {}
    for clip in clips:
        draw = rng_for(0, "wrong", clip.place.entry.key)
        said = [
            str(draw.choice([other for other in words if other != word])) if draw.random() < wrong else word
            for word in (clip.text or "").split()
        ]
        labels[clip.place.entry.key] = Label(" ".join(said), 1.0)
    header = LabelHeader(
        labeller=f"true texts, {wrong:.0%} of the words exchanged",
        licence="",
        weights="",
        modality="audio",
        decoding={},
        corpus=corpus.fingerprint,
    )
    data.write_labels(corpus, _name(wrong), header, labels)


def _row(folders: list[Path]) -> list[str]:
    """Hours by kind, the mean WER, and that of each seed."""
    return [*hours_of(folders[0]), *wers_of(folders)]


if __name__ == "__main__":
    main()
