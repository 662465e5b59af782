import json
from dataclasses import replace
from pathlib import Path

import pytest

from avsr_bench import recipes, runs
from avsr_bench.records import Misused, Refused
from avsr_bench.workflow import BoardRequest, load_settings, make_plan


def plan(*models, corpus="mouths", **more):
    return make_plan(BoardRequest(corpus, models=models, **more), load_settings(corpus))


def option(words, name):
    return words[words.index(name) + 1]


def write_run(wanted, fingerprint="", weights=True, **changed):
    """A run as training leaves it, without its weights in earnest."""
    system, _, rest = wanted.folder.name.partition("-tiny")
    assert rest.startswith("-s"), wanted.folder
    about = runs.About(system=system, corpus="mouths", size="tiny", seed=0, corpus_fingerprint=fingerprint)
    sections = {**wanted.sections, "train": {**wanted.sections["train"], **changed}}
    runs.write_recipe(wanted.folder, about, sections)
    if weights:
        (wanted.folder / runs.WEIGHTS).touch()


class TestBadInput:
    def test_an_unknown_system_is_named_with_the_nearest(self, place):
        with pytest.raises(Misused, match=r"no recipe 'sparsvsr' in models/.*sparsevsr"):
            plan("dense", "sparsvsr")

    def test_a_corpus_that_is_neither_a_recipe_nor_prepared(self, place):
        with pytest.raises(Refused, match=r"pipelines/nowhere.yaml, and no whole corpus in data/nowhere"):
            plan(corpus="nowhere")

    def test_shards_that_are_not_whole_and_cannot_be_made(self, place):
        path = place / "data/mouths/prep.json"
        prep = json.loads(path.read_text())
        prep["splits"]["test"]["counts"]["finished"] -= 1
        path.write_text(json.dumps(prep))
        with pytest.raises(Refused, match="no whole corpus in data/mouths"):
            plan()

    def test_a_prep_that_was_interrupted_goes_on(self, place):
        (place / "data/mouths").rename(place / "data/synth")
        path = place / "data/synth/prep.json"
        prep = json.loads(path.read_text())
        prep["splits"]["test"]["counts"] = None  # as long as no part of it was ever finished
        path.write_text(json.dumps(prep))
        assert plan(corpus="synth")[0].commands[0][:2] == ("prep", "synth")

    @pytest.mark.parametrize(
        ("line", "said"),
        [
            ("model: [dense]", r"unknown setting model. Did you mean models"),
            ("levels: 5,10", r"'5,10' lack 0"),
            ("levels: 0-11", r"levels rise"),
            ("decode: greedy", r"decode = 'greedy'"),
            ("corpora: [mouths]", r"corpora = .'mouths'. has no settings below it"),
        ],
    )
    def test_a_board_that_says_what_it_cannot(self, place, line, said):
        (place / "leaderboards/board.yaml").write_text(f"models: [dense]\n{line}\n")
        with pytest.raises(Misused, match=said):
            plan()

    def test_a_setting_that_no_recipe_has(self, place):
        (place / "leaderboards/board.yaml").write_text("models: [dense]\nsettings: {default: [train.stepps=3]}\n")
        with pytest.raises(Misused, match=r"train\.stepps"):
            plan()

    def test_a_run_of_other_settings_is_refused_before_anything_starts(self, place):
        write_run(plan("dense")[1].trains[0], steps=800)
        with pytest.raises(Refused, match=r"runs/mouths/dense-tiny-s0 was trained with train.steps=800, not 3"):
            plan("dense")

    def test_a_run_on_another_state_of_the_corpus_is_refused(self, place):
        wanted = plan("dense")[1].trains[0]
        write_run(wanted, "0123")
        with pytest.raises(Refused, match="on another state of mouths"):
            wanted.is_there("4567")


class TestStages:
    def test_each_system_is_trained_and_read_and_then_all_meet_noise(self, place):
        names = [stage.name for stage in plan()]
        assert names == [
            "corpus",
            *("train dense", "read dense", "train sparsevsr", "read sparsevsr"),
            *("read, noise 5", "read, noise 5, 10"),
        ]

    def test_rounds_are_runs_of_their_own(self, place):
        trained = plan()[3].trains
        assert [run.folder for run in trained] == [
            Path(f"runs/mouths/sparsevsr-tiny-s0/round-0{number}") for number in (1, 2)
        ]
        assert [run.sections["method"]["sparsity"] for run in trained] == [0.2, 0.4]
        assert [run.sections["init"]["run"] for run in trained] == ["dense", str(trained[0].folder)]
        assert [run.levels for run in trained] == [{0}, {0, 5}]

    def test_who_is_read_under_what(self, place):
        first, second = plan()[-2:]
        assert option(first.commands[0], "--levels") == "0,5"
        assert [run.folder.name for run in first.reads] == ["dense-tiny-s0", "round-02"]
        assert option(second.commands[0], "--levels") == "0,5,10"
        assert [run.folder.name for run in second.reads] == ["dense-tiny-s0"]
        assert option(second.commands[0], "--limit") == "4"

    def test_what_a_system_begins_with_is_trained_first(self, place):
        stages = plan("sparsevsr", "one-shot")
        assert [stage.name for stage in stages if stage.trains] == ["train dense", "train sparsevsr", "train one-shot"]
        assert stages[3].needs == (stages[1].trains[0].folder,)

    def test_all_are_all(self, place):
        trained = [stage.name.removeprefix("train ") for stage in plan("all") if stage.trains]
        assert sorted(trained) == sorted(recipes.names("models"))

    def test_shards_without_a_source_are_used_as_they_are(self, place):
        (place / "data/mouths").rename(place / "data/synth")
        assert [words[0] for words in plan(corpus="synth")[0].commands] == ["inspect"]
        (place / "data/raw/synth").mkdir(parents=True)
        assert [words[0] for words in plan(corpus="synth")[0].commands] == ["prep", "inspect"]

    def test_published_and_local_results_have_folders_of_their_own(self, place):
        assert option(plan("dense")[2].commands[0], "--out") == "leaderboards/local/results"
        assert option(plan("dense", publish=True)[2].commands[0], "--out") == "leaderboards/results"


class TestSkipping:
    def test_a_finished_run_of_the_same_settings_is_there(self, place):
        wanted = plan("dense")[1].trains[0]
        assert not wanted.is_there()
        write_run(wanted, "0123")
        assert wanted.is_there("0123")

    def test_where_it_ran_does_not_count(self, place):
        wanted = plan("dense")[1].trains[0]
        write_run(wanted, workers=7, device="auto", threads=1, devices=2)
        assert wanted.is_there()

    def test_a_run_that_was_begun_is_not_there(self, place):
        wanted = plan("dense")[1].trains[0]
        write_run(wanted, weights=False)
        assert not wanted.is_there()

    def test_a_setting_that_was_not_known_then_counts(self, place):
        wanted = plan("dense")[1].trains[0]
        write_run(wanted)
        newer = replace(wanted, sections={**wanted.sections, "train": {**wanted.sections["train"], "new": 1}})
        with pytest.raises(Refused, match=r"train.new=None, not 1"):
            newer.is_there()


@pytest.mark.parametrize("corpus", ["synth", "grid"])
def test_the_shipped_board(corpus, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    stages = plan(corpus=corpus)
    trained = [stage for stage in stages if stage.trains]
    assert [stage.name for stage in trained] == [
        f"train {system}" for system in ("dense", "msrs", "msrs-sparse", "sparsevsr", "rigl")
    ]
    assert [run.sections["method"]["sparsity"] for run in trained[3].trains] == [n / 10 for n in range(1, 9)]
    some, every = stages[-2:]
    assert option(some.commands[0], "--levels") == "0,5,10" and len(some.reads) == 5
    assert option(every.commands[0], "--levels") == "0,1,2,3,4,5,6,7,8,9,10"
    assert [run.folder.name for run in every.reads] == ["dense-tiny-s0", "msrs-tiny-s0", "round-05"]
    assert all(option(stage.commands[-1], "--decode") == "ctc" for stage in stages if stage.reads)
    assert option(stages[0].commands[0], "prep") == corpus
    plan("all", corpus=corpus)
