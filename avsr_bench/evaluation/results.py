"""From what was heard to a result on disk, and back: is what lies there the measurement that is asked for?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

import torch

from .. import provenance, runs
from ..data import Prepared
from ..inert import inert
from ..records import Ancestor, Refused
from ..runs import Run
from ..scoring import (
    SCORER_VERSION,
    Measure,
    Result,
    Utterance,
    WhoseLips,
    archive,
    interval,
    merge,
    score,
    sound,
    total,
)
from ..text import TEXT_VERSION
from .conditions import Condition
from .engine import Heard
from .reading import Reader


@dataclass(frozen=True, slots=True)
class Other:
    """A run that takes part in the evaluation of another one; empty: there is none."""

    name: str = ""
    weights: str = ""  # digest


NOBODY = Other()


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """What all results of one run in one evaluation share."""

    run: Run
    weights: str  # digest
    corpus: Prepared
    split: str  # `test`, or `test-some20` of which only so many clips are read
    seed: int  # of the noise, and of the lips of others
    command: str = ""
    enhancer: Other = NOBODY  # cleans the sound that the run reads
    reader: Other = NOBODY  # reads the sound that the run cleans
    lips: WhoseLips = "own"  # that the run, an enhancer, is shown


def weights_digest(run: Run) -> str:
    """A digest of a run's weights: results of other weights are other results."""
    try:
        with (run.folder / runs.WEIGHTS).open("rb") as file:
            digest = blake2b(digest_size=8)
            while piece := file.read(1 << 22):
                digest.update(piece)
    except OSError as error:
        raise Refused(f"cannot read {run.folder / runs.WEIGHTS}: {error.strerror}") from error
    return digest.hexdigest()


def lineage(run: Run, weights: str) -> tuple[Ancestor, ...]:
    """A run, with the digest of its weights, and all that it was made of: what has it as an ancestor has these.

    All views of a unified network are one ancestor: it was trained once.
    """
    budget = run.about.budget
    own = Ancestor(runs.name_of(run.folder), None if budget is None else budget.frames, weights)
    return (own, *(budget.ancestors if budget else ()))


def make_result(heard: Heard, about: Provenance) -> Result:
    """Score what was heard. Parts of a split that are joined before give the same as the split in one piece."""
    found = result_of(heard.condition, heard.reader, heard.utterances, about, heard.reader.device, heard.seconds)
    return replace(found, faces_lost=heard.lost)


def result_of(
    condition: Condition,
    reader: Reader | None,
    utterances: Iterable[Utterance],
    about: Provenance,
    device: torch.device,
    seconds: float,
) -> Result:
    """Score utterances that were read, or whose sound was measured, under a condition."""
    scores = merge(map(score, utterances))
    run, modality = about.run.about, about.run.modality
    return Result(
        **_request(condition, reader, about),
        utterances=len(scores),
        metrics={name: Measure(parts, interval([scores], name)) for name, parts in total(scores).items()},
        command=inert(about.command),
        commit=provenance.commit(),
        device=provenance.device_name(device),
        seconds=round(seconds, 2),
        system=run.system,
        size=run.size,
        modality=modality,
        trained_with_noise=_trained_with_noise(about.run),
        sparsity=run.sparsity,
        parameters=run.parameters or None,
        nonzero=run.nonzero or None,
        recipe_command=inert(run.command),
        train_seed=run.seed,
        budget=run.budget,
    )


def _trained_with_noise(run: Run) -> bool | None:
    """Whether a run's training clips had visual noise; weights of others do not say."""
    noise = (run.recipe.get("augment") or {}).get("noise")
    return noise if isinstance(noise, bool) else None


def _request(condition: Condition, reader: Reader | None, about: Provenance) -> dict[str, Any]:
    """What is asked for: a result that says the same of itself answers it."""
    noisy = condition.on is not None
    return {
        "run": about.run.name,
        "corpus": about.corpus.name,
        "split": about.split,
        "condition": condition.name,
        "corpus_fingerprint": about.corpus.fingerprint,
        "decoding": asdict(reader.settings) if reader else {},
        "noise_seed": about.seed if noisy else None,
        "noise_on": condition.on,
        "noise_version": condition.version,
        "weights": about.weights,
        "enhancer": about.enhancer.name,
        "enhancer_weights": about.enhancer.weights,
        "reader": about.reader.name,
        "reader_weights": about.reader.weights,
        "lips_seed": about.seed if about.lips == "other" else None,
        "lips_hidden": about.lips == "none",
    }


def result_name(condition: Condition, seed: int, lips: WhoseLips = "own") -> str:
    """What the result of a condition is called in its archive."""
    on = ".frame" if condition.on == "frame" else ""
    shown = {"own": "", "other": ".other-lips", "none": ".no-lips"}[lips]
    other = f".seed{seed}" if seed and (condition.on or lips == "other") else ""
    return f"{condition.name.replace(':', '_')}{on}{shown}{other}"


def stored_result(
    path: Path, condition: Condition, reader: Reader | None, about: Provenance, utterances: int
) -> tuple[Result, tuple[Utterance, ...]] | None:
    """The result in an archive, with what was heard, if it answers: same weights, clips, noise, decoding, versions."""
    name = result_name(condition, about.seed, about.lips)
    if not path.exists() or name not in (kept := archive.read_archive(path)).names:
        return None
    try:
        result, heard = kept.result(name), kept.utterances(name)
    except Refused:
        return None  # damaged or of another version: it is measured again
    asked = {
        **_request(condition, reader, about),
        "utterances": utterances,
        "scorer_version": SCORER_VERSION,
        "text_version": TEXT_VERSION,
    }
    fits = len(heard) == utterances and all(getattr(result, name) == value for name, value in asked.items())
    # What was measured without PESQ does not answer where PESQ can be computed.
    measured = set(sound.computable()) if about.run.network.enhancer else set()
    fits &= all((each.hypothesis is None) == (reader is None) and measured <= each.parts.keys() for each in heard)
    return (result, heard) if fits else None
