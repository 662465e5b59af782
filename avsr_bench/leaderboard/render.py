"""From folders of results and the papers' numbers to pages, tables and figures."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ..files import check_target, make_folder, marked, write_whole
from ..records import Budget, Refused
from ..scoring import METRICS
from .boards import Board, make_boards
from .figures import FIGURES, board_figures, published_figure
from .markdown import MADE as MADE_TEXT
from .markdown import markdown
from .page import MADE as MADE_PAGE
from .page import page
from .plate import ADVICE
from .published import NAMES, Papers, published_tables, read_published
from .rows import CLEAN, Found, Row, read_rows
from .table import Section
from .tables import apart_table, board_tables
from .training import gather


@dataclass(frozen=True, slots=True)
class Rendered:
    """What was made, and what the user should hear about it."""

    out: Path
    rows: int
    apart: int
    published: int
    figures: int
    notes: tuple[str, ...]


def render(results: Sequence[Path], published: Path, out: Path, runs: Path | None = None) -> Rendered:
    """Write README.md, index.html, results.csv and figures/ into `out`.

    `runs` is the folder of runs that results were measured from: their gradients and layers are kept beside the
    results, and those that are gone are named in what is returned, not on the pages, which are the same on any machine.
    Without it figures show what was kept before.
    """
    papers = read_published(published)
    found = read_rows(results)
    gone = gather(found.rows, runs) if runs is not None else []
    boards, told_apart = make_boards(found.rows)
    notes = [*found.notes, *told_apart]
    try:
        make_folder(out)
        _refuse_others(out)
        measured = [_measured(board, out, notes) for board in boards]
        printed = _published(papers, out)
        drawn = [figure.name for section in [*measured, *printed] for figure in section.figures]
        _clear(out / "figures", drawn)
        apart = apart_table(found.apart)
        write_whole(out / "README.md", markdown(measured, apart, printed, papers, notes))
        write_whole(out / "index.html", page(measured, apart, printed, papers, notes))
        write_whole(out / "results.csv", to_csv(found))
    except OSError as error:
        raise Refused(f"cannot write the pages in {out}: {error.strerror or error}") from error
    return Rendered(out, len(found.rows), len(found.apart), len(papers.rows), len(drawn), (*notes, *gone))


def _measured(board: Board, out: Path, notes: list[str]) -> Section:
    figures, missing = board_figures(board, out)
    notes += missing
    tables = tuple(board_tables(board))
    return Section(board.title, "measured", board.test.corpus, board.modality, tables, tuple(figures))


def _published(papers: Papers, out: Path) -> list[Section]:
    """A section for each table, the figure beside the table it is drawn from."""
    figures = tuple(published_figure(papers, out))
    sections = []
    for table in published_tables(papers):
        first = table.lines[0]
        mine = figures if (first.corpus, first.modality) == ("lrs3", "video") else ()
        name = NAMES.get(first.corpus, first.corpus)
        sections.append(Section(name, "published", first.corpus, first.modality, (table,), mine))
    return sections


BUDGET = (
    *("budget_frames", "own_frames", "teacher_frames", "updates", "train_seconds"),
    *("labelled_hours", "automatic_hours", "unlabelled_hours", "ancestors"),
)
COLUMNS = (
    *("row", "corpus", "split", "modality", "condition", "family", "strength", "noise_on", "noise_seed"),
    *("noise_version", "system", "size", "sparsity", "parameters", "nonzero", "train_seed"),
    *(f"{name}{end}" for name in METRICS for end in ("", "_low", "_high")),
    *BUDGET,
    *("utterances", *(metric.counts for metric in METRICS.values()), "decoding"),
    *(
        "scorer_version",
        "text_version",
        "corpus_fingerprint",
        "weights",
        "faces_lost",
        "commit",
        "command",
        "recipe_command",
        "apart",
    ),
)


def to_csv(found: Found) -> str:
    """Every row, one a line; the last column says why a row stands apart, and is empty for all others."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    reasons = {each.row.path: each.reason for each in found.apart}
    rows = [*found.rows, *(each.row for each in found.apart)]
    for row in sorted(rows, key=lambda row: (row.name, row.path)):
        values = {**_values(row), "apart": reasons.get(row.path, "")}
        writer.writerow([_cell(values[name]) for name in COLUMNS])
    return text.getvalue()


def _cell(value: object) -> object:
    """A value that no spreadsheet runs: text that looks like a formula opens with an apostrophe, as they write it."""
    if not isinstance(value, str) or not value.startswith(("=", "+", "-", "@")):
        return value
    try:
        float(value)
    except ValueError:
        return f"'{value}"
    return value


def _values(row: Row) -> dict[str, object]:
    result = row.result
    metrics: dict[str, object] = {}
    for name, metric in METRICS.items():
        of = result.metrics.get(name)
        for end, value in zip(("", "_low", "_high"), of.values if of else ("", "", ""), strict=True):
            metrics[f"{name}{end}"] = f"{value:.6f}" if of else ""
        metrics[metric.counts] = of.parts.length if of else ""
    same = {name: getattr(result, name) for name in COLUMNS if hasattr(result, name)}
    noisy = row.family != CLEAN
    return {
        **same,
        "row": row.name,
        "family": row.family,
        "strength": f"{row.strength:g}" if noisy else "",
        **metrics,
        **_budget(result.budget),
        "decoding": "; ".join(f"{name}={value}" for name, value in result.decoding.items()),
    }


def _budget(budget: Budget | None) -> dict[str, object]:
    if budget is None:
        return dict.fromkeys(BUDGET, "")
    hours = {name: f"{getattr(budget, name):g}" for name in BUDGET if name.endswith("_hours")}
    ancestors = "; ".join(f"{each.run}={'' if each.frames is None else each.frames}" for each in budget.ancestors)
    return {
        "budget_frames": "" if budget.total is None else budget.total,
        "own_frames": budget.frames,
        "teacher_frames": budget.teacher_frames,
        "updates": budget.updates,
        "train_seconds": f"{budget.seconds:.0f}",
        "ancestors": ancestors,
        **hours,
    }


def _refuse_others(out: Path) -> None:
    """Keep pages that are not ours: a folder may be somebody's repository."""
    marks = {"README.md": MADE_TEXT, "index.html": MADE_PAGE, "results.csv": ",".join(COLUMNS[:3])}
    for name, mark in marks.items():
        check_target(out / name, partial(_holds, mark), ADVICE)


def _holds(mark: str, path: Path) -> bool:
    return mark in path.read_text(encoding="utf-8", errors="replace")


def _clear(folder: Path, drawn: Sequence[str]) -> None:
    """Remove the figures of earlier pages: what they showed is gone. Others stay, and so does what we did not make."""
    for path in folder.glob("*") if folder.is_dir() else ():
        named = path.suffix in (".png", ".svg") and path.stem.startswith(FIGURES)
        if named and path.stem not in drawn and path.is_file() and marked(path):
            path.unlink()
