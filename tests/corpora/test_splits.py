import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avsr_bench.corpora.splits import check_shares, deal, fraction, overlap
from avsr_bench.records import Clip, Refused

SHARES = {"test": 0.1, "valid": 0.1}


def test_fraction_is_fixed():
    # Golden: a change here moves clips between train and test of every corpus.
    assert fraction("s1/bbaf2n") == 0.6555053128697603
    assert fraction("\udce9") != fraction("é")  # a name of raw bytes


def test_fraction_is_spread_evenly():
    tenths = Counter(int(10 * fraction(f"clip {n}")) for n in range(10_000))
    assert set(tenths) == set(range(10))
    assert max(tenths.values()) < 1_150


def test_python_hash_seeds_change_nothing():
    code = "from avsr_bench.corpora.splits import deal; print(deal({str(n): 1 for n in range(50)}, {'test': .2}))"
    printed = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed},
            cwd=Path(__file__).parents[2],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "1")
    }
    assert len(printed) == 1


def test_single_clips_are_dealt_to_the_very_number():
    counts = Counter(deal({f"s1/{n}": 1 for n in range(1000)}, {"test": 0.255, "valid": 0.05}).values())
    assert counts == {"test": 255, "valid": 50, "train": 695}


def test_test_does_not_swallow_the_speaker_with_most_clips():
    sizes = {f"small {n}": 10 for n in range(20)} | {"big": 5_000}
    dealt = deal(sizes, SHARES)
    assert dealt["big"] == "train"
    assert {"test", "valid"} <= set(dealt.values())


def test_a_larger_corpus_moves_few_names():
    before = deal({str(n): 1 for n in range(1000)}, SHARES)
    after = deal({str(n): 1 for n in range(1010)}, SHARES)
    assert sum(before[name] != after[name] for name in before) < 20


@given(st.dictionaries(st.text(max_size=5), st.integers(1, 1000), max_size=30), st.floats(0, 0.4), st.floats(0, 0.4))
def test_deal_laws(sizes, test, valid):
    dealt = deal(sizes, {"test": test, "valid": valid})
    assert dealt.keys() == sizes.keys()
    assert dealt == deal(dict(reversed(sizes.items())), {"test": test, "valid": valid})
    counts = Counter(dealt.values())
    if sizes:
        assert counts["train"] >= 1
    if len(sizes) > 2:
        assert (counts["test"] > 0) == (test > 0)
        assert (counts["valid"] > 0) == (valid > 0)


@pytest.mark.parametrize("shares", [{"a": 1.0}, {"a": 0.6, "b": 0.5}])
def test_shares_that_cannot_be_are_refused(shares):
    with pytest.raises(Refused, match=r"corpus\.a"):
        check_shares(**shares)


def clip(source, split, speaker="."):
    return Clip(f"{source}-{split}", Path("x.mp4"), split, speaker, source=source)


def test_overlap_names_the_recordings_on_both_sides():
    clips = [clip("a", "train"), clip("a", "train"), clip("a", "test"), clip("b", "test"), clip("c", "train")]
    assert overlap(clips) == ["overlap: 1 recording has clips in both test and train (a): 1 of test and 2 of train"]


def test_overlap_names_the_speakers_on_both_sides():
    clips = [clip("", "train", "ann"), clip("", "train", "ann"), clip("", "test", "ann"), clip("", "valid", "bob")]
    assert overlap(clips) == ["overlap: 1 speaker has clips in both test and train (ann): 1 of test and 2 of train"]
    clips[2] = clip("", "test", "eve")
    assert overlap(clips) == ["no speaker has clips in two splits"]


def test_overlap_says_when_there_is_none_and_is_silent_where_it_means_nothing():
    apart = [clip("a", "train"), clip("a", "train"), clip("b", "test")]
    assert overlap(apart) == ["no recording has clips in two splits"]
    assert overlap([clip("a", "train"), clip("b", "test")]) == []  # every clip is its own recording
    assert overlap([clip("", "train"), clip("", "test")]) == []
    assert overlap([]) == []
