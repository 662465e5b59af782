"""WER against parameters: from results and the recipes kept beside them to the lines that are drawn."""

from dataclasses import asdict
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from avsr_bench import nn, recipes
from avsr_bench.data import DataSettings, SelectionSettings
from avsr_bench.leaderboard import read_rows, render
from avsr_bench.leaderboard.boards import make_boards
from avsr_bench.leaderboard.size_figures import low_rank_lines, sparse_lines
from avsr_bench.leaderboard.style import spread
from avsr_bench.leaderboard.trained import Ranks, Selection, Trained, find_trained, read_trained
from avsr_bench.records import Refused

DENSE = 1_000_000
FULL, LOW, THIN = [1, 1], [0.12, 0.12], [0.06, 0.06]
FALLING, HALF = [0.5, 0.17], [0.25, 0.085]
SIZES = {
    "lr-sms": (LOW, FALLING, 500_000),
    "lr-sms-thin": (THIN, HALF, 350_000),
    "lr-sms-attention": (LOW, FULL, 800_000),
    "lr-sms-feed-forward": (FULL, FALLING, 700_000),
    "lr-sms-rising": (LOW, [0.17, 0.5], 480_000),
}


def keep(place, **sections):
    """The recipe beside a result, as `gather` keeps it."""
    (place.parent.parent / "recipe.yaml").write_text(recipes.dump(sections))


def low(make, folder, entry, texts, errors=0.06, **more):
    attention, feed_forward, count = SIZES.get(entry, (LOW, FALLING, 500_000))
    low_rank = {"attention": attention, "feed_forward": feed_forward, **more.pop("low_rank", {})}
    about = {"system": "lr-sms", "parameters": count, "nonzero": count, "texts": texts, "errors": errors}
    words = [f"network.low_rank.{name}={value}" for name, value in low_rank.items()] if entry != "lr-sms" else []
    about |= {"recipe_command": " ".join(["avsr-bench train lr-sms", *(word.replace(" ", "") for word in words)])}
    place = make.measure(folder, f"synth/{entry}-tiny-s0", **(about | more))
    keep(place, network={"low_rank": low_rank})
    return place


@pytest.fixture
def nothing(tmp_path):
    path = tmp_path / "published.yaml"
    path.write_text("tables: []")
    return path


def board_of(folder):
    (board,) = make_boards(read_rows([folder]).rows)[0]
    return board


def drawn(folder, nothing, out):
    rendered = render([folder], nothing, out)
    return rendered, {path.stem for path in (out / "figures").glob("*.svg")} if (out / "figures").is_dir() else set()


def caption(out, start):
    """The caption of the figure that begins so, as the page of text has it."""
    lines = (out / "README.md").read_text().replace("\\", "").splitlines()
    return next(line for line in lines if line.startswith(start))


def fill(make, folder, entries=tuple(SIZES)):
    few = make.sentences(6, 3)
    make.measure(folder, texts=few, parameters=DENSE, nonzero=DENSE)
    for entry in entries:
        low(make, folder, entry, few)
    return few


def test_low_ranks_and_removed_weights_are_in_one_figure(results, make, nothing, tmp_path):
    few = fill(make, results)
    for share in (5, 9):
        about = {"system": "rigl", "sparsity": share / 10, "parameters": DENSE, "nonzero": DENSE // 10 * (10 - share)}
        make.measure(results, f"synth/rigl-{share}0-tiny-s0", texts=few, **about)
    _, names = drawn(results, nothing, tmp_path / "out")
    assert "size-synth-test-video-tiny" in names
    picture = tmp_path / "out/figures/size-synth-test-video-tiny.png"
    assert Image.open(picture).size[0] > 1200
    said = caption(tmp_path / "out", "Measured here: WER on clean clips against the parameters")
    assert "from dense to lower and lower ranks" in said and "Thin lines: systems of which weights" in said
    assert said.endswith("Not drawn: synth/lr-sms-rising-tiny-s0.")
    page = (tmp_path / "out/index.html").read_text()
    for words in ("lr-sms:", "feed-forward alone", "lr-sms, 500,000 parameters", "rigl 90 %, 100,000 parameters"):
        assert words in page


def test_the_same_bytes_every_time(results, make, nothing, tmp_path):
    fill(make, results)
    pictures = []
    for name in ("one", "other"):
        render([results], nothing, tmp_path / name)
        pictures.append([path.read_bytes() for path in sorted((tmp_path / name / "figures").glob("size-*"))])
    assert pictures[0] == pictures[1] and len(pictures[0]) == 2


def test_a_board_without_low_ranks_has_no_such_figure(results, make, nothing, tmp_path):
    few = make.sentences(6, 3)
    keep(make.measure(results, texts=few), network={"low_rank": asdict(Ranks())})
    make.measure(results, "synth/rigl-tiny-s0", texts=few, sparsity=0.5)
    keep(
        make.measure(results, "synth/whole-tiny-s0", texts=few),
        network={"low_rank": {"attention": LOW, "factored": False}},
    )
    _, names = drawn(results, nothing, tmp_path / "out")
    assert names == {"sparsity-synth-test-video-tiny"}


def test_an_old_picture_goes(results, make, nothing, tmp_path):
    fill(make, results, ["lr-sms"])
    out = tmp_path / "out"
    assert "size-synth-test-video-tiny" in drawn(results, nothing, out)[1]
    (results / "synth__lr-sms-tiny-s0/recipe.yaml").unlink()
    assert "size-synth-test-video-tiny" not in drawn(results, nothing, out)[1]


def test_lines_by_layers_each_of_networks_that_differ_in_ranks_alone(results, make):
    few = fill(make, results)
    low(make, results, "lr-sms-random", few, low_rank={"start": "random"})
    low(
        make, results, "lr-sms-as-many", few, errors=0.07, low_rank={"attention": [0.121, 0.121]}
    )  # rounds to the same rank
    board = board_of(results)
    ranks = {model: of.ranks for model, of in find_trained(board.models, []).items()}
    lines = low_rank_lines({model: of for model, of in ranks.items() if of.low})
    assert {line.kind: [model.run.removeprefix("synth/") for model in line.models] for line in lines} == {
        "attention alone": ["lr-sms-attention-tiny-s0"],
        "both": ["lr-sms-tiny-s0", "lr-sms-thin-tiny-s0"],
        "feed-forward alone": ["lr-sms-feed-forward-tiny-s0"],
    }


def test_of_as_many_weights_the_recipe_as_it_is(results, make):
    few = make.sentences(6, 3)
    about = {"system": "rigl", "sparsity": 0.5, "nonzero": 500_000, "texts": few}
    for run, word in (("a", "method.every=7"), ("b", "")):
        make.measure(results, f"synth/{run}-tiny-s0", recipe_command=f"avsr-bench train rigl {word}".strip(), **about)
    (line,) = sparse_lines(board_of(results).models)
    assert [model.run for model in line.models] == ["synth/b-tiny-s0"]


def test_one_network_alone(results, make, nothing, tmp_path):
    low(make, results, "lr-sms", make.sentences(6, 3))
    rendered, names = drawn(results, nothing, tmp_path / "out")
    assert rendered.notes == () and names == {"size-synth-test-video-tiny"}
    said = caption(tmp_path / "out", "Measured here: WER on clean clips against the parameters")
    assert "dense" not in said and "Thin lines" not in said


def test_without_errors_the_axis_of_wer_begins_at_0(results, make, nothing, tmp_path):
    low(make, results, "lr-sms", make.sentences(6, 3), errors=0)
    assert "size-synth-test-video-tiny" in drawn(results, nothing, tmp_path / "out")[1]
    said = caption(tmp_path / "out", "Measured here: WER on clean clips against the parameters")
    assert "The axis of parameters is logarithmic" in said


def test_networks_whose_parameters_nobody_counted_are_left_out(results, make, nothing, tmp_path):
    few = make.sentences(6, 3)
    low(make, results, "lr-sms", few, parameters=None, nonzero=None)
    assert drawn(results, nothing, tmp_path / "out")[1] == set()
    low(make, results, "lr-sms-thin", few, nonzero=0)
    assert drawn(results, nothing, tmp_path / "out")[1] == set()


def test_trained_with_noise_is_not_mixed_in(results, make, nothing, tmp_path):
    few = fill(make, results, ["lr-sms"])
    low(make, results, "lr-sms-noise", few, trained_with_noise=True)
    about = {"system": "rigl", "sparsity": 0.5, "nonzero": 500_000, "trained_with_noise": True}
    make.measure(results, "synth/rigl-noise-tiny-s0", texts=few, **about)
    drawn(results, nothing, tmp_path / "out")
    said = caption(tmp_path / "out", "Measured here: WER on clean clips against the parameters")
    assert said.endswith("Not drawn: synth/lr-sms-noise-tiny-s0, synth/rigl-noise-tiny-s0.")


def test_a_dense_recipe_with_low_ranks_is_not_taken_for_dense(results, make, nothing, tmp_path):
    few = make.sentences(6, 3)
    place = make.measure(results, "synth/dense-low-tiny-s0", texts=few, system="dense", nonzero=500_000)
    keep(place, network={"low_rank": {"attention": LOW}})
    drawn(results, nothing, tmp_path / "out")
    said = caption(tmp_path / "out", "Measured here: WER on clean clips against the parameters")
    assert "from dense" not in said
    make.measure(results, "synth/whole-tiny-s0", texts=few, system="dense", nonzero=DENSE)
    drawn(results, nothing, tmp_path / "out")
    said = caption(tmp_path / "out", "Measured here: WER on clean clips against the parameters")
    assert "from dense" in said


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("network: []", "network"),
        ("network: {low_rank: 3}", "low_rank"),
        ("network: {low_rank: {attention: [0, 1]}}", "attention"),
        ("network: {low_rank: {attention: [0.5]}}", "attention"),
        ("network: {low_rank: {start: ''}}", "no name of a setting"),
        ('network: {low_rank: {start: "\\x1b[31m"}}', "no name of a setting"),
        (f"data: {{selection: {{strategy: {'x' * 41}}}}}", "no name of a setting"),
        ("data: {selection: {fraction: nan}}", "fraction"),
        ("- a", "holds no settings"),
        ("[" * 100, "not a file of settings"),
    ],
)
def test_kept_recipes_that_are_none(results, make, nothing, tmp_path, text, says):
    place = make.measure(results, texts=make.sentences(5, 2))
    (place.parent.parent / "recipe.yaml").write_text(text)
    with pytest.raises(Refused, match=says):
        read_trained(place.parent.parent)
    rendered, names = drawn(results, nothing, tmp_path / "out")
    (note,) = rendered.notes
    assert note.startswith("How synth/dense-tiny-s0 was trained is not known: ") and names == set()


def test_what_older_and_later_recipes_say(results, make):
    place = make.measure(results, texts=make.sentences(5, 2))
    folder = place.parent.parent
    assert read_trained(folder) is None
    keep(place, network={"width": 96}, data={"frames": 240})
    assert read_trained(folder) == Trained()
    keep(place, network={"low_rank": {"later": 1}}, data={"selection": {"strategy": "tomorrow", "later": []}})
    assert read_trained(folder) == Trained(selection=Selection("tomorrow"))


def test_settings_mean_here_what_they_mean_in_training(results, make):
    place = make.measure(results, texts=make.sentences(5, 2))
    ranks, selection = nn.NetworkSettings().low_rank, DataSettings().selection
    keep(place, network=asdict(nn.NetworkSettings()), data=asdict(DataSettings()))
    found = read_trained(place.parent.parent)
    assert {name: getattr(found.ranks, name) for name in asdict(ranks)} == asdict(ranks)
    assert {name: getattr(selection, name) for name in asdict(found.selection)} == asdict(found.selection)
    for strategy, frames in (("full", "whole"), ("random", "whole"), ("full", "points"), ("easy", "chunks")):
        theirs, mine = (of(strategy=strategy, frames=frames) for of in (SelectionSettings, Selection))
        assert theirs.selects == mine.selects


@pytest.mark.parametrize(
    ("places", "moved"),
    [
        ([], []),
        ([0.3], [0.3]),
        ([0.5, 0.5, 0.5], [0.4, 0.5, 0.6]),
        ([0.9, 0.1], [0.9, 0.1]),
        ([0.5, 0.45, 0.62], [0.522, 0.422, 0.622]),
    ],
)
def test_names_are_moved_as_little_as_it_takes(places, moved):
    assert spread(places, 0.1) == pytest.approx(moved, abs=0.002)


@given(st.lists(st.floats(0, 1), max_size=9))
def test_names_stay_within_bounds_in_their_order_and_apart(places):
    moved = spread(places, 0.1, 0.05, 0.95)
    assert all(0.05 - 1e-6 <= each <= 0.95 + 1e-6 for each in moved)
    assert all(high - low >= 0.1 - 1e-6 for low, high in pairwise(sorted(moved)))
    order = sorted(range(len(places)), key=lambda each: moved[each])
    assert [places[each] for each in order] == sorted(places)


def test_systems_that_nobody_knows_and_more_than_one_with_low_ranks(results, make, nothing, tmp_path):
    few = fill(make, results)
    low(make, results, "mine", few, system="mine", errors=0.2)
    for number in range(25):
        about = {"system": f"of-mine-{number}", "sparsity": 0.9, "nonzero": 10_000 * (number + 1)}
        make.measure(results, f"synth/{number}-tiny-s0", texts=few, **about)
    rendered, names = drawn(results, nothing, tmp_path / "out")
    assert rendered.notes == () and "size-synth-test-video-tiny" in names
    picture = Image.open(tmp_path / "out/figures/size-synth-test-video-tiny.png")
    assert picture.size[1] > 850  # a row for each name
    page = (tmp_path / "out/index.html").read_text()
    assert all(f">of-mine-{number}<" in page for number in range(25))
