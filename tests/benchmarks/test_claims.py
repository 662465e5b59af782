import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(*words, cwd=ROOT):
    command = [sys.executable, *words]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--depths", "5"), "--depths: 5 is none of 4, 8, 16"),
        (("--seeds", "100"), "--seeds: 100 is none of 0, 1, 2"),  # that of tuning is never reported
        (("--systems", "dence"), "'dence' is none of dense, layerscale, msrs, rigl"),
        (("--steps", "0"), "--steps 0: give a positive number"),
    ],
)
def test_what_is_not_of_the_comparison_is_refused(words, said):
    done = run("-m", "benchmarks.claims", *words)
    assert done.returncode == 2
    assert said in done.stderr


def test_every_system_has_as_many_tuning_runs_and_settings_that_its_recipe_takes():
    lines = (
        "from benchmarks import claims",
        "from avsr_bench.training.recipe import load_recipe",
        "print(len({len(runs) for runs in claims.GRID.values()}), claims.TUNING_SEED in claims.SEEDS)",
        "cells = [cell for system in claims.GRID for cell in claims.tuning(system, 600)]",
        "made = [load_recipe(cell.system, 'tiny', cell.settings).recipe for cell in cells]",
        "print(len({(cell.system, str(recipe.sections())) for cell, recipe in zip(cells, made)}))",
    )
    assert run("-c", "\n".join(lines)).stdout.split() == ["1", "False", "12"]


def test_what_was_tried_for_the_defaults_is_what_recipes_take_and_no_two_alike():
    lines = (
        "from benchmarks import claims, msrs_defaults",
        "from avsr_bench.training.recipe import load_recipe",
        "cells = [cell for *_, cell in msrs_defaults.cells(600)]",
        "made = {str(load_recipe(cell.system, 'tiny', cell.settings).recipe.sections()) for cell in cells}",
        "print(len(cells) - len(made), len({cell.folder for cell in cells}) - len(cells))",
        "print({cell.seed for cell in cells} & set(claims.SEEDS))",
    )
    assert run("-c", "\n".join(lines)).stdout.split() == ["0", "0", "set()"]


def test_the_figures_are_drawn_with_cells_that_were_run_and_others(tmp_path):
    lines = (
        "import sys",
        "from pathlib import Path",
        "from benchmarks import claims_report as report",
        f"report.PAGE = Path({str(tmp_path / 'page.md')!r})",
        "seen = tuple(report.Look(100 * n, 9.0 * n, 5.0, 5.0 / n, 1 / n) for n in range(1, 5))",
        "cells = [report.Measured(depth=d, system=s, seed=0, steps=400, looks=seen if d == 4 else ())",
        "         for d in (4, 8) for s in ('dense', 'msrs')]",
        "print(*(path.stat().st_size > 5000 for path in report._figures(cells)))",
    )
    done = run("-c", "\n".join(lines))
    assert done.stdout.split() == ["True", "True"], done.stderr
