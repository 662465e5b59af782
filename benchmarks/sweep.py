"""What sharing the work saves: 71 conditions in one sweep, and in 71 evaluations.

python -m benchmarks sweep
"""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path

from avsr_bench.records import SILENCE

from .results import record, table

DATA = Path("data/synth")
COMMANDS = 7  # of the 71, one of each family: they cost the same, start to end
MODELS = 3  # in the sweep of several


def main(grid: Path) -> None:
    """Measure and record; GRID is not read."""
    from avsr_bench.cli.shared import quiet_threads

    quiet_threads()  # as the commands do
    if not (DATA / "prep.json").is_file():
        print(f"sweep: left out, it reads {DATA}, which is not there: avsr-bench prep synth")
        return
    with tempfile.TemporaryDirectory() as name:
        _measure(Path(name))


def _measure(folder: Path) -> None:
    from avsr_bench import data, evaluation, noise, robustness

    names = [_make_run(folder / f"runs/synth/dense-tiny-s{number}", number) for number in range(MODELS)]
    families = list(noise.FAMILIES)
    asked = ["clean", *(f"{family}:{level}" for family in families for level in range(1, noise.LEVELS + 1))]
    clips = data.places(data.Prepared(str(DATA)), "test", "video")
    workers = len(os.sched_getaffinity(0))

    def sweep(models: list[str], out: str) -> float:
        request = robustness.RobustnessRequest(
            models=tuple(models), data=str(DATA), workers=workers, out=folder / out, device="cpu"
        )
        return _seconds(lambda: robustness.robustness(request, SILENCE))

    def evaluate(condition: str) -> None:
        request = evaluation.EvaluateRequest(
            run=names[0],
            data=str(DATA),
            noise=None if condition == "clean" else condition,
            workers=workers,
            out=folder / "one by one",
            device="cpu",
        )
        evaluation.evaluate(request, SILENCE)

    evaluate("clean")  # the first call loads libraries
    one = sweep(names[:1], "sweep")
    calls = sum(_seconds(partial(evaluate, condition)) for condition in asked)
    several = sweep(names, "several")
    command = [sys.executable, "-m", "avsr_bench"]
    options = ["--data", str(DATA), "--device", "cpu"]
    picked = [f"{family}:{level}" for family, level in zip(families, itertools.cycle((3, 7)), strict=False)][:COMMANDS]
    few = sum(_seconds(partial(_run, [*command, "evaluate", names[0], "--noise", name, *options])) for name in picked)
    commands = few * len(asked) / len(picked)
    whole = _seconds(
        lambda: _run([*command, "robustness", "--models", names[0], *options, "--out", str(folder / "command")])
    )
    frames = sum(place.entry.frames for place in clips)
    rows = [
        ["`avsr-bench robustness`, one command", f"{whole:.0f}", "1"],
        [f"{len(asked)} `avsr-bench evaluate` commands", f"{commands:.0f}", f"**{commands / whole:.1f}**"],
        ["one sweep, in a running process", f"{one:.0f}", "1"],
        [f"{len(asked)} calls of `evaluate`, in a running process", f"{calls:.0f}", f"{calls / one:.1f}"],
        [f"one sweep of {MODELS} models, a model", f"{several / MODELS:.0f}", f"{several / MODELS / one:.2f}"],
    ]
    record(
        "robustness: one sweep and 71 evaluations",
        "make bench ONLY=sweep",
        table([f"{len(asked)} conditions, {len(clips)} clips of {frames / len(clips):.0f} frames", "s", "ratio"], rows)
        + f"\n\n- **{commands / whole:.1f}x** against {len(asked)} commands (goal: at least 3x)."
        + "\n\nA tiny video network with random weights, greedy CTC, on the processor, fp32. Of the commands"
        + f" {len(picked)} were run, one of each family, and their time was scaled to {len(asked)}. A command spends"
        + " most of its time on starting Python and torch; calls in one process still read and decode the clips anew"
        + " each time.",
    )


def _make_run(folder: Path, seed: int) -> str:
    """A run of the size tiny, untrained."""
    import torch

    from avsr_bench import data, recipes, runs
    from avsr_bench.decoding import DecodeSettings
    from avsr_bench.nn import AVSR, NetworkSettings
    from avsr_bench.text import TokenizerSettings, learn_tokenizer

    corpus = data.Prepared(str(DATA))
    texts = [place.entry.text or "" for place in data.places(corpus, "train", "video")]
    tokenizer, _ = learn_tokenizer(texts, TokenizerSettings("words"))
    content = recipes.load(recipes.shipped("models") / "sizes" / "tiny.yaml")["network"]
    settings = recipes.build(NetworkSettings, content, "tiny.yaml")
    torch.manual_seed(seed)
    folder.mkdir(parents=True)
    tokenizer.save(folder)
    about = runs.About(system="dense", corpus=corpus.name, size="tiny", seed=seed)
    runs.write_recipe(folder, about, {"network": asdict(settings), "decode": asdict(DecodeSettings(kind="ctc"))})
    runs.write_weights(folder, AVSR("video", settings, len(tokenizer)).state_dict())
    return str(folder)


def _run(command: list[str]) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _seconds(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin
