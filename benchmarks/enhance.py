"""The enhancer: what lips are worth under other voices and noise, by the distance to clean sound and by what is read.

make bench ONLY=enhance

Half an hour on two idle cores; what is there is kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from avsr_bench import runs
from avsr_bench.files import MARK, marked, whole
from avsr_bench.scoring import Result, WhoseLips, read_archive

from .results import record, table
from .seeds import DATA, SEEDS, Job, run, train_all

FIGURE = Path("docs/enhance.png")
COMMAND = "make bench ONLY=enhance"
OUT = Path("runs/synth-enhance")
READER = OUT / "hears-s0"  # trained with babble, as every network that hears
RATIOS = (-10, -5, 0, 5)
SOME = ("--limit", "60")  # four clips of each speaker
NOISES = ("voice", "pink")
WHOLE = ("network.enhancer.causal=false",)
VOCODER = ("network.enhancer.head=vocoder",)
METRICS = {"si_sdr": "SI-SDR, dB", "estoi": "ESTOI", "wer": "WER of a recogniser, %"}

Found = Mapping[str, Sequence[Mapping[str, Result]]]  # by what enhances: of each seed the results by condition


def main(grid: Path | None = None) -> None:
    """Train what is missing, measure, and write the section."""
    jobs = [Job(READER, 0, ("train.steps=800",), modality="audio")]
    for seed in SEEDS:
        jobs.append(Job(OUT / f"av-s{seed}", seed, (), "enhance", "av", ()))
        jobs.append(Job(OUT / f"audio-s{seed}", seed, (), "enhance", "audio", ()))
    jobs.append(Job(OUT / "whole-s0", 0, WHOLE, "enhance", "av", ()))
    jobs.append(Job(OUT / "vocoder-s0", 0, VOCODER, "enhance", "av", ()))
    train_all(jobs)
    for noise in NOISES:
        said = f"{noise}:{','.join(map(str, RATIOS))}"
        words = (
            "robustness",
            "--data",
            DATA,
            "--models",
            str(READER),
            "--noise",
            "none",
            "--sound",
            said,
            "--decode",
            "ctc",
        )
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
                run(*own, "--lips", "none")
    found: Found = {
        "lips and sound": [_of(OUT / f"av-s{seed}") for seed in SEEDS],
        "another's lips": [_of(OUT / f"av-s{seed}", "other") for seed in SEEDS],
        "sound only": [_of(OUT / f"audio-s{seed}") for seed in SEEDS],
        "lips and sound, lips hidden": [_of(OUT / f"av-s{seed}", "none") for seed in SEEDS],
        "lips and sound, whole clip (one seed)": [_of(OUT / "whole-s0")],
        "lips and sound, vocoder (one seed)": [_of(OUT / "vocoder-s0")],
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
    _draw(found, heard)
    record("enhance: clean sound of who is seen to speak", COMMAND, "\n\n".join([about, *parts]))


def _draw(found: Found, heard: Mapping[str, Result]) -> None:
    """The same as a picture: under each noise the distance to clean sound and what is read; bands are the seeds."""
    figure = Figure(figsize=(10, 6), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(2, len(NOISES), sharex=True, sharey="row")
    drawn = {who: of for who, of in found.items() if len(of) > 1}
    for row, (metric, label) in zip(grid, {"estoi": "ESTOI", "wer": "WER, %"}.items(), strict=True):
        scale = 100 if metric == "wer" else 1
        for axes, noise in zip(row, NOISES, strict=True):
            names = [f"{noise}:{ratio}" for ratio in RATIOS]
            noisy = [float(_of_noisy(metric, found, heard, name)) for name in names]
            axes.plot(RATIOS, noisy, color="#888888", linestyle="--", label="the noisy sound")
            for (who, seeds), colour in zip(drawn.items(), ("#0072b2", "#d55e00", "#009e73", "#cc79a7"), strict=True):
                values = [[scale * of[name].metrics[metric].value for of in seeds] for name in names]
                axes.plot(RATIOS, [fmean(each) for each in values], color=colour, marker="o", ms=4, label=who)
                axes.fill_between(RATIOS, [min(v) for v in values], [max(v) for v in values], color=colour, alpha=0.15)
            axes.grid(alpha=0.25, linewidth=0.6)
            axes.spines[["top", "right"]].set_visible(False)
            axes.set_title({"voice": "one other voice", "pink": "pink noise"}[noise], loc="left", fontsize=10)
            axes.set_xlabel("dB between speech and it")
        row[0].set_ylabel(label)
    grid[0][0].legend(frameon=False, fontsize=8)
    with whole(FIGURE, marked) as unfinished:
        figure.savefig(unfinished, format="png", dpi=110, metadata={"Software": MARK})


def _name() -> str:
    return runs.open_run(READER).name


def _of(folder: Path, lips: WhoseLips = "own") -> dict[str, Result]:
    (path,) = folder.glob("results/test-some60-read-by-*.zip")
    kept = read_archive(path)
    results = [kept.result(name) for name in kept.names]
    return {each.condition: each for each in results if each.lips == lips}


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
