"""The pages, from templates: README.md for a code host, and one file that opens from disk, with every row."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from ..inert import inert
from ..records import Budget
from ..scoring import METRICS, Edits, Measure
from .published import Papers
from .rows import Row
from .table import Section, Table

MADE = {  # by what a page is known to be ours
    "README.md": "Made by `avsr-bench leaderboard`; do not edit.",
    "index.html": "<title>avsr-bench leaderboards</title>",
}
NAMED = 4  # rows of a line that is made of several
Facts = list[tuple[str, str]]
TAGS = {"measured": "measured here", "published": "published", "apart": "not comparable"}


def pages(
    measured: Sequence[Section], apart: Table, published: Sequence[Section], papers: Papers, notes: Sequence[str]
) -> dict[str, str]:
    """Every page by its name."""
    templates = Environment(
        loader=PackageLoader(__package__),
        autoescape=select_autoescape(["html"]),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=StrictUndefined,
        finalize=_inert,
    )
    templates.filters["md"] = escape
    told = _Rows()
    shown = {"measured": measured, "apart": apart, "published": published, "statements": papers.statements}
    shown |= {"notes": notes, "made": MADE["README.md"], "TAGS": TAGS, "place": told.place, "rows": told.json}
    return {name: templates.get_template(name).render(shown) for name in MADE}


def escape(text: str) -> str:
    """Text that means nothing to Markdown or HTML.

    >>> print(escape("a|b <i>"))
    a\\|b &lt;i&gt;
    """
    text = inert(" ".join(text.split())).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    for mark in "\\`*_[]|":
        text = text.replace(mark, f"\\{mark}")
    return text


def _inert(value: Any) -> Any:
    """What a template prints: text with nothing in it that acts; the HTML of a template itself stays as it is."""
    return inert(value, lines=True) if isinstance(value, str) and not isinstance(value, Markup) else value


class _Rows:
    """The rows that lines of tables belong to, each once, and what the page tells of it."""

    def __init__(self) -> None:
        self.places: dict[str, int] = {}
        self.told: list[Facts] = []

    def place(self, rows: tuple[Row, ...]) -> int:
        """The number in the page of a row, or of several that a line is made of."""
        key = " ".join(str(row.path) for row in rows)
        if key not in self.places:
            self.places[key] = len(self.told)
            self.told.append(about(rows[0]) if len(rows) == 1 else about_several(rows))
        return self.places[key]

    def json(self) -> Markup:
        """All of them, as JSON that ends no script."""
        told = changes(self.told)
        rows = ",\n".join(_dumped(row) for row in told["rows"])
        return Markup(f'{{"names":{_dumped(told["names"])},"rows":[\n{rows}\n]}}')


def _dumped(told: Any) -> str:
    return inert(json.dumps(told, ensure_ascii=False, separators=(",", ":"))).replace("<", "\\u003c")


def changes(told: Sequence[Facts]) -> dict[str, list[Any]]:
    """Facts of rows as changes from earlier ones: rows of one run repeat most of what is known.

    A row begins with the place of its names, which are told once, and with the row that it is changed from: the last
    one of its run, else the one before. A fact is 0 where it is the same there, else how many of its first letters and
    of its last ones are, around what stands between them. The page reads it.

    >>> changes([[("row", "a/clean"), ("seed", "0")], [("row", "a/blur"), ("seed", "0")]])["rows"]
    [[0, -1, [0, 'a/clean', 0], [0, '0', 0]], [0, 0, [2, 'blur', 0], 0]]
    """
    names: dict[tuple[str, ...], int] = {}
    last: dict[str, int] = {}
    rows: list[list[Any]] = []
    for number, facts in enumerate(told):
        kind = names.setdefault(tuple(name for name, _ in facts), len(names))
        run = dict(facts).get("run", "")
        base = last.get(run, number - 1)
        before = dict(told[base]) if number else {}
        rows.append([kind, base, *(_change(before.get(name, ""), words) for name, words in facts)])
        last[run] = number
    return {"names": [list(each) for each in names], "rows": rows}


def _change(old: str, new: str) -> int | list[Any]:
    if old == new:
        return 0
    head = _alike(old, new)
    tail = _alike(old[head:][::-1], new[head:][::-1])
    return [head, new[head : len(new) - tail], tail]


def _alike(one: str, other: str) -> int:
    """How many first letters two texts share."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((place for place, (mine, yours) in pairs if mine != yours), min(len(one), len(other)))


def about(row: Row) -> Facts:
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
        ("sound enhanced by", f"{result.enhancer}, weights {result.enhancer_weights}" if result.enhancer else ""),
        ("output read by", f"{result.reader}, weights {result.reader_weights}" if result.reader else ""),
        ("lips", "" if result.lips_seed is None else f"of other speakers, seed {result.lips_seed}"),
        ("lips", "hidden" if result.lips_hidden else ""),
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
    else:
        said += f": mean of {parts.length:,.0f} {METRICS[name].counts}"
    return f"{said}; drawn: {span.groups:,} {span.over}"


def about_several(rows: Sequence[Row]) -> Facts:
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
