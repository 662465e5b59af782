"""Weights of others, and packed weights of our own, become a run like any other."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from . import nn, recipes, runs
from .decoding import DecodeSettings
from .nn import Network, NetworkSettings, Report, Weights
from .records import Misused, Refused
from .runs import About, Run
from .text import Tokenizer, import_tokenizer, load_tokenizer

PUBLISHED_DECODING = DecodeSettings(
    beam=40, ctc_weight=0.1
)  # Auto-AVSR's, with neither language model nor length bonus
SIZED = ("width", "heads", "feed_forward", "kernel", "encoder_blocks", "decoder_blocks")  # what tells sizes apart


@dataclass(frozen=True, slots=True)
class Part:
    """One row of the report: what a part of the network got."""

    name: str
    entries: int
    parameters: int


@dataclass(frozen=True, slots=True)
class Imported:
    """The run that came of a file."""

    run: Run
    report: Report
    parts: tuple[Part, ...]


def import_weights(file: Path, tokenizer: Path, out: Path, units: Path | None = None) -> Imported:
    """Make the run `out` of a file of weights and the tokenizer that they were trained with.

    `tokenizer` is a SentencePiece model, with its list of `units` where it has one, or the folder of a run. Refused if
    `out` is there, if the network is not whole, or if it has another number of tokens than the tokenizer.
    """
    if out.exists():
        raise Refused(f"--out {out} is there already: choose another name, or remove it")
    weights = nn.read(file)
    if weights.release == "lrw":
        raise Refused(
            f"{file} holds a front-end alone, which reads no text: begin a training with it,"
            f" `avsr-bench train dense init.run={file} init.part=frontend`"
        )
    known = _open_tokenizer(tokenizer, units)
    sections = _own_sections(file) if weights.release == "ours" else _published_sections(weights)
    settings, tokens = _settings_of(weights, sections)
    if tokens != len(known):
        raise Refused(
            f"{file} has {tokens:,} tokens, and {tokenizer}{f' with {units}' if units else ''} has {len(known):,}:"
            f" they do not belong together{'' if units else '; is there a list of --units?'}"
        )
    network, report = nn.network_of(weights, weights.modality, settings, tokens)
    about = _about(recipes.section(sections, "run", file), out, weights, settings, network)
    origin = {"file": file.name, "sha256": _digest(file), "names": weights.release, "tokenizer": tokenizer.name}
    others = {name: content for name, content in sections.items() if name != "run"}
    with _new_folder(out):
        known.save(out)
        runs.write_recipe(out, about, {**others, "network": asdict(settings), "imported": origin})
        runs.write_weights(out, network.state_dict())
    return Imported(runs.open_run(out), report, tuple(_parts(network, report)))


def _open_tokenizer(path: Path, units: Path | None) -> Tokenizer:
    if not path.is_dir():
        return import_tokenizer(path, units)
    if units is not None:
        raise Misused(f"--units {units}: the run {path} has its own list of units")
    return load_tokenizer(path)


def _published_sections(weights: Weights) -> dict[str, Any]:
    try:
        settings, _ = nn.settings_of(weights.tensors)
    except Refused as refused:
        raise Refused(f"{weights.path}: {refused}") from None
    except KeyError as missing:
        raise Refused(f"{weights.path} has no {missing.args[0]}: a part of the network is missing") from None
    except (LookupError, TypeError, ValueError):
        raise Refused(f"{weights.path} is damaged: its weights have the shapes of no network") from None
    # Padding is hidden (mask_padding, the default), which the public code does not do: a clip alone gets the same
    # answer from both, and here also a clip in a batch.
    settings = replace(settings, attention_dropout=0.1 if weights.release == "first" else 0.0)
    return {"network": asdict(settings), "decode": asdict(PUBLISHED_DECODING)}


def _own_sections(file: Path) -> dict[str, Any]:
    """The recipe of a run, out of the header of its packed weights."""
    recipe = nn.header_of(file).get("recipe")
    if recipe is None:
        raise Refused(f"{file} are the weights of a run, whose folder is used as it is: copy all of it")
    try:
        content = recipes.parse(recipe)
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise Refused(f"{file} is damaged: what its header has for a recipe is none")
    return content


def _settings_of(weights: Weights, sections: Mapping[str, Any]) -> tuple[NetworkSettings, int]:
    settings = recipes.build(NetworkSettings, recipes.section(sections, "network", weights.path), str(weights.path))
    tokens = nn.tokens_of(weights.tensors)
    if tokens is None:
        raise Refused(f"{weights.path} has no output layer for CTC: it is a part of a network")
    return settings, tokens


def _about(known: Mapping[str, Any], out: Path, weights: Weights, settings: NetworkSettings, network: Network) -> About:
    if known:
        return recipes.build(About, known, f"{weights.path}, run")
    prunable = nn.prunable(network).values()
    zeros = sum(int((weight == 0).sum()) for weight in prunable)
    return About(
        system=out.name,
        corpus="",
        size=_size_of(settings),
        modality=weights.modality,
        sparsity=zeros / sum(weight.numel() for weight in prunable),
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        nonzero=sum(int(parameter.count_nonzero()) for parameter in network.parameters()),
    )


def _size_of(settings: NetworkSettings) -> str:
    """The size of ours that a network is of; empty where it is of none."""
    for name, path in recipes.names("models/sizes").items():
        section = recipes.section(recipes.load(path), "network", path)
        if all(section.get(key) == getattr(settings, key) for key in SIZED):
            return name
    return ""


def _parts(network: Network, report: Report) -> Iterator[Part]:
    parameters = {name: parameter.numel() for name, parameter in network.named_parameters()}
    rows: dict[str, list[str]] = {}
    for name in report.loaded:
        words = name.split(".")
        depth = {"encoders": 3, "decoder": 2, "frontends": 2}.get(words[0], 1)
        rows.setdefault(".".join(words[:depth]), []).append(name)
    for part, names in rows.items():
        yield Part(part, len(names), sum(parameters.get(name, 0) for name in names))


def _digest(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


@contextmanager
def _new_folder(folder: Path) -> Iterator[None]:
    """A folder that is there with all that is in it, or not at all."""
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise Refused(f"cannot make {folder}: {error.strerror}; choose another --out") from None
    with ExitStack() as undo:
        undo.callback(shutil.rmtree, folder, ignore_errors=True)
        try:
            yield
        except OSError as error:
            raise Refused(f"cannot write into {folder}: {error.strerror}; nothing is left of it") from None
        undo.pop_all()
