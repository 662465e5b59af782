import json
import math
from pathlib import Path

import pytest
from archives import change, put, text, write

from avsr_bench.leaderboard import find_row, read_rows
from avsr_bench.leaderboard.rows import scores, split_condition
from avsr_bench.records import Misused, Refused


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"commit": ""}, "it has no commit"),
        ({"commit": "unknown"}, "it has no commit"),
        ({"command": "", "corpus_fingerprint": ""}, "it has no command and no corpus fingerprint"),
        ({"scorer_version": 0}, "version 0 of the scorer, not 1"),
        ({"text_version": 7}, "version 7 of the text rule, not 1"),
        ({"condition": "gaussian:5", "noise_version": 9}, "version 9 of the noise, not 1"),
        ({"condition": "babble:0", "noise_version": 3}, "version 3 of the noise, not 1"),
        ({"condition": "fog:3"}, "unknown family of noise 'fog'"),
        ({"condition": "gaussian:11"}, "level 11 of gaussian"),
        ({"condition": "gaussian:0"}, "level 0 of gaussian"),
        ({"condition": "gaussian:2.5"}, "level 2.5 of gaussian"),
        ({"condition": "gaussian"}, "not of the form FAMILY:LEVEL"),
        ({"condition": "gaussian:nan"}, "not of the form FAMILY:LEVEL"),
        ({"condition": "gaussian:5", "noise_on": None}, "does not say where its noise was applied"),
        ({"metrics": {}}, "it has no WER"),
        ({"condition": "gaussian:5", "noise_seed": None}, "does not say where its noise was applied"),
    ],
)
def test_what_stands_apart(results, make, more, reason):
    make.measure(results, run="synth/msrs-tiny-s0", **more)
    make.measure(results)
    found = read_rows([results])
    assert [row.name for row in found.rows] == ["synth/dense-tiny-s0/test/clean"]
    (apart,) = found.apart
    assert reason in apart.reason and apart.row.result.run == "synth/msrs-tiny-s0"


def test_rates_and_intervals_that_are_no_numbers(results, make):
    metrics = json.loads(text(path := make.measure(results, run="synth/a")))["metrics"]
    change(path, metrics={**metrics, "wer": {**metrics["wer"], "value": math.nan}})
    path = make.measure(results, run="synth/b")
    change(path, metrics={**metrics, "wer": {**metrics["wer"], "interval": {"high": math.nan}}})
    make.measure(results, run="synth/c", texts=[("s1", "s1-0", "")])
    found = read_rows([results])
    assert not found.rows
    assert len(found.notes) == 2 and all("NaN is not a number" in note for note in found.notes)
    assert "synth__a" in found.notes[0] and "synth__b" in found.notes[1]
    assert [each.reason for each in found.apart] == ["no words were scored: its WER is not a number"]


def test_files_that_are_no_results(results, make):
    make.measure(results)
    whole = next(results.rglob("test.zip")).read_bytes()
    for name, content in (
        ("empty.zip", b""),
        ("bytes.zip", b"\xff\xfe"),
        ("cut.zip", whole[:200]),
        ("short.zip", whole[:-1]),
    ):
        (results / name).write_bytes(content)
    write(results / "theirs.zip", {"photo.jpg": b"x"})
    (results / "folder.zip").mkdir()
    found = read_rows([results])
    assert len(found.rows) == 1 and len(found.notes) == 6
    assert all(name in " ".join(found.notes) for name in ("empty", "bytes", "cut", "short", "theirs", "folder"))


def test_members_that_are_no_results(results, make):
    path = make.measure(results)
    for name, content in (("empty", ""), ("list", "[]"), ("bytes", b"\xff\xfe"), ("cut", text(path)[:200])):
        put(path.with_name(name), content)
    found = read_rows([results])
    assert len(found.rows) == 1 and len(found.notes) == 4
    assert all(f"test.zip/{name}" in " ".join(found.notes) for name in ("empty", "list", "bytes", "cut"))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("sparsity", None), ("utterances", "many"), ("condition", None), ("decoding", "ctc"), ("corpus", 5)),
        *(("nonzero", "many"), ("seconds", []), ("corpus_fingerprint", None), ("commit", None), ("command", None)),
        *(("metrics", {"wer": 1}), ("metrics", None), ("noise_on", "nose"), ("colour", "blue")),
    ],
)
def test_values_of_another_type_are_told_and_hinder_nothing(results, make, field, value):
    make.measure(results)
    change(make.measure(results, run="synth/odd"), **{field: value})
    found = read_rows([results])
    assert [row.result.run for row in found.rows] == ["synth/dense-tiny-s0"]
    (note,) = found.notes
    assert "synth__odd/test.zip/clean is not a result" in note and field in note and "\n" not in note


def test_a_run_that_was_trained_anew_is_two_networks(results, make):
    for condition in ("clean", "blur:5", "blur:10"):
        make.measure(results, condition=condition, weights="old")
    assert len(read_rows([results]).rows) == 3
    make.measure(results, weights="new")
    found = read_rows([results])
    assert [row.result.condition for row in found.rows] == ["clean"]
    assert [each.row.result.condition for each in found.apart] == ["blur:10", "blur:5"]
    assert all("of other weights than its clean row" in each.reason for each in found.apart)
    make.measure(results, condition="blur:5", weights="new")
    put(results / "synth__dense-tiny-s0/test.zip/clean", None)
    put(results / "synth__dense-tiny-s0/test.zip/clean", None, ".jsonl")
    make.measure(results, condition="blur:3", weights="new")
    (apart,) = read_rows([results]).apart
    assert apart.row.result.condition == "blur:10" and "than most of its rows" in apart.reason


def test_two_results_of_one_row(results, make):
    kept = make.measure(results / "one")
    make.measure(results / "two")
    alike = read_rows([results / "one", results / "two"])
    assert [row.path for row in alike.rows] == [kept] and not alike.apart
    other = results / "two" / kept.relative_to(results / "one")
    assert find_row(str(other), alike).path == other  # by its place each of the two is found
    make.measure(results / "three", errors=0.3)
    found = read_rows([results])
    assert not found.rows and len(found.apart) == 3
    assert all("disagree" in each.reason and "one" in each.reason and "three" in each.reason for each in found.apart)


def test_other_tests_seeds_and_readings_are_not_the_same_measurement(results, make):
    for number, more in enumerate(
        (
            {},
            {"corpus_fingerprint": "other"},
            {"decoding": {"kind": "beam", "beam": 40}},
            {"condition": "gaussian:3"},
            {"condition": "gaussian:3", "noise_seed": 1},
            {"condition": "gaussian:3", "noise_on": "frame"},
        )
    ):
        make.measure(results / str(number), **more)
    found = read_rows([results])
    assert len(found.rows) == 6 and not found.apart
    names = {row.name for row in found.rows}
    assert names == {
        "synth/dense-tiny-s0/test/clean",
        "synth/dense-tiny-s0/test/gaussian:3",
        "synth/dense-tiny-s0/test/gaussian:3@frame",
    }
    with pytest.raises(Misused, match="is the name of 3 results: give one of"):
        find_row("synth/dense-tiny-s0/test/clean", found)
    path = results / "1/synth__dense-tiny-s0/test.zip/clean"
    assert find_row(str(path), found).result.corpus_fingerprint == "other"


def test_names(results, make):
    make.measure(results, run="lrs3/dense-large-s0", corpus="grid")
    make.measure(results, run="import")
    found = read_rows([results])
    assert [row.name for row in found.rows] == ["grid/lrs3/dense-large-s0/test/clean", "synth/import/test/clean"]
    with pytest.raises(Misused, match="Did you mean synth/import/test/clean"):
        find_row("synth/imports/test/clean", found)
    with pytest.raises(Misused, match="no results yet"):
        find_row("x", read_rows([results / "nowhere"]))


def test_conditions():
    assert split_condition("cafe.wav:-2.5") == ("cafe.wav", -2.5)
    assert split_condition("clean") == ("clean", 0.0)
    assert math.isnan(split_condition("gaussian:")[1])


def test_hypotheses_that_are_gone(results, make):
    path = make.measure(results)
    (row,) = read_rows([results]).rows
    assert sum(each.parts["wer"].length for each in scores(row)) == row.result.metrics["wer"].parts.length
    put(path, None, ".jsonl")
    with pytest.raises(Refused, match="are gone"):
        scores(row)


def test_what_is_committed_stays_small():
    folder = Path(__file__).parents[2] / "leaderboards"
    found = [path for path in folder.rglob("*") if path.is_file() and "local" not in path.relative_to(folder).parts]
    assert sum(path.stat().st_size for path in found) < 20e6
    assert not [path for path in found if path.suffix in (".json", ".jsonl")]


@pytest.mark.parametrize(
    ("more", "reason", "name"),
    [
        (
            {"enhancer": "synth/enhance-tiny-s0", "enhancer_weights": "0f"},
            "its sound was enhanced by synth/enhance-tiny-s0 before it was read",
            "synth/dense-tiny-s0/test/babble:0@behind-synth-enhance-tiny-s0",
        ),
        (
            {"reader": "synth/dense-tiny-s0", "lips_seed": 3, "run": "synth/enhance-tiny-s0"},
            "it is of an enhancer, read by synth/dense-tiny-s0, but its sound was not measured",
            "synth/enhance-tiny-s0/test/babble:0@read-by-synth-dense-tiny-s0@other-lips",
        ),
        (
            {"reader": "synth/dense-tiny-s0", "lips_hidden": True, "run": "synth/enhance-tiny-s0"},
            "it is of an enhancer, read by synth/dense-tiny-s0, but its sound was not measured",
            "synth/enhance-tiny-s0/test/babble:0@read-by-synth-dense-tiny-s0@no-lips",
        ),
    ],
)
def test_what_enhancers_have_a_part_in_is_no_row_among_others(results, make, more, reason, name):
    make.measure(results, condition="babble:0", errors=0.5)
    make.measure(results / "other", condition="babble:0", errors=0.2, **more)
    found = read_rows([results])
    assert [row.name for row in found.rows] == ["synth/dense-tiny-s0/test/babble:0"]
    (apart,) = found.apart
    assert apart.reason == reason and apart.row.name == name
    assert find_row(name, found) == apart.row
