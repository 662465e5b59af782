"""Where a number comes from: the commit or the version of this code, and the device that it was computed on."""

from __future__ import annotations

import subprocess
from functools import cache
from importlib.metadata import version
from pathlib import Path

PACKAGE = Path(__file__).parent
# What a number depends on, in a checkout; (glob): no recipe of a run that lies with its results.
DECIDES = ("avsr_bench", "models", "pipelines", ":(glob)leaderboards/*.yaml")


@cache
def commit() -> str:
    """The git commit of the checkout that this package runs from, `-dirty` behind it where code or recipes changed.

    Not where results and pages did, which a board writes beside them. The version of the package where it is
    installed, and where there is no git.
    """
    released = f"avsr-bench {version('avsr-bench')}"
    if not (PACKAGE.parent / "pyproject.toml").is_file():  # a site-packages folder may lie in somebody else's checkout
        return released
    head, changed = _git("rev-parse", "HEAD"), _git("status", "--porcelain", "-uno", "--", *DECIDES)
    if head is None or changed is None:
        return released
    return f"{head}-dirty" if changed else head


def _git(*words: str) -> str | None:
    try:
        ask = ["git", "-C", str(PACKAGE.parent), *words]
        done = subprocess.run(ask, capture_output=True, text=True, check=False, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def device_name(device: object) -> str:
    """What a torch device is called: the processor or the GPU."""
    if str(device).startswith("cuda"):
        import torch

        return torch.cuda.get_device_name(str(device))
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else "cpu"
