"""WER against sparsity and against noise: a panel a system, dense as a band in each, so that any number fits."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing
from matplotlib.ticker import MaxNLocator

from .. import noise
from .boards import CLEAN_KEY, DENSE, Model, Where, file_name
from .comparisons import Mean, level_sets
from .drawn import Drawn, curve_of, draw_band, draw_line, explained, known_mean, not_drawn, unequal
from .references import is_plain
from .style import MUTED, Curve, draw, headed, keep, literal, looks, panels, prominence
from .table import Figure, said_levels

FEW = 4  # points of a curve that have room for their numbers, and curves that have room in the panels of families
ON = {"mouth": "on mouth crops", "frame": "on full frames"}
KINDS = {"mouth": "visual noise", "frame": "noise on full frames"}


def sparsity_figures(drawn: Drawn) -> Iterator[Figure]:
    """WER against sparsity, on clean clips and in the mean over noise."""
    if not any(model.sparse and model.system != DENSE for model in drawn.models):
        return
    yield from _sparsity(drawn, drawn.clean(), "clean clips", "")
    for where in drawn.board.noises:
        if where.on != "sound":
            found = [(levels, _noise_means(drawn.models, where, levels)) for levels in level_sets(drawn.board, where)]
            levels, means = max(found, key=lambda each: len(each[1]), default=((), {}))  # that most systems have
            yield from _sparsity(drawn, means, f"{KINDS[where.on]}, {said_levels(levels)}", _tag(where, "noise"))


def _sparsity(drawn: Drawn, means: dict[Model, Mean], what: str, tag: str) -> Iterator[Figure]:
    systems = [(name, mine) for name, mine in drawn.by_system(means) if any(each.sparse for each in mine)]
    if not systems:
        return
    drawing, grid = panels(len(systems))
    top = 106 * max(mean.interval.high for mean in means.values())
    for axes, (system, mine) in zip(grid, systems, strict=True):
        plain = next((each for each in mine if not each.noisy_training), mine[0])
        if (dense := _dense(drawn, [each for each in mine if each.noisy_training == plain.noisy_training], means)).x:
            draw_band(axes, dense, named=axes is grid[0])
        for curve, hollow, noisy in _lines(mine, means, drawn.unconverged):
            draw_line(axes, curve, hollow, noisy, numbers=len(curve.x) <= FEW and noisy == plain.noisy_training)
        axes.set(title=literal(system), xlim=(-4, 104), ylim=(0, max(top, 1)))
        axes.set_xticks(range(0, 101, 25))
        axes.yaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
    drawing.supxlabel("weights removed, %", color=MUTED, fontsize=9)
    drawing.supylabel("WER, %", color=MUTED, fontsize=9)
    headed(drawing, f"WER against sparsity, {what}. Measured here: {drawn.title}")
    caption = (
        f"Measured here: WER against sparsity on {drawn.title}, {what}. A panel a system; dashed line and band: dense,"
        " of its budget where there is one."
    )
    caption += explained(drawn, [each for _, mine in systems for each in mine])
    name = file_name(*drawn.name, tag) if tag else file_name(*drawn.name)
    yield keep(drawing, drawn.out, f"sparsity-{name}", f"WER against sparsity, {drawn.title}, {what}", caption)


def noise_figures(drawn: Drawn) -> Iterator[Figure]:
    """WER against level: a panel a system in the mean of families, then a panel a family, as SparseVSR has it."""
    for where in drawn.board.noises:
        if where.on == "sound":
            continue
        met = [model for model in drawn.models if model.noisy(where)]
        families = [name for name in noise.FAMILIES if any(name == f for model in met for f, _ in model.noisy(where))]
        if len(families) == len(noise.FAMILIES):
            yield from _by_system(drawn, met, where)
        yield from _by_family(drawn, met, where, families)


def _by_system(drawn: Drawn, met: Sequence[Model], where: Where) -> Iterator[Figure]:
    curves = {model: curve for model in met if (curve := _of_levels(model, where, tuple(noise.FAMILIES))).x}
    systems = [(name, _near_half(mine)) for name, mine in drawn.by_system(curves)]
    if dense := [model for model in curves if is_plain(drawn.board, model) and model.noisy_training]:
        systems.insert(0, (DENSE, dense[:1]))
    systems = systems or [(DENSE, [model for model in curves if is_plain(drawn.board, model)][:1])]
    if not curves:
        return
    drawing, grid = panels(len(systems))
    top = 1.06 * max(high for curve in curves.values() for high in curve.high)
    for axes, (system, mine) in zip(grid, systems, strict=True):
        reference = drawn.dense(mine[0]) if mine[0].system != DENSE or mine[0].noisy_training else None
        if reference is not None and reference in curves:
            draw_band(axes, curves[reference], named=axes is grid[0])
        for model in mine:
            draw_line(axes, curves[model], model in drawn.unconverged, model.noisy_training)
        half = next((model for model in mine if not model.noisy_training), mine[0])
        axes.set(title=literal(half.label if system != DENSE else system), ylim=(0, max(top, 1)))
        _levels_axis(axes)
    _said_levels(drawing, f"WER against noise {ON[where.on]}, mean of seven families. Measured here: {drawn.title}")
    shown = [model for _, mine in systems for model in mine]
    caption = (
        f"Measured here: mean WER of seven families against the level of visual noise {ON[where.on]}, {drawn.title}."
    )
    caption += (
        " A panel a system, at the sparsity nearest 50 %; dashed line and band: dense. Between the levels that were"
    )
    caption += " read, which are marked, lines are straight and say nothing." + explained(drawn, shown)
    caption += not_drawn([model for model in curves if model not in shown and model.system != DENSE])
    name = f"noise{_suffix(where)}-{file_name(*drawn.name)}"
    yield keep(drawing, drawn.out, name, f"WER against noise {ON[where.on]}, {drawn.title}", caption)


def _by_family(drawn: Drawn, met: Sequence[Model], where: Where, families: Sequence[str]) -> Iterator[Figure]:
    """The best known systems in the panel of each family, each named at the end of its line."""
    near = _near_half_of_each(sorted(met, key=lambda m: (m.home != drawn.board.test.corpus, m.run)))
    chosen = near[:FEW]
    if not families or not chosen:
        return
    drawing, grid = panels(len(families))
    top = 0.0
    look = looks(model.system for model in chosen)
    for axes, family in zip(grid, families, strict=True):
        curves = [_of_levels(model, where, [family]) for model in chosen]
        draw(axes, [curve for curve in curves if curve.x])
        top = max([top, *(high for curve in curves for high in curve.high)])
        axes.set_title(f"{family} ({'seen' if family in noise.SEEN else 'unseen'})")
        _levels_axis(axes)
    for place, model in enumerate(chosen):
        words, colour = literal(model.label), look[model.system].colour
        grid[0].text(0.03, 0.97 - 0.11 * place, words, transform=grid[0].transAxes, color=colour, va="top", fontsize=8)
    for axes in grid:
        axes.set_ylim(0, max(1.06 * top, 1))
    _said_levels(drawing, f"WER against noise {ON[where.on]}, by family. Measured here: {drawn.title}")
    caption = (
        f"Measured here: WER against the level of visual noise {ON[where.on]}, {drawn.title}, a panel a family, names"
    )
    caption += " in the colours of their lines. Bands and whiskers: 95 % intervals." + unequal(chosen)
    caption += not_drawn([model for model in near if model not in chosen])
    name = f"families{_suffix(where)}-{file_name(*drawn.name)}"
    yield keep(drawing, drawn.out, name, f"WER against noise {ON[where.on]} by family, {drawn.title}", caption)


def _dense(drawn: Drawn, mine: Sequence[Model], means: dict[Model, Mean]) -> Curve:
    """Dense beside a line: that of the budget of each point, and straight across where all have the same."""
    known = [(100 * each.about.sparsity, like) for each in mine if (like := drawn.dense(each)) and like in means]
    if len({like for _, like in known}) == 1:
        known = [(x, known[0][1]) for x in (0.0, 100.0)]
    return curve_of(DENSE, [x for x, _ in known], [means[like] for _, like in known], [like.run for _, like in known])


def _lines(
    mine: Sequence[Model], means: dict[Model, Mean], unconverged: Collection[Model]
) -> Iterator[tuple[Curve, list[bool], bool]]:
    """A curve for each way a system was trained: its corpus, its seeds, with noise or without."""
    trained: dict[tuple[object, ...], list[Model]] = {}
    for model in mine:
        key = (model.noisy_training, model.home, tuple(sorted(map(str, model.seeds))))
        trained.setdefault(key, []).append(model)
    for (noisy, *_), of in trained.items():
        found = [means[model] for model in of]
        curve = curve_of(of[0].system, [100 * m.about.sparsity for m in of], found, [m.run for m in of])
        yield curve, [model in unconverged for model in of], bool(noisy)


def _near_half(mine: Sequence[Model]) -> list[Model]:
    """Of a system the model nearest 50 % sparsity, as the paper draws it, and the one of those trained with noise."""
    near = sorted(mine, key=lambda model: (abs(model.about.sparsity - 0.5), model.variant, -len(model.rows), model.run))
    kinds = [[model for model in near if model.noisy_training is kind] for kind in (False, True)]
    return [models[0] for models in kinds if models]


def _near_half_of_each(models: Sequence[Model]) -> list[Model]:
    """That of every system, dense first, then those with most levels."""
    systems = dict.fromkeys(model.system for model in models)
    best = [_near_half([model for model in models if model.system == system])[0] for system in systems]
    return sorted(best, key=lambda model: (model.system != DENSE, -len(model.rows), prominence(model.system)))


def _of_levels(model: Model, where: Where, families: Sequence[str]) -> Curve:
    rows = model.noisy(where)
    levels = [level for level in range(1, noise.LEVELS + 1) if all((family, level) in rows for family in families)]
    found = {level: known_mean(model.have([(where, family, level) for family in families])) for level in levels}
    first = [(where, family, level) for family in families for level in levels[:1]]
    clean = model.have([CLEAN_KEY, *first])[:1] if levels else []  # of the same seeds
    found = ({0: known_mean(clean)} if clean else {}) | found
    means = {level: mean for level, mean in found.items() if mean is not None}
    said = [f"{model.run}, {'clean' if level == 0 else f'level {level}'}" for level in means]
    return curve_of(model.system, list(means), list(means.values()), said)


def _noise_means(models: Sequence[Model], where: Where, levels: Sequence[float]) -> dict[Model, Mean]:
    means = {}
    for model in models:
        found = model.have([(where, family, level) for family in noise.FAMILIES for level in levels])
        if found and (mean := known_mean(found)):
            means[model] = mean
    return means


def _levels_axis(axes: Axes) -> None:
    axes.set_xlim(-0.6, noise.LEVELS + 0.6)
    axes.set_xticks(range(0, noise.LEVELS + 1, 5))
    axes.yaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))


def _said_levels(drawing: Drawing, title: str) -> None:
    drawing.supxlabel("level of noise (0: clean)", color=MUTED, fontsize=9)
    drawing.supylabel("WER, %", color=MUTED, fontsize=9)
    headed(drawing, title)


def _tag(where: Where, word: str) -> str:
    return f"{word}{_suffix(where)}"


def _suffix(where: Where) -> str:
    tag = "" if where.on == "mouth" else f"-{where.on}"
    return tag + (f"-seed{where.seed}" if where.seed else "")
