"""The tables of a board: clean clips, means over noise, sound, spread over seeds, and every single condition."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from statistics import fmean

from .. import noise
from ..records import Refused
from ..scoring import WER
from .boards import FAMILY_SETS, Board, Mean, Model, Where, against, level_sets, mean_of
from .rows import CLEAN, Apart, Row
from .table import NOTHING, Cell, Column, Line, Table, by_value, count, of_metric, points, rate, share, text_columns

SENSES = {"video": "video", "audio": "sound", "av": "video and sound"}
FEW_WORDS = 1_000  # of a test: at 20 % WER of independent words, the interval is then 5 points wide
WHERE = {"mouth": "on mouth crops", "frame": "on full frames", "sound": "in the sound"}

WER_COLUMN = Column("WER", True, "word error rate in percent, with its 95 % interval")
AGAINST = Column(
    "against dense", True, "points of WER above the dense model of this size on the same draws of speakers"
)


def board_tables(board: Board) -> Iterator[Table]:
    """All tables of a board, clean clips first."""
    heading = f"{board.title}, {SENSES.get(board.modality, board.modality)}"
    yield from _clean(board, heading)
    for where in board.noises:
        if where.on == "sound":
            yield from _sound(board, heading, where)
        else:
            yield from _means(board, heading, where)
    yield from _seeds(board, heading)
    yield _conditions(board, heading)


def apart_table(apart: Sequence[Apart]) -> Table:
    """What may not share a table with anything, and why."""
    columns = (*text_columns("row", "why it stands apart"), Column("WER, not comparable", True), Column("file"))
    lines = []
    for each in apart:
        row = each.row
        of = row.result.metrics.get(WER)
        wer = of_metric(row.result) if of and of.parts.length else Cell()
        cells = (Cell(row.name), Cell(each.reason), wer, Cell(str(row.path)))
        lines.append(_line(cells, [row]))
    return Table("Shown apart", columns, tuple(lines), "apart")


def _line(cells: Sequence[Cell], rows: Sequence[Row], model: Model | None = None) -> Line:
    result = rows[0].result
    system = model.system if model else result.system
    return Line(tuple(cells), tuple(rows), result.corpus, result.modality, system)


def _model(model: Model, *most: Cell) -> tuple[Cell, ...]:
    """System, what matters `most`, sparsity and size: in this order, for a phone shows but the first three."""
    return Cell(model.system), *most, share(model.about.sparsity), Cell(model.about.size or NOTHING)


def _model_columns(*most: Column) -> tuple[Column, ...]:
    sparsity = Column("sparsity", True, "share of the prunable weights that are exactly zero")
    return Column("system"), *most, sparsity, Column("size")


def _clean(board: Board, heading: str) -> Iterator[Table]:
    columns = (
        *_model_columns(WER_COLUMN, AGAINST),
        Column("M weights", True, "millions of parameters that are not zero"),
        Column("CER", True, "character error rate in percent"),
        *text_columns("reading", "row"),
    )
    lines: list[Line] = []
    notes: list[str] = []
    for model in board.models:
        if (row := model.clean) is None:
            notes.append(f"{model.run} was not measured on clean clips.")
            continue
        result = row.result
        nonzero = result.nonzero if result.nonzero is not None else result.parameters
        difference = _against(board, model, lambda each: [each.clean] if each.clean else [], notes)
        cells = (
            *_model(model, of_metric(result), difference),
            count(nonzero / 1e6, 2) if nonzero else Cell(),
            of_metric(result, "cer"),
            Cell(model.decoding),
            Cell(row.name),
        )
        lines.append(_line(cells, [row], model))
    if lines:
        yield Table(heading, columns, by_value(lines, 1), "measured", (_size_of(board), *notes))


def _size_of(board: Board) -> str:
    test = board.test
    interval = board.models[0].rows[0].result.metrics[WER].interval
    said = f"{test.utterances:,} utterances, {test.words:,} words; intervals draw {interval.groups:,} {interval.over}."
    changed = sum(row.result.commit.endswith("-dirty") for model in board.models for row in model.rows)
    if changed:
        said += f" {changed:,} of the rows were measured by code that was changed since its commit."
    if test.words < FEW_WORDS:
        said += " So few words tell little: look at the intervals before the order."
    return said + "".join(f" {caveat[0].upper()}{caveat[1:]}." for caveat in interval.caveats)


def _means(board: Board, heading: str, where: Where) -> Iterator[Table]:
    """One table a set of levels, with every model that has them all."""
    families = [name for name in FAMILY_SETS if any(f == name for m in board.models for f, _ in m.noisy(where))]
    whole = len(families) == len(noise.FAMILIES)
    shown = [*(("mean", "seen", "unseen") if whole else ()), *families]
    what = {
        "mean": "over the seven families",
        "seen": "families used in training",
        "unseen": "families new in the test",
    }
    for levels in level_sets(board, where):
        means = [Column(name, True, what.get(name, "")) for name in shown]
        most = (means.pop(0), AGAINST) if whole else ()
        columns = (*_model_columns(*most), Column("clean", True), *means, Column("reading"))
        lines: list[Line] = []
        notes: list[str] = []
        for model in board.models:
            rows = model.noisy(where)
            cells = [_mean(rows, FAMILY_SETS[name], levels, notes) for name in shown]
            if all(cell.value is None for cell in cells):
                continue
            wanted = [(family, level) for family in FAMILY_SETS["mean"] for level in levels]
            first = (cells.pop(0), _against(board, model, _having(where, wanted), notes)) if whole else ()
            line = (*_model(model, *first), _clean_rate(model), *cells, Cell(model.decoding))
            read = [rows[family, level] for family in noise.FAMILIES for level in levels if (family, level) in rows]
            lines.append(_line(line, read, model))
            if lost := sum(row.result.faces_lost for row in rows.values()):
                notes.append(f"{model.run}: no face was found in {lost:,} clips, which count as nothing read.")
        seed = f", noise seed {where.seed}" if where.seed else ""
        title = f"{heading}: visual noise {WHERE[where.on]}{seed}, mean WER over {_said(levels)}"
        if lines:
            yield Table(title, columns, by_value(lines, 1 if whole else 3), "measured", tuple(dict.fromkeys(notes)))


def _clean_rate(model: Model) -> Cell:
    return of_metric(model.clean.result) if model.clean else Cell()


def _said(levels: Sequence[float]) -> str:
    whole = [int(level) for level in levels]
    if len(whole) > 2 and whole == list(range(whole[0], whole[-1] + 1)):
        return f"levels {whole[0]} to {whole[-1]}"
    return f"level{'s' if len(whole) > 1 else ''} {', '.join(map(str, whole))}"


def _mean(
    rows: dict[tuple[str, float], Row], families: Sequence[str], levels: Sequence[float], notes: list[str]
) -> Cell:
    wanted = [(family, level) for family in families for level in levels]
    if not all(each in rows for each in wanted):
        return Cell()
    try:
        mean: Mean = mean_of([rows[each] for each in wanted])
    except Refused as refused:
        notes.append(f"No mean: {refused}.")
        return Cell()
    return rate(mean.wer, mean.interval)


def _having(where: Where, wanted: Sequence[tuple[str, float]]) -> Callable[[Model], list[Row]]:
    def rows(model: Model) -> list[Row]:
        have = model.noisy(where)
        return [have[each] for each in wanted] if all(each in have for each in wanted) else []

    return rows


def _against(board: Board, model: Model, rows: Callable[[Model], list[Row]], notes: list[str]) -> Cell:
    dense = board.dense(model)
    if dense is None or not rows(dense) or not rows(model):
        return Cell()
    found = against(rows(dense), rows(model))
    if isinstance(found, str):
        notes.append(f"Not compared with dense: {found}.")
        return Cell()
    sign = "+" if found.difference > 0 else ""
    return Cell(sign + points(found.difference), found.difference, found.interval.low, found.interval.high)


def _sound(board: Board, heading: str, where: Where) -> Iterator[Table]:
    kinds = sorted({family for model in board.models for family, _ in model.noisy(where)})
    for kind in kinds:
        ratios = sorted({r for m in board.models for family, r in m.noisy(where) if family == kind}, reverse=True)
        decibels = [Column(f"{ratio:g} dB", True) for ratio in ratios]
        columns = (Column("system"), Column("clean", True), *decibels, *_model_columns()[1:], Column("reading"))
        lines = []
        for model in board.models:
            rows = model.noisy(where)
            mine = [rows.get((kind, ratio)) for ratio in ratios]
            if not any(mine):
                continue
            cells = [of_metric(row.result) if row else Cell() for row in mine]
            line = (*_model(model, _clean_rate(model), *cells), Cell(model.decoding))
            lines.append(_line(line, [row for row in mine if row], model))
        yield Table(f"{heading}: {kind} {WHERE['sound']}", columns, by_value(lines, 1 + len(ratios)), "measured")


def _seeds(board: Board, heading: str) -> Iterator[Table]:
    """The spread over training seeds, which no interval above knows of."""
    groups: dict[tuple[str, str, float, str], list[Row]] = {}
    for model in board.models:
        if model.clean and model.about.train_seed is not None:
            key = (model.system, model.about.size, round(model.about.sparsity, 2), model.decoding)
            groups.setdefault(key, []).append(model.clean)
    lines = []
    for (system, size, sparsity, _), rows in sorted(groups.items()):
        seeds = sorted({row.result.train_seed for row in rows if row.result.train_seed is not None})
        if len(seeds) > 1:
            wers = [row.result.wer for row in rows]
            span = Cell(f"{points(min(wers))} to {points(max(wers))}", max(wers) - min(wers))
            cells = (Cell(system), rate(fmean(wers)), span, share(sparsity), Cell(size or NOTHING))
            lines.append(_line((*cells, Cell(", ".join(map(str, seeds)))), rows))
    columns = (*_model_columns(Column("mean WER", True), Column("least to most", True)), Column("seeds"))
    if lines:
        yield Table(f"{heading}: spread over training seeds, clean", columns, by_value(lines, 1), "measured")


def _conditions(board: Board, heading: str) -> Table:
    """Every single row, for the page."""
    sparsity = _model_columns()[1]
    columns = (
        Column("row"),
        WER_COLUMN,
        Column("CER", True),
        *text_columns("system", "condition", "noise on"),
        sparsity,
    )
    lines = []
    for model in board.models:
        for row in sorted(model.rows, key=lambda row: (row.family != CLEAN, row.family, row.strength)):
            result = row.result
            cells = (
                Cell(row.name),
                of_metric(result),
                of_metric(result, "cer"),
                Cell(model.system),
                Cell(result.condition),
                Cell(result.noise_on or NOTHING),
                share(result.sparsity),
            )
            lines.append(_line(cells, [row], model))
    return Table(f"{heading}: every condition", columns, tuple(lines), "measured", long=True)
