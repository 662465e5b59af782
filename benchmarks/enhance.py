"""The enhancer: what lips are worth under other voices and noise, by the distance to clean sound and by what is read.

make bench ONLY=enhance

Half an hour on two idle cores; what is there is kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean

from avsr_bench import runs
from avsr_bench.scoring import Result, read_archive

from .results import record, table
from .seeds import DATA, SEEDS, Job, run, train_all

COMMAND = "make bench ONLY=enhance"
OUT = Path("runs/synth-enhance")
READER = OUT / "hears-s0"  # trained with babble, as every network that hears
RATIOS = (-10, -5, 0, 5)
SOME = ("--limit", "60")  # four clips of each speaker
NOISES = ("voice", "pink")
WHOLE = ("network.enhancer.causal=false",)
METRICS = {"si_sdr": "SI-SDR, dB", "estoi": "ESTOI", "wer": "WER of a recogniser, %"}

Found = Mapping[str, Sequence[Mapping[str, Result]]]  # by what enhances: of each seed the results by condition


def main(grid: Path | None = None) -> None:
    """Train what is missing, measure, and write the section."""
    jobs = [Job(READER, 0, ("train.steps=800",), modality="audio")]
    for seed in SEEDS:
        jobs.append(Job(OUT / f"av-s{seed}", seed, (), "enhance", "av", ()))
        jobs.append(Job(OUT / f"audio-s{seed}", seed, (), "enhance", "audio", ()))
    jobs.append(Job(OUT / "whole-s0", 0, WHOLE, "enhance", "av", ()))
    train_all(jobs)
    for noise in NOISES:
        said = f"{noise}:{','.join(map(str, RATIOS))}"
        words = ("robustness", "--data", DATA, "--models", str(READER), "--sound", said, "--decode", "ctc")
        run(*words, "--out", str(OUT / "noisy"), *SOME)
        for folder in sorted(OUT.glob("*-s*")):
            if folder == READER:
                continue
            own = (
                "evaluate",
                str(folder),
                "--data",
                DATA,
                "--sound",
                said,
                "--read",
                str(READER),
                "--decode",
                "ctc",
                *SOME,
            )
            run(*own)
            if folder.name.startswith("av-"):
                run(*own, "--lips", "other")
    found: Found = {
        "lips and sound": [_of(OUT / f"av-s{seed}") for seed in SEEDS],
        "another's lips": [_of(OUT / f"av-s{seed}", other=True) for seed in SEEDS],
        "sound only": [_of(OUT / f"audio-s{seed}") for seed in SEEDS],
        "lips and sound, whole clip (one seed)": [_of(OUT / "whole-s0")],
    }
    heard = _noisy()
    parts = []
    for metric, label in METRICS.items():
        for noise in NOISES:
            conditions = {ratio: f"{noise}:{ratio}" for ratio in RATIOS}
            header = [f"{label}, {noise}", *(f"{ratio} dB" for ratio in RATIOS)]
            rows = [["the noisy sound", *(_of_noisy(metric, found, heard, name) for name in conditions.values())]]
            rows += [[who, *(_said(metric, of, name) for name in conditions.values())] for who, of in found.items()]
            parts.append(table(header, rows))
    about = (
        "60 test clips of synth, whose speakers are not in training; voices that interfere are those of other speakers"
        " of the test and validation clips. Means of three training seeds, in brackets the least and the most. Each"
        f" enhancer took its recipe's updates, of the same clips and noise. WER is that of one recogniser, {_name()}."
    )
    record("enhance: clean sound of who is seen to speak", COMMAND, "\n\n".join([about, *parts]))


def _name() -> str:
    return runs.open_run(READER).name


def _of(folder: Path, other: bool = False) -> dict[str, Result]:
    (path,) = folder.glob("results/test-some60-read-by-*.zip")
    kept = read_archive(path)
    results = [kept.result(name) for name in kept.names]
    return {each.condition: each for each in results if (each.lips_seed is not None) == other}


def _noisy() -> dict[str, Result]:
    (path,) = (OUT / "noisy").rglob("test-some60.zip")
    kept = read_archive(path)
    return {each.condition: each for each in map(kept.result, kept.names)}


def _of_noisy(metric: str, found: Found, heard: Mapping[str, Result], name: str) -> str:
    if metric == "wer":
        return f"{100 * heard[name].wer:.1f}"
    metrics = found["lips and sound"][0][name].metrics
    return _number(metric, metrics[metric].value - metrics[f"{metric}_gain"].value)


def _said(metric: str, seeds: Sequence[Mapping[str, Result]], name: str) -> str:
    values = [results[name].metrics[metric].value for results in seeds]
    mean = _number(metric, fmean(values))
    return mean if len(values) == 1 else f"{mean} ({_number(metric, min(values))}, {_number(metric, max(values))})"


def _number(metric: str, value: float) -> str:
    return f"{100 * value:.1f}" if metric == "wer" else f"{value:.2f}"
