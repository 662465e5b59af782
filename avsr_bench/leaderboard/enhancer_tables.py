"""The tables of enhancers: a metric under a kind of sound, ratio by ratio, beside the noisy sound itself."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

from ..records import Refused
from ..scoring import METRICS, WER
from .boards import CLEAN_KEY, Model, Where
from .comparisons import Mean, budgets_of
from .enhancers import OF_SOUND, EnhancerBoard, ReadBy, lips_of, noisy_sound, noisy_wer, reader_of
from .rows import CLEAN, Row
from .table import NOTHING, Cell, Column, Line, Table, by_value, in_unit, measured, of_metric, text_columns
from .tables import mean_or_note

NOISY = "the noisy sound"
SHOWN = (WER, "estoi", "si_sdr", "pesq")  # the order of the tables


def enhancer_tables(board: EnhancerBoard) -> Iterator[Table]:
    """All tables of a board: who reads best first, then the distances to the clean sound."""
    about = list(_about_test(board))
    for where in board.noises:
        for kind, ratios in board.kinds(where).items():
            for metric, reader in _measured(board):
                table = _table(board, where, kind, ratios, metric, reader)
                if table.lines:
                    yield replace(table, notes=(*about, *table.notes))
                    about = []  # it stands above the first
    yield _conditions(board)


def _measured(board: EnhancerBoard) -> Iterator[tuple[str, ReadBy | None]]:
    """Every metric, that of recognition once for each reader."""
    for metric in (*SHOWN, *(name for name in OF_SOUND if name not in SHOWN)):
        yield from ((metric, reader) for reader in board.readers) if metric == WER else ((metric, None),)


def _table(
    board: EnhancerBoard, where: Where, kind: str, ratios: Sequence[float], metric: str, reader: ReadBy | None
) -> Table:
    about = METRICS[metric]
    better = "lower" if about.lower_is_better else "higher"
    unit = f", {about.unit}" if about.unit else ""
    columns = (
        Column("enhancer"),
        Column("lips", False, "whose lips it was shown"),
        Column("clean", True, "clips with nothing mixed in, which it should leave as they are"),
        *(Column(f"{ratio:g} dB", True, f"between speech and {kind}; {better} is better") for ratio in ratios),
        Column("size"),
        Column("M frames", True, "millions of frames that it was trained on, those of its ancestors included"),
        Column("seeds", True, "training seeds in the row, and the least and the most at the last ratio"),
    )
    notes: list[str] = []
    lines: dict[Model, Line] = {}
    for model in board.compared(metric, reader, where, kind):
        conditions = [model.have([(where, kind, ratio)]) for ratio in ratios]
        clean = model.have([CLEAN_KEY])
        means = [mean_or_note(of, notes, metric) for of in (clean, *conditions)]
        read = tuple(row for of in conditions for rows in of for row in rows)
        cells = (Cell(model.trained), Cell(lips_of(model.about)), *(_cell(metric, mean) for mean in means))
        lines[model] = _line((*cells, *_about(board, model, metric, means[-1])), read, model)
    noisy = list(_noisy_line(board, list(lines), where, kind, ratios, metric, reader, notes)) if lines else []
    heading = f"{board.title}, enhanced sound: {about.label} against {kind}{unit}"
    if reader:
        again = [each for each in board.readers if each.run == reader.run]
        told = f"{reader.run}, {reader.decoding}" + (f", weights {reader.weights}" if len(again) > 1 else "")
        heading = f"{board.title}, enhanced sound: {about.label} against {kind}, read by {told}"
    heading += f", noise seed {where.seed}" if where.seed else ""
    said = (f"{about.what[0].upper()}{about.what[1:]}: {better} is better.", *_budgets(lines), *notes)
    ranked = _ranked(lines, about.lower_is_better, 2 + len(ratios))
    return Table(heading, columns, (*noisy, *ranked), "measured", tuple(dict.fromkeys(said)))


def _cell(metric: str, mean: Mean | None) -> Cell:
    return measured(metric, mean.value, mean.interval) if mean else Cell()


def _about(board: EnhancerBoard, model: Model, metric: str, last: Mean | None) -> tuple[Cell, ...]:
    """Size, budget and seeds."""
    budget = Cell("unknown") if model.frames is None else Cell(f"{model.frames / 1e6:,.1f}", model.frames)
    found = len(model.runs)
    asked = found + len(board.failed_seeds(model))
    seeds = f"{found} of {asked}" if asked > found else str(found)
    if last and len(last.seeds) > 1:
        seeds += f": {in_unit(min(last.seeds), metric)} to {in_unit(max(last.seeds), metric)}"
    return Cell(model.about.size or NOTHING), budget, Cell(seeds, found)


def _line(cells: Sequence[Cell], rows: Sequence[Row], model: Model, beside: bool = False) -> Line:
    result = model.about
    return Line(tuple(cells), tuple(rows), result.corpus, result.modality, model.system, beside)


def _noisy_line(
    board: EnhancerBoard,
    models: Sequence[Model],
    where: Where,
    kind: str,
    ratios: Sequence[float],
    metric: str,
    reader: ReadBy | None,
    notes: list[str],
) -> Iterator[Line]:
    """The row that the others are compared with, and a note on where it comes from, or what it lacks."""
    cells, rows = [], []
    for key in (CLEAN_KEY, *((where, kind, ratio) for ratio in ratios)):
        try:
            cell, row = _noisy(board, models, key, metric, reader)
        except Refused as refused:
            notes.append(f"{NOISY.capitalize()} has no value: {refused}.")
            cell, row = Cell(), None
        cells.append(cell)
        rows += [row] if row else []
    if not any(cell.value is not None for cell in cells[1:]):
        if reader:
            said = f"`avsr-bench robustness --models {reader.run} --noise none --sound {kind}:{ratios[-1]:g}`"
            notes.append(f"What {reader.run} reads in {NOISY} was not measured: {said}, of the same clips.")
        return
    if reader is None:
        runs = ", ".join(dict.fromkeys(row.result.run for row in rows))
        notes.append(f"{NOISY.capitalize()}: the values of {runs} less their gains, clip by clip.")
    yield _line((Cell(NOISY), Cell(NOTHING), *cells, *[Cell()] * 3), rows, models[0], beside=True)


def _noisy(
    board: EnhancerBoard, models: Sequence[Model], key: tuple, metric: str, reader: ReadBy | None
) -> tuple[Cell, Row | None]:
    if reader is not None:
        row = noisy_wer(board, reader, key)
        return (of_metric(row.result), row) if row else (Cell(), None)
    found = noisy_sound(models, key, metric)
    return (_cell(metric, found[0]), found[1]) if found else (Cell(), None)


def _ranked(lines: dict[Model, Line], lower_is_better: bool, column: int) -> Iterator[Line]:
    """The best at the last ratio first, within each budget; those without a number last."""
    for models in budgets_of(lines):
        yield from by_value([lines[model] for model in models], column, lower_is_better)


def _about_test(board: EnhancerBoard) -> Iterator[str]:
    interval = next(iter(board.models[0].about.metrics.values())).interval
    yield f"{board.test.utterances:,} utterances; intervals draw {interval.groups:,} {interval.over}."
    yield from (f"{caveat[0].upper()}{caveat[1:]}." for caveat in interval.caveats)


def _budgets(lines: Collection[Model]) -> Iterator[str]:
    if len(budgets_of(lines)) > 1:
        yield "Rows are ordered within each budget of training; enhancers of different budgets are not ranked."


def _conditions(board: EnhancerBoard) -> Table:
    """Every single row, for the page."""
    metrics = [name for name in METRICS if any(name in row.result.metrics for m in board.models for row in m.rows)]
    columns = (
        Column("row"),
        *(Column(METRICS[name].label, True, METRICS[name].what) for name in metrics),
        *text_columns("enhancer", "lips", "condition", "read by"),
    )
    lines = []
    for model in board.models:
        reader = reader_of(model.about)
        for row in sorted(model.rows, key=lambda row: (row.family != CLEAN, row.family, row.strength)):
            words = (model.trained, lips_of(row.result), row.result.condition, reader.run if reader else NOTHING)
            cells = (Cell(row.name), *(of_metric(row.result, name) for name in metrics), *map(Cell, words))
            lines.append(_line(cells, [row], model))
    return Table(f"{board.title}, enhanced sound: every condition", columns, tuple(lines), "measured", long=True)
