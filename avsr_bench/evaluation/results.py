"""From what was heard to a result on disk, and back: is what lies there the measurement that is asked for?"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

from .. import provenance, runs
from ..data import Prepared
from ..files import check_target, make_folder, refusing, write_whole
from ..inert import inert
from ..records import Refused
from ..runs import Run
from ..scoring import (
    SCORER_VERSION,
    Result,
    interval,
    merge,
    read_hypotheses,
    read_result,
    score,
    total,
    write_hypotheses,
)
from ..text import TEXT_VERSION
from .conditions import Condition
from .engine import Heard
from .reading import Reader


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """What all results of one run in one evaluation share."""

    run: Run
    weights: str  # digest
    corpus: Prepared
    split: str  # `test`, or `test-some20` of which only so many clips are read
    seed: int  # of the noise
    command: str = ""


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


def make_result(heard: Heard, about: Provenance) -> Result:
    """Score what was heard. Parts of a split that are joined before give the same as the split in one piece."""
    scores = merge(map(score, heard.utterances))
    words, characters = total(scores)
    run = about.run.about
    return Result(
        **_request(heard.condition, heard.reader, about),
        utterances=len(scores),
        words=words,
        characters=characters,
        wer_interval=interval([scores]),
        cer_interval=interval([scores], "characters"),
        faces_lost=heard.lost,
        command=inert(about.command),
        commit=provenance.commit(),
        device=provenance.device_name(heard.reader.device),
        seconds=round(heard.seconds, 2),
        system=run.system,
        size=run.size,
        modality=run.modality,
        sparsity=run.sparsity,
        parameters=run.parameters or None,
        nonzero=run.nonzero or None,
        recipe_command=inert(run.command),
        train_seed=run.seed,
    )


def _request(condition: Condition, reader: Reader, about: Provenance) -> dict[str, Any]:
    """What is asked for: a result that says the same of itself answers it."""
    noisy = condition.on is not None
    return {
        "run": about.run.name,
        "corpus": about.corpus.name,
        "split": about.split,
        "condition": condition.name,
        "corpus_fingerprint": about.corpus.fingerprint,
        "decoding": asdict(reader.settings),
        "noise_seed": about.seed if noisy else None,
        "noise_on": condition.on,
        "noise_version": condition.version,
        "weights": about.weights,
    }


def result_path(folder: Path, condition: Condition, seed: int) -> Path:
    """Where the result of a condition goes; its hypotheses lie beside it as .jsonl."""
    on = ".frame" if condition.on == "frame" else ""
    other = f".seed{seed}" if seed and condition.on else ""
    return folder / f"{condition.name.replace(':', '_')}{on}{other}.json"


def write_result(path: Path, result: Result, heard: Heard) -> None:
    """Hypotheses first, the result last: where it is, it is whole."""
    make_folder(path.parent)
    check_results(path)
    with refusing(path):
        path.unlink(missing_ok=True)  # that of other hypotheses
    write_hypotheses(path.with_suffix(".jsonl"), heard.utterances)
    write_whole(path, result.to_json())


def check_results(path: Path) -> None:
    """Refuse to put a result and its hypotheses where other files of these names lie."""
    check_target(path, _is_result, advice="remove it, or choose another --out")
    check_target(path.with_suffix(".jsonl"), _are_hypotheses, advice="remove it, or choose another --out")


def _is_result(path: Path) -> bool:
    """Whether a file has the form of a result, of whatever version, damaged or changed as it may be."""
    with path.open("rb") as file:
        return file.read(200).lstrip().startswith((b'{"wer"', b'{\n  "wer"'))


def _are_hypotheses(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(200).startswith(b'{"key": ')


def stored_result(
    path: Path, condition: Condition, reader: Reader, about: Provenance, utterances: int
) -> Result | None:
    """The result that lies at `path`, if it answers the request: the same weights, clips, noise, decoding, versions."""
    if not path.is_file() or not path.with_suffix(".jsonl").is_file():
        return None
    try:
        result = read_result(path)
        kept = len(read_hypotheses(path.with_suffix(".jsonl")))
    except Refused:
        return None  # cut short or of another version: it is measured again
    asked = {
        **_request(condition, reader, about),
        "utterances": utterances,
        "scorer_version": SCORER_VERSION,
        "text_version": TEXT_VERSION,
    }
    fits = kept == utterances and all(getattr(result, name) == value for name, value in asked.items())
    return result if fits else None
