"""The page of text: what a code host shows of a folder of leaderboards."""

from __future__ import annotations

from collections.abc import Sequence

from ..inert import inert
from .published import Papers
from .table import Cell, Figure, Section, Table

MADE = "Made by `avsr-bench leaderboard`; do not edit."
INTRO = f"""# Leaderboards

{MADE} [index.html](index.html) is the same to sort and to filter, with every
single condition and its command; [results.csv](results.csv) has all rows.

WER and CER are in percent. In [brackets] stands the 95 % interval: 2,000 draws of those who speak in the test. Where
intervals overlap, the order of two rows means little. *M frames* is the budget: millions of frames of training, those
of a system's ancestors included. *Against dense* compares, on the same draws, with a dense model of the same size,
seeds and budget, where there is one. **What was measured here and what papers print is never in one table**: other
data, other words, other noise.
"""
NO_RESULTS = "No results yet: train a model and run `avsr-bench robustness`, or `make leaderboard` for all of it.\n"
ALL_APART = "No results that may be compared: why those there are stand apart is said below.\n"
PUBLISHED = "## Published\n\nAs the papers and their repositories print it. Nothing of this was measured here.\n"


def markdown(
    measured: Sequence[Section], apart: Table, published: Sequence[Section], papers: Papers, notes: Sequence[str]
) -> str:
    """The whole page."""
    parts = [INTRO]
    if notes:
        parts.append("## To know\n\n" + "".join(f"- {escape(note)}\n" for note in notes))
    parts.append("## Measured here\n")
    if not measured:
        parts.append(ALL_APART if apart.lines else NO_RESULTS)
    for section in measured:
        parts += _section(section)
    if apart.lines:
        parts.append(table_of(apart, level=2))
    parts.append(PUBLISHED)
    for section in published:
        parts += _section(section)
    if papers.statements:
        said = (
            f"- [{escape(each.paper)}](https://arxiv.org/abs/{each.arxiv}), {escape(each.table)}: {escape(each.says)}\n"
            for each in papers.statements
        )
        parts.append("### In words\n\n" + "".join(said))
    return "\n".join(parts)


def _section(section: Section) -> list[str]:
    tables = [table_of(table) for table in section.tables if not table.long]
    first = 0 if section.kind == "published" else 1
    return [*tables[:first], *map(picture, section.figures), *tables[first:]]


def picture(figure: Figure) -> str:
    """A figure with what it shows."""
    return f"![{escape(figure.title)}](figures/{figure.name}.svg)\n\n{escape(figure.caption)}\n"


def table_of(table: Table, level: int = 3) -> str:
    """One table."""
    head = "| " + " | ".join(escape(column.name) for column in table.columns) + " |"
    rule = "| " + " | ".join("---:" if column.number else "---" for column in table.columns) + " |"
    lines = ["| " + " | ".join(cell_of(cell) for cell in line.cells) + " |" for line in table.lines]
    notes = [f"{escape(note)}\n" for note in table.notes]
    return "\n".join([f"{'#' * level} {escape(table.heading)}\n", *notes, head, rule, *lines, ""])


def cell_of(cell: Cell) -> str:
    """One cell."""
    text = escape(cell.text)
    if cell.link:
        text = f"[{text}]({cell.link})"
    return f"{text} {cell.interval}".rstrip()


def escape(text: str) -> str:
    """Text that means nothing to Markdown or HTML.

    >>> print(escape("a|b <i>"))
    a\\|b &lt;i&gt;
    """
    text = inert(" ".join(text.split())).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    for mark in "\\`*_[]|":
        text = text.replace(mark, f"\\{mark}")
    return text
