import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from dataclasses import replace

import pytest
from archives import names, text
from heard import Silence, make_corpus, make_run
from hypothesis import given
from hypothesis import strategies as st
from sounds import noise_at, write_wave

from avsr_bench import cli, data, noise, scoring
from avsr_bench.evaluation import EvaluateRequest, evaluate
from avsr_bench.records import Misused, Refused
from avsr_bench.robustness import RobustnessRequest, default_models, parse_levels, robustness, summarise


@pytest.fixture(scope="module")
def second(corpus, tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("runs") / "runs/small/msrs-s2", corpus, seed=2, system="msrs")


@pytest.fixture
def request_(corpus, run_of, second, tmp_path):
    return RobustnessRequest(
        noise="gaussian,motion",
        levels="0,6,10",
        models=(str(run_of()), str(second)),
        data=corpus.location,
        workers=2,
        out=tmp_path / "results",
    )


def counts(swept):
    return {name: each.result.metrics for name, each in swept.found.items()}


class TestBadInput:
    @pytest.mark.parametrize(
        ("changes", "said"),
        [
            ({"noise": "fog"}, "no noise is called 'fog'"),
            ({"noise": "gaussian,"}, "no noise is called ''"),
            ({"levels": "0-11"}, "0-11"),
            ({"levels": "5-2"}, "5-2"),
            ({"levels": "high"}, "'high'"),
            ({"noise": "none", "levels": "1-10"}, "asks for nothing"),
            ({"sounds": ("white:0",)}, "network that only sees"),
            ({"sounds": ("white",)}, "KIND:DB"),
            ({"reference": "nobody"}, "--reference nobody is none of the models"),
            ({"models": ("nobody",)}, "no run 'nobody'"),
            ({"split": "dev"}, "has no such split"),
            ({"apply_to": "frame"}, "--root DIR"),
            ({"beam": 4}, "--beam 4"),
        ],
    )
    def test_what_cannot_be_asked(self, request_, changes, said):
        with pytest.raises(Refused, match=said):
            robustness(replace(request_, **changes), Silence())
        assert not list(request_.out.rglob("*.zip"))

    def test_a_run_given_twice(self, request_, run_of):
        with pytest.raises(Misused, match="twice"):
            robustness(replace(request_, models=(str(run_of()), f"{run_of()}/")), Silence())

    def test_no_runs_at_all(self, tmp_path):
        with pytest.raises(Refused, match="avsr-bench train dense"):
            default_models("small", tmp_path)

    def test_an_empty_folder_of_results_is_a_file(self, request_):
        request_.out.write_text("")
        with pytest.raises(Refused, match="cannot write"):
            robustness(request_, Silence())


def test_every_result_is_that_of_evaluate(request_, run_of, second, corpus, tmp_path):
    progress = Silence()
    swept = robustness(request_, progress)
    assert progress.steps == progress.total == 2 * 5 * 9
    assert swept.conditions == ("clean", "gaussian:6", "gaussian:10", "motion:6", "motion:10")
    assert len(swept.found) == 10
    assert names(request_.out) == {
        f"small/{run}/test.zip/{condition}"
        for run in ("video-s1", "msrs-s2")
        for condition in ("clean", "gaussian_6", "gaussian_10", "motion_6", "motion_10")
    }
    for folder, condition in ((run_of(), "gaussian:10"), (second, "motion:6"), (second, "clean")):
        asked = None if condition == "clean" else condition
        alone = evaluate(
            EvaluateRequest(run=str(folder), data=corpus.location, noise=asked, out=tmp_path / "one"), Silence()
        )
        found = swept.found[alone.result.run, condition].result
        same = {"command": "", "seconds": 0.0}
        assert replace(found, **same) == replace(alone.result, **same)
        kept = scoring.read_archive(request_.out / f"small/{folder.name}/test.zip")
        heard = kept.utterances(condition.replace(":", "_"))
        assert [(u.key, u.hypothesis) for u in heard] == [(u.key, u.hypothesis) for u in alone.utterances]


def test_the_command_of_a_row_measures_it_again(request_, run_of, monkeypatch, capsys):
    swept = robustness(replace(request_, seed=3, models=(str(run_of()),), limit=5), Silence())
    kept = swept.found["small/video-s1", "motion:10"].result
    monkeypatch.setattr("sys.argv", [*shlex.split(kept.command), "--json"])
    with pytest.raises(SystemExit):
        cli.main()
    again = scoring.parse_result(capsys.readouterr().out, "printed")
    assert (again.split, again.condition, again.noise_seed) == ("test-some5", "motion:10", 3)
    assert (again.metrics, again.weights) == (kept.metrics, kept.weights)


def test_the_command_of_a_sound_row_measures_it_again(request_, run_of, tmp_path, monkeypatch, capsys):
    file = write_wave(tmp_path / "noise: a.wav", noise_at(300, 3.0))
    asked = replace(
        *(request_,),
        noise="none",
        levels="0",
        sounds=("white:-5,2.5", f"{file}:0"),
        models=(str(run_of("av")),),
        limit=3,
    )
    swept = robustness(replace(asked, assignments=("sound.snr_over=speech",)), Silence())
    noisy = [each.result for (_, name), each in swept.found.items() if name != "clean"]
    assert len(noisy) == 3
    for kept in noisy:
        monkeypatch.setattr("sys.argv", [*shlex.split(kept.command), "--json"])
        with pytest.raises(SystemExit):
            cli.main()
        again = scoring.parse_result(capsys.readouterr().out, "printed")
        assert (again.split, again.condition, again.noise_on) == ("test-some3", kept.condition, "sound")
        assert (again.metrics, again.weights) == (kept.metrics, kept.weights)


class Impatient(Silence):
    """Stops after so many utterances, as Ctrl-C would."""

    def __init__(self, after):
        super().__init__()
        self.after = after

    def step(self, outcome, status=""):
        super().step(outcome)
        if self.steps == self.after:
            raise KeyboardInterrupt


def test_an_interrupted_sweep_goes_on(request_, monkeypatch):
    monkeypatch.setattr("avsr_bench.evaluation.engine.FULL", 0)  # one condition after another
    whole = robustness(replace(request_, out=request_.out / "whole"), Silence())
    with pytest.raises(KeyboardInterrupt):
        robustness(request_, Impatient(50))
    mine = request_.out / "small"
    kept = names(mine)
    before = {name: text(mine / name) for name in kept}
    assert 0 < len(kept) < 10
    progress = Silence()
    swept = robustness(request_, progress)
    assert any(f"{len(kept)} of 10 results are there already" in line for line in progress.said)
    assert progress.total == (10 - len(kept)) * 9
    assert len(names(mine)) == 10
    assert {name: text(mine / name) for name in kept} == before  # the seconds that they took among them
    assert counts(swept) == counts(whole)


def test_what_is_done_is_not_done_again_until_the_weights_change(request_, corpus, tmp_path):
    folder = make_run(tmp_path / "runs/small/dense-s1", corpus)
    asked = replace(request_, models=(str(folder),))
    robustness(asked, Silence())
    progress = Silence()
    first = robustness(asked, progress)
    assert progress.total == 0
    shutil.rmtree(folder)
    make_run(folder, corpus, seed=5)
    progress = Silence()
    second = robustness(asked, progress)
    assert progress.total == 5 * 9
    assert counts(first) != counts(second)


def test_results_of_the_old_form_are_not_passed_over_in_silence(request_):
    old = request_.out / "small/video-s1/test"
    old.mkdir(parents=True)
    for name in ("clean.json", "clean.jsonl"):
        (old / name).write_text("{}")
    progress = Silence()
    robustness(replace(request_, noise="none", levels="0"), progress)
    [said] = [line for line in progress.said if "old form" in line]
    assert f"run `avsr-bench leaderboard convert {request_.out}` first" in said


def test_parts_make_the_whole(request_, tmp_path):
    whole = robustness(request_, Silence())
    shared = replace(request_, out=tmp_path / "shared")
    one = robustness(replace(shared, part=(2, 3)), Silence())
    assert len(one.found) == 4
    assert one.missing == 6
    assert any("6 results are not there yet" in note for note in summarise(one).notes)
    for part in (1, 3):
        last = robustness(replace(shared, part=(part, 3)), Silence())
    assert counts(last) == counts(whole)
    assert last.missing == 0
    assert summarise(last).rows == summarise(whole).rows


def test_more_parts_than_conditions(request_):
    progress = Silence()
    assert robustness(replace(request_, part=(9, 9)), progress).found == {}
    assert progress.total == 0


def test_models_that_hear_and_models_that_see(request_, run_of, second):
    asked = replace(
        request_,
        noise="motion",
        levels="0,10",
        sounds=("white:0,-10",),
        models=(*map(run_of, ("audio", "av")), str(second)),
    )
    progress = Silence()
    swept = robustness(replace(asked, models=tuple(map(str, asked.models))), progress)
    met = {model: [name for (of, name) in swept.found if of == model] for model in swept.models}
    assert met == {
        "small/audio-s1": ["clean", "white:0", "white:-10"],
        "small/av-s1": ["clean", "motion:10", "white:0", "white:-10"],
        "small/msrs-s2": ["clean", "motion:10"],
    }
    assert any("3 conditions are left out" in line for line in progress.said)
    assert swept.found["small/av-s1", "white:-10"].result.noise_on == "sound"
    rates = [swept.found["small/av-s1", name].result.metrics["cer"].parts for name in met["small/av-s1"]]
    assert len(set(rates)) == 4


def test_the_first_of_dense_is_the_reference(request_, run_of, second):
    swept = robustness(replace(request_, models=(str(second), str(run_of()))), Silence())
    assert swept.reference == "small/video-s1"  # its system is dense
    assert robustness(replace(request_, reference="msrs"), Silence()).reference == "small/msrs-s2"


def test_all_is_the_seven_families_and_clean_once():
    from avsr_bench.robustness.job import asked_for

    found = [condition.name for condition in asked_for(RobustnessRequest(), data.Prepared("nowhere"))]
    assert found[0] == "clean"
    assert len(found) == len(set(found)) == 71
    assert found[1:] == [f"{family}:{level}" for family in noise.FAMILIES for level in range(1, 11)]
    none = asked_for(RobustnessRequest(noise="none"), data.Prepared("nowhere"))
    assert [condition.name for condition in none] == ["clean"]


@given(st.sets(st.integers(0, 10), min_size=1))
def test_levels_in_any_form(levels):
    assert parse_levels(",".join(map(str, levels))) == sorted(levels)
    assert parse_levels(f"{min(levels)}-{max(levels)}") == list(range(min(levels), max(levels) + 1))


def test_the_tables(request_, run_of, second, monkeypatch, capsys, corpus):
    monkeypatch.setenv("COLUMNS", "120")
    words = ["--models", f"{run_of()},{second}", "--data", corpus.location, "--out", str(request_.out)]
    words += ["--noise", "blur,jpeg", "--levels", "0,9"]

    def run(*more):
        monkeypatch.setattr("sys.argv", ["avsr-bench", "robustness", *words, *more])
        with pytest.raises(SystemExit) as exited:
            cli.main()
        assert not exited.value.code
        return capsys.readouterr().out

    out, content = run(), json.loads(run("--json"))
    assert "small/video-s1: WER in %, ± half of its 95 % interval" in out
    assert re.search(r"\n *level +\w+ +\w+ *\n +9 +\d+\.\d ±\d+\.\d +\d+\.\d ±\d+\.\d *\n", out)
    for row in ("clean", "seen", "unseen", "all (2)"):
        assert f"\n{row}" in out
    assert "differences, in points, are to small/video-s1" in out
    assert "intervals are wide" in out
    assert "21 words by 3 speakers" in out
    assert "intervals of so few speakers (3) are too narrow" in out
    assert len(content["results"]) == 6
    assert content["reference"] == "small/video-s1"
    means = {(row["model"], row["over"]): row["wer"] for row in content["means"]}
    rates = {(row["run"], row["condition"]): row["metrics"]["wer"]["value"] for row in content["results"]}
    for model in ("small/video-s1", "small/msrs-s2"):
        assert means[model, "all"] == pytest.approx((rates[model, "blur:9"] + rates[model, "jpeg:9"]) / 2)
        assert means[model, "seen"] == rates[model, "blur:9"]
        assert means[model, "clean"] == rates[model, "clean"]


class TestFrames:
    """Noise on whole pictures, with faces sought anew."""

    def test_mouths_are_those_that_prep_makes(self, corpus, videos, tmp_path):
        from avsr_bench.evaluation.frames import NoisyFrames

        places = data.places(corpus, "test", "video")[:4]
        corrupted = make_corpus(videos, tmp_path / "corrupted", "noise.frames=motion:4", "noise.seed=2")
        same = data.places(corrupted, "test", "video")
        with NoisyFrames(corpus, places, videos, 2, 2) as frames:
            for place, expected in zip(places, data.examples(corrupted, same, "video"), strict=False):
                assert place.entry.key == expected.key
                assert (frames.mouth(place, "motion", 4) == expected.mouth).all()

    def test_lost_faces_count_as_nothing_read(self, request_, videos, run_of):
        asked = replace(
            request_,
            noise="blockwise",
            levels="0,3,10",
            apply_to="frame",
            root=videos,
            models=(str(run_of()),),
            limit=4,
        )
        swept = robustness(asked, Silence())
        worst, clean = (swept.found["small/video-s1", name].result for name in ("blockwise:10", "clean"))
        assert 0 < worst.faces_lost <= worst.utterances == 4
        assert worst.noise_on == "frame"
        assert clean.noise_on is None
        heard = scoring.read_archive(request_.out / "small/video-s1/test-some4.zip").utterances("blockwise_10.frame")
        assert sum(each.hypothesis == "" for each in heard) >= worst.faces_lost
        lost = sum(each.result.faces_lost for each in swept.found.values())
        assert any(f"faces lost in {lost} of 8 clips" in note for note in summarise(swept).notes)

    def test_the_command_of_a_row_measures_it_again(self, request_, videos, run_of, monkeypatch, capsys):
        asked = replace(
            request_, noise="blur", levels="2", apply_to="frame", root=videos, models=(str(run_of()),), limit=2
        )
        kept = robustness(asked, Silence()).found["small/video-s1", "blur:2"].result
        monkeypatch.setattr("sys.argv", [*shlex.split(kept.command), "--json"])
        with pytest.raises(SystemExit):
            cli.main()
        again = scoring.parse_result(capsys.readouterr().out, "printed")
        assert (again.noise_on, again.split) == ("frame", "test-some2")
        assert (again.metrics, again.faces_lost) == (kept.metrics, kept.faces_lost)


@pytest.mark.slow
def test_a_killed_sweep_goes_on(request_, corpus):
    """kill -9 in the middle, several times: what is on disk is whole, and the end is that of an undisturbed sweep.

    Each condition has batches of its own here, and processes of their own decode them. Joined with others, or after
    other work, sums round otherwise, and a network of random weights is so undecided that a word may differ.
    """
    code = "from avsr_bench.evaluation import engine; engine.FULL = 0; from avsr_bench.cli import main; main()"
    words = ["robustness", "--models", request_.models[0], "--data", corpus.location, "--noise", "all"]
    command = [sys.executable, "-c", code, *words, "--out", str(request_.out)]
    for share in (5, 30, 60):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while process.poll() is None and len(names(request_.out)) < share:
            time.sleep(0.002)
        process.kill()
        process.wait()
        for path in request_.out.rglob("*.zip"):
            kept = scoring.read_archive(path)
            for name in kept.names:
                result = kept.result(name)
                sums = scoring.total(map(scoring.score, kept.utterances(name)))
                assert sums == {name: of.parts for name, of in result.metrics.items()}
    done = len(names(request_.out))
    whole = request_.out.with_name("whole")
    for out in (request_.out, whole):
        subprocess.run([*command[:-1], str(out)], check=True, capture_output=True)
    assert 0 < done < 71 == len(names(request_.out))
    (one,), (other,) = ([scoring.read_archive(path) for path in out.rglob("*.zip")] for out in (request_.out, whole))
    assert {name: one.result(name).metrics for name in one.names} == {
        name: other.result(name).metrics for name in other.names
    }


class TestAlone:
    def test_a_second_sweep_into_one_folder_is_refused_and_names_the_first(self, request_):
        said = []

        class Second(Silence):
            def step(self, outcome, status=""):
                if not said:
                    with pytest.raises(Refused) as refused:
                        robustness(request_, Silence())
                    said.append(str(refused.value))

        swept = robustness(request_, Second())
        assert re.search(rf"another run is at work in .+: process {os.getpid()} on .+ --part of its own", said[0])
        assert len(swept.found) == 10 and not swept.missing

    def test_parts_of_their_own_run_at_the_same_time(self, request_):
        done = []

        class Second(Silence):
            def step(self, outcome, status=""):
                if not done:
                    done.append(robustness(replace(request_, part=(2, 2)), Silence()))

        swept = robustness(replace(request_, part=(1, 2)), Second())
        assert done[0].missing > 0 and not swept.missing

    def test_files_of_others_among_the_results_stay(self, request_, run_of):
        first = robustness(request_, Silence())
        path = next(request_.out.rglob("*.zip"))
        path.write_text("theirs")
        with pytest.raises(Refused, match=r"exists, and avsr-bench did not make it: remove it"):
            robustness(request_, Silence())
        assert path.read_text() == "theirs" and len(first.found) == 10
