"""What an update frees is there for the next: no page is asked of the system twice."""

import subprocess
import sys

import pytest

SCRIPT = """
import resource, sys
import torch
from avsr_bench.training.machine import keep_memory
if sys.argv[1] == "kept":
    keep_memory()
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(50_000_000)  # 200 MB, 49,000 pages
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
faults(), faults(), faults()
print(faults())
"""


@pytest.mark.parametrize(("way", "few"), [("kept", True), ("given back", False)])
def test_pages_that_the_system_hands_out(way, few):
    done = subprocess.run([sys.executable, "-c", SCRIPT, way], capture_output=True, text=True, check=True)
    assert (int(done.stdout) < 1000) == few
