"""The one way from a run to text: how it is decoded, what it recognises in a batch of clips, and how that is scored.

`evaluate`, `robustness`, `transcribe` and validation during training all decode here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from .. import objectives, recipes, runs, scoring
from ..data import Clip, Example, collate, tested
from ..decoding import DecodeSettings, Kind, decode
from ..nn import Modality, Recogniser
from ..records import Misused, Refused
from ..runs import About, Run
from ..scoring import Score, Utterance
from ..text import Tokenizer
from .device import ran_out_of_memory

T = TypeVar("T")

TOGETHER = {"cpu": 300, "cuda": 4_000}  # frames of a batch: more gains nothing there, and takes memory
LONGEST = 6_000  # frames, 4 min: attention over more takes gigabytes (12 heads of 6,000 x 6,000 scores are 1.7 GB)


@dataclass(frozen=True, eq=False)
class Reader:
    """A network, its tokenizer, and how its output is decoded."""

    name: str  # for messages
    network: Recogniser
    tokenizer: Tokenizer
    settings: DecodeSettings
    about: About | None = None  # of the run; none of a network in training

    @property
    def device(self) -> torch.device:
        """Where its weights are."""
        return next(self.network.parameters()).device

    @property
    def view(self) -> tuple[Modality, int]:
        """What it is shown: readers of one view are given the same arrays."""
        return self.network.modality, self.network.settings.mouth


@dataclass(frozen=True, slots=True)
class Decoded:
    """The best hypothesis for one clip."""

    tokens: tuple[int, ...]
    text: str
    score: float | None  # none where the search found nothing
    memory: Tensor  # T, D: the encoder's output


def open_reader(run: Run, device: torch.device, kind: Kind | None = None, beam: int | None = None) -> Reader:
    """A finished run on its device, and how it is decoded: by its recipe where nothing else is asked for.

    A run that was trained by CTC alone is decoded by CTC: its decoder has the weights that it was initialised with.
    """
    run.check_reads()
    if not (run.folder / runs.WEIGHTS).is_file():
        raise Refused(
            f"{run.folder} is not finished (no {runs.WEIGHTS}): resume it with its train command and --resume"
        )
    objectives.check_recognises(run.recipe.get("objective"), run.name)
    loss = run.recipe.get("loss")
    ctc_alone = isinstance(loss, dict) and loss.get("ctc") == 1
    if ctc_alone and kind is None and _asks_decoder(run.decode):
        if beam is not None:
            raise Misused(f"--beam {beam} is for beam search, and {run.name} is decoded by ctc: leave it out")
        kind = "ctc"
    settings = decoding(run.decode, kind, beam)
    if ctc_alone and _asks_decoder(settings):
        raise Refused(
            f"{run.name} was trained by CTC alone (loss.ctc is 1), so its decoder is untrained: use --decode ctc"
        )
    return Reader(run.name, run.load(device), run.tokenizer(), settings, run.about)


def decoding(settings: DecodeSettings, kind: Kind | None, beam: int | None) -> DecodeSettings:
    """The decoding of a recipe with what was asked for laid over it."""
    kind = kind or settings.kind
    if beam is not None and kind != "beam":
        raise Misused(
            f"--beam {beam} is for beam search, and this decodes by {kind}: add --decode beam, or leave it out"
        )
    settings = replace(settings, kind=kind, beam=settings.beam if beam is None else beam)
    return recipes.checked(settings, "--beam")


def _asks_decoder(settings: DecodeSettings) -> bool:
    return settings.kind == "attention" or (settings.kind == "beam" and settings.ctc_weight < 1)


def view_of(example: Example, view: tuple[Modality, int]) -> Clip:
    """A clip as the networks of a view are shown it in a test: the middle of the mouth, the sound at one level."""
    modality, side = view
    mouth = None if modality == "audio" else _there(example.mouth, example, "mouth")
    sound = None if modality == "video" else _there(example.sound, example, "sound")
    return tested(replace(example, mouth=mouth, sound=sound), (), side)


def _there(array: np.ndarray | None, example: Example, what: str) -> np.ndarray:
    if array is None:
        raise Refused(f"{example.key} has no {what}, which the network reads")
    return array


def read(
    network: Recogniser, tokenizer: Tokenizer, examples: Sequence[Example], settings: DecodeSettings
) -> tuple[Utterance, ...]:
    """What a network reads in some clips, in their order; whether it is in training is as before when done."""
    reader = Reader("the network", network, tokenizer, settings)
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    found: dict[str, Utterance] = {}
    try:
        for batch in batches(examples, lambda example: example.frames, TOGETHER[reader.device.type]):
            heard = read_clips(reader, [view_of(example, reader.view) for example in batch])
            found |= {example.key: utterance(example, each) for example, each in zip(batch, heard, strict=True)}
    finally:
        for module, training in modes:
            module.training = training
    return tuple(found[example.key] for example in examples)


def utterance(example: Example, decoded: Decoded | None) -> Utterance:
    """The hypothesis for a clip, beside its reference; an empty one where there was nothing to decode."""
    text, score = ("", None) if decoded is None else (decoded.text, decoded.score)
    return Utterance(example.key, example.text, text, example.speaker, example.source, score)


@torch.inference_mode()
def read_clips(reader: Reader, clips: Sequence[Clip]) -> list[Decoded]:
    """The best hypothesis for each clip, in one batch. A network that lets padding in decodes them one by one."""
    if not reader.network.settings.mask_padding and len(clips) > 1:
        return [each for clip in clips for each in read_clips(reader, [clip])]
    batch = collate(clips).to(reader.device)
    try:
        return decode_memory(reader, *reader.network.encode(batch.inputs, batch.lengths))
    except Refused as refused:
        raise Refused(f"{reader.name}, {clips[0].key}: {refused}") from None
    except (MemoryError, RuntimeError) as error:
        if not ran_out_of_memory(error):
            raise
        raise Refused(
            f"{reader.name}: memory ran out on {len(clips)} clips of up to {max(clip.frames for clip in clips):,}"
            f" frames, {clips[0].key} among them: cut it shorter, decode with a smaller --beam, or use --device cpu"
        ) from None


@torch.inference_mode()
def decode_memory(reader: Reader, memory: Tensor, lengths: Tensor) -> list[Decoded]:
    """The best hypothesis for each clip of an encoded batch: `memory` B, T, D and its `lengths` in frames, B."""
    memory = memory.float()  # decoding is in 32-bit floats, whatever training computes in
    found = decode(reader.network, memory, lengths, reader.settings)
    return [
        Decoded(best[0].tokens, reader.tokenizer.decode(best[0].tokens), best[0].score, row[:length])
        if best
        else Decoded((), "", None, row[:length])
        for best, row, length in zip(found, memory, lengths.tolist(), strict=True)
    ]


def score_batch(
    reader: Reader, memory: Tensor, lengths: Tensor, keys: Sequence[str], references: Sequence[str]
) -> list[Score]:
    """Scores of a batch that is encoded already, as validation has it: counted as `evaluate` counts them.

    `references` are transcripts as the corpus has them, not decoded tokens: a tokenizer may not be able to spell them.
    """
    pairs = zip(keys, references, decode_memory(reader, memory, lengths), strict=True)
    return [scoring.score(Utterance(key, reference, decoded.text)) for key, reference, decoded in pairs]


def batches(items: Sequence[T], frames: Callable[[T], int], together: int) -> Iterator[list[T]]:
    """Items of about one length side by side, the longest first; a batch has at most `together` frames or one item."""
    batch: list[T] = []
    for item in sorted(items, key=frames, reverse=True):
        if batch and (len(batch) + 1) * frames(batch[0]) > together:
            yield batch
            batch = []
        batch.append(item)
    if batch:
        yield batch


def check_lengths(keys_and_frames: Sequence[tuple[str, int]]) -> None:
    """Refuse a clip that is longer than any network can be expected to hold."""
    key, frames = max(keys_and_frames, key=lambda pair: pair[1], default=("", 0))
    if frames > LONGEST:
        raise Refused(
            f"{key} has {frames:,} frames, more than the {LONGEST:,} (4 min) that are read at once: cut it into"
            " utterances (the columns start and end of a manifest), or read it with `avsr-bench transcribe`"
        )
