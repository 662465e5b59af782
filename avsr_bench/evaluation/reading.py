"""What a network reads in a batch of clips: encoded together, decoded together, as text."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import torch

from ..data import Clip, Example, collate, tested
from ..decoding import DecodeSettings, decode
from ..nn import AVSR, Modality
from ..records import Refused
from ..scoring import Utterance
from ..text import Tokenizer

T = TypeVar("T")

TOGETHER = {"cpu": 300, "cuda": 4_000}  # frames of a batch: more gains nothing there, and takes memory
LONGEST = 6_000  # frames, 4 min: attention over more takes gigabytes (12 heads of 6,000 x 6,000 scores are 1.7 GB)


@dataclass(frozen=True, eq=False)
class Reader:
    """A network that reads, its tokenizer, and how its answers are decoded."""

    name: str  # for messages
    network: AVSR
    tokenizer: Tokenizer
    settings: DecodeSettings

    @property
    def device(self) -> torch.device:
        """Where its weights are."""
        return next(self.network.parameters()).device

    @property
    def view(self) -> tuple[Modality, int]:
        """What it is shown: readers of one view are given the same arrays."""
        return self.network.modality, self.network.settings.mouth


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
    network: AVSR, tokenizer: Tokenizer, examples: Sequence[Example], settings: DecodeSettings
) -> tuple[Utterance, ...]:
    """What a network reads in some clips, in their order; whether it is in training is as before when done."""
    reader = Reader("the network", network, tokenizer, settings)
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    found: dict[str, Utterance] = {}
    try:
        for batch in batches(examples, lambda example: example.frames, TOGETHER[reader.device.type]):
            heard = read_clips(reader, [view_of(example, reader.view) for example in batch])
            found |= {example.key: utterance(example, *each) for example, each in zip(batch, heard, strict=True)}
    finally:
        for module, training in modes:
            module.training = training
    return tuple(found[example.key] for example in examples)


def utterance(example: Example, text: str, score: float | None) -> Utterance:
    """What was heard in a clip, beside what was said."""
    return Utterance(example.key, example.text, text, example.speaker, example.source, score)


@torch.inference_mode()
def read_clips(reader: Reader, clips: Sequence[Clip]) -> list[tuple[str, float | None]]:
    """The text and score of each clip, in one batch. A network that lets padding in reads them one by one."""
    if not reader.network.settings.mask_padding and len(clips) > 1:
        return [each for clip in clips for each in read_clips(reader, [clip])]
    batch = collate(clips).to(reader.device)
    try:
        memory, lengths = reader.network.encode(batch.inputs, batch.lengths)
        found = decode(reader.network, memory, lengths, reader.settings)
    except Refused as refused:
        raise Refused(f"{reader.name}, {clips[0].key}: {refused}") from None
    except (MemoryError, RuntimeError) as error:
        if not (isinstance(error, MemoryError | torch.OutOfMemoryError) or "allocate memory" in str(error)):
            raise
        raise Refused(
            f"{reader.name}: memory ran out on {len(clips)} clips of up to {max(clip.frames for clip in clips):,}"
            f" frames, {clips[0].key} among them: cut it shorter, decode with a smaller --beam, or use --device cpu"
        ) from None
    return [(reader.tokenizer.decode(best[0].tokens), best[0].score) if best else ("", None) for best in found]


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
