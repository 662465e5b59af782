import json
import shlex
import shutil
from dataclasses import replace

import pytest
import torch
from archives import put, text
from heard import Silence

from avsr_bench import cli, data, runs, scoring
from avsr_bench.evaluation import (
    CLEAN,
    EvaluateRequest,
    Provenance,
    evaluate,
    open_reader,
    result_name,
    stored_result,
    visual,
    weights_digest,
)
from avsr_bench.records import Misused, Refused


@pytest.fixture
def measure(corpus, run_of, tmp_path):
    def run(modality="video", **request):
        known = {"run": str(run_of(modality)), "data": corpus.location, "out": tmp_path / "out", "workers": 2}
        return evaluate(EvaluateRequest(**{**known, **request}), Silence())

    return run


def test_a_result_says_all_that_it_takes_to_measure_it_again(measure, corpus, run_of):
    found = measure(noise="gaussian:7", seed=3, command="avsr-bench evaluate dense --noise gaussian:7")
    result, about = found.result, runs.open_run(run_of()).about
    assert scoring.read_archive(found.path.parent).result(found.path.name) == result
    assert (result.run, result.corpus, result.split, result.condition) == (
        "small/video-s1",
        "small",
        "test",
        "gaussian:7",
    )
    assert (result.noise_seed, result.noise_on, result.noise_version) == (3, "mouth", 1)
    assert (result.corpus_fingerprint, result.utterances) == (corpus.fingerprint, 9)
    assert (result.system, result.size, result.train_seed) == (about.system, about.size, about.seed)
    assert result.decoding["kind"] == "ctc"
    assert result.command == "avsr-bench evaluate dense --noise gaussian:7"
    assert len(result.weights) == 16
    assert result.device
    heard = scoring.read_archive(found.path.parent).utterances(found.path.name)
    assert heard == tuple(replace(each, score=float(f"{each.score:.6g}")) for each in found.utterances)
    assert scoring.total(map(scoring.score, heard)) == {name: of.parts for name, of in result.metrics.items()}
    assert {each.speaker for each in heard} == {"ann", "bob", "cat"}
    assert all(each.source for each in heard)


@pytest.mark.parametrize("noisy", [True, False, None])
def test_a_result_says_whether_its_network_was_trained_with_noise(measure, run_of, tmp_path, noisy):
    folder = tmp_path / "runs/small/dense-noise-tiny-s0"
    shutil.copytree(run_of(), folder)
    run = runs.open_run(folder)
    sections = {name: section for name, section in run.recipe.items() if name not in ("run", "augment")}
    runs.write_recipe(folder, run.about, sections | ({} if noisy is None else {"augment": {"noise": noisy}}))
    found = measure(run=str(folder))
    assert found.result.trained_with_noise is noisy
    assert scoring.read_archive(found.path.parent).result(found.path.name).trained_with_noise is noisy


def test_clean_results_know_no_noise(measure):
    result = measure().result
    assert (result.condition, result.noise_seed, result.noise_on, result.noise_version) == ("clean", None, None, None)


def test_where_results_go(measure, run_of, tmp_path):
    assert measure(out=None, noise="jpeg:2").path == run_of() / "results/test.zip/jpeg_2"
    assert measure(out=None, limit=4).path == run_of() / "results/test-some4.zip/clean"
    assert measure(noise="jpeg:2", seed=7).path == tmp_path / "out/test.zip/jpeg_2.seed7"
    assert measure("av", sound="white:-5").path == tmp_path / "out/test.zip/white_-5"


def test_of_several_corpora_a_run_given_by_its_folder_reads_its_own(measure, corpus, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    for name in ("other", "small"):
        (tmp_path / "data" / name).symlink_to(corpus.location)
    assert measure(data=None).result.corpus == "small"
    with pytest.raises(Misused, match="several prepared corpora"):
        measure(data=None, run="dense")


def test_some_clips_are_another_test(measure):
    some = measure(limit=4)
    assert (some.result.split, some.result.utterances) == ("test-some4", 4)
    whole = measure().utterances
    firsts = [next(each.key for each in whole if each.speaker == name) for name in ("ann", "bob", "cat")]
    second = [each.key for each in whole if each.speaker == "ann"][1]
    assert sorted(each.key for each in some.utterances) == sorted([*firsts, second])  # of all speakers in turn
    assert measure(limit=9).result.split == measure(limit=99).result.split == "test"


def test_sound_changes_what_is_heard(measure):
    clean, noisy, other = measure("audio"), measure("audio", sound="babble:-10"), measure("audio", sound="white:-10")
    assert noisy.result.noise_on == "sound"
    assert clean.utterances != noisy.utterances != other.utterances


def test_evaluating_again_gives_the_same_and_replaces_what_lies_there(measure):
    first = measure(noise="motion:9")
    put(first.path, text(first.path)[:300])  # as an editor of others may leave it
    second = measure(noise="motion:9")
    assert second.utterances == first.utterances
    assert scoring.read_archive(second.path.parent).result("motion_9").metrics == first.result.metrics


def test_an_archive_that_is_damaged_is_refused_before_anything_is_read(measure):
    path = measure().path.parent
    path.write_bytes(cut := path.read_bytes()[:300])
    with pytest.raises(Refused, match=r"test\.zip is not an archive of results, or is damaged: .*; remove it"):
        measure()
    assert path.read_bytes() == cut


GAUSSIAN = visual("gaussian", 7)


class TestStored:
    @pytest.fixture
    def look(self, measure, corpus, run_of):
        found = measure(noise="gaussian:7")
        run = runs.open_run(run_of())
        reader = open_reader(run, torch.device("cpu"))
        about = Provenance(run=run, weights=weights_digest(run), corpus=corpus, split="test", seed=0)

        def at(path=found.path.parent, condition=GAUSSIAN, reader=reader, utterances=9, **changes):
            return stored_result(path, condition, reader, replace(about, **changes), utterances)

        return found, reader, at

    def test_the_same_request_is_answered(self, look):
        found, _, at = look
        result, heard = at()
        assert result == found.result and [u.hypothesis for u in heard] == [u.hypothesis for u in found.utterances]

    def test_another_request_is_not(self, look, corpus, tmp_path):
        _, reader, at = look
        assert at(condition=CLEAN) is None
        assert at(condition=visual("gaussian", 8)) is None
        assert at(condition=visual("gaussian", 7, "frame")) is None
        assert at(weights="0" * 16) is None
        assert at(seed=1) is None
        assert at(split="valid") is None
        assert at(utterances=8) is None
        assert at(path=tmp_path / "nothing.zip") is None
        beam = replace(reader.settings, kind="beam")
        assert at(reader=replace(reader, settings=beam)) is None
        shutil.copytree(corpus.location, tmp_path / "small")
        prep = json.loads((tmp_path / "small/prep.json").read_text())
        prep["recipe"]["crop"]["size"] = 112
        (tmp_path / "small/prep.json").write_text(json.dumps(prep))
        assert at(corpus=data.Prepared(str(tmp_path / "small"))) is None

    def test_what_is_damaged_is_measured_again(self, look):
        found, _, at = look
        whole, lines = text(found.path), text(found.path, ".jsonl")
        for broken in (whole[:100], "", "[]", whole.replace('"value": ', '"value": 1')):
            put(found.path, broken)
            assert at() is None
        put(found.path, whole)
        assert at() is not None
        for broken in ("", "".join(lines.splitlines(keepends=True)[:-1]), lines[:-30], "[]\n", None):
            put(found.path, broken, ".jsonl")
            assert at() is None
        put(found.path, lines, ".jsonl")
        assert at() is not None


def test_other_weights_have_another_digest(run_of):
    one, other = (weights_digest(runs.open_run(run_of(modality))) for modality in ("video", "av"))
    assert one != other


def test_names_of_results():
    assert result_name(visual("jpeg", 3, "frame"), 2) == "jpeg_3.frame.seed2"
    assert result_name(CLEAN, 2) == "clean"


class TestCommandLine:
    @pytest.fixture
    def avsr(self, monkeypatch, capsys, tmp_path):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("COLUMNS", "120")

        def run(*words):
            monkeypatch.setattr("sys.argv", ["/somewhere/avsr-bench", *map(str, words)])
            with pytest.raises(SystemExit) as exited:
                cli.main()
            told = capsys.readouterr()
            return exited.value.code or 0, told.out, told.err

        return run

    def test_a_table_for_people(self, avsr, corpus, run_of):
        code, out, _ = avsr("evaluate", run_of(), "--data", corpus.location, "--noise", "blur:9")
        assert code == 0
        assert "small/video-s1 on small test, blur:9: 9 utterances, 21 words, by ctc" in out
        assert "95 % interval" in out
        assert out.count("REF:") >= 3
        assert out.strip().endswith("results/test.zip/blur_9")

    def test_json_and_its_command_give_the_same_again(self, avsr, corpus, run_of):
        code, out, err = avsr(
            "evaluate", run_of(), "--data", corpus.location, "--noise", "blur:9", "--seed", 2, "--json"
        )
        first = scoring.parse_result(out, "what was printed")
        assert (code, err) == (0, "")
        words = shlex.split(first.command)
        assert words[:3] == ["avsr-bench", "evaluate", str(run_of())]
        code, out, _ = avsr(*words[1:])
        again = scoring.parse_result(out, "what was printed")
        assert replace(again, seconds=0) == replace(first, seconds=0)

    @pytest.mark.parametrize(
        ("words", "code"), [(["--noise", "fog:1"], 2), (["--split", "dev"], 2), (["--sound", "white:0"], 2)]
    )
    def test_one_line_of_error(self, avsr, corpus, run_of, words, code):
        found, out, err = avsr("evaluate", run_of(), "--data", corpus.location, *words)
        assert (found, out) == (code, "")
        assert err.startswith("avsr-bench: ")
        assert err.count("\n") == 1
