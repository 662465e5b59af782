"""What a run reports while it trains: one line an update for people, one row an update in metrics.csv."""

from __future__ import annotations

import csv
import resource
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .. import scoring
from ..data import Position
from ..files import whole
from ..records import Progress
from .logs import Log, open_logs
from .variation import CONSTANT

METRICS = "metrics.csv"


class Report:
    """Gathers the figures of every update: losses, rate, gradient norms, what the method says, speed and memory."""

    def __init__(self, folder: Path, view: Progress | None, device: torch.device, judged_by: str = scoring.WER) -> None:
        self.path, self.view = folder / METRICS, view  # no view: of a rank that does not report
        self.device = device
        self.seconds = 0.0  # of training, over all resumptions
        self.validated: dict[str, float] = {}  # what validation after this update found
        self.judged_by = judged_by  # which metric the line shows
        self.newest: float | None = None  # value of it
        self.constant = False  # whether the encoder answered the same to every frame of it
        self.speed = 0.0  # frames a second, over the last some updates
        self.clock = 0.0
        self.ranks = 1
        self.logs: Sequence[Log] = ()

    def begin(self, done: int, steps: int, ranks: int, logs: Sequence[str]) -> None:
        """Start the clock; rows of updates that a killed run did not save are taken back."""
        self.clock, self.ranks = time.monotonic(), ranks
        if self.view is not None:
            self.logs = open_logs(logs, self.path.parent)
            drop_rows(self.path, done)
            self.view.begin(self.path.parent.name, steps, "updates", done)

    def update(
        self,
        update: int,
        after: Position,
        batches: Sequence[Mapping[str, Tensor]],
        rate: float,
        norms: Mapping[str, Tensor],
        of_method: Mapping[str, float],
    ) -> None:
        """Write the row and the line of an update, whose last batch is the one before `after`."""
        now = time.monotonic()
        took, self.clock = now - self.clock, now
        self.seconds += took
        self.newest = self.validated.get(self.judged_by, self.newest)
        validated, self.validated = self.validated, {}
        outputs = [value for name, value in validated.items() if name.startswith("varies/") and "output" in name]
        self.constant = max(outputs) < CONSTANT if outputs else self.constant
        if self.view is None:
            return
        names = [name for name in batches[0] if name not in ("total", "clips", "frames")]
        losses = {name: float(sum(batch[name] for batch in batches) / len(batches)) for name in names}
        frames = float(sum(batch["frames"] for batch in batches)) * self.ranks
        speed = frames / max(took, 1e-6)
        self.speed = speed if not self.speed else 0.9 * self.speed + 0.1 * speed
        row = {
            "update": update,
            "epoch": after.epoch,
            "batch": after.batch - 1,
            "seconds": round(self.seconds, 3),
            **losses,
            "lr": rate,
            **{name: float(norm) for name, norm in norms.items()},
            **of_method,
            "frames": frames,
            **{f"valid/{name}": value for name, value in validated.items()},
        }
        add_row(self.path, row)
        for log in self.logs:
            log({name: float(value) for name, value in row.items()}, update)
        metric = scoring.METRICS[self.judged_by]
        value = "" if self.newest is None else f", {metric.label} {metric.said(self.newest, 1)}"
        plateau = ", output constant" if self.constant else ""
        status = f"loss {losses['loss']:.3f}{value}{plateau}, {self.speed:,.0f} frames/s, {memory(self.device)}"
        self.view.step(None, status)

    def state_dict(self) -> dict[str, Any]:
        """The time spent, the newest value of its metric, and whether the output was constant."""
        return {"seconds": self.seconds, "newest": self.newest, "constant": self.constant}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Those of a checkpoint."""
        newest = state["newest"] if "newest" in state else state["wer"]  # of before there were other metrics
        self.seconds, self.newest, self.constant = state["seconds"], newest, bool(state.get("constant"))


def memory(device: torch.device) -> str:
    """The most memory taken so far: of the GPU, else of this process."""
    if device.type == "cuda":
        return f"{torch.cuda.max_memory_allocated(device) / 2**30:.1f} GiB"
    return f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.1f} GiB"


def read_metrics(path: Path) -> list[dict[str, str]]:
    """The rows of a metrics.csv; a last line that a killed run left unfinished is not one."""
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    whole = text[: text.rfind("\n") + 1]
    return list(csv.DictReader(whole.splitlines()))


def add_row(path: Path, row: Mapping[str, Any]) -> None:
    """Append a row; a figure that was not there before gets a column, empty above."""
    known = _columns(path)
    new = [name for name in row if name not in known]
    if new and known:
        _write(path, [*known, *new], read_metrics(path))
        known = [*known, *new]
    elif not known:
        known = new
        _write(path, known, [])
    with path.open("a", encoding="utf-8", newline="") as file:
        csv.DictWriter(file, known, restval="", lineterminator="\n").writerow(
            {name: f"{value:.7g}" if isinstance(value, float) else value for name, value in row.items()}
        )


def drop_rows(path: Path, after: int) -> None:
    """Take back the rows of updates later than `after`."""
    rows = read_metrics(path)
    if rows or path.exists():
        _write(path, _columns(path), [row for row in rows if int(row["update"]) <= after])


def _columns(path: Path) -> list[str]:
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return next(csv.reader(file), [])


def _write(path: Path, columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    with whole(path) as unfinished, unfinished.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
