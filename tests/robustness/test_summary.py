"""Means and comparisons, by hand."""

from dataclasses import replace

import numpy as np
import pytest
from heard import Silence

from avsr_bench import noise, scoring
from avsr_bench.records import Budget
from avsr_bench.robustness import RobustnessRequest, robustness, summarise
from avsr_bench.robustness.summary import groups


def test_groups_of_all_conditions():
    names = [
        "clean",
        *(f"{family}:{level}" for family in noise.FAMILIES for level in range(1, 11)),
        "babble:0",
        "babble:-5",
    ]
    found = groups(names)
    assert list(found) == ["clean", *noise.FAMILIES, "seen", "unseen", "all", "babble"]
    sizes = {over: len(members) for over, members in found.items()}
    assert (sizes["clean"], sizes["blur"], sizes["seen"], sizes["unseen"], sizes["all"], sizes["babble"]) == (
        1,
        10,
        40,
        30,
        70,
        2,
    )
    assert set(found["seen"]) | set(found["unseen"]) == set(found["all"])


def test_means_and_differences_are_those_of_the_results(corpus, run_of, tmp_path):
    from heard import make_run

    other = make_run(tmp_path / "runs/small/other", corpus, seed=3, system="other")
    request = RobustnessRequest(
        noise="jpeg,contrast",
        levels="5,10",
        models=(str(run_of()), str(other)),
        data=corpus.location,
        out=tmp_path / "results",
    )
    swept = robustness(request, Silence())
    [said] = [note for note in summarise(swept).notes if "budget" in note]
    assert said.startswith("small/video-s1 and small/other: the budget of training is not known")
    for frames, expected in ((100, []), (200, ["the budgets of training differ"])):
        for (model, _), each in swept.found.items():
            spent = Budget(frames=frames if model == "small/other" else 100)
            swept.found[model, each.result.condition] = replace(each, result=replace(each.result, budget=spent))
        assert [note.split(": ")[1].split(";")[0] for note in summarise(swept).notes if "budget" in note] == expected
    rows = {(row.over, row.model): row for row in summarise(swept).rows}
    one, two = swept.models
    names = ["jpeg:5", "jpeg:10", "contrast:5", "contrast:10"]
    rates = {model: np.mean([swept.found[model, name].result.wer for name in names]) for model in swept.models}
    for model in swept.models:
        assert rows["all", model].wer == pytest.approx(rates[model])
        assert rows["unseen", model].interval == scoring.interval([swept.found[model, name].scores for name in names])
    assert ("seen", one) not in rows
    assert rows["all", one].against is None
    difference = rows["all", two].against
    assert difference.difference == pytest.approx(rates[two] - rates[one])
    assert difference == scoring.compare(*([swept.found[m, name].scores for name in names] for m in (one, two)))
