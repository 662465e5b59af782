"""Rows that had not converged, seeds that failed, and how both are told from committed files alone."""

import csv
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avsr_bench.leaderboard import Failed, forget_failure, keep_failure, read_rows, render
from avsr_bench.leaderboard.boards import make_boards
from avsr_bench.leaderboard.convergence import loss_fall
from avsr_bench.leaderboard.references import dense_of, without_noise
from avsr_bench.leaderboard.tables import board_tables


def clean_table(folder):
    found = read_rows([folder])
    boards, _ = make_boards(found.rows, found.failed)
    return next(board_tables(boards[0]))


@pytest.mark.parametrize(
    ("points", "fall"),
    [
        ([(800, 2.0), (1000, 1.9)], 0.05),
        ([(700, 3.0), (900, 1.0), (1000, 1.0)], 0.5),  # 2.0 at 800, between two validations
        ([(800, 2.0), (1000, 2.2)], -0.1),
        ([(900, 2.0), (1000, 1.0)], None),  # nothing was measured where the last fifth begins
        ([(200, 2.0)], None),
        ([], None),
        ([(800, 0.0), (1000, 0.0)], None),
    ],
)
def test_the_fall_of_the_loss(points, fall):
    assert loss_fall(points) == (fall if fall is None else pytest.approx(fall))


@given(st.lists(st.tuples(st.integers(1, 10**6), st.floats(0.01, 1e6)), unique_by=lambda each: each[0]), st.randoms())
def test_the_fall_knows_no_order_and_no_scale(points, chance):
    fall = loss_fall(points)
    shuffled = list(points)
    chance.shuffle(shuffled)
    assert loss_fall(shuffled) == fall
    scaled = loss_fall([(7 * update, 3 * loss) for update, loss in points])
    assert (scaled is None) == (fall is None) and (fall is None or scaled == pytest.approx(fall, abs=1e-5))
    assert fall is None or fall <= 1


def test_a_row_that_had_not_converged_is_marked(results, make):
    few = make.sentences(6, 3)
    for system, last in (("dense", 1.99), ("rigl", 1.9)):
        make.measure(results, f"synth/{system}-tiny-s0", texts=few)
        kept = results / f"synth__{system}-tiny-s0/validation.csv"
        kept.write_text(f"update,loss\n400,3\n800,2\n1000,{last}\n")
    make.measure(results, "synth/old-tiny-s0", texts=few)  # nobody kept its losses
    table = clean_table(results)
    assert {line.cells[0].text for line in table.lines} == {"dense", "rigl †", "old"}
    (note,) = (note for note in table.notes if "†" in note)
    assert "2 % or more over the last fifth" in note and "most in synth/rigl-tiny-s0, by 5 %" in note


def test_damaged_losses_are_named_and_mark_nothing(results, make, published, tmp_path):
    make.measure(results, "synth/dense-tiny-s0", texts=make.sentences(6, 3))
    (results / "synth__dense-tiny-s0/validation.csv").write_text("update,loss\n800,nan\n")
    render([results], published, tmp_path / "out")
    text = (tmp_path / "out/README.md").read_text()
    assert "Whether synth/dense-tiny-s0 had converged is not known" in text and "†" not in text


class TestFailures:
    @pytest.fixture
    def two_of_three(self, results, make):
        few = make.sentences(6, 3)
        for system in ("dense", "rigl"):
            for seed in range(3):
                if (system, seed) != ("rigl", 1):
                    run = f"synth/{system}-tiny-s{seed}"
                    make.measure(results, run, errors=0.1 + 0.1 * seed, texts=few, train_seed=seed, system=system)
        keep_failure(results, Failed("synth/rigl-tiny-s1", 1, "the loss is not a number"))
        return results

    def test_the_row_says_2_of_3(self, two_of_three):
        table = clean_table(two_of_three)
        place = [column.name for column in table.columns].index("seeds")
        seeds = {line.cells[0].text: line.cells[place].text for line in table.lines}
        assert seeds["rigl"].startswith("2 of 3: ") and seeds["dense"].startswith("3: ")
        assert "rigl: seed 1 failed and is missing from the row." in table.notes

    def test_the_page_says_why(self, two_of_three, published, tmp_path):
        rendered = render([two_of_three], published, tmp_path / "out")
        assert "synth/rigl-tiny-s1 failed: the loss is not a number" in rendered.notes

    def test_a_seed_that_is_trained_after_all(self, two_of_three):
        forget_failure(two_of_three, "synth/rigl-tiny-s1")
        forget_failure(two_of_three, "synth/rigl-tiny-s1")  # nor does it matter where there was none
        assert not read_rows([two_of_three]).failed

    def test_rounds_of_a_run_that_failed_lack_it(self, results, make):
        few = make.sentences(6, 3)
        make.measure(results, "synth/sparsevsr-tiny-s0/round-02", texts=few, system="sparsevsr", sparsity=0.2)
        make.measure(results, "synth/sparse-tiny-s0", texts=few, sparsity=0.2)
        keep_failure(results, Failed("synth/sparsevsr-tiny-s1", 1, "stopped"))
        table = clean_table(results)
        place = [column.name for column in table.columns].index("seeds")
        assert {line.cells[0].text: line.cells[place].text for line in table.lines} == {
            "sparsevsr": "1 of 2",
            "sparse": "1",
        }

    @pytest.mark.parametrize(
        "content", ["", "[]", "{}", '{"run": "a", "seed": -1, "reason": ""}', '{"run": 3, "seed": 1, "reason": "x"}']
    )
    def test_damaged_ones_are_named(self, results, content):
        (results / "x").mkdir()
        (results / "x/failed.json").write_text(content)
        found = read_rows([results])
        assert not found.failed and "failed.json" in found.notes[0]

    def test_nothing_in_a_reason_acts(self, results):
        keep_failure(results, Failed("synth/rigl-tiny-s1", 1, "\x1b[31mred\n<b>"))
        (failed,) = read_rows([results]).failed
        assert "\x1b" not in failed.reason and "\n" not in failed.reason
        assert json.loads((results / "synth/rigl-tiny-s1/failed.json").read_text())["seed"] == 1


def test_networks_trained_with_noise_are_named_and_compared_with_their_like(results, make, published, tmp_path):
    few = make.sentences(10, 6)
    for name, system, sparsity, noisy, robust in (
        ("dense", "dense", 0.0, False, 1.0),
        ("dense-noise", "dense", 0.0, True, 3.0),
        ("rigl", "rigl", 0.5, False, 1.0),
        ("rigl-noise", "rigl", 0.5, True, 3.0),
        ("msrs-noise", "msrs", 0.2, True, 3.0),
    ):
        more = {"system": system, "sparsity": sparsity, "trained_with_noise": noisy, "texts": few}
        make.sweep(results, f"synth/{name}-tiny-s0", 0.02, robust, levels=(10,), **more)
    found = read_rows([results])
    ((board,), _) = make_boards(found.rows)
    by_name = {model.run.removeprefix("synth/").removesuffix("-tiny-s0"): model for model in board.models}
    like = {name: dense_of(board, model) for name, model in by_name.items()}
    assert like["dense"] == "" and like["dense-noise"] is like["rigl"] is by_name["dense"]
    assert like["rigl-noise"] is like["msrs-noise"] is by_name["dense-noise"]
    assert without_noise(board, by_name["rigl-noise"]) is by_name["rigl"]
    assert without_noise(board, by_name["msrs-noise"]) is None

    render([results], published, tmp_path / "out")
    assert "| rigl, trained with noise |" in (tmp_path / "out/README.md").read_text()
    rows = list(csv.DictReader((tmp_path / "out/results.csv").open()))
    told = {row["row"].split("/")[1]: row["trained_with_noise"] for row in rows}
    assert (told["rigl-tiny-s0"], told["rigl-noise-tiny-s0"]) == ("False", "True")
    tables = list(board_tables(board))
    (robust,) = (table for table in tables if "robustness at like clean WER" in table.heading)
    verdicts = {(line.cells[0].text, line.cells[1].text): line.cells[4].text for line in robust.lines}
    assert verdicts["rigl 50 %, trained with noise", "rigl 50 %"] == "rigl 50 %, trained with noise"
    assert verdicts["dense, trained with noise", "dense"] == "dense, trained with noise"
    assert verdicts.get(("rigl 50 %", "dense"), "no significant difference") == "no significant difference"

    (means,) = (table for table in tables if "mean WER over" in table.heading)
    names = [column.name for column in means.columns]
    for line in means.lines:
        mean, clean, loss = (line.cells[names.index(name)] for name in ("mean", "clean", "relative loss"))
        assert loss.value == pytest.approx((mean.value - clean.value) / (1 - clean.value))
        assert loss.low <= loss.value <= loss.high
