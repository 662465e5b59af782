import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from patience import PATIENCE
from torch import Tensor

SYSTEMS: list[dict[str, Any]] = [
    {"name": "magnitude", "sparsity": 0.6},
    {"name": "msrs", "search": 0.7, "lr": 0.05, "initial": 0.05, "penalty_weight": 1e-3, "after": "sparse"},
    {"name": "set", "sparsity": 0.6, "every": 2},
    {"name": "rigl", "sparsity": 0.6, "every": 2},
    {"name": "rigl", "sparsity": 0.6, "every": 3, "gradients": 3, "stop": 0.6},  # stops among gathered gradients
    {"name": "chase", "sparsity": 0.6, "every": 2},
]


def two_ranks(folder: Path, section: dict[str, Any], run: Path, *more: str) -> list[dict[str, dict[str, Tensor]]]:
    """What each of two processes had in the middle and at the end of a run."""
    folder.mkdir()
    script = Path(__file__).with_name("two_ranks.py")
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    environment = os.environ | {
        "PYTHONPATH": f"{script.parents[1]}{os.pathsep}{script.parents[2]}",
        "OMP_NUM_THREADS": "1",
    }
    done = subprocess.run(
        [*launch, str(script), str(folder), json.dumps(section), str(run), *more],
        env=environment, cwd=script.parents[2], capture_output=True, text=True, timeout=PATIENCE,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    return [
        {path.stem.split("-")[0]: torch.load(path) for path in sorted(folder.glob(f"*-{rank}.pt"))} for rank in (0, 1)
    ]


@pytest.mark.slow  # four processes that import torch
@pytest.mark.parametrize("section", SYSTEMS, ids=lambda section: f"{section['name']}-{section.get('gradients', 1)}")
def test_ranks_have_the_same_masks_and_zeros_and_a_resumed_run_too(tmp_path: Path, section: dict[str, Any]) -> None:
    first, second = two_ranks(tmp_path / "whole", section, tmp_path / "run")
    two_ranks(tmp_path / "stopped", section, tmp_path / "parts", "stop")
    resumed, _ = two_ranks(tmp_path / "resumed", section, tmp_path / "parts")
    running = ("running_mean", "running_var")  # of batch norms: each rank's own where they are not synchronised
    for part, state in first.items():
        assert state.keys() == second[part].keys()
        assert all(torch.equal(of, second[part][name]) for name, of in state.items() if not name.endswith(running))
    if section["name"] == "msrs":
        phi = [of for name, of in first["middle"].items() if name.startswith("phi.")]
        assert sum(of.numel() for of in phi) == sum(of.numel() for of in first["masks"].values())
        assert any(bool((of != of.flatten()[0]).any()) for of in phi)
    for name, mask in first["masks"].items():
        assert bool((first["end"][name][~mask] == 0).all())
        assert torch.equal(mask, resumed["masks"][name])
        assert torch.equal(first["end"][name], resumed["end"][name])
