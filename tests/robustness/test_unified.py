"""A unified run stands in a sweep once a view, beside runs of one modality; what was read is not read again."""

import shlex
from dataclasses import replace
from pathlib import Path

import pytest
from archives import names
from heard import Silence, make_run

from avsr_bench import cli, scoring
from avsr_bench.evaluation import EvaluateRequest, evaluate
from avsr_bench.leaderboard import read_rows, render
from avsr_bench.leaderboard.curves import read_layers
from avsr_bench.leaderboard.repeat import Places, plan_rerun
from avsr_bench.nn import VIEWS
from avsr_bench.records import Misused
from avsr_bench.robustness import RobustnessRequest, robustness, summarise

PUBLISHED = Path(__file__).parents[2] / "leaderboards/published.yaml"
USR = {view: f"small/usr-tiny-s0@{view}" for view in VIEWS}


@pytest.fixture(scope="module")
def swept(corpus, run_of, tmp_path_factory):
    """A sweep over a unified and a dense run: the request, and what came of it."""
    home = tmp_path_factory.mktemp("work")
    usr = make_run(home / "runs/small/usr-tiny-s0", corpus, "unified", seed=0, system="usr")
    request = RobustnessRequest(
        noise="gaussian",
        levels="0,10",
        sounds=("white:-10",),
        models=(str(usr), str(run_of())),
        data=corpus.location,
        out=home / "results",
    )
    return home, request, robustness(request, Silence())


def test_each_view_is_a_model_and_meets_what_it_would_notice(swept):
    _, request, found = swept
    assert found.models == (*USR.values(), "small/video-s1") and found.reference == "small/video-s1"
    met = {model: [name for of, name in found.found if of == model] for model in found.models}
    assert met == {
        USR["video"]: ["clean", "gaussian:10"],
        USR["audio"]: ["clean", "white:-10"],
        USR["av"]: ["clean", "gaussian:10", "white:-10"],
        "small/video-s1": ["clean", "gaussian:10"],
    }
    assert found.missing == 0 and len(names(request.out / "small")) == 9
    for view, name in USR.items():
        result = found.found[name, "clean"].result
        assert (result.run, result.modality, result.folder) == (name, view, "small/usr-tiny-s0")
        kept = scoring.read_archive(request.out / f"small/usr-tiny-s0@{view}/test.zip")
        assert kept.result("clean") == result
    assert {row.model for row in summarise(found).rows} == set(found.models)


def test_a_view_in_a_sweep_is_read_as_it_is_alone(swept, tmp_path):
    _, request, found = swept
    for view, name in USR.items():
        alone = evaluate(
            EvaluateRequest(run=request.models[0], modality=view, data=request.data, out=tmp_path), Silence()
        )
        same = {"command": "", "seconds": 0.0}
        assert replace(found.found[name, "clean"].result, **same) == replace(alone.result, **same)


def test_the_same_again_reads_nothing_and_one_view_alone_is_there_already(swept):
    _, request, found = swept
    for asked, models in (
        (request, found.models),
        (replace(request, modality="video"), (USR["video"], found.models[-1])),
    ):
        progress = Silence()
        asked = asked if asked is request else replace(asked, sounds=())
        again = robustness(asked, progress)
        assert again.models == models and progress.total == 0 and again.missing == 0


def test_the_command_of_a_row_measures_it_again(swept, monkeypatch, capsys):
    _, _, found = swept
    for name, condition in ((USR["audio"], "white:-10"), (USR["video"], "gaussian:10")):
        kept = found.found[name, condition].result
        monkeypatch.setattr("sys.argv", [*shlex.split(kept.command), "--json"])
        with pytest.raises(SystemExit):
            cli.main()
        again = scoring.parse_result(capsys.readouterr().out, "printed")
        assert (again.run, again.modality, again.condition) == (kept.run, kept.modality, condition)
        assert (again.metrics, again.weights) == (kept.metrics, kept.weights)


def test_a_reference_is_named_by_its_view(swept):
    _, request, _ = swept
    asked = replace(request, noise="none", levels="0", sounds=())
    assert robustness(replace(asked, reference=USR["av"]), Silence()).reference == USR["av"]
    with pytest.raises(Misused, match="twice"):
        robustness(replace(asked, models=(request.models[0],) * 2), Silence())


def test_boards_have_each_view_by_the_name_of_its_system(swept, monkeypatch, tmp_path):
    home, request, _ = swept
    monkeypatch.chdir(home)
    rendered = render([request.out], PUBLISHED, tmp_path / "out", home / "runs")
    assert not [note for note in rendered.notes if "usr" in note], rendered.notes  # its run is found where it lies
    text = (tmp_path / "out/README.md").read_text()
    rows = [line for line in text.splitlines() if line.startswith("| usr ")]
    assert len(rows) >= len(VIEWS) and not [
        line for line in text.splitlines() if line.startswith(("| usr@", "| small/"))
    ]
    for view, heard in {"video": "video", "audio": "sound", "av": "video and sound"}.items():
        [section] = [part for part in text.split("\n### ") if part.startswith(f"small, test, {heard}\n")]
        assert "| usr " in section
        layers = read_layers(request.out / f"small/usr-tiny-s0@{view}")
        assert {group.name for group in layers} == {"front-end", "attention", "feed-forward", "decoder", "output"}
        assert (request.out / f"small/usr-tiny-s0@{view}/recipe.yaml").is_file()


def test_a_row_of_a_view_is_planned_as_that_view(swept, corpus, monkeypatch):
    home, request, _ = swept
    monkeypatch.chdir(home)
    rows = {row.result.run: row for row in read_rows([request.out]).rows if row.family == "clean"}
    for view, name in USR.items():
        plan = plan_rerun(rows[name], Places(data=corpus.location))
        assert f"--modality={view}" in plan.words and "runs/small/usr-tiny-s0" in plan.words
        assert any("the weights of the row" in what for what in plan.reads)
    plan = plan_rerun(rows["small/video-s1"], Places(run=Path(request.models[1]), data=corpus.location))
    assert not [word for word in plan.words if word.startswith("--modality")]
