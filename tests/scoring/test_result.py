import json
from dataclasses import FrozenInstanceError, replace

import pytest

from avsr_bench.records import Ancestor, Budget, Refused
from avsr_bench.scoring import SCORER_VERSION, Edits, Interval, Measure, Result, parse_result, same_budget
from avsr_bench.text import TEXT_VERSION

RESULT = Result(
    run="dense-tiny-s0",
    corpus="synth",
    split="test",
    condition="gaussian:3",
    corpus_fingerprint="0123abcd",
    utterances=3,
    metrics={
        "wer": Measure(Edits(7, 2, 1, 1), Interval(0.2, 0.6, "speakers", 2, 2000, 0)),
        "cer": Measure(Edits(50, 2, 3, 0), Interval(0.05, 0.15, "speakers", 2, 2000, 0)),
    },
    decoding={"kind": "beam", "beam": 40, "ctc_weight": 0.1},
    train_seed=0,
    noise_seed=5,
    noise_on="mouth",
    noise_version=1,
    command="avsr-bench evaluate runs/é",
    commit="abc",
    device="cpu",
    seconds=1.5,
)


def test_rates_are_fractions_made_of_the_counts():
    assert RESULT.wer == 4 / 10 and RESULT.metrics["cer"].value == 5 / 55
    assert (RESULT.scorer_version, RESULT.text_version) == (SCORER_VERSION, TEXT_VERSION) == (1, 1)


@pytest.mark.parametrize(
    "result", [RESULT, replace(RESULT, train_seed=None, noise_seed=None, noise_on=None, noise_version=None)]
)
def test_there_and_back(result):
    text = result.to_json()
    assert parse_result(text, "x.json") == result
    content = json.loads(text)
    assert (
        content["metrics"]["wer"]["value"] == 0.4
        and content["metrics"]["wer"]["parts"]["substitutions"] == 2
        and "é" in text
    )


def test_what_the_run_is_goes_along_and_may_be_unknown():
    known = replace(
        RESULT,
        system="sparsevsr",
        size="tiny",
        modality="av",
        sparsity=0.5,
        parameters=1_000_000,
        nonzero=520_000,
        recipe_command="avsr-bench train sparsevsr --size tiny",
    )
    assert parse_result(known.to_json(), "x.json") == known
    new = ("system", "size", "modality", "sparsity", "parameters", "nonzero", "recipe_command")
    without = changed(**dict.fromkeys(new, "gone"))
    assert parse_result(without, "x.json") == RESULT
    assert (RESULT.system, RESULT.modality, RESULT.sparsity, RESULT.parameters) == ("", "video", 0.0, None)


def test_a_budget_goes_along_and_is_checked():
    budget = Budget(frames=8, ancestors=(Ancestor("synth/dense-tiny-s0", 5),), updates=2, labelled_hours=0.5)
    known = replace(RESULT, budget=budget)
    assert parse_result(known.to_json(), "x.json") == known and known.budget.total == 13
    good = json.loads(known.to_json())["budget"]
    for changes, says in (
        ({"framez": 3}, "unknown setting framez"),
        ({"frames": -3}, "frames = -3"),
        ({"ancestors": [{"run": "\x1b[2J", "frames": 1}]}, "control characters"),
        ({"ancestors": [{"frames": 1}]}, "run is missing"),
    ):
        with pytest.raises(Refused, match=says):
            parse_result(changed(budget={**good, **changes}), "x.json")
    with pytest.raises(Refused, match="budget"):
        parse_result(changed(budget=3), "x.json")


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [(100, 96, True), (96, 100, True), (100, 94, False), (100, None, None), (None, None, None), (0, 0, True)],
)
def test_budgets_are_the_same_within_5_percent(one, other, same):
    first, second = (None if of is None else Budget(frames=of) for of in (one, other))
    assert same_budget(first, second) is same
    unknown = Budget(frames=100, ancestors=(Ancestor("others"),))
    assert same_budget(first, unknown) is None


def test_results_of_another_version_keep_it():
    old = replace(RESULT, scorer_version=0, text_version=0)
    assert parse_result(old.to_json(), "x.json") == old


@pytest.mark.parametrize(
    ("own", "whose"),
    [({}, "own"), ({"lips_seed": 0}, "other"), ({"lips_seed": 7}, "other"), ({"lips_hidden": True}, "none")],
)
def test_a_result_says_whose_lips_an_enhancer_was_shown(own, whose):
    result = replace(RESULT, **own)
    assert result.lips == whose == parse_result(result.to_json(), "x.json").lips


def test_results_from_before_lips_could_be_hidden_are_read():
    before = parse_result(changed(lips_hidden="gone", lips_seed=3), "x.json")
    assert (before.lips, before.lips_hidden) == ("other", False)


def test_a_result_stays_as_it_is():
    with pytest.raises(FrozenInstanceError):
        RESULT.seconds = 0


def changed(**values):
    content = json.loads(RESULT.to_json())
    content.update(values)
    return json.dumps({key: value for key, value in content.items() if value != "gone"})


WER = json.loads(RESULT.to_json())["metrics"]["wer"]
SPAN = WER["interval"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", r"x\.json is not a result: Expecting value"),
        ("[1]", "is not a result"),
        ("{}", "it lacks 'metrics'"),
        (changed(metrics=[]), "metrics should be a section for each metric"),
        (changed(metrics={"wer": 0.4}), "metrics should be a section for each metric"),
        (changed(metrics={"were": WER}), r"metrics\.were is no metric\. Did you mean wer\?"),
        (changed(metrics={"\x1b[2J": WER}), r"metrics\.\\u001b\[2J is no metric"),
        (changed(metrics={"wer": {**WER, "more": 1}}), r"metrics\.wer should have value, parts and interval"),
        (changed(metrics={"wer": {**WER, "parts": 3}}), r"metrics\.wer should have sections for parts and interval"),
        (changed(run="gone"), "the setting run is missing"),
        (changed(colour="red"), "unknown setting colour"),
        (changed(lips_hidden="yes"), "lips_hidden"),
        (changed(lips_hidden=True, lips_seed=3), "lips_hidden is true and lips_seed 3: lips are hidden, or those of"),
        (changed(metrics={"wer": {**WER, "parts": {"hits": 1, "misses": 2}}}), r"wer\.parts: unknown setting misses"),
        (changed(metrics={"wer": {**WER, "parts": {"hits": -1}}}), r"wer\.parts: hits = -1: it should be"),
        (changed(metrics={"wer": {**WER, "value": 0.1}}), r"wer is 0\.1, but its parts make 0\.4: it was changed by"),
        (changed(metrics={"wer": {**WER, "value": "9" * 500}}), r"wer is '9+, but its parts make 0\.4"),
        (changed(metrics={"wer": {**WER, "interval": {**SPAN, "low": 0.7}}}), r"wer: an interval from 0\.7 to 0\.6"),
        (changed(metrics={"wer": {**WER, "interval": {**SPAN, "low": -0.1}}}), r"wer: an interval from -0\.1"),
    ],
)
def test_what_is_no_result(text, says):
    with pytest.raises(Refused, match=says):
        parse_result(text, "x.json")
