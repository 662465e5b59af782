"""Sparse weights as a bit mask and values, and what sparsity is worth: bytes, multiply-adds and time, each apart."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from ..files import MARK, STDOUT, Ours, check_target, marked, whole
from ..nn import Modality, Recogniser, load_packed, prunable, save_packed
from ..records import FPS, SAMPLES_PER_FRAME, Refused
from ..runs import RECIPE, WEIGHTS, open_finished

TURNS, LEAST_SECONDS = 4, 1.0  # of measuring: the first turn warms up, of the others the fastest counts


@dataclass(frozen=True, slots=True)
class Work:
    """Multiply-adds of convolutions and linear layers, in theory: no kernel is asked."""

    dense: int
    nonzero: int  # those with a weight that is not zero

    @property
    def share(self) -> float:
        """Of the dense ones."""
        return self.nonzero / self.dense


@dataclass(frozen=True, slots=True)
class SparseExport:
    """What was written, and what sparsity is worth."""

    path: Path
    sparsity: float  # share of the prunable weights that are zero
    bytes: int
    dense_bytes: int  # of model.safetensors
    second: Work  # encoder, CTC head and the decoder's keys and values for one second of input
    token: Work  # the decoder for one token of one hypothesis
    seconds: float  # encoder and CTC head on one second of input, on one core here, with dense kernels
    seconds_filled: float  # the same with every zero replaced by a value

    @property
    def share(self) -> float:
        """Stored bytes of the dense bytes."""
        return self.bytes / self.dense_bytes


def export_sparse(
    folder: Path, out: Path | None = None, ours: Ours = marked, modality: Modality | None = None
) -> SparseExport:
    """Write a run's weights packed to `out` (RUN/model.sparse.safetensors), if they read back to the bit.

    An `out` that exists is replaced if it is `ours`. Of a unified run all of it is packed, and one view is timed.
    """
    run = open_finished(folder).seen_as(modality)
    path = out or folder / "model.sparse.safetensors"
    if path.suffix != ".safetensors" and path != STDOUT:
        raise Refused(f"--out {path}: packed weights are a safetensors file; call it {path.name}.safetensors")
    if path.resolve() == (folder / WEIGHTS).resolve():
        raise Refused(f"--out {path} are the weights of the run: choose another name")
    check_target(path, ours)
    everything, network = run.whole(), run.load()
    weights = load_packed(folder / WEIGHTS)
    with whole(path, ours) as unfinished:
        about = {"about": MARK, "recipe": (folder / RECIPE).read_text(encoding="utf-8")}
        save_packed(unfinished, weights, prunable(everything), about)
        _check_equal(load_packed(unfinished), weights, path)
        size = unfinished.stat().st_size
    sparse = prunable(everything).values()
    zeros = sum(int((weight == 0).sum()) for weight in sparse)
    second, token = count_work(network)
    seconds, filled = _measure(network)
    return SparseExport(
        path,
        sparsity=zeros / sum(weight.numel() for weight in sparse),
        bytes=size,
        dense_bytes=(folder / WEIGHTS).stat().st_size,
        second=second,
        token=token,
        seconds=seconds,
        seconds_filled=filled,
    )


@torch.inference_mode()
def count_work(network: Recogniser) -> tuple[Work, Work]:
    """Multiply-adds for a second of input, and for one token of one hypothesis.

    Products of attention itself (scores, mixing) and norms are not counted: they have no weights to prune.
    """
    frames = torch.tensor([FPS])
    with _counting(network) as second:
        memory, lengths = network.encode(_second_of(network), frames)
        network.ctc_log_probs(memory)
        state = network.start(memory, lengths)
    with _counting(network) as token:
        network.step(torch.full((1, 1), network.sos), state)
    return Work(**second), Work(**token)


@contextmanager
def _counting(network: Recogniser) -> Iterator[dict[str, int]]:
    counts = {"dense": 0, "nonzero": 0}

    def count(layer: nn.Module, _: Any, output: Tensor) -> None:
        weight = layer.get_parameter("weight")
        places = output.numel() // len(weight)  # each output channel is worked out once a place
        counts["dense"] += places * weight.numel()
        counts["nonzero"] += places * int(weight.count_nonzero())

    layers = [network.get_submodule(name.removesuffix(".weight")) for name in prunable(network)]
    handles: list[RemovableHandle] = [layer.register_forward_hook(count) for layer in layers]
    try:
        yield counts
    finally:
        for handle in handles:
            handle.remove()


def _second_of(network: Recogniser) -> Any:
    side = network.settings.mouth
    generator = torch.Generator().manual_seed(0)
    shapes = {"video": (FPS, side, side), "audio": (FPS * SAMPLES_PER_FRAME,)}
    inputs = tuple(torch.randn(1, *shapes[name], generator=generator) for name in network.senses)
    return inputs if len(inputs) > 1 else inputs[0]


@torch.inference_mode()
def _measure(network: Recogniser) -> tuple[float, float]:
    """Seconds for a second of input on one core, as the network is and with its zeros filled, taken in turns."""
    filled = copy.deepcopy(network)
    for weight in prunable(filled).values():
        spread = float(weight.std()) or 1.0
        weight.masked_fill_(weight == 0, spread)
    inputs, frames = _second_of(network), torch.tensor([FPS])
    taken: list[tuple[float, float]] = []
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # where others want the cores too, threads wait for one another and the time is theirs
    begun = time.perf_counter()
    while len(taken) < TURNS or time.perf_counter() - begun < LEAST_SECONDS:
        turn = []
        for candidate in (network, filled):
            start = time.perf_counter()
            candidate.ctc_log_probs(candidate.encode(inputs, frames)[0])
            turn.append(time.perf_counter() - start)
        taken.append((turn[0], turn[1]))
    torch.set_num_threads(threads)
    return min(one for one, _ in taken[1:]), min(other for _, other in taken[1:])


def _check_equal(found: dict[str, Tensor], weights: dict[str, Tensor], path: Path) -> None:
    for name, weight in weights.items():
        there = found.get(name)
        same = there is not None and there.dtype == weight.dtype and there.shape == weight.shape
        if there is None or not same or not torch.equal(_bits(there), _bits(weight)):
            raise Refused(f"{path} was not written: {name} did not come back as it was; is the disk in order?")


def _bits(weight: Tensor) -> Tensor:
    return weight.contiguous().flatten().view(torch.uint8)
