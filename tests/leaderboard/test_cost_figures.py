"""WER against what training took: rows of strategies beside their controls, from results and kept recipes."""

from dataclasses import replace
from itertools import count

import pytest

from avsr_bench import recipes
from avsr_bench.leaderboard import read_rows, render
from avsr_bench.leaderboard.boards import make_boards
from avsr_bench.leaderboard.cost_figures import seconds_of, strategies
from avsr_bench.leaderboard.drawn import Drawn
from avsr_bench.leaderboard.trained import find_trained
from avsr_bench.records import Ancestor, Budget

NAME = "cost-synth-test-video-tiny"
SPENT = Budget(frames=276_000, updates=1_300, seconds=120.0)
FULL = Budget(frames=356_000, updates=1_688, seconds=160.0)
START = "Measured here: WER on clean clips and what training took"


@pytest.fixture
def nothing(tmp_path):
    path = tmp_path / "published.yaml"
    path.write_text("tables: []")
    return path


def trained(make, folder, entry, selection, budget=SPENT, system="ddp-asr", errors=0.06, seed=0, **more):
    """A result of a run that was trained on chosen clips, with its recipe."""
    run = f"synth/{entry}-tiny-s{seed}"
    words = " ".join(f"data.selection.{name}={value}" for name, value in selection.items())
    about = {"system": system, "budget": budget, "train_seed": seed, "errors": errors, "texts": make.sentences(6, 3)}
    about |= {"recipe_command": f"avsr-bench train {system} {words}"}
    place = make.measure(folder, run, **(about | more))
    (place.parent.parent / "recipe.yaml").write_text(recipes.dump({"data": {"selection": selection}}))
    return place


def fill(make, folder, seeds=(0, 1)):
    easy2hard = {"strategy": "easy2hard", "fraction": 0.7}
    for seed in seeds:
        trained(make, folder, "ddp-asr", easy2hard, replace(SPENT, seconds=100.0 + 50 * seed), seed=seed)
        trained(make, folder, "random", {"strategy": "random", "fraction": 0.7}, errors=0.05, seed=seed)
        trained(make, folder, "fewer", {"strategy": "full"}, errors=0.07, seed=seed)
        trained(make, folder, "full", {"strategy": "full"}, FULL, seed=seed)
        trained(make, folder, "chunks", {"frames": "chunks", "frame_fraction": 0.7}, errors=0.03, seed=seed)


def rows_of(folder):
    (board,) = make_boards(read_rows([folder]).rows)[0]
    found = find_trained(board.models, [])
    means = Drawn(board, board.models, (), (), "", folder).clean()
    return strategies({model: of.selection for model, of in found.items()}, means)


def drawn(folder, nothing, out):
    rendered = render([folder], nothing, out)
    figures = out / "figures"
    return rendered, {path.stem for path in figures.glob("*.svg")} if figures.is_dir() else set()


def caption(out):
    lines = (out / "README.md").read_text().replace("\\", "").splitlines()
    return next(line for line in lines if line.startswith(START))


def test_strategies_stand_beside_their_controls(results, make, nothing, tmp_path):
    fill(make, results)
    rows = rows_of(results)
    assert [(row.name, row.control) for row in rows] == [
        ("full", "full"),
        ("full, as few updates", "full, as few updates"),
        ("random, 70 %", "random"),
        ("chunks, 70 %", ""),
        ("easy2hard, 70 %", ""),
    ]
    assert len({(row.colour, row.mark) for row in rows}) == len(rows)
    rendered, names = drawn(results, nothing, tmp_path / "out")
    assert rendered.notes == () and NAME in names
    said = caption(tmp_path / "out")
    assert "Not there to compare with" not in said and "Dashed line: full, as few updates." in said
    page = (tmp_path / "out/index.html").read_text()
    assert "easy2hard, 70 %: " in page and "100 s, 150 s" in page and "1,688" in page


def test_the_same_bytes_every_time(results, make, nothing, tmp_path):
    fill(make, results, seeds=(0,))
    pictures = []
    for name in ("one", "other"):
        render([results], nothing, tmp_path / name)
        pictures.append([path.read_bytes() for path in sorted((tmp_path / name / "figures").glob("cost-*"))])
    assert pictures[0] == pictures[1] and len(pictures[0]) == 2


def test_a_board_on_which_nothing_is_chosen_has_no_such_figure(results, make, nothing, tmp_path):
    trained(make, results, "dense", {"strategy": "full"}, system="dense")
    make.measure(results, "synth/msrs-tiny-s0", texts=make.sentences(6, 3))
    assert drawn(results, nothing, tmp_path / "out")[1] == set()


def test_controls_of_several_lengths_say_their_updates(results, make, nothing, tmp_path):
    for fraction, updates in ((0.3, 700), (0.7, 1_300)):
        spent = replace(SPENT, updates=updates, frames=updates * 210)
        trained(make, results, f"easy-{updates}", {"strategy": "easy", "fraction": fraction}, spent)
        trained(make, results, f"full-{updates}", {}, spent)
    assert {row.name for row in rows_of(results) if row.control} == {"full, 700 updates", "full, 1,300 updates"}
    assert NAME in drawn(results, nothing, tmp_path / "out")[1]
    assert "Dashed line" not in caption(tmp_path / "out")


def test_one_model_alone_says_what_it_is_not_compared_with(results, make, nothing, tmp_path):
    trained(make, results, "ddp-asr", {"strategy": "easy", "fraction": 0.5})
    assert drawn(results, nothing, tmp_path / "out")[1] == {NAME}
    assert "Not there to compare with: full; full, as few updates; random." in caption(tmp_path / "out")


def test_dense_of_the_same_budget_is_a_control(results, make, nothing, tmp_path):
    trained(make, results, "ddp-asr", {"strategy": "easy", "fraction": 0.5})
    trained(make, results, "dense", {}, system="dense")
    trained(make, results, "dense-long", {}, FULL, system="dense")
    trained(make, results, "lr-sms", {}, system="lr-sms")
    assert drawn(results, nothing, tmp_path / "out")[1] == {NAME}
    assert "Not there to compare with: full; random." in caption(tmp_path / "out")
    page = (tmp_path / "out/index.html").read_text()
    assert "dense: full, as few updates: " in page and "lr-sms: full" not in page and "dense: full: " not in page


def test_without_any_seconds_there_is_no_panel_of_them(results, make, nothing, tmp_path):
    trained(make, results, "ddp-asr", {"strategy": "easy", "fraction": 0.5}, replace(SPENT, seconds=0.0))
    assert drawn(results, nothing, tmp_path / "out")[1] == {NAME}
    assert "Seconds" not in caption(tmp_path / "out")
    assert "seconds of training" not in (tmp_path / "out/index.html").read_text()


def test_who_lacks_seconds_is_named(results, make, nothing, tmp_path):
    fill(make, results, seeds=(0,))
    begun = replace(SPENT, ancestors=(Ancestor("synth/dense-tiny-s0", 8_000),))
    for number, budget in enumerate((None, begun, replace(SPENT, seconds=0.0))):
        trained(make, results, f"odd-{number}", {"strategy": "hard", "fraction": 0.1 + 0.1 * number}, budget)
    assert sorted(row.name for row in rows_of(results) if not seconds_of(row.model)) == [
        "hard, 10 %",
        "hard, 20 %",
        "hard, 30 %",
    ]
    rendered, names = drawn(results, nothing, tmp_path / "out")
    assert rendered.notes == () and NAME in names
    said = caption(tmp_path / "out")
    named = said.partition("All seconds are not known of: ")[2]
    assert sorted(named.rstrip(".").split("; ")) == ["hard, 10 %", "hard, 20 %", "hard, 30 %"]
    assert "Frames of ancestors are counted" in said
    assert "unknown" in (tmp_path / "out/index.html").read_text()


def test_a_model_whose_recipe_is_lost_is_named(results, make, nothing, tmp_path):
    fill(make, results, seeds=(0,))
    (results / "synth__random-tiny-s0/recipe.yaml").unlink()
    drawn(results, nothing, tmp_path / "out")
    said = caption(tmp_path / "out")
    assert "Not there to compare with: random." in said and said.endswith("Not drawn: synth/random-tiny-s0.")


def test_equal_numbers(results, make, nothing, tmp_path):
    for strategy in ("easy", "hard", "random", "infobatch"):
        trained(make, results, strategy, {"strategy": strategy, "fraction": 0.5}, errors=0.0)
    assert drawn(results, nothing, tmp_path / "out")[1] == {NAME}
    assert "of infobatch it is that of clips below the mean loss" in caption(tmp_path / "out")


def test_no_two_rows_have_the_same_name(results, make):
    number = count()
    for warm, updates in ((2, 1_300), (2, 1_400), (3, 1_400)):
        selection = {"strategy": "easy", "fraction": 0.7, "warm": warm}
        trained(
            make, results, f"run-{next(number)}", selection, Budget(frames=updates * 200, updates=updates, seconds=9.0)
        )
    trained(make, results, "both", {"strategy": "easy", "fraction": 0.7, "frames": "points", "frame_fraction": 0.5})
    trained(make, results, "tokens", {"strategy": "easy", "fraction": 0.7, "score": "per_token"})
    trained(make, results, "mine", {"strategy": "full"}, system="mine", trained_with_noise=True)
    assert sorted(row.name for row in rows_of(results)) == [
        "ddp-asr: easy, 70 %, 1,300 updates",
        "ddp-asr: easy, 70 %, 1,400 updates, synth/run-1-tiny-s0",
        "ddp-asr: easy, 70 %, 1,400 updates, synth/run-2-tiny-s0",
        "ddp-asr: easy, 70 %, per token",
        "ddp-asr: easy, 70 %; points, 50 %",
        "mine: full, as few updates, trained with noise",
    ]


def test_a_strategy_that_means_something_to_others(results, make, nothing, tmp_path):
    trained(make, results, "odd", {"strategy": "<b>$x_{|`", "fraction": 0.7})
    assert drawn(results, nothing, tmp_path / "out")[1] == {NAME}
    assert "<b>" not in (tmp_path / "out/index.html").read_text()
