"""What both the Markdown and the page show: sections of tables and figures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from ..scoring import METRICS, WER, Comparison, Interval, Result
from .rows import Row

Kind = Literal["measured", "published", "apart"]
NOTHING = "–"


@dataclass(frozen=True, slots=True)
class Cell:
    """What a cell says."""

    text: str = NOTHING
    value: float | None = None  # it sorts by; by its text where there is none
    low: float | None = None  # of an interval
    high: float | None = None
    link: str = ""
    metric: str = WER  # whose unit its interval is in

    @property
    def interval(self) -> str:
        """The interval in points, or in the unit of its metric; empty where there is none."""
        if self.low is None or self.high is None:
            return ""
        return f"[{in_unit(self.low, self.metric)}, {in_unit(self.high, self.metric)}]"


@dataclass(frozen=True, slots=True)
class Column:
    """A column: numbers stand to the right."""

    name: str
    number: bool = False
    what: str = ""  # explains the name


@dataclass(frozen=True, slots=True)
class Line:
    """A line, the rows that it is made of, and what the page filters by."""

    cells: tuple[Cell, ...]
    rows: tuple[Row, ...] = ()
    corpus: str = ""
    modality: str = ""
    system: str = ""
    beside: bool = False  # others are compared with it: it is seen wherever one of them is


@dataclass(frozen=True, slots=True)
class Table:
    """A table with its heading."""

    heading: str
    columns: tuple[Column, ...]
    lines: tuple[Line, ...]
    kind: Kind
    notes: tuple[str, ...] = field(default=())
    long: bool = False  # left to the page and the CSV: too long for a page of text

    @property
    def tops(self) -> list[float]:
        """The highest end of an interval in every column."""
        return [max((cell.high or 0.0 for cell in cells), default=0.0) for cells in self._columns()]

    @property
    def shared(self) -> dict[str, str]:
        """What all lines are filtered by alike."""
        named = {name: {getattr(line, name) for line in self.lines} for name in ("corpus", "modality", "system")}
        return {name: of.pop() for name, of in named.items() if len(of) == 1}

    def _columns(self) -> Iterator[tuple[Cell, ...]]:
        return zip(*(line.cells for line in self.lines), strict=True)


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure that lies in figures/ as PNG and SVG."""

    name: str
    title: str
    caption: str
    inline: str  # SVG for the page, its colours those of the page

    @property
    def width(self) -> int:
        """Pixels of the page that it takes."""
        return round(1.2 * float(self.inline.partition('viewBox="')[2].split('"')[0].split()[2]))


@dataclass(frozen=True, slots=True)
class Section:
    """Tables and figures about one test and what the networks perceive of it."""

    title: str
    kind: Kind
    corpus: str
    modality: str
    tables: tuple[Table, ...]
    figures: tuple[Figure, ...] = ()
    findings: tuple[str, ...] = ()  # what it shows, in sentences


def points(rate: float) -> str:
    """A fraction in percent, to a tenth.

    >>> points(0.1234), points(-0.0002)
    ('12.3', '0.0')
    """
    return f"{100 * rate:.1f}".replace("-0.0", "0.0").replace("-", "−")


def in_unit(value: float, metric: str) -> str:
    """A value of a metric as a table prints it: points of a fraction, tenths of a unit, else hundredths.

    >>> in_unit(0.1234, "wer"), in_unit(-0.01, "si_sdr"), in_unit(0.4567, "estoi")
    ('12.3', '0.0', '0.46')
    """
    unit = METRICS[metric].unit
    if unit == "%":
        return points(value)
    said = f"{value:.{1 if unit else 2}f}"
    return (said.lstrip("-") if float(said) == 0 else said).replace("-", "−")


def said_levels(levels: Sequence[float]) -> str:
    """Levels in words."""
    whole = [int(level) for level in levels]
    if len(whole) > 2 and whole == list(range(whole[0], whole[-1] + 1)):
        return f"levels {whole[0]} to {whole[-1]}"
    return f"level{'s' if len(whole) > 1 else ''} {', '.join(map(str, whole))}"


def rate(value: float, span: Interval | None = None) -> Cell:
    """An error rate, with its interval where it has one."""
    if span is None:
        return Cell(points(value), value)
    return Cell(points(value), value, span.low, span.high)


def difference(found: Comparison) -> Cell:
    """How much higher a second model is, in points, with its sign."""
    sign = "+" if found.difference > 0 else ""
    return Cell(sign + points(found.difference), found.difference, found.interval.low, found.interval.high)


def of_metric(result: Result, name: str = WER) -> Cell:
    """A metric of a result with its interval; nothing where it has none."""
    if name not in result.metrics:
        return Cell()
    measure = result.metrics[name]
    return measured(name, measure.value, measure.interval)


def measured(metric: str, value: float, span: Interval) -> Cell:
    """A value of a metric with its interval."""
    return Cell(in_unit(value, metric), value, span.low, span.high, metric=metric)


def count(value: float | None, decimals: int = 0) -> Cell:
    """A number, or nothing."""
    return Cell() if value is None else Cell(f"{value:,.{decimals}f}", value)


def share(value: float) -> Cell:
    """A share such as sparsity."""
    return Cell(f"{100 * value:.0f} %", value)


def text_columns(*names: str) -> tuple[Column, ...]:
    """Columns of words."""
    return tuple(Column(name) for name in names)


def by_value(lines: Sequence[Line], column: int, ascending: bool = True) -> tuple[Line, ...]:
    """Lines by the number in a column, those without one last."""
    sign = 1 if ascending else -1

    def order(line: Line) -> tuple[bool, float]:
        value = line.cells[column].value
        return value is None, sign * (value or 0.0)

    return tuple(sorted(lines, key=order))
