import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from avsr_bench import recipes, runs
from avsr_bench.evaluation import weights_digest
from avsr_bench.records import Ancestor, Budget, Misused, Refused
from avsr_bench.workflow import BoardRequest, load_settings, make_plan
from avsr_bench.workflow.schedule import expected


def plan(*models, corpus="mouths", **more):
    return make_plan(BoardRequest(corpus, models=models, **more), load_settings(corpus)).stages


def option(words, name):
    return words[words.index(name) + 1]


def write_run(wanted, fingerprint="", weights=True, **changed):
    """A run of a network that sees as training leaves it, without its weights in earnest."""
    entry, _, rest = wanted.folder.name.partition("-tiny")
    assert rest == f"-s{wanted.seed}", wanted.folder
    about = runs.About(system=entry, corpus="mouths", size="tiny", seed=0, corpus_fingerprint=fingerprint)
    sections = {**wanted.sections, "train": {**wanted.sections["train"], **changed}}
    runs.write_recipe(wanted.folder, about, sections)
    if weights:
        (wanted.folder / runs.WEIGHTS).touch()


class TestBadInput:
    def test_an_unknown_system_is_named_with_the_nearest(self, place):
        with pytest.raises(Misused, match=r"no entry 'sparsvsr' in .*models/.*sparsevsr"):
            plan("dense", "sparsvsr")

    def test_an_unknown_entry_is_named_with_the_nearest(self, place):
        with pytest.raises(Misused, match=r"no entry 'rigl-88'.* Did you mean rigl-80"):
            plan("rigl-88")

    @pytest.mark.parametrize(
        ("entry", "said"),
        [
            ("rigl-80: {sytem: rigl}", r"unknown setting entries\.rigl-80\.sytem"),
            ("rigl-80: {system: rigle}", r"entries\.rigl-80: no system 'rigle' in models/. Did you mean rigl"),
            ("fast: {settings: [train.lr=1]}", r"entries\.fast: no system 'fast' in models/"),
            ("dense: {system: rigl}", r"entries\.dense is of the system rigl, but dense is a recipe: rename it"),
            ("../x: {system: rigl}", r"entries\.\.\./x: a name is letters"),
            ("all: {system: rigl}", r"entries\.all: .*--models all"),
            ("rigl-80: rigl", r"entries"),
            ("more: {system: dense, labels_by: eer}", r"entries\.more\.labels_by: no entry 'eer'"),
            ("more: {system: dense, modality: ear}", r"entries\.more\.modality = 'ear'"),
            ("more: {system: enhance, sound: ['white:loud']}", r"entries\.more\.sound: .*'loud' is no number"),
            ("more: {system: enhance, sound: [fog]}", r"entries\.more\.sound: "),
            ("more: {system: enhance, read_by: dense}", r"entries\.more\.read_by: nothing is read without sound"),
            (
                "more: {system: enhance, sound: ['white:0'], read_by: dence}",
                r"entries\.more\.read_by: no entry 'dence'\. Did you mean dense",
            ),
        ],
    )
    def test_an_entry_that_says_what_it_cannot(self, place, entry, said):
        (place / "leaderboards/board.yaml").write_text(f"models: [dense]\nentries:\n  {entry}\n")
        with pytest.raises(Misused, match=said):
            plan()

    @pytest.mark.parametrize(
        ("entries", "asked", "said"),
        [
            ("a: {system: dense, labels_by: a}", "a", r"a cannot be trained: it needs itself first \(a -> a\)"),
            (
                "a: {system: dense, labels_by: b}\n  b: {system: one-shot, settings: [init.run=a]}",
                "b",
                r"b cannot be trained: it needs itself first \(b -> a -> b\)",
            ),
            ("a: {system: dense, sound: ['white:0']}", "a", r"entries\.a\.sound is for enhancers, and it is none"),
            (
                "a: {system: enhance, sound: ['white:0'], read_by: dense}",
                "a",
                r"entries\.a\.read_by: dense is no recogniser that hears",
            ),
            ("a: {system: enhance, sound: ['white:0'], read_by: a}", "a", r"needs itself first \(a -> a\)"),
            ("a: {system: dense, labels_by: braven}", "a", r"entries\.a\.labels_by: braven learns without text"),
            (
                "a: {system: dense, labels_by: rigl, settings: [data.labels=mine]}",
                "a",
                r"entries\.a has labels_by and data.labels",
            ),
            ("a: {system: usr, modality: audio}", "a", r"entries\.a\.modality: usr is never of audio: leave it out"),
            (
                "a: {system: one-shot, modality: audio}",
                "a",
                r"entries\.a: it is of the modality audio, and dense, .*, of video: name an entry of its modality",
            ),
        ],
    )
    def test_entries_that_do_not_go_together(self, place, entries, asked, said):
        (place / "leaderboards/board.yaml").write_text(f"models: [dense]\nentries:\n  {entries}\n")
        with pytest.raises(Misused, match=said) as caught:
            plan(asked)
        assert "\n" not in str(caught.value)

    def test_a_seed_twice(self, place):
        (place / "leaderboards/board.yaml").write_text("models: [dense]\nseeds: [0, 1, 0]\n")
        with pytest.raises(Misused, match=r"seeds \[0, 1, 0\]: one of them is there twice"):
            plan()

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

    def test_a_board_resumed_after_its_recipe_changed_is_refused(self, place):
        """Of a run that was only begun too: its training would be refused after the stages before it."""
        wanted = plan("dense", "rigl")[3].trains[0]
        write_run(wanted, weights=False)
        shipped = recipes.find("models", "rigl").read_text()
        (place / "models").mkdir()
        (place / "models/rigl.yaml").write_text(shipped.replace("drop: 0.3", "drop: 0.4"))
        with pytest.raises(Refused, match=r"rigl-tiny-s0 was trained with method.drop=0.3, not 0.4: a board compares"):
            plan("dense", "rigl")

    def test_a_run_that_began_with_what_was_trained_anew_since_is_refused(self, place):
        dense, one_shot = (stage.trains[0] for stage in plan("dense", "one-shot") if stage.trains)
        write_run(dense)
        ancestor = Ancestor("mouths/dense-tiny-s0", 9, weights_digest(runs.open_run(dense.folder)))
        write_run(one_shot)
        about = runs.About(
            system="one-shot", corpus="mouths", size="tiny", budget=Budget(frames=9, ancestors=(ancestor,))
        )
        runs.write_recipe(one_shot.folder, about, one_shot.sections)
        assert one_shot.is_there()
        (dense.folder / runs.WEIGHTS).write_text("other weights")
        with pytest.raises(
            Refused, match=r"one-shot-tiny-s0 was begun with other weights than runs/mouths/dense-tiny-s0"
        ):
            plan("one-shot")

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
        assert stages[3].needs == ("train dense",)

    def test_all_are_all(self, place):
        trained = [stage.name.removeprefix("train ") for stage in plan("all") if stage.trains]
        mine = {"rigl-80", "dense-noise", "one-shot-noise", "dense-half", "one-shot-half", "ear", "dense-labels"}
        mine |= {"cleans", "cleans-blind"}
        assert sorted(trained) == sorted({*recipes.names("models"), *mine})

    def test_shards_without_a_source_are_used_as_they_are(self, place):
        (place / "data/mouths").rename(place / "data/synth")
        assert [words[0] for words in plan(corpus="synth")[0].commands] == ["inspect"]
        (place / "data/raw/synth").mkdir(parents=True)
        assert [words[0] for words in plan(corpus="synth")[0].commands] == ["prep", "inspect"]

    def test_an_entry_is_a_system_with_settings_of_its_own(self, place):
        stage = next(stage for stage in plan("rigl-80") if stage.trains)
        words = stage.commands[0]
        assert words[:2] == ("train", "rigl") and "method.sparsity=0.8" in words
        assert option(words, "--out") == "runs/mouths/rigl-80-tiny-s0" == str(stage.trains[0].folder)
        assert stage.trains[0].sections["method"]["sparsity"] == 0.8
        assert "--out" not in plan("rigl")[1].commands[0]  # it lies where `train rigl` puts it

    def test_every_entry_is_trained_with_every_seed_and_read_once(self, place):
        stages = plan("dense", "one-shot", seeds=(0, 2))
        assert [stage.name for stage in stages[1:]] == [
            *("train dense, seed 0", "train dense, seed 2", "read dense"),
            *("train one-shot, seed 0", "train one-shot, seed 2", "read one-shot"),
            *("read, noise 5", "read, noise 5, 10"),
        ]
        second = stages[5]
        assert option(second.commands[0], "--seed") == "2" and second.trains[0].folder.name == "one-shot-tiny-s2"
        assert second.needs == ("train dense, seed 2",)
        assert second.after == ("corpus", "train dense, seed 2")
        assert [run.folder.name for run in stages[3].reads] == ["dense-tiny-s0", "dense-tiny-s2"]

    def test_an_entry_begins_with_another_of_the_same_seed(self, place):
        stages = plan("one-shot-noise", seeds=(1,))
        assert [stage.name for stage in stages if stage.trains] == ["train dense-noise", "train one-shot-noise"]
        first, second = (stage for stage in stages if stage.trains)
        assert second.needs == ("train dense-noise",)
        assert first.trains[0].folder == Path("runs/mouths/dense-noise-tiny-s1")
        assert f"init.run={first.trains[0].folder}" in second.commands[0]
        assert second.trains[0].sections["init"]["run"] == str(first.trains[0].folder)

    def test_what_only_others_begin_with_has_no_row(self, place):
        stages = plan("one-shot-half", "dense")
        assert "train dense-half" in [stage.name for stage in stages]
        assert "read dense-half" not in [stage.name for stage in stages]
        assert not [run for stage in stages for run in stage.reads if "dense-half" in run.folder.name]

    def test_published_and_local_results_have_folders_of_their_own(self, place):
        assert option(plan("dense")[2].commands[0], "--out") == "leaderboards/local/results"
        assert option(plan("dense", publish=True)[2].commands[0], "--out") == "leaderboards/results"


class TestEnhancers:
    def test_all_seeds_are_measured_with_one_reader_beside_the_sound_as_it_was(self, place):
        stages = {stage.name: stage for stage in plan("cleans", seeds=(2, 0))}
        assert list(stages)[1:] == [
            *("train ear, seed 2", "train ear, seed 0", "train cleans, seed 2", "measure cleans, seed 2"),
            *("train cleans, seed 0", "measure cleans, seed 0"),
        ]
        stage = stages["measure cleans, seed 0"]
        assert stage.needs == stage.after == ("train cleans, seed 0", "train ear, seed 2")
        own, other, none, plain = stage.commands
        assert own[:2] == ("evaluate", "runs/mouths/cleans-tiny-av-s0") and "--sound=white:0,-5" in own
        assert option(own, "--out") == "leaderboards/local/results/mouths/cleans-tiny-av-s0"
        assert option(own, "--read") == "runs/mouths/ear-tiny-audio-s2" and option(own, "--limit") == "4"
        assert other == (*own, "--lips", "other") and none == (*own, "--lips", "none")
        assert plain[0] == "robustness" and option(plain, "--models") == "runs/mouths/ear-tiny-audio-s2"
        assert option(plain, "--noise") == "none" and "--sound=white:0,-5" in plain

    def test_who_hears_alone_is_shown_no_lips_and_nobody_has_to_read(self, place):
        (stage,) = (stage for stage in plan("cleans-blind") if stage.name == "measure cleans-blind")
        (words,) = stage.commands
        assert not {"--lips", "--read", "--decode"} & set(words) and stage.needs == ("train cleans-blind",)

    def test_an_enhancer_that_is_to_be_measured_is_no_reading(self, place):
        assert not [stage for stage in plan("cleans") if stage.name.startswith("read") or stage.reads]


class TestLabels:
    def test_who_labels_is_trained_first_then_labels_then_the_others_train_on_its_labels(self, place):
        stages = plan("dense-labels", "dense", seeds=(0, 2))
        assert [stage.name for stage in stages[1:-1]] == [
            *("train ear, seed 0", "label by ear, seed 0", "train ear, seed 2", "label by ear, seed 2"),
            *("train dense-labels, seed 0", "train dense-labels, seed 2", "read dense-labels"),
            *("train dense, seed 0", "train dense, seed 2", "read dense"),
            "read, noise 5",
        ]
        ear, label, pupil = stages[3], stages[4], stages[6]
        assert ear.trains[0].folder == Path("runs/mouths/ear-tiny-audio-s2")
        assert option(ear.commands[0], "--modality") == "audio"
        who = ("--with", "runs/mouths/ear-tiny-audio-s2", "--name", "ear-tiny-audio-s2")
        assert label.commands == (("label", "data/mouths", *who, "--decode", "ctc"),)
        assert label.needs == (ear.name,) and label.after == ("corpus", ear.name)
        assert pupil.needs == (label.name,) and pupil.after == ("corpus", label.name)
        assert pupil.commands[0][-1] == "data.labels=ear-tiny-audio-s2"
        assert pupil.trains[0].sections["data"]["labels"] == "ear-tiny-audio-s2"
        assert label.labels == pupil.trains == label.serves

    def test_one_labelling_serves_all_that_are_labelled_by_an_entry(self, place):
        board = place / "leaderboards/board.yaml"
        more = "  rigl-labels: {system: rigl, labels_by: ear}\nnoise: blur"
        board.write_text(board.read_text().replace("noise: blur", more))
        stages = plan("dense-labels", "rigl-labels")
        (label,) = (stage for stage in stages if stage.labels)
        assert [run.folder.name for run in label.labels] == ["dense-labels-tiny-s0", "rigl-labels-tiny-s0"]

    def test_a_unified_run_labels_what_it_sees_and_hears(self, place):
        board = place / "leaderboards/board.yaml"
        board.write_text(board.read_text().replace("labels_by: ear", "labels_by: usr-labelled"))
        (label,) = (stage for stage in plan("dense-labels") if stage.labels)
        assert option(label.commands[0], "--modality") == "av"

    def test_who_hears_is_read_on_clean_clips_alone(self, place):
        board = place / "leaderboards/board.yaml"
        board.write_text(board.read_text().replace("], read: false}\n  dense-labels", "]}\n  dense-labels"))
        stages = plan("ear", "dense")
        (ear,) = (stage.trains[0] for stage in stages if stage.name == "train ear")
        assert ear.levels == {0} and ear.views == {None: {0}}
        sweeps = [stage for stage in stages if stage.name.startswith("read, noise")]
        assert sweeps and all(run.folder.name == "dense-tiny-s0" for stage in sweeps for run in stage.reads)
        assert plan("usr-labelled")[1].trains[0].views == {"video": {0, 5}, "audio": {0}, "av": {0, 5}}

    def test_nothing_is_labelled_for_a_run_that_is_finished(self, place):
        _, pupil = (stage.trains[0] for stage in plan("dense-labels") if stage.trains)
        write_run(pupil)
        stages = {stage.name: stage for stage in plan("dense-labels")}
        assert stages["train ear"].kept  # nothing that has to be trained needs it
        assert stages["label by ear"].seconds == 0.0
        pupil.folder.rename(pupil.folder.with_name("elsewhere"))
        stages = {stage.name: stage for stage in plan("dense-labels")}
        assert not stages["train ear"].kept and stages["label by ear"].seconds is None


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
    assert option(stages[0].commands[0], "prep") == corpus
    assert all(option(stage.commands[-1], "--decode") == "ctc" for stage in stages if stage.reads)
    trained = {stage.name.removeprefix("train ") for stage in stages if stage.trains}
    assert {"dense", "msrs", "rigl"} < trained
    plan("all", corpus=corpus, seeds=(0, 1, 2))


def test_a_run_lies_where_train_puts_it_whatever_it_reads(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    stages = plan("braven", "dense-braven", "usr", corpus="synth")
    trained = {stage.name: stage.trains[0].folder.name for stage in stages if stage.trains}
    assert trained == {
        "train braven": "braven-tiny-av-s0",
        "train dense-braven": "dense-braven-tiny-s0",
        "train usr-labelled": "usr-labelled-tiny-s0",
        "train usr": "usr-tiny-s0",
    }
    (begins,) = (stage for stage in stages if stage.name == "train dense-braven")
    assert begins.needs == ("train braven",)


def test_the_default_board_takes_less_than_20_minutes_on_two_cores(tmp_path, monkeypatch):
    """By what was measured; making the environment takes 1.5 more. Sparse systems at 50, 80 and 90 %, one seed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1})
    made = make_plan(BoardRequest(), load_settings("synth"))
    assert made.jobs == 2 and all(stage.share == 1 for stage in made.stages if stage.trains)
    assert expected(made.stages, 2) < 18.5 * 60
    removed = {}
    for stage in made.stages:
        for run in stage.trains:
            method = run.sections["method"]
            name = f"{method.get('name', '')}{', frozen' * method.get('frozen', False)}"
            removed.setdefault(name, []).append(method.get("sparsity"))
    assert removed["rigl"] == removed["magnitude"] == [0.5, 0.8, 0.9] == removed["msrs"][1:]
    assert removed["msrs, frozen"] == [None, 0.5]  # the control
    assert {run.seed for stage in made.stages for run in stage.trains} == {0}


def test_side_by_side_needs_cores(place, monkeypatch):
    text = (place / "leaderboards/board.yaml").read_text()
    (place / "leaderboards/board.yaml").write_text(f"jobs: 2\n{text}")
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0})
    assert make_plan(BoardRequest("mouths"), load_settings("mouths")).jobs == 1
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1})
    made = make_plan(BoardRequest("mouths"), load_settings("mouths"))
    assert made.jobs == 2 and {stage.share for stage in made.stages if stage.trains} == {1}
    (place / "leaderboards/board.yaml").write_text(f"jobs: 2\n{text.replace('train.steps=3', 'train.threads=2')}")
    made = make_plan(BoardRequest("mouths"), load_settings("mouths"))
    assert {stage.share for stage in made.stages if stage.trains} == {2}  # each takes both cores
