"""What training left behind, kept beside the results so that pages outlive the runs.

<results>/<run>/gradients.csv    step, norm: L2 norm of the gradient of the encoder's first feed-forward layer
<results>/<run>/validation.csv   update, loss: of the validation clips
<results>/<run>/layers.csv       group, weights, zeros: the prunable weights by what they belong to
<results>/<run>/recipe.yaml      the recipe of the run: a board that has its results need not train it again
<results>/<run>/passes.csv       what each pass had of the clips, where it had not all of them
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..files import whole, write_whole
from ..records import Refused
from ..scoring.edits import MOST
from .rows import Row, is_of_enhancer

METRICS, WEIGHTS, RECIPE, PASSES = "metrics.csv", "model.safetensors", "recipe.yaml", "passes.csv"  # of a run
GRADIENTS, VALIDATION, LAYERS = "gradients.csv", "validation.csv", "layers.csv"  # what is kept of them
STEP, GRADIENT, LOSS = "update", "grad/first", "valid/loss"  # columns of metrics.csv
FEW = 3  # runs that are gone, each with a line of its own
POINTS = 200  # of a curve: more cannot be told apart in a figure

GROUPS = ("front-end", "attention", "feed-forward", "convolution", "decoder", "output")


@dataclass(frozen=True, slots=True)
class Gradients:
    """Gradient norms of one run over its steps."""

    steps: tuple[float, ...]
    norms: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Group:
    """The prunable weights of one part of the network."""

    name: str
    weights: int
    zeros: int

    @property
    def sparsity(self) -> float:
        """The share that is zero."""
        return self.zeros / max(self.weights, 1)


def gather(rows: Iterable[Row], runs: Path) -> list[str]:
    """Keep what figures need of every run that has results, and say which runs are gone or cannot be read."""
    notes: list[str] = []
    gone: dict[Path, None] = {}  # a unified network has results by view
    for run, weights, folder, enhances in sorted(
        {(row.result.folder, row.result.weights, row.path.parent.parent, is_of_enhancer(row.result)) for row in rows}
    ):
        here = runs / run
        if not here.is_dir():
            gone[here] = None
            continue
        try:
            curve, table = _newer(here / METRICS, folder / GRADIENTS), _newer(here / WEIGHTS, folder / LAYERS)
            losses = _newer(here / METRICS, folder / VALIDATION)
            if enhances:  # its loss is in dB, its layers are others, and no figure shows them
                curve = losses = table = False
            copied = [name for name in (RECIPE, PASSES) if _newer(here / name, folder / name)]
            if (curve or losses or table or copied) and _digest(here) != weights:
                notes.append(f"{here} has other weights than its results in {folder}: no figures are made of it")
                continue
            kept = folder / GRADIENTS
            if curve:
                _write(kept, ("step", "norm"), _thin(_figures(here / METRICS, GRADIENT)))
            kept = folder / VALIDATION
            if losses:
                _write(kept, ("update", "loss"), ((int(at), of) for at, of in _figures(here / METRICS, LOSS)))
            kept = folder / LAYERS
            if table:
                _write(kept, ("group", "weights", "zeros"), _layers(here))
            for name in copied:
                kept = folder / name
                write_whole(kept, (here / name).read_text(encoding="utf-8"))
        except Refused as refused:
            notes.append(f"no figures of {run}: {refused}")
        except OSError as error:
            notes.append(f"no figures of {run}: cannot write {kept}: {error.strerror}")
    lines = [f"{each} is gone: its results stand, `rerun` needs it trained again" for each in gone]
    if len(gone) > FEW:  # another machine trained them: lines would hide all others
        lines = [
            f"{next(iter(gone))} and {len(gone) - 1} more are gone: results stand, `rerun` needs them trained again"
        ]
    return [*lines, *dict.fromkeys(notes)]


def _newer(source: Path, kept: Path) -> bool:
    """Whether there is something that was not kept yet: reading the weights of a large network takes seconds."""
    return source.is_file() and not (kept.is_file() and kept.stat().st_mtime_ns >= source.stat().st_mtime_ns)


def read_gradients(folder: Path) -> Gradients | None:
    """What `gather` kept of a run's gradients."""
    path = folder / GRADIENTS
    if not path.is_file():
        return None
    pairs = [_kept(path, line["step"], line["norm"]) for line in _read(path, ("step", "norm"))]
    return Gradients(*map(tuple, zip(*pairs, strict=True))) if pairs else None


def read_validation(folder: Path) -> tuple[tuple[float, float], ...]:
    """What `gather` kept of a run's validation loss: update and loss, in order."""
    path = folder / VALIDATION
    if not path.is_file():
        return ()
    return tuple(sorted(_kept(path, line["update"], line["loss"]) for line in _read(path, ("update", "loss"))))


def read_layers(folder: Path) -> tuple[Group, ...]:
    """What `gather` kept of a run's layers."""
    path = folder / LAYERS
    if not path.is_file():
        return ()
    lines = _read(path, ("group", "weights", "zeros"))
    return tuple(Group(line["group"], *map(int, _kept(path, line["weights"], line["zeros"]))) for line in lines)


def group_of(name: str) -> str:
    """Which part of the network a weight belongs to.

    >>> group_of("encoders.video.blocks.3.attention.query.weight"), group_of("decoder.output.weight")
    ('attention', 'output')
    """
    parts = name.split(".")
    if name.startswith(("ctc.", "decoder.output.", "outputs.")):
        return "output"
    if parts[0] == "decoder":
        return "decoder"
    if "blocks" not in parts:
        return "front-end"  # with the projections behind it
    for group, words in (("attention", "attention"), ("convolution", "convolution")):
        if words in parts:
            return group
    return "feed-forward"


def _digest(folder: Path) -> str:
    from ..evaluation import weights_digest  # torch: only where runs are at hand
    from ..runs import open_run

    return weights_digest(open_run(folder))


def _layers(folder: Path) -> list[tuple[str, int, int]]:
    from ..nn import prunable
    from ..runs import open_run

    weights = dict.fromkeys(GROUPS, 0)
    zeros = dict.fromkeys(GROUPS, 0)
    for name, weight in prunable(open_run(folder).whole()).items():
        weights[group_of(name)] += weight.numel()
        zeros[group_of(name)] += int((weight == 0).sum())
    return [(group, weights[group], zeros[group]) for group in GROUPS if weights[group]]


def _figures(path: Path, name: str) -> list[tuple[float, float]]:
    """Steps and figures of a metrics.csv; its lines leave cells empty that were not measured at that step."""
    found = []
    for line in _read(path, (STEP,)):
        step, figure = line[STEP], line.get(name)
        if step and figure and math.isfinite((pair := _numbers(path, step, figure))[1]):
            found.append(pair)
    return found


def _numbers(path: Path, *cells: str) -> tuple[float, float]:
    try:
        first, second = map(float, cells)
    except ValueError:
        raise Refused(f"{path} is damaged: {' and '.join(cells)!r} are not numbers") from None
    return first, second


def _kept(path: Path, *cells: str) -> tuple[float, float]:
    """Two numbers of a file beside results, which may be anybody's: such as fit into a figure."""
    first, second = _numbers(path, *cells)
    if not (0 <= first <= MOST and 0 <= second <= MOST):
        raise Refused(f"{path} is damaged: {' and '.join(cells)} cannot be drawn")
    return first, second


def _thin(pairs: Sequence[tuple[float, float]]) -> Iterator[tuple[float, float]]:
    """At most POINTS pairs: means over equal stretches, geometric as the axis is logarithmic."""
    size = max(1, math.ceil(len(pairs) / POINTS))
    for start in range(0, len(pairs), size):
        part = pairs[start : start + size]
        mean = math.exp(sum(math.log(max(norm, 1e-12)) for _, norm in part) / len(part))
        yield part[len(part) // 2][0], float(f"{mean:.4g}")


def _read(path: Path, needed: Sequence[str]) -> list[dict[str, str]]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            lines = [{key: value or "" for key, value in line.items() if key is not None} for line in reader]
            known = reader.fieldnames or ()
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise Refused(f"cannot read {path}: {error}") from error
    if missing := [name for name in needed if name not in known]:
        raise Refused(f"{path} has no column {missing[0]!r}")
    return lines


def _write(path: Path, columns: Sequence[str], lines: Iterable[Sequence[object]]) -> None:
    lines = list(lines)
    if not lines:
        return
    with whole(path) as unfinished, unfinished.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(lines)
