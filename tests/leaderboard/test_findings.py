"""The sentences on top of a board: golden words of known numbers, and true ones of any board."""

import re

import pytest

from avsr_bench.leaderboard import read_rows
from avsr_bench.leaderboard.boards import make_boards
from avsr_bench.leaderboard.findings import Difference, Findings, Level, Rate, find, findings, sentences
from avsr_bench.records import Budget
from avsr_bench.scoring import Interval


def span(low, high):
    return Interval(low, high, "speakers", 15, 2000, 0)


NONE = Findings(0, None, False, (), None, 0, None, None, None, None, "")
RIGL = Rate("rigl 50 %", 0.0804, span(0.043, 0.126))
BELOW = Difference("rigl 50 %", "dense", -0.012, span(-0.021, -0.003), 0.5)
ABOVE = Difference("rigl 90 %", "dense", 0.045, span(0.02, 0.07), 0.9)
KEPT = Level(80, 1, 1, Difference("rigl 80 %", "dense", 0.004, span(-0.01, 0.02), 0.8))
LOST = Level(90, 1, 0, ABOVE)
SOME_KEPT, ALL_LOST = Level(80, 4, 3, KEPT.best), Level(90, 5, 0, ABOVE)
DENSE = Rate("dense", 0.0924, span(0.05, 0.14))
NOISY = Rate("dense", 0.453, span(0.4, 0.5))


@pytest.mark.parametrize(
    ("found", "first", "second"),
    [
        (
            Findings(4, RIGL, False, (), BELOW, 3, KEPT, LOST, DENSE, NOISY, "levels 5, 10"),
            "rigl 50 % has the lowest WER on clean clips, 8.0 % [4.3, 12.6]: 1.2 points below dense of the same budget"
            " [−2.1, −0.3], significant at 5 %.",
            "With 80 % of the weights removed (rigl 80 %) WER is not significantly higher than that of dense of"
            " the same"
            " budget, 0.4 points [−1.0, 2.0]; with 90 % that of rigl 90 % is, by 4.5 [2.0, 7.0].",
        ),
        (
            Findings(2, DENSE, True, (), ABOVE, 1, None, LOST, DENSE, NOISY, "levels 5, 10"),
            "dense has the lowest WER on clean clips, 9.2 % [5.0, 14.0]; the next of its budget, rigl 90 %, is"
            " 4.5 points"
            " above it [2.0, 7.0], significant at 5 %.",
            "The WER of every sparse network here is significantly above that of dense of the same budget; with 90 %"
            " removed that of rigl 90 % is, by 4.5 [2.0, 7.0].",
        ),
        (
            Findings(9, DENSE, True, (), ABOVE, 9, SOME_KEPT, ALL_LOST, DENSE, NOISY, "levels 5, 10"),
            "dense has the lowest WER on clean clips, 9.2 % [5.0, 14.0]; the next of its budget, rigl 90 %, is"
            " 4.5 points above it [2.0, 7.0], significant at 5 %.",
            "With 80 % of the weights removed, the WER of 3 of 4 networks is not significantly higher than that of"
            " dense of the same budget (rigl 80 %: 0.4 points [−1.0, 2.0]); with 90 % that of all 5 is, of"
            " rigl 90 % least, by 4.5 [2.0, 7.0].",
        ),
        (
            Findings(1, DENSE, True, (), None, 0, None, None, DENSE, NOISY, "levels 5, 10"),
            "dense is the only network here: 9.2 % [5.0, 14.0] on clean clips.",
            "Noise on the picture (mean of seven families, levels 5, 10) takes the WER of dense from 9.2 %"
            " [5.0, 14.0] to"
            " 45.3 % [40.0, 50.0].",
        ),
        (
            Findings(3, RIGL, False, ("set 50 %",), None, 1, KEPT, None, None, None, ""),
            "rigl 50 % and set 50 % have the lowest WER on clean clips, 8.0 % [4.3, 12.6]; there is no dense network of"
            " its budget to compare it with.",
            "With 80 % of the weights removed (rigl 80 %) WER is not significantly higher than that of dense of"
            " the same"
            " budget, 0.4 points [−1.0, 2.0], and no sparser network was compared.",
        ),
        (
            Findings(2, DENSE, True, (), None, 0, None, None, None, None, ""),
            "dense has the lowest WER on clean clips, 9.2 % [5.0, 14.0]; no other network here can be compared"
            " with dense"
            " of its budget.",
            "What removing weights or noise does is not seen here: no sparse network has a dense one of its"
            " budget beside"
            " it that recognises the clips, and none was read under all families of noise.",
        ),
        (
            Findings(
                2,
                Rate("dense", 1.0, span(1, 1)),
                True,
                (),
                None,
                0,
                None,
                None,
                *[Rate("dense", 1, span(1, 1))] * 2,
                "",
            ),
            "No network of this board recognises the clean clips: the lowest WER is 100.0 % [100.0, 100.0] (dense).",
            "Noise on the picture finds nothing to take: dense does not recognise the clean clips either.",
        ),
        (
            NONE,
            "No network of this board was read on clean clips.",
            "What removing weights or noise does is not seen here: no sparse network has a dense one of its"
            " budget beside"
            " it that recognises the clips, and none was read under all families of noise.",
        ),
    ],
)
def test_golden_sentences(found, first, second):
    assert sentences(found) == (first, second)


def board_of(folder):
    found = read_rows([folder])
    ((board,), _) = make_boards(found.rows, found.failed)
    return board


def test_the_numbers_are_those_of_the_results(results, make):
    few = make.sentences(10, 6)
    make.sweep(results, "synth/dense-tiny-s0", 0.06, levels=(5, 10), texts=few)
    for sparsity, errors in ((0.5, 0.06), (0.8, 0.08), (0.9, 0.7)):
        run = f"synth/rigl-{sparsity:.0%}-tiny-s0".replace("%", "")
        make.measure(results, run, errors=errors, texts=few, system="rigl", sparsity=sparsity)
    board = board_of(results)
    found = find(board)
    wers = {model.label: model.clean[0].result.wer for model in board.models}
    assert found.networks == 4 and found.lowest.wer == min(wers.values()) == wers[found.lowest.network]
    assert found.lost.best.network == "rigl 90 %" and found.kept.percent == 80 and found.sparse == 3
    assert found.kept.networks == found.kept.kept == 1 and found.lost.kept == 0
    assert found.lost.best.by == pytest.approx(wers["rigl 90 %"] - wers["dense"])
    assert found.lost.best.interval.low > 0 >= found.kept.best.interval.low
    assert found.clean.network == found.noisy.network == "dense" and found.noisy.wer > found.clean.wer


@pytest.mark.parametrize(
    ("systems", "errors"), [(["dense"], 0.1), (["rigl"], 0.1), (["dense", "rigl"], 9.0), (["rigl", "set"], 9.0)]
)
def test_any_board_has_two_sentences(results, make, systems, errors):
    few = make.sentences(6, 3)
    for system in systems:
        sparsity = 0.0 if system == "dense" else 0.5
        make.measure(results, f"synth/{system}-tiny-s0", errors=errors, texts=few, sparsity=sparsity)
    first, second = findings(board_of(results))
    assert all(re.fullmatch(r"\S.*\S\.", said) for said in (first, second))
    if systems == ["dense"]:
        assert "only network" in first or "No network" in first


def test_dense_of_another_budget_is_not_compared(results, make):
    few = make.sentences(6, 3)
    make.measure(results, "synth/dense-tiny-s0", errors=0.3, texts=few)
    more = Budget(frames=99_000_000, updates=9_000)
    make.measure(results, "synth/rigl-tiny-s0", errors=0.01, texts=few, sparsity=0.5, budget=more)
    first, second = findings(board_of(results))
    assert first.startswith("rigl 50 % has the lowest WER") and "no dense network of its budget" in first
    assert second.startswith("What removing weights or noise does is not seen here")
