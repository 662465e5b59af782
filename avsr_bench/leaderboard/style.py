"""How figures look and how they are kept: PNG, SVG, and an SVG that takes the colours of the page it stands in."""

from __future__ import annotations

import io
import math
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any, Literal

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing

from ..files import MARK, make_folder, marked, whole, write_whole
from .svg import for_file, for_page, told
from .table import Figure

INK, MUTED, RULE = "#1f2328", "#667080", "#e3e6ea"
LETTERS = 14  # of a title, in an inch

# Told apart by people who see colours otherwise, on white and on black; marks tell them apart once more. The page has a
# second set for dark screens under the same names.
DENSE_COLOUR = "#4a5361"
COLOURS = ("#2a78d6", "#eb6834", "#1baf7a", "#7a5bd0", "#d99100", "#d8588c", "#3f8f3f", "#d94343")
MARKS = ("o", "s", "^", "D", "v", "P", "X", "*")
ROUNDS = (
    (0, ""),
    (3, "////"),
    (5, "...."),
    (6, "xxxx"),
)  # of the colours: by how much marks are shifted, and what bars are filled with
ORDER = (  # who is drawn first where there is no room for all; each has its look for good
    *("msrs", "sparsevsr", "msrs-sparse", "rigl", "dense-continued", "layerscale", "gmp", "one-shot"),
    *("msrs-layerscale", "set", "chase", "static-erk", "granet", "layer-wise", "distilled", "int8"),
    *("msrs-sparse-frozen", "msrs-frozen", "lr-sms", "ddp-asr", "usr", "usr-labelled", "braven", "raven"),
    *("usr-pretrained", "enhance"),
)

PAGE = {
    INK: "var(--ink)",
    MUTED: "var(--muted)",
    RULE: "var(--rule)",
    DENSE_COLOUR: "var(--dense)",
    "#ffffff": "var(--paper)",
    **{colour: f"var(--line-{number})" for number, colour in enumerate(COLOURS, 1)},
}

STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib
    "font.size": 9,
    "text.color": INK,
    "axes.edgecolor": RULE,
    "axes.labelcolor": MUTED,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": RULE,
    "grid.linewidth": 0.8,
    "xtick.color": RULE,
    "ytick.color": RULE,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "lines.markersize": 4.5,
    "savefig.facecolor": "#ffffff",
    "svg.hashsalt": "avsr-bench",  # the same bytes every time
}


ADVICE = "pages go to a folder of their own, choose another --out"
ENOUGH = 5  # points for a band
ASIDE = 0.14  # levels between the whiskers of two systems


@dataclass(frozen=True, slots=True)
class Curve:
    """Points of one system with their intervals, all in percent; `said` is what each is, for those who point at it."""

    system: str
    label: str
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] = ()
    high: Sequence[float] = ()
    said: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Look:
    """What a system is drawn by: colour and mark of its line, colour and hatch of its bars."""

    colour: str
    mark: str
    hatch: str = ""


LOOKS = [
    Look(colour, MARKS[(place + shift) % len(MARKS)], hatch)
    for shift, hatch in ROUNDS
    for place, colour in enumerate(COLOURS)
]


def looks(systems: Iterable[str]) -> dict[str, Look]:
    """How each system looks, no two alike: known ones as always, others take what is left in turn."""
    others = sorted(set(systems) - {"dense", *ORDER})
    known = dict(zip(ORDER, LOOKS, strict=False))
    return {"dense": Look(DENSE_COLOUR, "o"), **known, **dict(zip(others, cycle(LOOKS[len(ORDER) :]), strict=False))}


def prominence(system: str) -> tuple[int, str]:
    """What to sort systems by where there is no room for all: dense, those of ORDER, others by name."""
    order = ("dense", *ORDER)
    return order.index(system) if system in order else len(order), system


def draw(
    axes: Axes,
    curves: Sequence[Curve],
    banded: bool = True,
    dotted: bool = False,
    hollow: bool | Sequence[bool] = False,
    faint: bool = False,
    look: Mapping[str, Look] | None = None,
) -> None:
    """Lines with bands; points with whiskers where they are few, or where bands would hide one another.

    Faint ones are thin and bare: what others are looked at beside. A look is given where there are more curves.
    """
    small: dict[str, Any] = {"markersize": 3.5} if faint else {}
    thin: dict[str, Any] = small | {"alpha": 0.6, "linewidth": 0.9} if faint else {}
    look = looks(curve.system for curve in curves) if look is None else look
    for turn, curve in enumerate(curves):
        colour, mark = look[curve.system].colour, look[curve.system].mark
        x, dashes = list(curve.x), "-" if len(curve.x) > 1 else "none"
        if faint:
            pass
        elif curve.low and banded and len(x) >= ENOUGH:
            axes.fill_between(x, curve.low, curve.high, color=colour, alpha=0.12, linewidth=0)
        elif curve.low:
            if banded:
                x = [each + ASIDE * (turn - (len(curves) - 1) / 2) for each in x]
            axes.vlines(x, curve.low, curve.high, color=colour, linewidth=1.2, alpha=0.55)
        dashes = ":" if dotted and dashes == "-" else dashes
        (line,) = axes.plot(
            x, curve.y, dashes, color=colour, marker=mark, label=literal(curve.label), markeredgewidth=0, **thin
        )
        empty = [hollow] * len(x) if isinstance(hollow, bool) else hollow
        open_x, open_y = ([each for each, e in zip(of, empty, strict=True) if e] for of in (x, curve.y))
        if open_x:
            paper: dict[str, Any] = {"markerfacecolor": "#ffffff", "zorder": 3} | small
            axes.plot(open_x, open_y, "none", marker=mark, markeredgecolor=colour, **paper)
        if curve.said:
            line.set_gid(told(curve.said))


def spread(places: Sequence[float], gap: float, low: float = -math.inf, high: float = math.inf) -> list[float]:
    """Places moved as little as it takes, so that no two are nearer than the gap: where names may stand.

    >>> spread([0.5, 0.1, 0.5], 0.2), spread([0.5, 0.9], 0.2, high=0.8)
    ([0.4, 0.1, 0.6], [0.5, 0.8])
    """

    def first(group: Sequence[int]) -> float:
        half = gap * (len(group) - 1) / 2
        middle = sum(places[each] for each in group) / len(group)
        return max(min(middle, high - half), low + half) - half

    groups: list[list[int]] = []  # neighbours that are too near stand evenly around their mean
    for number in sorted(range(len(places)), key=lambda each: places[each]):
        groups.append([number])
        while len(groups) > 1 and first(groups[-1]) - first(groups[-2]) < gap * len(groups[-2]):
            last = groups.pop()
            groups[-1] += last
    moved = {number: first(group) + turn * gap for group in groups for turn, number in enumerate(group)}
    return [round(moved[number], 9) for number in range(len(places))]


def panels(count: int) -> tuple[Drawing, list[Axes]]:
    """So many panels with the same axes, at most four in a row, and nothing where the last row is not full."""
    columns = min(4, count)
    rows = -(-count // columns)
    drawing = canvas(max(2.3 * columns + 0.4, 4.6), 1.85 * rows + 0.7)
    grid = list(drawing.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).flat)
    for number, axes in enumerate(grid):
        if number >= count:
            axes.set_visible(False)
        elif number + columns >= count:  # nothing stands below it
            axes.xaxis.set_tick_params(labelbottom=True)
    return drawing, grid[:count]


def headed(drawing: Drawing, title: str) -> None:
    """A title that tells measured from published wherever the picture goes."""
    lines = textwrap.wrap(title, round(LETTERS * drawing.get_figwidth()))
    drawing.suptitle(literal("\n".join(lines)), x=0.01, ha="left", color=MUTED, fontsize=9)


def legend(drawing: Any, title: str) -> None:
    """One legend above all panels; its title tells measured from published wherever the picture goes."""
    found: dict[str, Any] = {}
    for axes in drawing.axes:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
    longest = max((len(label) for label in found), default=0)
    columns = max(1, int(drawing.get_figwidth() / max(1.6, 0.5 + 0.075 * longest)))  # inches that a name takes
    legend = drawing.legend(
        found.values(),
        found,
        loc="outside upper left",
        ncols=columns,
        labelcolor=INK,
        title=literal(title),
        alignment="left",
    )
    legend.get_title().set_color(MUTED)


def literal(text: str) -> str:
    """Text that matplotlib writes as it is: a dollar opens a formula, and what begins with _ has no place in a legend.

    >>> print(literal("_$x$"))
     _\\$x\\$
    """
    return (" " if text.startswith("_") else "") + text.replace("$", r"\$")


def canvas(width: float, height: float) -> Drawing:
    """An empty figure, in inches."""
    return Drawing(figsize=(width, height), layout="constrained")


def styled() -> AbstractContextManager[None]:
    """The look of all figures, to be entered before anything is drawn."""
    return matplotlib.rc_context(STYLE)


def keep(drawing: Drawing, out: Path, name: str, title: str, caption: str) -> Figure:
    """Write figures/NAME.png and .svg, and give back what the page shows."""
    folder = out / "figures"
    make_folder(folder)
    with whole(folder / f"{name}.png", marked, ADVICE) as path:
        drawing.savefig(path, format="png", dpi=150, metadata={"Software": MARK})
    write_whole(folder / f"{name}.svg", for_file(_svg(drawing, "path")), marked, ADVICE)
    return Figure(name, title, caption, for_page(_svg(drawing, "none"), name, PAGE))


def _svg(drawing: Drawing, letters: Literal["path", "none"]) -> str:
    """A figure with its letters drawn, for a file, or as text in the reader's font, for the page."""
    text = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": letters}):
        metadata = {"Date": None, "Creator": MARK}
        drawing.savefig(text, format="svg", metadata=metadata, transparent=letters == "none")
    return text.getvalue()
