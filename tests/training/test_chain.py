"""A system that needs itself is refused before anything is trained, with the way that leads back."""

import pytest

from avsr_bench.records import Misused, Refused
from avsr_bench.training.recipe import load_recipe


@pytest.fixture
def models(tmp_path):
    """Writes recipes of one's own: models(a="init: b")."""

    def write(**content):
        (tmp_path / "models").mkdir(exist_ok=True)
        for name, text in content.items():
            (tmp_path / "models" / f"{name}.yaml").write_text(f"# {name}.\n{text}\n")

    return write


def taught_by(teacher):
    return f"objective: {{name: distil, teacher: {teacher}}}\n"


@pytest.mark.parametrize(
    ("content", "way"),
    [
        ({"a": "init: a"}, "a -> a"),
        ({"a": "init: b", "b": "init: {run: a}"}, "a -> b -> a"),
        ({"a": "init: b", "b": "init: c", "c": "init: b"}, "a -> b -> c -> b"),
        ({"a": taught_by("{run: a}")}, "a -> a"),
        ({"a": taught_by("{run: c}") + "init: b", "b": "method: {}", "c": "init: a"}, "a -> c -> a"),
        ({"a": "init: b\nrounds: {sparsities: [0, 0]}", "b": "init: a\nrounds: {sparsities: [0, 0]}"}, "a -> b -> a"),
    ],
)
def test_a_way_that_leads_back_is_shown_and_nothing_is_trained(run, models, tmp_path, content, way):
    models(**content)
    with pytest.raises(Refused, match=rf"cannot be trained: it needs itself first \({way}\); name a finished run"):
        run("a")
    assert not (tmp_path / "runs").exists()


def test_the_same_system_of_another_size_teaches(run, models):
    models(a=taught_by("{run: a, size: large}"))
    with pytest.raises(Refused, match=r"it needs itself first \(a -> a -> a\)"):  # whose teacher is large as well
        run("a")
    with pytest.raises(Refused, match=r"a, size tiny, cannot be trained"):
        run("a", "init.run=a", "objective.teacher.run=dense")


@pytest.mark.parametrize(
    "text", ["tiny: 3", "network: 3", "init: [a]", "method: 3", "tiny: {network: {width: {a: 1}}}"]
)
def test_a_section_that_is_none(models, tmp_path, monkeypatch, text):
    models(a=text)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Misused, match=r"models/a\.yaml: \w+") as caught:
        load_recipe("a", "tiny", ())
    assert "\n" not in str(caught.value)


def test_a_run_that_names_itself_is_not_finished(run, tmp_path):
    folder = tmp_path / "runs" / "x"
    folder.mkdir(parents=True)
    (folder / "recipe.yaml").write_text("run: {system: dense, corpus: small, size: tiny}\ninit: {run: runs/x}\n")
    with pytest.raises(Refused, match=r"runs/x has no model\.safetensors: the run is not finished"):
        run("dense", "init.run=runs/x", out=tmp_path / "new")


@pytest.mark.parametrize("name", ["x" * 300, "x/" * 3000])
def test_a_name_that_no_file_can_have(run, name):
    with pytest.raises(Refused, match="more than a file's may have") as caught:
        run("dense", f"init.run={name}")
    assert len(str(caught.value)) < 200


def test_sizes_are_bounded_together(run, tmp_path):
    wide = ["network.width=16384", "network.heads=128", "network.feed_forward=131072", "network.encoder_blocks=200"]
    with pytest.raises(Refused, match=r"would have [0-9,]+ parameters, and at most 20,000,000,000"):
        run("dense", *wide)
    with pytest.raises(Misused, match=r"rounds\.sparsities = \[0, 0, .*at most 99"):
        run("dense", f"rounds.sparsities={[0] * 10_000}")
    with pytest.raises(Refused, match="no clip is that short"):
        run("dense", "curriculum.epochs=1", "curriculum.frames=1")
    with pytest.raises(Refused, match=r"raise data\.frames"):
        run("dense", "data.frames=1")
    assert not (tmp_path / "runs").exists()
