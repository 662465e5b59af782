import subprocess
import sys
from pathlib import Path

import pytest
from mouths import make_shards

from benchmarks import claims, msrs_defaults

ROOT = Path(__file__).parents[2]


def run(*words, cwd=ROOT):
    command = [sys.executable, *words]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


@pytest.fixture
def elsewhere(tmp_path):
    """A folder from which the package of benchmarks can be imported, and into which it writes."""
    (tmp_path / "benchmarks").symlink_to(ROOT / "benchmarks")
    return tmp_path


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--depths", "5"), "--depths: 5 is none of 8, 16"),
        (("--seeds", "100"), "--seeds: 100 is none of 0, 1, 2"),  # that of tuning is never reported
        (("--systems", "dence"), "dence is none of dense, layerscale, msrs, msrs-frozen"),
        (("--inputs", "black"), "black is none of cured, published"),
        (("--jobs", "0"), "--jobs 0: give a positive number"),
    ],
)
def test_what_is_not_of_the_comparison_is_refused(words, said, capsys):
    with pytest.raises(SystemExit) as ended:
        claims.main(words)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def test_every_system_is_tuned_over_the_same_rates_with_a_seed_that_is_not_compared_and_no_test_clips():
    cells = {(shown, system): claims.tuning(shown, system) for shown in claims.INPUTS for system in claims.SYSTEMS}
    everyone = [cell for its in cells.values() for cell in its]
    assert len({len(its) for its in cells.values()}) == 1 and not any(cell.tested for cell in everyone)
    assert not {cell.seed for cell in everyone} & set(claims.SEEDS)
    assert len({str(cell.recipe) for cell in everyone}) == len(everyone) == 54
    assert {cell.recipe["train"]["lr"] for cell in everyone} == {5e-4, 1e-3, 2e-3}


def test_what_was_tried_for_the_defaults_is_what_recipes_take_and_no_two_alike():
    cells = [cell for _, cell in msrs_defaults.cells()]
    assert len({cell.system + str(cell.recipe) for cell in cells}) == len({cell.name for cell in cells}) == len(cells)
    assert not any(cell.tested for cell in cells)
    assert not {cell.seed for cell in cells} & set(claims.SEEDS)


MADE = """
from pathlib import Path
from benchmarks import claims, claims_report as report
from benchmarks.cells import Look, Measured, Store
def made(cell, wer):
    looks = tuple(Look(200 * n, 9.0 * n, 5.0, 6.0 - n, (5 - n) / 4, 0.5) for n in range(1, 5))
    return Measured(name=cell.name, looks=looks, gradient=0.01, parameters=9, sparsity=0.0, removed=0.6, undecided=0.0,
                    test=(wer, wer, wer) if cell.tested else None, command="c", commit="d", machine="m",
                    recipe=cell.recipe)
store = Store(Path("claims.jsonl"))
"""


def test_a_cell_that_was_run_is_kept_and_counts_as_long_as_its_recipe_is_the_same(elsewhere):
    lines = (
        "cell, other = claims.cell('cured', 'msrs', 8, 0, '0.001'), claims.cell('cured', 'msrs', 8, 0, '0.002')",
        "store.add(made(cell, 0.1))",
        "again = Store(Path('claims.jsonl'))",
        "print(again.of(cell) == store.of(cell) != None, again.of(other))",
        "changed = made(cell, 0.1); changed.recipe['train']['lr'] = 0.003; again.add(changed)",
        "print(again.of(cell), len(again.rows))",
    )
    done = run("-c", MADE + "\n".join(lines), cwd=elsewhere)
    assert done.stdout.split() == ["True", "None", "None", "1"], done.stderr


@pytest.mark.slow
def test_cells_that_are_run_at_once_are_trained_and_read_each_for_itself(elsewhere):
    make_shards(elsewhere / "data/small", {"train": 12, "valid": 4, "test": 6})
    lines = (
        "from pathlib import Path",
        "from benchmarks.cells import Cell, Store",
        "store, small = Store(Path('cells.jsonl')), ('data.frames=60', 'train.workers=0', 'network.encoder_blocks=1')",
        "cells = [Cell(f'dense-{seed}', 'dense', seed, small, 2, True, Path('data/small')) for seed in (0, 1)]",
        "store.train(cells, 2)",
        "print([store.of(cell).last.update for cell in cells], [bool(store.of(cell).test) for cell in cells])",
        "print(store.of(cells[0]).command != store.of(cells[1]).command)",
        "store.train(cells, 2)",
    )
    done = run("-c", "\n".join(lines), cwd=elsewhere)
    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()
    assert sum(line.startswith("avsr-bench train") for line in said) == 2
    assert said[-2:] == ["[2, 2] [True, True]", "True"]


def test_the_page_says_what_was_run_and_draws_it(elsewhere):
    lines = (
        "report.PAGE = Path('page.md'); report.PAGE.write_text('# MSRS')",
        "for system, wer in (('dense', 0.3), ('msrs', 0.1)):",
        "    for one in claims.tuning('cured', system): store.add(made(one, wer))",
        "    for seed in (0, 1): store.add(made(claims.cell('cured', system, 8, seed, '0.0005'), wer + seed / 100))",
        "figures = claims._report(store)",
        "print(*(path.stat().st_size > 5000 for path in figures[:2]))",
        "print(report.PAGE.read_text())",
    )
    done = run("-c", MADE + "\n".join(lines), cwd=elsewhere)
    assert done.stdout.split()[:2] == ["True", "True"], done.stderr
    assert "4 of 108 cells and 6 of 54 tuning runs were run" in done.stdout
    assert "| msrs against dense | -20.0 | -20.0, -20.0 |" in done.stdout
    assert "30.5 (30.0 to 31.0; 2)" in done.stdout
