"""Recognisers behind an enhancer: bad input first, then what is shared and what is kept apart."""

import json
import shlex
from dataclasses import replace

import pytest
from archives import names
from enhancers import enhancer_run
from heard import Silence, make_run

from avsr_bench import cli, scoring
from avsr_bench.evaluation import Cleaner, EvaluateRequest, evaluate_enhancer
from avsr_bench.records import Misused, Refused
from avsr_bench.robustness import RobustnessRequest, default_models, robustness


@pytest.fixture(scope="module")
def enhancer(tmp_path_factory):
    return enhancer_run(tmp_path_factory.mktemp("enhancers") / "runs" / "small" / "enhance-av-tiny-s1")


@pytest.fixture
def request_(corpus, run_of, enhancer, tmp_path):
    return RobustnessRequest(
        noise="none",
        sounds=("white:0,-5",),
        models=(str(run_of("audio")), str(run_of("av"))),
        enhance=str(enhancer),
        data=corpus.location,
        workers=2,
        out=tmp_path / "results",
    )


# What is refused


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"noise": "blur"}, "--noise blur is for the eye, and --enhance cleans sound"),
        ({"noise": "all", "sounds": ()}, "--noise all is for the eye"),
        ({"sounds": ()}, "no --sound is asked for: add --sound"),
        ({"enhance": "nobody"}, "no run 'nobody'"),
    ],
)
def test_what_an_enhancer_has_no_use_for(request_, changes, said):
    with pytest.raises(Refused, match=said):
        robustness(replace(request_, **changes), Silence())
    assert not request_.out.exists()


def test_a_recogniser_is_no_enhancer_and_an_enhancer_no_model(request_, run_of, enhancer):
    with pytest.raises(Refused, match="small/av-s1 is a recogniser, which reads and makes no sound"):
        robustness(replace(request_, enhance=str(run_of("av"))), Silence())
    with pytest.raises(Refused, match="small/enhance-av-tiny-s1 is an enhancer, which makes sound and reads nothing"):
        robustness(replace(request_, models=(str(enhancer),), enhance=None), Silence())


def test_a_model_that_only_sees(request_, run_of):
    for models in ((run_of("video"),), (run_of("video"), run_of("audio"))):
        with pytest.raises(Misused, match="small/video-s1 only sees, and --enhance cleans sound"):
            robustness(replace(request_, models=tuple(map(str, models))), Silence())


# Who reads


def test_enhancers_are_none_of_the_models_unless_they_are_named(corpus, tmp_path):
    enhancer_run(tmp_path / "small/enhance-tiny-s0")
    with pytest.raises(Refused, match="no finished run"):
        default_models("small", tmp_path)
    dense = make_run(tmp_path / "small/dense-audio-tiny-s0", corpus, "audio")
    assert default_models("small", tmp_path) == [str(dense)]


def test_of_all_models_those_that_hear_are_read(request_, corpus, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for modality in ("video", "audio", "unified"):
        make_run(tmp_path / "runs/small" / f"{modality}-s0", corpus, modality)
    progress = Silence()
    swept = robustness(replace(request_, models=(), limit=2, sounds=("white:0",)), progress)
    assert swept.models == ("small/audio-s0", "small/unified-s0@audio", "small/unified-s0@av")
    assert any("they only see: small/unified-s0@video, small/video-s0" in line for line in progress.said)


# What is measured


def test_every_wer_is_that_of_the_enhancers_own_evaluation(request_, enhancer, run_of, corpus, tmp_path):
    swept = robustness(request_, Silence())
    assert swept.enhancer == "small/enhance-av-tiny-s1"
    assert swept.conditions == ("clean", "white:0", "white:-5") and len(swept.found) == 6
    for modality in ("audio", "av"):
        asked = EvaluateRequest(
            *(),
            run=str(enhancer),
            data=corpus.location,
            sound="white:0,-5",
            read=str(run_of(modality)),
            out=tmp_path / "one",
        )
        for alone in evaluate_enhancer(asked, Silence()):
            found = swept.found[f"small/{modality}-s1", alone.result.condition].result
            assert {name: found.metrics[name] for name in ("wer", "cer")} == {
                name: alone.result.metrics[name] for name in ("wer", "cer")
            }
            assert (found.enhancer, found.enhancer_weights) == (alone.result.run, alone.result.weights)
            assert (found.run, found.weights) == (alone.result.reader, alone.result.reader_weights)
            assert found.reader == "" and "si_sdr" not in found.metrics


def test_a_clip_is_enhanced_once_a_condition(request_, monkeypatch):
    done = []
    clean = Cleaner.__call__

    def counted(self, example, lips=None):
        done.append(example.key)
        return clean(self, example, lips)

    monkeypatch.setattr(Cleaner, "__call__", counted)
    swept = robustness(request_, Silence())
    assert len(swept.found) == 2 * 3 and len(done) == 9 * 3
    robustness(request_, Silence())
    assert len(done) == 9 * 3


def test_results_behind_an_enhancer_are_kept_apart(request_, enhancer, tmp_path):
    plain = robustness(replace(request_, enhance=None), Silence())
    behind = robustness(request_, Silence())
    archives = {name.partition(".zip")[0] for name in names(request_.out)}
    assert archives == {
        f"small/{run}-s1/test{kind}" for run in ("audio", "av") for kind in ("", "-behind-small-enhance-av-tiny-s1")
    }
    assert len(names(request_.out)) == 12
    differ = [name for name in plain.found if plain.found[name].scores != behind.found[name].scores]
    assert differ  # the enhancer does something
    assert {each.result.enhancer for each in plain.found.values()} == {""}
    progress = Silence()
    again = robustness(replace(request_, enhance=None), progress)
    assert progress.total == 0
    assert {name: of.result for name, of in again.found.items()} == {n: of.result for n, of in plain.found.items()}


def test_another_enhancer_is_another_measurement(request_, tmp_path):
    folder = enhancer_run(tmp_path / "runs/small/enhance-av-tiny-s2", seed=2)
    asked = replace(request_, enhance=str(folder))
    robustness(asked, Silence())
    progress = Silence()
    robustness(asked, progress)
    assert progress.total == 0
    enhancer_run(folder, seed=3)  # trained anew
    robustness(asked, progress)
    assert progress.total == 2 * 3 * 9


def test_the_command_of_a_row_measures_it_again(request_, tmp_path, monkeypatch, capsys):
    swept = robustness(replace(request_, seed=3, limit=5), Silence())
    kept = swept.found["small/audio-s1", "white:-5"].result
    words = shlex.split(kept.command)
    monkeypatch.setattr("sys.argv", [*words, "--out", str(tmp_path / "again"), "--json"])
    with pytest.raises(SystemExit):
        cli.main()
    found = [scoring.parse_result(json.dumps(each), "printed") for each in json.loads(capsys.readouterr().out)]
    again = found[1]
    assert (again.split, again.condition, again.noise_seed) == ("test-some5", "white:-5", 3)
    assert {name: again.metrics[name] for name in kept.metrics} == kept.metrics
    assert (again.reader_weights, again.weights) == (kept.weights, kept.enhancer_weights)


def test_the_tables_name_the_enhancer(request_, enhancer, run_of, corpus, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "120")
    words = ["--models", str(run_of("audio")), "--data", corpus.location, "--out", str(request_.out)]
    words += ["--enhance", str(enhancer), "--sound", "white:0,-5"]

    def run(*more):
        monkeypatch.setattr("sys.argv", ["avsr-bench", "robustness", *words, *more])
        with pytest.raises(SystemExit) as exited:
            cli.main()
        assert not exited.value.code
        return capsys.readouterr().out

    out = run()
    assert out.startswith("sound enhanced by small/enhance-av-tiny-s1 before it was read\n")
    assert "small/audio-s1: WER in %" in out and "\nwhite (2)" in out and "blur" not in out
    content = json.loads(run("--json"))
    assert content["enhancer"] == "small/enhance-av-tiny-s1"
    assert {each["enhancer"] for each in content["results"]} == {"small/enhance-av-tiny-s1"}
