"""The tables of a board: clean clips, means over noise, sound, and every single condition."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from .. import noise
from ..records import Refused
from ..scoring import WER, Comparison
from .boards import CLEAN_KEY, Board, Key, Model, Where, where_of
from .comparisons import FAMILY_SETS, Mean, budgets_of, compare_models, level_sets, loss_of, mean_of
from .convergence import ENOUGH, MARK, find_unconverged
from .references import dense_of
from .robust import robustness_tables
from .rows import CLEAN, Apart, Row
from .table import (
    NOTHING,
    Cell,
    Column,
    Line,
    Table,
    by_value,
    count,
    difference,
    of_metric,
    points,
    rate,
    said_levels,
    share,
    text_columns,
)

SENSES = {"video": "video", "audio": "sound", "av": "video and sound"}
FEW_WORDS = 1_000  # of a test: at 20 % WER of independent words, the interval is then 5 points wide
WHERE = {"mouth": "on mouth crops", "frame": "on full frames", "sound": "in the sound"}

WER_COLUMN = Column("WER", True, "word error rate in percent, with its 95 % interval")
AGAINST = Column(
    "against dense",
    True,
    "points of WER above the dense model of this size, budget and seeds, trained with noise or without as this one, on"
    " the same draws; a dense model trained with noise is compared with one that was not",
)
LOSS = Column(
    "relative loss",
    True,
    "of the words that are right on clean clips, the percentage that noise takes: (mean - clean) / (100 - clean)",
)


def board_tables(board: Board) -> Iterator[Table]:
    """All tables of a board, clean clips first."""
    heading = f"{board.title}, {SENSES.get(board.modality, board.modality)}"
    damaged: list[str] = []
    named = _Names(board, find_unconverged(board.models, damaged))
    yield from _clean(board, heading, named, damaged)
    for where in board.noises:
        if where.on == "sound":
            yield from _sound(board, heading, where, named)
        else:
            yield from _means(board, heading, where, named)
            yield from robustness_tables(board, heading, where)
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


@dataclass(frozen=True, slots=True)
class _Names:
    """What a line says of a model beside its numbers, and what its marks mean."""

    board: Board
    unconverged: Mapping[Model, Mapping[str, float]]

    def cells(self, model: Model, mean: Mean | None, *most: Cell) -> tuple[Cell, ...]:
        """System, what matters `most`, sparsity and so on: in this order, for a phone shows but the first three."""
        budget = Cell("unknown") if model.frames is None else Cell(f"{model.frames / 1e6:,.1f}", model.frames)
        found = len(mean.seeds) if mean else 1
        asked = found + len(self.board.failed_seeds(model))
        seeds = f"{found} of {asked}" if asked > found else str(found)
        if mean and found > 1:
            seeds += f": {points(min(mean.seeds))}–{points(max(mean.seeds))}"
        name = f"{model.trained} {MARK}" if model in self.unconverged else model.trained
        size = Cell(model.about.size or NOTHING)
        return Cell(name), *most, share(model.about.sparsity), size, budget, Cell(seeds, found)

    def notes(self, models: Iterable[Model]) -> Iterator[str]:
        """What the marks of these models mean."""
        if marked := [model for model in models if model in self.unconverged]:
            falls = {run: fall for model in marked for run, fall in self.unconverged[model].items()}
            worst = max(falls, key=lambda run: falls[run])
            yield (
                f"{MARK} Not converged: validation loss fell by {ENOUGH:.0%} or more over the last fifth of the updates"
                f" (most in {worst}, by {falls[worst]:.0%}). More updates would probably lower its WER; its rank is"
                " that of its budget."
            ).replace("%", " %")
        for model in models:
            if failed := sorted(self.board.failed_seeds(model)):
                said = f"seed{'s' if len(failed) > 1 else ''} {', '.join(map(str, failed))}"
                yield f"{model.label}: {said} failed and {'are' if len(failed) > 1 else 'is'} missing from the row."


def _model_columns(*most: Column) -> tuple[Column, ...]:
    sparsity = Column("sparsity", True, "share of the prunable weights that are exactly zero")
    budget = Column("M frames", True, "millions of frames that it was trained on, those of its ancestors included")
    seeds = Column("seeds", True, "training seeds in the row (2 of 3: one failed), and the least and the most WER")
    return Column("system"), *most, sparsity, Column("size"), budget, seeds


def _clean(board: Board, heading: str, named: _Names, damaged: Sequence[str]) -> Iterator[Table]:
    columns = (
        *_model_columns(WER_COLUMN, AGAINST),
        Column("M weights", True, "millions of parameters that are not zero"),
        Column("CER", True, "character error rate in percent"),
        *text_columns("reading", "row"),
    )
    lines: dict[Model, Line] = {}
    notes = list(damaged)
    for model in board.models:
        if not model.clean:
            notes.append(f"{model.run} was not measured on clean clips.")
            continue
        result = model.clean[0].result
        nonzero = result.nonzero if result.nonzero is not None else result.parameters
        mean = mean_or_note([model.clean], notes)
        cells = (
            *named.cells(model, mean, _cell(mean), _against(board, model, [CLEAN_KEY], notes)),
            count(nonzero / 1e6, 2) if nonzero else Cell(),
            _cell(mean_or_note([model.clean], notes, "cer")),
            Cell(model.decoding),
            Cell(result_name(model.clean)),
        )
        lines[model] = _line(cells, model.clean, model)
    if lines:
        said = (_size_of(board), *_budgets(lines), *named.notes(lines), *notes)
        yield Table(heading, columns, _ranked(lines, 1), "measured", said)


def result_name(rows: Sequence[Row]) -> str:
    """The name of a row, and how many more seeds it stands for."""
    return rows[0].name if len(rows) == 1 else f"{rows[0].name} and {len(rows) - 1} more"


def _ranked(lines: Mapping[Model, Line], column: int) -> tuple[Line, ...]:
    """Lines by the number in a column within each budget, the smallest budget first, the unknown ones last."""
    return tuple(line for models in budgets_of(lines) for line in by_value([lines[each] for each in models], column))


def _budgets(lines: Mapping[Model, Line]) -> Iterator[str]:
    """What an order of these lines does not say."""
    unknown = sum(model.frames is None for model in lines)
    if unknown:
        which = "these systems" if unknown == len(lines) else f"{unknown:,} of these systems, which come last,"
        yield (
            f"How much {which} were trained is unknown (no budget was kept): they are not compared with dense, and the"
            " order of their rows does not rank systems."
        )
    if len(budgets_of(lines)) > 1:
        yield "Rows are ordered within each budget of training; systems of different budgets are not ranked."


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


def _means(board: Board, heading: str, where: Where, named: _Names) -> Iterator[Table]:
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
        most = (means.pop(0), LOSS, AGAINST) if whole else ()
        columns = (*_model_columns(*most), Column("clean", True), *means, Column("reading"))
        lines: dict[Model, Line] = {}
        notes: list[str] = []
        for model in board.models:
            keys = {
                name: [(where, family, level) for family in FAMILY_SETS[name] for level in levels] for name in shown
            }
            found = {name: mean_or_note(model.have(keys[name]), notes) for name in shown}
            if not any(found.values()):
                continue
            first_of = next(name for name in shown if found[name])
            of_clean, *_ = [*model.have([CLEAN_KEY, *keys[first_of]]), ()]  # of the same seeds
            clean = _cell(mean_or_note([of_clean] if of_clean else [], notes))
            mean = found[first_of]
            first: tuple[Cell, ...] = ()
            if whole:
                lost = _loss(of_clean, model.have(keys["mean"])) if found["mean"] else Cell()
                first = (_cell(found.pop("mean")), lost, _against(board, model, keys["mean"], notes))
            cells = [_cell(each) for each in found.values()]
            read = [row for name in families for rows in model.have(keys[name]) for row in rows]
            lines[model] = _line((*named.cells(model, mean, *first), clean, *cells, Cell(model.decoding)), read, model)
            if without := sum(row.result.faces_lost for row in model.rows if where_of(row.result) == where):
                notes.append(f"{model.run}: no face was found in {without:,} clips, which count as nothing read.")
        seed = f", noise seed {where.seed}" if where.seed else ""
        title = f"{heading}: visual noise {WHERE[where.on]}{seed}, mean WER over {said_levels(levels)}"
        if lines:
            said = tuple(dict.fromkeys((*_budgets(lines), *named.notes(lines), *notes)))
            yield Table(title, columns, _ranked(lines, 1 if whole else 5), "measured", said)


def mean_or_note(conditions: Sequence[tuple[Row, ...]], notes: list[str], metric: str = WER) -> Mean | None:
    """A mean over conditions and seeds; none where it was not measured, or hypotheses are missing."""
    if not conditions or not all(metric in row.result.metrics for rows in conditions for row in rows):
        return None
    try:
        return mean_of(conditions, metric)
    except Refused as refused:
        notes.append(f"No mean: {refused}.")
        return None


def _cell(mean: Mean | None) -> Cell:
    return rate(mean.value, mean.interval) if mean else Cell()


def _loss(clean: tuple[Row, ...], conditions: Sequence[tuple[Row, ...]]) -> Cell:
    """The relative loss; nothing where it was not measured, or hypotheses are missing, as the note of the mean says."""
    try:
        found = loss_of(clean, conditions) if clean and conditions else None
    except Refused:
        return Cell()
    return rate(*found) if found else Cell()


def _against(board: Board, model: Model, keys: Sequence[Key], notes: list[str]) -> Cell:
    dense = dense_of(board, model)
    if isinstance(dense, str):
        return Cell(dense or NOTHING)
    found = compare_models(dense, model, keys)
    if isinstance(found, str):
        notes.append(f"Not compared with dense: {found}.")
    return difference(found) if isinstance(found, Comparison) else Cell()


def _sound(board: Board, heading: str, where: Where, named: _Names) -> Iterator[Table]:
    kinds = sorted({family for model in board.models for family, _ in model.noisy(where)})
    for kind in kinds:
        ratios = sorted({r for m in board.models for family, r in m.noisy(where) if family == kind}, reverse=True)
        decibels = [Column(f"{ratio:g} dB", True) for ratio in ratios]
        columns = (Column("system"), Column("clean", True), *decibels, *_model_columns()[1:], Column("reading"))
        lines: dict[Model, Line] = {}
        notes: list[str] = []
        for model in board.models:
            mine = [model.have([(where, kind, ratio)]) for ratio in ratios]
            if not any(mine):
                continue
            cells = [_cell(mean_or_note(conditions, notes)) for conditions in mine]
            read = [row for conditions in mine for rows in conditions for row in rows]
            clean = mean_or_note(model.have([CLEAN_KEY], {row.result.train_seed for row in read}), notes)
            system, *rest = named.cells(model, clean)
            lines[model] = _line((system, _cell(clean), *cells, *rest, Cell(model.decoding)), read, model)
        said = tuple(dict.fromkeys((*_budgets(lines), *named.notes(lines), *notes)))
        title = f"{heading}: {kind} {WHERE['sound']}"
        yield Table(title, columns, _ranked(lines, 1 + len(ratios)), "measured", said)


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
                Cell(model.trained),
                Cell(result.condition),
                Cell(result.noise_on or NOTHING),
                share(result.sparsity),
            )
            lines.append(_line(cells, [row], model))
    return Table(f"{heading}: every condition", columns, tuple(lines), "measured", long=True)
