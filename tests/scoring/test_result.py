import json
from dataclasses import FrozenInstanceError, replace

import pytest

from avsr_bench.records import Refused
from avsr_bench.scoring import SCORER_VERSION, Edits, Interval, Result, parse_result
from avsr_bench.text import TEXT_VERSION

RESULT = Result(
    run="dense-tiny-s0",
    corpus="synth",
    split="test",
    condition="gaussian:3",
    corpus_fingerprint="0123abcd",
    utterances=3,
    words=Edits(7, 2, 1, 1),
    characters=Edits(50, 2, 3, 0),
    wer_interval=Interval(0.2, 0.6, "speakers", 2, 2000, 0),
    cer_interval=Interval(0.05, 0.15, "speakers", 2, 2000, 0),
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
    assert RESULT.wer == 4 / 10 and RESULT.cer == 5 / 55
    assert (RESULT.scorer_version, RESULT.text_version) == (SCORER_VERSION, TEXT_VERSION) == (1, 1)


@pytest.mark.parametrize(
    "result", [RESULT, replace(RESULT, train_seed=None, noise_seed=None, noise_on=None, noise_version=None)]
)
def test_there_and_back(result):
    text = result.to_json()
    assert parse_result(text, "x.json") == result
    content = json.loads(text)
    assert content["wer"] == 0.4 and content["words"]["substitutions"] == 2 and "é" in text


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


def test_results_of_another_version_keep_it():
    old = replace(RESULT, scorer_version=0, text_version=0)
    assert parse_result(old.to_json(), "x.json") == old


def test_a_result_stays_as_it_is():
    with pytest.raises(FrozenInstanceError):
        RESULT.seconds = 0


def changed(**values):
    content = json.loads(RESULT.to_json())
    content.update(values)
    return json.dumps({key: value for key, value in content.items() if value != "gone"})


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", r"x\.json is not a result: Expecting value"),
        ("[1]", "is not a result"),
        ("{}", "it lacks 'wer'"),
        (changed(words="gone"), "the setting words is missing"),
        (changed(run="gone"), "the setting run is missing"),
        (changed(colour="red"), "unknown setting colour"),
        (changed(words={"hits": 1, "misses": 2}), "unknown setting words.misses"),
        (changed(words=3), "is not a result"),
        (changed(wer=0.1), r"WER and CER are \(0\.1, .*changed by hand"),
    ],
)
def test_what_is_no_result(text, says):
    with pytest.raises(Refused, match=says):
        parse_result(text, "x.json")
