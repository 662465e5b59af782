"""Pictures of a run from its metrics.csv: losses and WER, gradient norms, and what its method logged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..files import MARK, whole
from ..records import Refused
from .report import METRICS, read_metrics

Curves = Mapping[str, tuple[Sequence[float], Sequence[float]]]  # label -> updates, values


def draw(folder: Path) -> tuple[Path, ...]:
    """Draw what there is to see of a run into its `figures/`."""
    rows = read_metrics(folder / METRICS)
    if not rows:
        raise Refused(f"{folder} has no {METRICS} with a row in it: nothing was trained there")
    columns = list(rows[0])
    blocks = [name for name in columns if name.startswith("grad/") and name != "grad/first"]
    shares = [name for name in columns if name == "sparsity" or name.startswith("sparsity/")]
    places = [name for name in columns if name.startswith("valid/varies/")]
    known = {"update", "epoch", "batch", "seconds", "loss", "ctc", "attention", "lr", "frames"}
    others = [name for name in columns if name not in {*known, *blocks, *shares} and "/" not in name]
    plates: list[tuple[str, str, str, Curves, bool]] = [
        ("losses", "loss of a clip", "", curves(rows, ["loss", "ctc", "attention", "valid/loss"]), False),
        ("wer", "WER on validation clips, %", "", curves(rows, ["valid/wer"], 100), False),
        ("si-sdr-gain", "SI-SDR gain on validation clips, dB", "", curves(rows, ["valid/si_sdr_gain"]), False),
        ("mel-gain", "gain of log-mels on validation clips, dB", "", curves(rows, ["valid/mel_gain"]), False),
        (
            "gradient-first",
            "L2 norm of the gradient",
            "First feed-forward layer of the encoder",
            curves(rows, ["grad/first"]),
            True,
        ),
        ("gradients", "L2 norm of the gradient", "Every block", curves(rows, blocks), True),
        ("varies", "deviation against mean", "Residual stream, validation clips", curves(rows, places), False),
        ("sparsity", "removed weights, %", "", curves(rows, shares, 100), False),
        *((name, name, "", curves(rows, [name]), False) for name in others),
    ]
    (folder / "figures").mkdir(exist_ok=True)
    return tuple(
        _plate(folder / "figures" / f"{name}.png", f"{folder.name}  {title}".strip(), label, lines, logarithmic)
        for name, label, title, lines, logarithmic in plates
        if any(values for _, values in lines.values())
    )


def curves(rows: Sequence[Mapping[str, str]], names: Sequence[str], scale: float = 1.0) -> Curves:
    """The rows that have a value of each name."""
    found = {}
    for name in names:
        points = [(int(row["update"]), scale * float(row[name])) for row in rows if row.get(name)]
        if points:
            found[name] = ([update for update, _ in points], [value for _, value in points])
    return found


def _plate(path: Path, title: str, label: str, lines: Curves, logarithmic: bool) -> Path:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes: Any = figure.add_subplot()
    for number, (name, (updates, values)) in enumerate(lines.items()):
        marked = "o" if len(values) < 40 else None
        axes.plot(
            updates, values, label=_short(name), color=_colour(number, len(lines)), linewidth=1.3, marker=marked, ms=3
        )
    if logarithmic:
        axes.set_yscale("log")
    elif all(value >= 0 for _, values in lines.values() for value in values):  # a penalty may fall below
        axes.set_ylim(bottom=0)
    axes.set_xlabel("update")
    axes.set_ylabel(label)
    axes.set_title(title, loc="left", fontsize=11)
    axes.grid(alpha=0.25, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    if len(lines) > 1:
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=8)
    with whole(path) as unfinished:
        figure.savefig(unfinished, format="png", dpi=150, metadata={"Software": MARK})
    return path


def _short(name: str) -> str:
    for prefix in ("grad/", "sparsity/", "valid/varies/"):
        name = name.removeprefix(prefix)
    return name.replace("encoders.", "").replace("valid/", "validation ")


def _colour(number: int, count: int) -> Any:
    from matplotlib import colormaps

    return colormaps["viridis"](number / count) if count > 8 else colormaps["tab10"](number)
