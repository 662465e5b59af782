"""Results as a pandas frame, and as CSV."""

import csv
import io

import pytest

from avsr_bench.leaderboard import read_rows, to_csv, to_frame
from avsr_bench.records import Budget


def test_columns_have_types(results, make):
    few = make.sentences(5, 2)
    make.measure(results, texts=few)
    make.measure(results, condition="gaussian:5", errors=0.3, texts=few)
    make.measure(results, "synth/imported", texts=few, train_seed=None, budget=None, sparsity=0.5)
    frame = to_frame(read_rows([results]))
    assert len(frame) == 3 and frame["wer"].dtype == "Float64" and frame["utterances"].dtype == "UInt64"
    noisy = frame[frame["family"] == "gaussian"].iloc[0]
    assert (noisy["strength"], noisy["noise_seed"], noisy["budget_frames"]) == (5, 0, 8_000_000)
    assert frame.groupby("family")["wer"].mean()["gaussian"] == pytest.approx(noisy["wer"])
    unknown = frame[frame["row"] == "synth/imported/test/clean"].iloc[0]
    assert frame["train_seed"].isna().sum() == 1 and frame["budget_frames"].isna().sum() == 1 and unknown["apart"] == ""


def test_numbers_come_back_as_they_were(results, make):
    few = make.sentences(5, 2)
    spent = Budget(frames=10**15, updates=3, seconds=0.1 + 0.2)
    make.measure(results, "synth/large", texts=few, train_seed=2**64 - 1, budget=spent, parameters=10**12)
    make.measure(results, "synth/small", texts=few, train_seed=None)
    found = read_rows([results])
    one, two = csv.DictReader(io.StringIO(to_csv(to_frame(found))))
    assert (one["train_seed"], one["budget_frames"], one["parameters"]) == (str(2**64 - 1), str(10**15), str(10**12))
    assert one["train_seconds"] == "0.3" and two["train_seed"] == ""
    assert float(one["wer"]) == pytest.approx(found.rows[0].result.wer, abs=1e-6)


def test_nothing_of_it_is_a_formula(results, make):
    for number, name in enumerate(("=cmd()", "+1", "-x", "@y")):
        make.measure(results, f"synth/{number}", texts=make.sentences(5, 2), system=name, commit=name)
    rows = list(csv.DictReader(io.StringIO(to_csv(to_frame(read_rows([results]))))))
    assert [row["system"] for row in rows] == ["'=cmd()", "'+1", "'-x", "'@y"] == [row["commit"] for row in rows]


def test_no_results_are_an_empty_frame(results):
    frame = to_frame(read_rows([results]))
    assert frame.empty and to_csv(frame).startswith("row,corpus,split,") and to_csv(frame).count("\n") == 1
