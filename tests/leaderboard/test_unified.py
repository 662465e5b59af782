"""The views of a unified run on boards: each on that of its modality, seeds of one view in one row."""

from dataclasses import replace

import pytest

from avsr_bench.leaderboard import Failed, keep_failure, read_rows, render
from avsr_bench.leaderboard.boards import make_boards
from avsr_bench.leaderboard.curves import group_of
from avsr_bench.leaderboard.figures import board_figures


@pytest.fixture
def measured(results, make):
    few = make.sentences(5, 2)
    for seed in (0, 1):
        make.measure(results, f"synth/dense-tiny-s{seed}", texts=few, train_seed=seed, system="dense")
        for view, errors in (("video", 0.1), ("audio", 0.02), ("av", 0.03)):
            of = {"modality": view, "train_seed": seed, "system": "usr", "recipe_command": "avsr-bench train usr"}
            make.measure(results, f"synth/usr-tiny-s{seed}@{view}", errors=errors, texts=few, **of)
    return results


def test_each_view_is_a_row_with_its_seeds_on_the_board_of_its_modality(measured):
    boards, _ = make_boards(read_rows([measured]).rows)
    found = {board.modality: [(model.label, len(model.runs)) for model in board.models] for board in boards}
    assert found == {"video": [("dense", 2), ("usr", 2)], "audio": [("usr", 2)], "av": [("usr", 2)]}


def test_figures_say_what_is_read_where_it_is_not_lips(measured, tmp_path):
    boards, _ = make_boards(read_rows([measured]).rows)
    for board in boards:
        usr = next(model for model in board.models if model.system == "usr")
        sparse = replace(
            usr,
            runs=tuple(
                tuple(replace(row, result=replace(row.result, sparsity=0.5)) for row in run) for run in usr.runs
            ),
        )
        figures, _ = board_figures(replace(board, models=(sparse,)), tmp_path)
        [figure] = [each for each in figures if each.name.startswith("sparsity-")]
        said = {
            "video": "synth, test, tiny",
            "audio": "synth, test, sound, tiny",
            "av": "synth, test, video and sound, tiny",
        }
        assert figure.title == f"WER against sparsity, {said[board.modality]}, clean clips"
        assert f"on {said[board.modality]}, clean clips" in figure.caption


def test_a_seed_that_failed_is_missing_from_every_view(measured, published, tmp_path):
    keep_failure(measured, Failed("synth/usr-tiny-s2", 2, "the loss is not a number"))
    render([measured], published, tmp_path / "out")
    text = (tmp_path / "out/README.md").read_text()
    rows = [line for line in text.splitlines() if line.startswith("| usr |")]
    assert sum("2 of 3" in row for row in rows) == 3 and not any(
        "2 of 3" in line for line in text.splitlines() if "| dense |" in line
    )


def test_a_system_that_nobody_named_is_called_after_its_run_without_the_view(results, make):
    make.measure(results, "synth/theirs@av", texts=make.sentences(5, 2), modality="av", system="")
    [board] = make_boards(read_rows([results]).rows)[0]
    assert [model.system for model in board.models] == ["theirs"]


def test_runs_that_are_gone_are_named_by_their_folder(measured, published, tmp_path):
    (tmp_path / "runs/synth/dense-tiny-s0").mkdir(parents=True)
    notes = render([measured], published, tmp_path / "out", tmp_path / "runs").notes
    assert sum(f"{tmp_path}/runs/synth/usr-tiny-s0 is gone" in note for note in notes) == 1
    assert not any("@" in note for note in notes)


@pytest.mark.parametrize(
    ("weight", "group"),
    [
        ("frontends.audio.stem.weight", "front-end"),
        ("entrances.av.weight", "front-end"),
        ("blocks.0.attention.query.weight", "attention"),
        ("blocks.0.feed_forward.expand.weight", "feed-forward"),
        ("outputs.video.weight", "output"),
        ("ctc.av.weight", "output"),
        ("decoder.blocks.1.feed_forward.expand.weight", "decoder"),
    ],
)
def test_weights_belong_to_the_same_parts_as_those_of_other_networks(weight, group):
    assert group_of(weight) == group


def test_many_runs_that_are_gone_are_one_line(results, make, published, tmp_path):
    for number in range(5):
        make.measure(results, f"synth/set{number}-tiny-s0", texts=make.sentences(5, 2), system=f"set{number}")
    notes = render([results], published, tmp_path / "out", tmp_path / "runs").notes
    (note,) = (note for note in notes if "gone" in note)
    assert note.startswith(f"{tmp_path}/runs/synth/set0-tiny-s0 and 4 more are gone: results stand")
