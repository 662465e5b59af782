"""Results for boards: made-up utterances, read with made-up mistakes, through the real scorer."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from avsr_bench import noise
from avsr_bench.leaderboard import render
from avsr_bench.records import Budget, rng_for
from avsr_bench.scoring import Measure, Result, Utterance, archive, interval, score, total

WORDS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
BUDGET = Budget(frames=8_000_000, updates=800, seconds=900.0, labelled_hours=0.5)
PUBLISHED = Path(__file__).parents[2] / "leaderboards/published.yaml"


def sentences(speakers=15, each=8, words=5):
    """Connected digits of some speakers."""
    rng = rng_for(0, "sentences")
    return [
        (f"s{speaker:02d}", f"s{speaker:02d}%2F{number}", " ".join(rng.choice(WORDS, words)))
        for speaker in range(speakers)
        for number in range(each)
    ]


def read(texts, run, condition, errors, modality="video"):
    """What a network with about this share of errors hears. Some speakers are harder, for all networks alike."""
    heard = []
    for speaker, key, text in texts:
        hard = rng_for(0, speaker).gamma(4.0, 0.25)
        rng = rng_for(0, run, condition, key)
        out = []
        for word in text.split():
            if rng.random() < min(errors * hard, 0.97):
                kind = rng.random()
                if kind < 0.75:
                    out.append(str(rng.choice(WORDS)))
                elif kind > 0.9:
                    out += [word, str(rng.choice(WORDS))]
            else:
                out.append(word)
        heard.append(Utterance(key, text, " ".join(out), speaker))
    return heard


def measure(folder, run="synth/dense-tiny-s0", condition="clean", errors=0.06, texts=None, **more):
    """One result and its hypotheses, where `robustness` leaves them; returns its place, ARCHIVE.zip/NAME."""
    utterances = read(texts or sentences(), run, condition, errors)
    scores = [score(each) for each in utterances]
    noisy = condition != "clean"
    on = "sound" if condition.partition(":")[0] in ("babble", "white", "pink") else "mouth"
    option = f" --{'sound' if on == 'sound' else 'noise'} {condition}" if noisy else ""
    result = Result(
        run=run,
        corpus="synth",
        split="test",
        condition=condition,
        corpus_fingerprint="4be1c07a9d2f",
        utterances=len(utterances),
        metrics={name: Measure(parts, interval([scores], name)) for name, parts in total(scores).items()},
        decoding={"kind": "ctc"},
        train_seed=0,
        noise_seed=0 if noisy else None,
        noise_on=on if noisy else None,
        noise_version=1 if noisy else None,
        command=f"avsr-bench evaluate runs/{run} --data data/synth --split test{option} --decode ctc",
        commit="3f9c2d1",
        device="cpu",
        seconds=1.25,
        system=run.rpartition("/")[2].rpartition("-tiny")[0],
        size="tiny",
        parameters=1_034_221,
        nonzero=1_034_221,
        budget=BUDGET,
        recipe_command=f"avsr-bench train {run.rpartition('/')[2].rpartition('-tiny')[0]} --size tiny",
    )
    result = replace(result, **more)
    path = folder / result.run.replace("/", "__") / f"{result.split}.zip"
    name = result.condition.replace(":", "_")
    archive.write(path, name, result, utterances)
    return path / name


HARM = {"blockwise": 0.5, "blur": 0.45, "motion": 0.5, "pixelate": 0.55, "jpeg": 0.6, "gaussian": 0.85, "contrast": 0.4}


def sweep(folder, run, clean, robust=1.0, levels=range(1, noise.LEVELS + 1), families=tuple(noise.FAMILIES), **more):
    """A model on clean clips and under noise: errors grow with the level, more slowly for a robust one."""
    measure(folder, run, "clean", clean, **more)
    for family in families:
        for level in levels:
            corrupt = HARM[family] * (level / noise.LEVELS) ** 1.4 / robust
            measure(folder, run, f"{family}:{level}", min(clean + corrupt, 0.95), **more)


@pytest.fixture
def published():
    return PUBLISHED


@pytest.fixture
def results(tmp_path):
    """A folder for results."""
    folder = tmp_path / "results"
    folder.mkdir()
    return folder


@pytest.fixture(scope="session")
def make():
    return SimpleNamespace(measure=measure, sweep=sweep, sentences=sentences, read=read, rng=np.random.default_rng)


@pytest.fixture(scope="session")
def full(tmp_path_factory):
    """Results as `make leaderboard` leaves them: dense, MSRS, rounds of SparseVSR, others at fewer levels."""
    folder = tmp_path_factory.mktemp("full")
    fill(folder)
    return folder


@pytest.fixture(scope="session")
def pages(full, tmp_path_factory):
    """The pages of `full`, and what `render` says of them."""
    out = tmp_path_factory.mktemp("pages")
    return out, render([full], PUBLISHED, out)


def fill(folder):
    """Fill a folder with the results of several systems."""
    weights = 1_000_000
    texts = sentences()
    sweep(folder, "synth/dense-tiny-s0", 0.055, texts=texts)
    sweep(folder, "synth/msrs-tiny-s0", 0.05, 1.15, texts=texts)
    for number in range(1, 9):
        share = number / 10
        about = {"system": "sparsevsr", "sparsity": share, "nonzero": int(1_034_221 - share * weights), "texts": texts}
        run = f"synth/sparsevsr-tiny-s0/round-{number:02d}"
        clean = 0.055 - 0.012 * min(share, 0.5) + max(0, share - 0.6) * 0.35
        if number == 5:
            sweep(folder, run, clean, 1.3, **about)
        else:
            measure(folder, run, "clean", clean, **about)
    for system, share, clean in (("rigl", 0.5, 0.075), ("msrs-sparse", 0.47, 0.06)):
        about = {"sparsity": share, "nonzero": int(1_034_221 - share * weights), "texts": texts}
        sweep(folder, f"synth/{system}-tiny-s0", clean, 1.1, levels=(5, 10), **about)
    for ratio, errors in ((10, 0.02), (0, 0.12), (-5, 0.4)):
        measure(folder, "synth/dense-tiny-audio-s0", f"babble:{ratio}", errors, modality="audio", texts=texts)
    measure(folder, "synth/dense-tiny-audio-s0", "clean", 0.004, modality="audio", texts=texts)
    measure(folder, "synth/dense-tiny-s1", "clean", 0.065, train_seed=1, system="dense", texts=texts)
