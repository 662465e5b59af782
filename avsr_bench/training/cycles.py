"""The passes of a run over its clips: what each one has, chosen when it begins, from the newest losses of all ranks.

    RUN/passes.csv    a row a pass: its first update, how many clips and frames it has, their median length and loss
    RUN/clips.csv     a row a clip: how many passes it was in, how many of those were chosen, and its newest loss

Both are kept where clips are selected; elsewhere every pass has everything, and a position is a number of batches.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..data import BEFORE, UNPRUNED, Pass, Position, Stream, frames_shown, select
from ..files import write_whole
from ..objectives import Batches
from ..records import Refused, rng_for
from .machine import everyones

PASSES, CLIPS = "passes.csv", "clips.csv"


class Cycles:
    """Where a run stands in its passes, and what it knows of its clips."""

    def __init__(self, stream: Stream, batches: int, accumulate: int, ranks: int, folder: Path | None) -> None:
        self.stream, self.settings, self.planner = stream, stream.selection, stream.planner
        self.total, self.accumulate, self.ranks = batches, accumulate, ranks
        self.folder = folder  # none: of a rank that does not report
        self.done = 0  # batches of a rank
        self.epoch, self.batch = 0, 0  # the batch that comes next
        self.chosen: Pass | None = None  # what this pass has
        self.first = self.settings.warm + self.planner.short_epochs  # the first pass that may have less than everything
        self.begun = 0  # `done` when that pass began
        count = len(self.planner.frames)
        self.scores = np.full(count, BEFORE)
        self.used = np.zeros((2, count), np.int64)  # passes that each clip was in: all of them, those that were chosen
        self.losses: list[tuple[tuple[str, ...], Tensor]] = []  # of this rank, since the pass began
        self.rows: list[dict[str, Any]] = []

    @property
    def next(self) -> Position:
        """The position of the batch that comes next."""
        return Position(self.epoch, self.batch)

    def begin(self, epoch: int) -> Pass:
        """What a pass has. All ranks begin it together, after the last batch of the one before."""
        if self.chosen is not None and epoch == self.epoch:  # resumed in the middle of it
            return self.chosen
        if self.settings.selects:
            self._gather()
        if epoch != self.epoch:
            self.epoch, self.batch = epoch, 0
        if not self.settings.selects:
            self.chosen = self.planner.everything(epoch)
            return self.chosen
        self.begun = self.done if epoch <= self.first else self.begun
        self.chosen = self._choose(epoch)
        self.rows.append(self._row(epoch, self.chosen))
        self._write()
        return self.chosen

    def add(self, batches: Batches, losses: Tensor) -> None:
        """A batch was trained on; `losses` are those of its clips, view after view."""
        self.done, self.batch = self.done + 1, self.batch + 1
        if self.settings.selects:
            keys = tuple(key for views in batches.values() for batch in views for key in batch.keys)
            self.losses.append((keys, losses))

    def finish(self) -> str:
        """Write down how the last pass went; a line about clips that were never trained on again, or nothing."""
        if not self.settings.selects:
            return ""
        self._gather()
        self._write()
        passes, never = max(self.epoch + 1 - self.first, 0), int((self.used[1] == 0).sum())
        if not passes or not never:
            return ""
        return f"{never:,} of {len(self.scores):,} clips were in none of the {passes} chosen passes: see {CLIPS}"

    def own_state(self) -> dict[str, Any]:
        """What this rank alone knows: the losses of the pass so far."""
        clips, losses = self._newest()
        return {"clips": torch.from_numpy(clips), "losses": torch.from_numpy(losses)}

    def state_dict(self) -> dict[str, Any]:
        """What all ranks know; nothing where a position is a number of batches."""
        if not self.settings.selects or self.chosen is None:
            return {}
        arrays = {
            "weights": self.chosen.weights,
            "frames": self.chosen.frames,
            "scores": self.scores,
            "used": self.used,
        }
        tensors = {name: torch.from_numpy(array.copy()) for name, array in arrays.items()}
        return {"epoch": self.epoch, "batch": self.batch, "begun": self.begun, "rows": self.rows, **tensors}

    def load_state_dict(self, done: int, state: Mapping[str, Any], own: Mapping[str, Any]) -> None:
        """Stand where a checkpoint was written, after `done` batches."""
        self.done = done
        if not state:
            position = self.planner.after(Position(), done)
            self.epoch, self.batch = position.epoch, position.batch
            return
        self.epoch, self.batch, self.begun, self.rows = state["epoch"], state["batch"], state["begun"], state["rows"]
        self.chosen = Pass(state["weights"].numpy(), state["frames"].numpy())
        self.scores, self.used = state["scores"].numpy(), state["used"].numpy()
        keys = tuple(self.stream.places[clip].entry.key for clip in own["clips"].tolist())
        self.losses = [(keys, own["losses"])]

    def _choose(self, epoch: int) -> Pass:
        everything, settings = self.planner.everything(epoch), self.settings
        last = settings.strategy == "infobatch" and self.done >= (1 - UNPRUNED) * self.total
        if epoch < self.first or last:
            return everything
        entries = [place.entry for place in self.stream.places]
        for entry, score in zip(entries, self.scores, strict=True):
            if not np.isfinite(score):
                raise Refused(
                    f"the newest loss of {entry.key} is {score}: no pass can be chosen by it; look at the clip with"
                    " `avsr-bench inspect`, or start again, in another --out, with a lower train.lr"
                )
        tokens = self.stream.tokens
        scores = self.scores
        if settings.score == "per_token":
            scores = scores / [max(len(each), 1) for each in tokens]
        of_pass = round(settings.kept * len(self.planner.plan(epoch)[0]))  # batches
        progress = (self.done - self.begun) / max(self.total - self.begun - of_pass, 1)
        rng = rng_for(self.planner.seed, "select", str(epoch))
        weights = select(settings, scores, everything.frames, min(progress, 1.0), rng)
        if (kept := np.count_nonzero(weights)) < self.ranks:
            raise Refused(
                f"pass {epoch} would have {kept} of {len(weights)} clips, and {self.ranks} devices train: raise"
                " data.selection.fraction, or train on fewer devices"
            )
        frames = [frames_shown(settings, entry.frames, each) for entry, each in zip(entries, tokens, strict=True)]
        return Pass(weights, np.asarray(frames))

    def _newest(self) -> tuple[np.ndarray, np.ndarray]:
        """The clips of the pass so far on this rank, and the mean loss of the views of each."""
        if not self.losses:
            return np.zeros(0, np.int64), np.zeros(0)
        numbers = {place.entry.key: number for number, place in enumerate(self.stream.places)}
        clips = np.array([numbers[key] for keys, _ in self.losses for key in keys])
        losses = torch.cat([each.double() for _, each in self.losses]).cpu().numpy()
        each, place, count = np.unique(clips, return_inverse=True, return_counts=True)
        return each, np.bincount(place, losses) / count

    def _gather(self) -> None:
        """Bring the losses of the pass together: all ranks know the same afterwards."""
        for clips, losses in everyones(self._newest(), self.ranks):
            self.scores[clips] = losses
            self.used[: 1 + (self.epoch >= self.first), clips] += 1
        self.losses = []

    def _row(self, epoch: int, chosen: Pass) -> dict[str, Any]:
        clips = chosen.clips
        frames = chosen.frames[clips]
        return {
            "pass": epoch,
            "update": self.done // self.accumulate + 1,
            "clips": len(clips),
            "frames": int(frames.sum()),
            "fraction": round(float(frames.sum() / sum(self.planner.frames)), 4),
            "median_frames": float(np.median(np.asarray(self.planner.frames)[clips])),
            "median_loss": float(np.median(self.scores[clips])) if epoch else "",
        }

    def _write(self) -> None:
        if self.folder is None:
            return
        write_table(self.folder / PASSES, list(self.rows[0]), [row.values() for row in self.rows])
        keys = [place.entry.key for place in self.stream.places]
        clips = zip(keys, self.planner.frames, *self.used.tolist(), self.scores.tolist(), strict=True)
        write_table(self.folder / CLIPS, ["key", "frames", "passes", "chosen_passes", "loss"], clips)


def write_table(path: Path, names: Sequence[str], rows: Iterable[Iterable[Any]]) -> None:
    """A CSV file, whole."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    writer.writerows(rows)
    write_whole(path, text.getvalue())
