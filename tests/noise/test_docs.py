"""docs/noise.md: its example runs, and its table is that of the code."""

import re
from pathlib import Path

import numpy as np

from avsr_bench import noise
from avsr_bench.records import rng_for

PAGE = Path(__file__).parents[2] / "docs" / "noise.md"


def test_the_example_runs():
    names = {}
    exec(re.search(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)[1], names)
    assert names["corrupted"].shape == names["mouths"].shape
    assert not np.array_equal(names["corrupted"], names["mouths"])
    whole = noise.apply(names["frames"], "gaussian", 3, rng_for(0, "s1%2Fbbaf2n", "gaussian"), on="frame")
    assert np.array_equal(names["noisy"], whole)


def test_the_table_is_that_of_the_code():
    rows = re.findall(r"^\| \*\*(\w+)\*\* \| [^|]+ \| (.*) \|$", PAGE.read_text(), re.MULTILINE)
    printed = {name: [float(value) for value in values.split(" | ")] for name, values in rows}
    percent = {name: 100 if name == "blockwise" else 1 for name in noise.FAMILIES}
    expected = {name: [float(f"{v * percent[name]:g}") for v in f.levels] for name, f in noise.FAMILIES.items()}
    assert printed == expected


def test_the_picture_is_there_and_small():
    assert 50_000 < PAGE.with_suffix(".png").stat().st_size < 600_000
