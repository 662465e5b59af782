"""A unified run is evaluated as lips, as ears and as both: three results, each of which says which it is."""

import json
import shutil
import subprocess

import pytest
import warm
from heard import Silence
from mouths import make_shards
from small_runs import small_network, small_run, small_unified

from avsr_bench import data, runs, scoring
from avsr_bench.evaluation import EvaluateRequest, evaluate
from avsr_bench.evaluation.reading import read
from avsr_bench.nn import VIEWS
from avsr_bench.records import Misused, Refused


@pytest.fixture
def measure(corpus, run_of, tmp_path):
    def run(modality=None, of="unified", **request):
        known = {"run": str(run_of(of)), "data": corpus.location, "out": tmp_path / "out", "workers": 2}
        return evaluate(EvaluateRequest(modality=modality, **{**known, **request}), Silence())

    return run


def avsr(*words):
    command = [*warm.avsr(), *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stdout, done.stderr


def test_which_of_the_three_has_to_be_said(measure, run_of, corpus, tmp_path):
    with pytest.raises(Misused, match="say which with --modality video, audio or av"):
        measure()
    code, out, err = avsr("evaluate", run_of("unified"), "--data", corpus.location, "--out", tmp_path / "out")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("avsr-bench: small/unified-s1 reads lips, hears and does both: say which with --modality")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("of", "asked"), [("video", "audio"), ("audio", "av"), ("av", "video")])
def test_a_run_of_one_modality_is_no_other(measure, of, asked):
    with pytest.raises(Misused, match=rf"--modality {asked}: small/{of}-s1 reads .* alone; leave it out") as refused:
        measure(asked, of)
    assert "\n" not in str(refused.value)
    assert measure(of, of).result.run == f"small/{of}-s1"  # that which it is may be said


def test_three_results_that_differ_in_files_that_do_not_collide(measure, run_of, corpus):
    network = runs.open_run(run_of("unified"))
    found = {view: measure(view) for view in VIEWS}
    assert len({each.path for each in found.values()}) == 3
    for view, each in found.items():
        kept = scoring.read_archive(each.path.parent)
        assert kept.result(each.path.name) == each.result
        assert (each.result.modality, each.result.run) == (view, f"small/unified-s1@{view}")
        assert each.result.folder == "small/unified-s1"
        examples = list(data.examples(corpus, data.places(corpus, "test", view), view))
        reader = network.seen_as(view)
        texts = {u.key: u.hypothesis for u in read(reader.load(), reader.tokenizer(), examples, reader.decode)}
        assert texts == {each.key: each.hypothesis for each in each.utterances}
    said = {view: tuple(u.hypothesis for u in each.utterances) for view, each in found.items()}
    assert len(set(said.values())) == 3 and all(len(set(each)) > 3 for each in said.values())
    assert len({each.result.weights for each in found.values()}) == 1


def test_noise_meets_those_who_would_notice(measure):
    with pytest.raises(Misused, match="only sees"):
        measure("video", sound="white:0")
    with pytest.raises(Misused, match="only hears"):
        measure("audio", noise="jpeg:9")
    assert measure("audio", sound="white:-10").utterances != measure("audio").utterances


def test_results_of_views_lie_beside_one_another_in_the_run(measure, run_of):
    assert measure("video", out=None).path == run_of("unified") / "results/test-video.zip/clean"
    assert measure("av", out=None, limit=4).path == run_of("unified") / "results/test-some4-av.zip/clean"


def test_clips_without_sound_are_for_lips_alone(tmp_path):
    mute = make_shards(tmp_path / "mute", {"train": 2, "test": 3}, sound=lambda number: False)
    several = small_run(tmp_path / "runs/mute/usr", small_unified())
    plain = small_run(tmp_path / "runs/mute/dense-av", small_network("av"))
    said = []
    for run, asked in ((several, "av"), (plain, None), (several, "audio")):
        with pytest.raises(Refused, match="3 of 3 clips have no flac") as refused:
            evaluate(EvaluateRequest(run=str(run), modality=asked, data=mute.location), Silence())
        said.append(str(refused.value))
    assert said[0] == said[1] and "--modality av" in said[0] and "--modality audio" in said[2]
    request = EvaluateRequest(run=str(several), modality="video", data=mute.location)
    assert evaluate(request, Silence()).result.utterances == 3


def test_the_command_line_says_what_was_read(corpus, run_of, tmp_path):
    folder = tmp_path / "runs/small/usr-tiny-s0"
    shutil.copytree(run_of("unified"), folder)
    code, out, _ = avsr("evaluate", folder, "--modality", "audio", "--data", corpus.location)
    assert (code, out.partition(":")[0]) == (0, "small/usr-tiny-s0@audio on small test, clean")
    code, out, _ = avsr("evaluate", folder, "--modality", "audio", "--data", corpus.location, "--json")
    assert code == 0 and json.loads(out)["run"] == "small/usr-tiny-s0@audio"
    assert "--modality audio" in json.loads(out)["command"]


@pytest.mark.parametrize("view", VIEWS)
def test_a_run_is_not_found_by_the_name_that_results_have_for_a_view(view, tmp_path):
    with pytest.raises(Misused, match=rf"no run 'usr@{view}': .*: give usr, and --modality {view}") as caught:
        runs.find_run(f"usr@{view}", root=tmp_path)
    assert "\n" not in str(caught.value)
    with pytest.raises(Refused, match=r"no run 'me@home'"):
        runs.find_run("me@home", root=tmp_path)
