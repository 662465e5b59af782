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

SYSTEMS: dict[str, dict[str, Any]] = {
    "magnitude": {"name": "magnitude", "sparsity": 0.6},
    "msrs": {"name": "msrs", "search": 0.7, "lr": 0.05, "initial": 0.05, "penalty_weight": 1e-3, "after": "sparse"},
    "set": {"name": "set", "sparsity": 0.6, "every": 2},
    "rigl": {"name": "rigl", "sparsity": 0.6, "every": 2},
    # Stops among gathered gradients.
    "rigl-gathered": {"name": "rigl", "sparsity": 0.6, "every": 3, "gradients": 3, "stop": 0.6},
    "chase": {"name": "chase", "sparsity": 0.6, "every": 2},
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two processes that train every system leave: whole, and stopped and resumed by two others."""
    folder = tmp_path_factory.mktemp("ranks")
    script = Path(__file__).with_name("two_ranks.py")
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    environment = os.environ | {
        "PYTHONPATH": f"{script.parents[1]}{os.pathsep}{script.parents[2]}",
        "OMP_NUM_THREADS": "1",
    }
    for part in ("first", "then"):
        done = subprocess.run(
            [*launch, str(script), str(folder), json.dumps(SYSTEMS), part],
            env=environment, cwd=script.parents[2], capture_output=True, text=True, timeout=PATIENCE,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-4000:]
    return folder


def ranks(folder: Path) -> list[dict[str, dict[str, Tensor]]]:
    """What each of two processes had in the middle and at the end of a run."""
    return [
        {path.stem.split("-")[0]: torch.load(path) for path in sorted(folder.glob(f"*-{rank}.pt"))} for rank in (0, 1)
    ]


@pytest.mark.slow  # four processes that import torch
@pytest.mark.parametrize("system", SYSTEMS)
def test_ranks_have_the_same_masks_and_zeros_and_a_resumed_run_too(trained: Path, system: str) -> None:
    first, second = ranks(trained / system / "whole")
    resumed, _ = ranks(trained / system / "resumed")
    running = ("running_mean", "running_var")  # of batch norms: each rank's own where they are not synchronised
    for part, state in first.items():
        assert state.keys() == second[part].keys()
        assert all(torch.equal(of, second[part][name]) for name, of in state.items() if not name.endswith(running))
    if system == "msrs":
        phi = [of for name, of in first["middle"].items() if name.startswith("phi.")]
        assert sum(of.numel() for of in phi) == sum(of.numel() for of in first["masks"].values())
        assert any(bool((of != of.flatten()[0]).any()) for of in phi)
    for name, mask in first["masks"].items():
        assert bool((first["end"][name][~mask] == 0).all())
        assert torch.equal(mask, resumed["masks"][name])
        assert torch.equal(first["end"][name], resumed["end"][name])
