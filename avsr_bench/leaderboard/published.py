"""The papers' numbers: `leaderboards/published.yaml` as typed rows, and the tables of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any

from annotated_types import Interval
from pydantic import Field

from .. import recipes
from ..records import Misused, PartOfAll, Refused
from ..scoring import METRICS, WER
from .table import NOTHING, Cell, Column, Line, Table, by_value, count, share
from .tables import SENSES

Arxiv = Annotated[str, Field(pattern=r"^[\w./-]+$", max_length=40)]  # it becomes a link
Hours = Annotated[float, Interval(ge=0, le=10**7)]
NAMES = {"avspeech": "AVSpeech", "lrs3": "LRS3", "lrs2": "LRS2", "librispeech": "LibriSpeech"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """One number of a paper, as printed."""

    paper: str
    arxiv: Arxiv
    table: str
    corpus: str
    split: str
    modality: str
    system: str
    value: Annotated[float, Interval(ge=-200, le=200)]  # in the unit of the metric: WER in percent
    metric: str = WER
    hours: Hours | None = None
    labelled_hours: Hours | None = None
    data: str = ""
    parameters: Annotated[float, Interval(gt=0, le=10**6)] | None = None  # millions
    sparsity: PartOfAll = 0.0
    noise: bool | None = None

    def __post_init__(self) -> None:
        if self.metric not in METRICS:
            raise Misused(f"metric {self.metric!r} is none.{recipes.nearest(self.metric, METRICS)}")
        about = METRICS[self.metric]
        if about.unit in ("%", "ms") and self.value < 0:
            raise Misused(f"value {self.value}: {about.label} cannot be below 0 {about.unit}")


@dataclass(frozen=True, slots=True)
class Statement:
    """What a paper says in numbers outside its tables."""

    paper: str
    arxiv: Arxiv
    table: str
    says: str


@dataclass(frozen=True, slots=True)
class Papers:
    """All that is published."""

    rows: tuple[Published, ...] = ()
    statements: tuple[Statement, ...] = ()


@dataclass(frozen=True, slots=True)
class _File:
    tables: list[dict[str, Any]]
    statements: list[Statement] = field(default_factory=list)


def read_published(path: Path) -> Papers:
    """The numbers in a file of `leaderboards/`."""
    content = recipes.build(_File, recipes.load(path), str(path))
    rows = tuple(
        row for number, table in enumerate(content.tables, 1) for row in _rows(table, f"{path}, table {number}")
    )
    return Papers(rows, tuple(content.statements))


def _rows(table: Mapping[str, Any], where: str) -> Iterable[Published]:
    shared = {key: value for key, value in table.items() if key != "rows"}
    rows = table.get("rows")
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise Refused(f"{where}: `rows` should be a list of settings such as {{system: NAME, value: 21.1}}")
    known = {each.name for each in fields(Published)}
    for number, row in enumerate(rows, 1):
        if unknown := sorted({*map(str, shared), *map(str, row)} - known):
            raise Refused(f"{where}, row {number}: unknown {unknown[0]}.{recipes.nearest(unknown[0], known)}")
        yield recipes.build(Published, {**shared, **row}, f"{where}, row {number}")


def published_tables(papers: Papers) -> list[Table]:
    """One table a test, what the networks perceive, and metric."""
    groups: dict[tuple[str, str, str, str], list[Published]] = {}
    for row in papers.rows:
        groups.setdefault((row.corpus, row.split, row.modality, row.metric), []).append(row)
    more = (
        Column("hours", True, "of training data; where a paper says only how much of it was labelled, that"),
        Column("data"),
        Column("M weights", True, "millions of parameters; the non-zeros of sparse networks"),
        Column("sparsity", True),
        Column("noise in training"),
        Column("source"),
    )
    tables = []
    for (corpus, split, modality, name), rows in groups.items():
        metric = METRICS[name]
        unit = f", {metric.unit}" if metric.unit else ""
        printed = Column(metric.label, True, f"{metric.what}{unit}, as printed; papers give no intervals")
        lines = tuple(Line(_cells(row), (), corpus, modality, row.paper) for row in rows)
        heading = f"{NAMES.get(corpus, corpus)}, {split}, {SENSES.get(modality, modality)}"
        if name != WER:
            heading += f": {metric.label}" + (f", {metric.unit}" if metric.unit else "")
        ranked = by_value(lines, 1, metric.lower_is_better)
        tables.append(Table(heading, (Column("system"), printed, *more), ranked, "published"))
    return tables


def _cells(row: Published) -> tuple[Cell, ...]:
    if row.hours is not None:
        hours = count(row.hours)
    elif row.labelled_hours is not None:
        hours = Cell(f"{row.labelled_hours:,.0f} labelled", row.labelled_hours)
    else:
        hours = Cell()
    # as printed: 0.9 and 0.93 are not the same claim
    printed = Cell(str(row.value), row.value)
    noise = NOTHING if row.noise is None else "yes" if row.noise else "no"
    return (
        Cell(row.system),
        printed,
        hours,
        Cell(row.data or NOTHING),
        count(row.parameters, 1),
        share(row.sparsity) if row.sparsity else Cell(NOTHING, 0.0),
        Cell(noise),
        Cell(f"{row.paper} ({row.arxiv}), {row.table}", link=f"https://arxiv.org/abs/{row.arxiv}"),
    )
