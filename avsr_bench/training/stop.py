"""Stopping and going on: signals end a run after the update at hand; checkpoints are whole or not there."""

from __future__ import annotations

import hashlib
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from .. import data
from ..files import settle, temporary_name
from ..records import Refused

CHECKPOINT = "last.ckpt"
PATIENCE = 5.0  # seconds that a stop waits for clips, which may never come from a server that stalls


class Stopped(Exception):
    """A signal ended the run: after an update that was saved, or at once."""

    def __init__(self, number: int, at_once: bool = False) -> None:
        super().__init__(signal.Signals(number).name)
        self.number, self.at_once = number, at_once


class Checkpoints(Callback):
    """Writes `last.ckpt` now and then and when a signal comes; keeps what Lightning does not.

    Beside Lightning's own: the state of every random generator, so that a resumed run goes on as if nothing had
    happened. The position in the data follows from the number of updates.
    """

    def __init__(self, folder: Path, minutes: float, say: Callable[[str], None]) -> None:
        self.path = folder / CHECKPOINT
        self.seconds, self.say = 60 * minutes, say
        self.saved = time.monotonic()
        self.states: list[dict[str, Any]] = []  # of the random generators of every rank
        self.signal: int | None = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Listen to signals, which Lightning has set up its own way; draw on from where the checkpoint was written."""
        listen(self)
        self.saved = time.monotonic()
        if self.states:
            set_random_state(self.states[trainer.global_rank])

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        """After a whole update: save where it is time to, and end the run where a signal asked for it."""
        if trainer.fit_loop.epoch_loop._should_accumulate():  # an update is not finished
            return
        due = time.monotonic() - self.saved >= self.seconds
        wanted = self.signal is not None
        if trainer.world_size > 1:  # all ranks decide alike, whoever heard the signal and whatever their clocks say
            due = trainer.strategy.reduce_boolean_decision(due, all=False)
            wanted = trainer.strategy.reduce_boolean_decision(wanted, all=False)
        if due or wanted:
            self.save(trainer)
        if wanted:
            raise Stopped(self.signal or signal.SIGTERM)

    def save(self, trainer: Trainer) -> None:
        """Write the checkpoint beside the last one, then put it in its place; a full disk leaves the last one."""
        self.saved = time.monotonic()
        self.states = [random_state()]
        if trainer.world_size > 1:
            self.states = [{}] * trainer.world_size
            torch.distributed.all_gather_object(self.states, random_state())
        unfinished = temporary_name(self.path)
        try:
            trainer.save_checkpoint(unfinished)
        except (OSError, RuntimeError) as error:  # torch says RuntimeError when the disk is full
            if not trainer.is_global_zero:
                raise
            self._cannot(error, unfinished)
            trainer.strategy.barrier("Trainer.save_checkpoint")  # where the other ranks wait
            return
        if trainer.is_global_zero:
            try:
                seal(unfinished)
                settle(unfinished, self.path)
            except OSError as error:
                self._cannot(error, unfinished)

    def _cannot(self, error: Exception, unfinished: Path) -> None:
        unfinished.unlink(missing_ok=True)
        kept = "the one before is kept" if self.path.exists() else "there is none to go on from yet"
        self.say(f"cannot write {self.path}: {getattr(error, 'strerror', None) or 'is the disk full?'}; {kept}")

    def state_dict(self) -> dict[str, Any]:
        """Random states of all ranks: batches have other shapes in each, and so other numbers are drawn."""
        return {"random": self.states}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Kept until training starts, for what Lightning does before that draws numbers."""
        self.states = state_dict["random"]


SEAL = 64  # bytes of a SHA-256 in hexadecimal digits


def seal(path: Path) -> None:
    """Write the digest of a checkpoint behind it, where torch does not look.

    torch checks no checksum: it would resume from flipped bits, and moments of a wrong shape end it with SIGSEGV.
    """
    with path.open("r+b") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        file.write(digest.encode())


def is_sealed(path: Path) -> bool:
    """Whether a checkpoint is byte for byte what was written."""
    try:
        digest, left = hashlib.sha256(), path.stat().st_size - SEAL
        with path.open("rb") as file:
            while left > 0 and (block := file.read(min(left, 1 << 20))):
                digest.update(block)
                left -= len(block)
            return file.read() == digest.hexdigest().encode()
    except OSError as error:
        raise Refused(f"{path} cannot be read: {error.strerror}; fix that, then resume") from None


class Signals:
    """While training, Ctrl-C and SIGTERM ask for a stop after the update at hand; a second Ctrl-C ends it at once.

    So does the first where no clips come for the next update.
    """

    def __init__(self, checkpoints: Checkpoints) -> None:
        self.checkpoints = checkpoints
        self.before: dict[int, Any] = {}

    def __enter__(self) -> None:
        numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)
        self.before = {number: signal.getsignal(number) for number in numbers}
        listen(self.checkpoints)

    def __exit__(self, *_: object) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in self.before.items():
            signal.signal(number, handler)


def listen(checkpoints: Checkpoints) -> None:
    """Let signals ask the checkpoints for a stop."""

    def ask(number: int, frame: FrameType | None) -> None:
        if checkpoints.signal == signal.SIGINT == number:
            raise Stopped(number, at_once=True)
        checkpoints.signal = number
        signal.setitimer(signal.ITIMER_REAL, PATIENCE, 1)

    def look(number: int, frame: FrameType | None) -> None:
        if checkpoints.signal is not None and data.waited() > PATIENCE:
            raise Stopped(checkpoints.signal, at_once=True)

    signal.signal(signal.SIGALRM, look)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, ask)


def random_state() -> dict[str, Any]:
    """The states of Python's, numpy's and torch's generators as plain values and tensors."""
    version, numbers, gauss = random.getstate()
    kind, keys, place, has_gauss, cached = np.random.get_state()  # noqa: NPY002 what others may draw from
    state: dict[str, Any] = {
        "python": [version, list(numbers), gauss],
        "numpy": [str(kind), torch.from_numpy(np.asarray(keys).astype(np.int64)), int(place), int(has_gauss), cached],
        "torch": torch.get_rng_state(),
    }
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state()  # of the device of this rank
    return state


def set_random_state(state: dict[str, Any]) -> None:
    """Put the generators where they were."""
    version, numbers, gauss = state["python"]
    random.setstate((version, tuple(numbers), gauss))
    kind, keys, place, has_gauss, cached = state["numpy"]
    np.random.set_state((kind, keys.numpy().astype(np.uint32), place, has_gauss, cached))  # noqa: NPY002
    torch.set_rng_state(state["torch"].cpu())
    if torch.cuda.is_available() and "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"].cpu())
