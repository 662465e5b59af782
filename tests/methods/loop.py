"""What the tests of methods share: a network of 14,000 weights, batches of noise, and the training loop itself."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning_fabric import Fabric
from torch import Tensor
from torch.optim import Optimizer

from avsr_bench.data import BatchSettings, Pass, Planner, Position, Stream
from avsr_bench.methods.method import Method
from avsr_bench.nn import AVSR, Batch, FrontendSettings, LossSettings, NetworkSettings
from avsr_bench.objectives import Batches, Recognise
from avsr_bench.records import SILENCE
from avsr_bench.text import TokenizerSettings, learn_tokenizer
from avsr_bench.training import average, loop
from avsr_bench.training.checkpoint import CHECKPOINT, read_checkpoint
from avsr_bench.training.recipe import TrainSettings
from avsr_bench.training.report import read_metrics
from avsr_bench.training.signals import Stopped

LOSS = LossSettings(ctc=0.3)
NARROW = FrontendSettings(channels=(4, 6, 8, 10), blocks=1, stem=(3, 3, 3))
SETTINGS = NetworkSettings(
    mouth=16,
    video=NARROW,
    audio=NARROW,
    width=16,
    heads=2,
    feed_forward=24,
    kernel=5,
    encoder_blocks=2,
    decoder_blocks=1,
)


def make_network(seed: int = 1, **changes: Any) -> AVSR:
    """A small network that takes video, with initial weights of its own for each seed."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return AVSR("video", replace(SETTINGS, **changes), 12)


def make_batches(count: int) -> list[Batch]:
    """Different batches of three clips of noise, with transcripts of two to four tokens."""
    noise = torch.Generator().manual_seed(2)
    tokens = torch.tensor([[3, 5, 5, 1], [7, 2, -1, -1], [4, 4, 9, -1]])
    return [
        Batch(torch.tensor([9, 6, 7]), tokens, torch.randn(3, 9, 16, 16, generator=noise), keys=("a", "b", "c"))
        for _ in range(count)
    ]


@dataclass(frozen=True)
class Noise:
    """Batches in turn, in place of a corpus; there is nothing to validate on."""

    batches: Sequence[Batch]
    planner = Planner((9, 6, 7), (0, 0, 0), BatchSettings(frames=27), 0)
    nothing: Any = None
    stream = Stream(nothing, (), (), "video", planner, ())

    @contextmanager
    def feed(
        self, rank: int, start: Position, done: int, count: int, workers: int, begin: Callable[[int], Pass]
    ) -> Iterator[Iterator[Batches]]:
        ranks = torch.distributed.get_world_size() if torch.distributed.is_initialized() else 1

        def made() -> Iterator[Batches]:
            for number in range(done, done + count):
                begin(number)  # an epoch has one batch
                yield {"labelled": (self.batches[(number * ranks + rank) % len(self.batches)],)}

        yield made()

    def validation(self, rank: int, ranks: int) -> list[tuple[Batch, list[str]]]:
        return []


@dataclass(frozen=True)
class Moment:
    """What there is to see after an update."""

    update: int
    optimizer: Optimizer


Look = Callable[[Moment], None]


def fit(
    network: AVSR,
    method: Method,
    steps: int,
    *,
    folder: Path | None = None,
    batches: Sequence[Batch] | None = None,
    look: Look | None = None,
    resume: bool = False,
    objective: Recognise | None = None,
    strategy: str = "auto",
    devices: int = 1,
    **settings: Any,
) -> loop.Trained:
    """Train `steps` updates with the settings of a run, in `folder`; `look` is called after each."""
    folder = folder or Path(tempfile.mkdtemp(prefix="avsr-loop-"))
    objective = objective or Recognise(network, LOSS)
    folder.mkdir(exist_ok=True)
    state = read_checkpoint(folder / CHECKPOINT) if resume else {}
    if state:
        objective.restore(state["objective"])
        method.load_state_dict(state["method"])
    options = {"lr": 1e-2, "warmup": 0.0, "clip": 1.0, "average": 1, "save_minutes": 1e6, **settings}
    training = TrainSettings(**options)
    method.attach(network, steps, min(average.moments(steps, training.average, training.average_fraction)))
    after_step, done = method.after_step, state.get("update", 0)

    def watched(optimizer: Optimizer) -> None:
        nonlocal done
        after_step(optimizer)
        done += 1
        if look is not None:
            look(Moment(done, optimizer))

    method.after_step = watched  # type: ignore[method-assign]
    tokenizer, _ = learn_tokenizer(["bin blue at f two now"], TokenizerSettings(kind="characters"))
    clips: Any = Noise(batches or make_batches(4))
    work = loop.Work(folder, training, steps, objective, method, clips, tokenizer, state)
    if not state:
        torch.manual_seed(0)
    return loop.fit(work, Fabric(accelerator="cpu", devices=devices, strategy=strategy), SILENCE)


def stop_after(update: int) -> Look:
    """Asks the loop to save and to stop after an update."""
    return lambda moment: os.kill(os.getpid(), signal.SIGTERM) if moment.update == update else None


def stopped(network: AVSR, method: Method, steps: int, update: int, folder: Path, **settings: Any) -> None:
    """Train as far as an update."""
    with pytest.raises(Stopped):
        fit(network, method, steps, folder=folder, look=stop_after(update), **settings)


def logged(folder: Path) -> list[dict[str, str]]:
    """The figures of every update."""
    return read_metrics(folder / "metrics.csv")


def moments(optimizer: Optimizer, network: AVSR, name: str) -> list[Tensor]:
    """What the optimiser remembers of each single weight of a layer."""
    weight = network.get_parameter(name)
    state = optimizer.state[weight]
    return [of for of in state.values() if isinstance(of, Tensor) and of.shape == weight.shape]
