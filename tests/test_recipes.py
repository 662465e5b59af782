from dataclasses import dataclass, field
from typing import Literal

import pytest

from avsr_bench import recipes
from avsr_bench.records import Misused, Refused


@dataclass(frozen=True)
class Crop:
    size: int = 96
    colour: Literal["grey", "rgb"] = "grey"

    def __post_init__(self):
        if self.size == 13:
            raise ValueError("size is unlucky")


@dataclass(frozen=True)
class Recipe:
    crop: Crop = field(default_factory=Crop)
    limit: int | None = None


def built(*assignments, **content):
    return recipes.build(Recipe, recipes.override(content, assignments), "x.yaml")


def test_settings_are_laid_over_the_recipe_in_order():
    content = {"crop": {"size": 64}}
    assert built("crop.colour=rgb", "limit=3", **content) == Recipe(Crop(64, "rgb"), 3)
    assert content == {"crop": {"size": 64}}
    assert built("limit=null", limit=3).limit is None


@pytest.mark.parametrize(
    ("assignment", "says"),
    [
        ("crop.sise=3", "Did you mean crop.size?"),
        ("size=3", "Did you mean crop.size?"),
        ("klop.x=1", "Did you mean crop?"),
        ("crop.size=big", "crop.size = 'big'"),
        ("crop.colour=blue", "'grey' or 'rgb'"),
        ("crop.size=13", "unlucky"),
        ("crop=3", "crop = 3"),
        ("crop.size", "key=value"),
        ("=3", "key=value"),
        ("limit.x=3", "limit"),
        ("crop.size=[1", "YAML"),
        ("wholly.different=1", "There is: crop"),
        (("crop.size=32", "crop.size=48"), "'crop.size=32' and 'crop.size=48' set the same"),
        (("crop.size=32", "crop={colour: rgb}"), "set the same"),
        (("crop={colour: rgb}", "crop.size=32"), "set the same"),
    ],
)
def test_a_wrong_setting_is_refused_by_name_with_the_way_out(assignment, says):
    with pytest.raises(Misused) as caught:
        built(*([assignment] if isinstance(assignment, str) else assignment))
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_of_the_working_directory_goes_before_a_shipped_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shipped = recipes.find("pipelines", "grid")
    (tmp_path / "pipelines").mkdir()
    mine = tmp_path / "pipelines" / "grid.yaml"
    mine.write_text("# Mine: all mine.\ncorpus: {reader: grid}\n")
    (tmp_path / "pipelines" / "new.yaml").write_text("corpus: {}\n")
    assert recipes.find("pipelines", "grid") == mine != shipped
    assert recipes.headline(mine) == "Mine: all mine."
    assert {"grid", "new", "lrs3"} <= recipes.names("pipelines").keys()
    with pytest.raises(Misused, match="Did you mean grid"):
        recipes.find("pipelines", "grit")


@pytest.mark.parametrize("content", [b"a: [1", b"- 1\n", b"\xff\xfe", b""])
def test_a_file_that_is_no_recipe_is_refused(tmp_path, content):
    path = tmp_path / "x.yaml"
    path.write_bytes(content)
    with pytest.raises(Refused, match=r"x\.yaml"):
        recipes.load(path)


@pytest.mark.parametrize("read", [recipes.load, recipes.headline, recipes.paper])
def test_a_file_that_cannot_be_read_is_refused_in_one_line(tmp_path, read):
    (tmp_path / "raw.yaml").write_bytes(b"# caf\xe9\n")
    (tmp_path / "dangling.yaml").symlink_to("nowhere")
    for name in ("raw", "dangling"):
        with pytest.raises(Refused, match=rf"{name}\.yaml .*remove it") as caught:
            read(tmp_path / f"{name}.yaml")
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("assignment", "says"),
    [("corpus=abc", "corpus = 'abc'"), ("corpus.reader=[a]", r"corpus\.reader = \['a'\]"), ("corpus=[1]", "corpus = ")],
)
def test_a_corpus_section_that_is_none_is_refused_by_name(assignment, says):
    from avsr_bench.prep.recipe import load_recipe

    with pytest.raises(Misused, match=says):
        load_recipe("folder", None, [assignment])


def test_a_root_may_look_like_a_number():
    from avsr_bench.prep.recipe import load_recipe

    assert str(load_recipe("folder", None, ["corpus.root=2024"]).root) == "2024"


@pytest.mark.parametrize("name", sorted(recipes.names("pipelines")))
def test_every_shipped_recipe_can_be_built(name, tmp_path):
    from avsr_bench.prep.recipe import load_recipe

    recipe = load_recipe(name, tmp_path, [])
    assert recipe.root == tmp_path
    assert recipes.headline(recipe.path).endswith(".")
    assert f"avsr-bench prep {name}" in recipe.path.read_text()
