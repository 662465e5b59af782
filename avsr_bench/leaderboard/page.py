"""The page: one file that opens from disk, with every row, sorted and filtered where it is looked at."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape as escape_html
from importlib.resources import files

from ..inert import inert
from ..records import Budget
from ..scoring import METRICS, Edits, Measure
from .markdown import ALL_APART, NO_RESULTS
from .published import Papers
from .rows import Row
from .table import Cell, Column, Figure, Kind, Line, Section, Table

MADE = "<title>avsr-bench leaderboards</title>"
NAMED = 4  # rows of a line that is made of several
WIDE = 30  # characters; longer cells may break into lines
HEADINGS: dict[Kind, tuple[str, str]] = {
    "measured": ("Measured here", "measured here"),
    "published": ("Published", "published"),
    "apart": ("Shown apart", "not comparable"),
}


def escape(text: str) -> str:
    """Text that means nothing to HTML."""
    return escape_html(inert(text))


class _Rows:
    """The rows that lines of tables belong to, each once, and what the page tells of it."""

    def __init__(self) -> None:
        self.places: dict[str, int] = {}
        self.told: list[list[tuple[str, str]]] = []

    def place(self, rows: tuple[Row, ...]) -> int:
        """The number in the page of a row, or of several that a line is made of."""
        key = " ".join(str(row.path) for row in rows)
        if key not in self.places:
            self.places[key] = len(self.told)
            self.told.append(about(rows[0]) if len(rows) == 1 else about_several(rows))
        return self.places[key]


def page(
    measured: Sequence[Section], apart: Table, published: Sequence[Section], papers: Papers, notes: Sequence[str]
) -> str:
    """The whole page as HTML."""
    rows = _Rows()
    body = []
    if notes:
        body.append('<ul class="notes">' + "".join(f"<li>{escape(note)}</li>" for note in notes) + "</ul>")
    nothing = (ALL_APART if apart.lines else NO_RESULTS).replace("`", "")
    body.append(_kind("measured", _boards(measured, rows), "Nothing measured fits." if measured else nothing))
    if apart.lines:
        body.append(_kind("apart", _table(apart, rows), "Nothing apart fits."))
    said = "".join(
        f'<li><a href="https://arxiv.org/abs/{escape(each.arxiv)}">{escape(each.paper)}</a>,'
        f" {escape(each.table)}: {escape(each.says)}</li>"
        for each in papers.statements
    )
    words = f"<details><summary>In words</summary><ul>{said}</ul></details>" if said else ""
    body.append(_kind("published", _boards(published, rows) + words, "Nothing published fits."))
    template = files(__package__).joinpath("page.html").read_text(encoding="utf-8")
    data = inert(json.dumps(rows.told, ensure_ascii=False)).replace("<", "\\u003c")
    return template.replace("<!-- body -->", "\n".join(body)).replace("<!-- rows -->", data)


def about(row: Row) -> list[tuple[str, str]]:
    """All that is known of a row, in the order in which people ask."""
    result = row.result
    facts: list[tuple[str, object]] = [
        ("row", row.name),
        ("measured by", result.command),
        ("trained by", result.recipe_command),
        ("commit", result.commit),
        *((METRICS[name].label, _said(name, measure)) for name, measure in result.metrics.items()),
        ("utterances", f"{result.utterances:,}"),
        ("run", result.run),
        ("weights", result.weights),
        ("budget", _budget(result.budget)),
        ("parameters", f"{result.parameters:,}" if result.parameters is not None else ""),
        ("not zero", f"{result.nonzero:,}" if result.nonzero is not None else ""),
        ("decoding", ", ".join(f"{name} {value}" for name, value in result.decoding.items())),
        ("corpus fingerprint", result.corpus_fingerprint),
        ("training seed", result.train_seed),
        ("noise", _noise(row)),
        ("faces lost", f"{result.faces_lost:,}" if result.faces_lost else ""),
        ("versions", f"scorer {result.scorer_version}, text rule {result.text_version}"),
        ("device", f"{result.device}, {result.seconds:,.1f} s"),
        ("file", row.path),
    ]
    return [(name, str(fact)) for name, fact in facts if fact not in ("", None)]


def _said(name: str, measure: Measure) -> str:
    """A metric with its interval and the parts that it is made of."""
    value, low, high = (METRICS[name].said(each) for each in measure.values)
    said = f"{value} [{low}, {high}]"
    parts, span = measure.parts, measure.interval
    if isinstance(parts, Edits):
        said += f": {parts.substitutions:,} replaced, {parts.deletions:,} left out, {parts.insertions:,} added"
        said += f" of {parts.length:,}"
    return f"{said}; drawn: {span.groups:,} {span.over}"


def about_several(rows: Sequence[Row]) -> list[tuple[str, str]]:
    """What rows in one line have in common; each has its own command."""
    names = [row.name for row in rows]
    shown = [*names[:NAMED], *([f"and {len(names) - NAMED:,} more"] if len(names) > NAMED else [])]
    facts = [
        ("rows", f"{len(names):,}, each with its command under “every condition”: {', '.join(shown)}"),
        ("trained by", "; ".join(dict.fromkeys(row.result.recipe_command for row in rows))),
        ("run", ", ".join(dict.fromkeys(row.result.run for row in rows))),
        ("weights", ", ".join(dict.fromkeys(row.result.weights for row in rows))),
    ]
    return [(name, fact) for name, fact in facts if fact]


def _budget(budget: Budget | None) -> str:
    if budget is None:
        return "unknown"
    total = "unknown" if budget.total is None else f"{budget.total:,}"
    said = (
        f"{total} frames, {budget.frames:,} of them its own, in {budget.updates:,} updates and {budget.seconds:,.0f} s"
    )
    ancestors = (f"{of.run} ({'unknown' if of.frames is None else f'{of.frames:,}'})" for of in budget.ancestors)
    said += "".join(f"; ancestor {each}" for each in ancestors)
    said += f"; {budget.teacher_frames:,} frames through teachers" if budget.teacher_frames else ""
    kinds = (("labelled", budget.labelled_hours), ("automatic", budget.automatic_hours))
    hours = [f"{of:,.1f} h {kind}" for kind, of in (*kinds, ("unlabelled", budget.unlabelled_hours)) if of]
    return "; ".join([said, *hours])


def _noise(row: Row) -> str:
    result = row.result
    if result.noise_on is None:
        return ""
    return f"{result.condition} on {result.noise_on}, seed {result.noise_seed}, version {result.noise_version}"


def _kind(kind: Kind, body: str, nothing: str) -> str:
    heading, _ = HEADINGS[kind]
    hidden = " hidden" if body else ""
    return (
        f'<section class="kind {kind}" id="{kind}"><h2>{heading}</h2>{body}'
        f'<p class="none muted"{hidden}>{escape(nothing)}</p></section>'
    )


def _boards(sections: Sequence[Section], rows: _Rows) -> str:
    parts = []
    for section in sections:
        tables = [_table(table, rows) for table in section.tables]
        figures = [_figure(figure, section) for figure in section.figures]
        short = [part for part, table in zip(tables, section.tables, strict=True) if not table.long]
        long = [part for part, table in zip(tables, section.tables, strict=True) if table.long]
        drawn = [f'<div class="figures">{"".join(figures)}</div>'] if figures else []
        first = 0 if section.kind == "published" else 1  # of what is published a picture says more than 50 rows
        body = "".join([*short[:first], *drawn, *short[first:], *long])
        parts.append(f'<section class="board">{body}</section>')
    return "\n".join(parts)


def _figure(figure: Figure, section: Section) -> str:
    width = figure.inline.partition('viewBox="')[2].split('"')[0].split()[2]
    return (
        f'<figure data-corpus="{escape(section.corpus)}" data-modality="{escape(section.modality)}">'
        f'<div tabindex="0" role="region" aria-label="{escape(figure.title)}"'
        f' style="--natural: {float(width) * 1.2:.0f}px">'
        f"{figure.inline}</div><figcaption>{escape(figure.caption)}</figcaption></figure>"
    )


def _table(table: Table, rows: _Rows) -> str:
    tag = f'<span class="tag">{HEADINGS[table.kind][1]}</span>'
    heading = f"{escape(table.heading)} {tag}"
    notes = "".join(f'<p class="muted">{escape(note)}</p>' for note in table.notes)
    tops = [
        max((line.cells[place].high or 0.0 for line in table.lines), default=0) for place in range(len(table.columns))
    ]
    head = "".join(map(_head, table.columns))
    body = "".join(_line(line, table.columns, tops, rows) for line in table.lines)
    inside = (
        f'<div class="scroll" role="region" tabindex="0" aria-label="{escape(table.heading)}"><table>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )
    if table.long:
        opened = f"<details><summary>{heading} <span class='muted'>({len(table.lines):,})</span></summary>"
        return f'<div class="table">{opened}{notes}{inside}</details></div>'
    top = f"<h3>{heading}</h3>" if table.kind != "apart" else ""
    return f'<div class="table">{top}{notes}{inside}</div>'


def _head(column: Column) -> str:
    what = f' title="{escape(column.what)}"' if column.what else ""
    number = ' class="n"' if column.number else ""
    return f'<th scope="col" aria-sort="none"{number}{what}><button type="button">{escape(column.name)}</button></th>'


def _line(line: Line, columns: Sequence[Column], tops: Sequence[float], rows: _Rows) -> str:
    belongs = (("corpus", line.corpus), ("modality", line.modality), ("system", line.system))
    tags = "".join(f' data-{name}="{escape(value)}"' for name, value in belongs)
    number = f' data-row="{rows.place(line.rows)}"' if line.rows else ""
    cells = [
        _cell(cell, column, top, opens=bool(line.rows) and place == 0)
        for place, (cell, column, top) in enumerate(zip(line.cells, columns, tops, strict=True))
    ]
    return f"<tr{tags}{number}>{''.join(cells)}</tr>"


def _cell(cell: Cell, column: Column, top: float, opens: bool) -> str:
    text = escape(cell.text)
    if opens:
        text = f'<button type="button" aria-expanded="false">{text}</button>'
    if cell.link:
        text = f'<a href="{escape(cell.link)}">{text}</a>'
    if cell.interval:
        text += f' <span class="of">{cell.interval}</span>'
    if column.name == "WER" and cell.low is not None and cell.high is not None and cell.value is not None and top:
        ends = (
            f"--{name}:{100 * end / top:.1f}%" for name, end in (("a", cell.low), ("b", cell.high), ("m", cell.value))
        )
        text += f'<span class="whisker" style="{";".join(ends)}"></span>'
    kinds = " ".join(filter(None, ("n" if column.number else "", "wide" if len(cell.text) > WIDE else "")))
    value = f' data-v="{cell.value:.6g}"' if cell.value is not None else ""
    kind = f' class="{kinds}"' if kinds else ""
    return f"<td{kind}{value}>{text}</td>"
