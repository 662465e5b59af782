"""From folders of results and the papers' numbers to pages, tables and figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ..files import check_target, make_folder, marked, write_whole
from ..records import Refused
from .boards import Board, make_boards
from .curves import gather
from .enhancer_figures import enhancer_figures
from .enhancer_findings import enhancer_findings
from .enhancer_tables import enhancer_tables
from .enhancers import EnhancerBoard, make_enhancer_boards
from .figures import FIGURES, board_figures, published_figure
from .findings import findings
from .frame import COLUMNS, to_csv, to_frame
from .page import MADE, pages
from .published import NAMES, Papers, published_tables, read_published
from .rows import read_rows
from .style import ADVICE
from .table import Section
from .tables import apart_table, board_tables


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
    gone = gather([*found.rows, *found.enhanced], runs) if runs is not None else []
    boards, told_apart = make_boards(found.rows, found.failed)
    notes = [*found.notes, *told_apart]
    try:
        make_folder(out)
        _refuse_others(out)
        measured = [_measured(board, out, notes) for board in boards]
        measured += [_enhanced(board, out) for board in make_enhancer_boards(found)]
        printed = _published(papers, out)
        drawn = [figure.name for section in [*measured, *printed] for figure in section.figures]
        _clear(out / "figures", drawn)
        apart = apart_table(found.apart)
        for name, text in pages(measured, apart, printed, papers, notes).items():
            write_whole(out / name, text)
        write_whole(out / "results.csv", to_csv(to_frame(found)))
    except OSError as error:
        raise Refused(f"cannot write the pages in {out}: {error.strerror or error}") from error
    rows = len(found.rows) + len(found.enhanced)
    return Rendered(out, rows, len(found.apart), len(papers.rows), len(drawn), (*notes, *gone))


def _measured(board: Board, out: Path, notes: list[str]) -> Section:
    figures, missing = board_figures(board, out)
    notes += missing
    tables = tuple(board_tables(board))
    test, said = board.test, findings(board)
    return Section(board.title, "measured", test.corpus, board.modality, tables, tuple(figures), said)


def _enhanced(board: EnhancerBoard, out: Path) -> Section:
    figures = tuple(enhancer_figures(board, out))
    said = enhancer_findings(board)
    title = f"{board.title}, enhanced sound"
    return Section(title, "measured", board.test.corpus, "", tuple(enhancer_tables(board)), figures, said)


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


def _refuse_others(out: Path) -> None:
    """Keep pages that are not ours: a folder may be somebody's repository."""
    for name, mark in (MADE | {"results.csv": ",".join(COLUMNS[:3])}).items():
        check_target(out / name, partial(_holds, mark), ADVICE)


def _holds(mark: str, path: Path) -> bool:
    return mark in path.read_text(encoding="utf-8", errors="replace")


def _clear(folder: Path, drawn: Sequence[str]) -> None:
    """Remove the figures of earlier pages: what they showed is gone. Others stay, and so does what we did not make."""
    for path in folder.glob("*") if folder.is_dir() else ():
        named = path.suffix in (".png", ".svg") and path.stem.startswith(FIGURES)
        if named and path.stem not in drawn and path.is_file() and marked(path):
            path.unlink()
