import os
from dataclasses import dataclass, field
from typing import Literal

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

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
    assert built("crop.size=32", "crop.size=48", **content).crop.size == 48
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
        ("crop..size=3", "key=value"),
        (".=3", "key=value"),
        ("..", "key=value"),
        ("crop.size=", "has no value"),
        ("crop.size= ", "has no value"),
        ("crop.size=yes", "crop.size = 'yes': it should be a whole number"),
        ("crop.size=true", "crop.size = True"),
        ("crop.size='12'", "crop.size = '12'"),
        ("crop.size=12.0", "crop.size = 12.0"),
        ("crop.size=１２", "crop.size = '１２'"),
        ("crop.size=" + "[" * 500, "deep"),
        ("crop.size=" + "9" * 5000, "5,000 digits"),
        ("crop.size=" + "x" * 10**6, "(1,000,002 letters)"),
        ("crop.size=[" + "1, " * 10**6 + "]", "262,144 letters"),
        ("x" * 10**6 + "=1", "unknown setting xxx"),
        ("crоp.size=3", "Did you mean crop?"),  # the o is Cyrillic
        ("crop.colour=[a\n, b]", "crop.colour = ['a', 'b']"),
        ("limit.x=3", "limit"),
        ("crop.size=[1", "YAML"),
        ("wholly.different=1", "There is: crop"),
    ],
)
def test_a_wrong_setting_is_refused_by_name_with_the_way_out(assignment, says):
    with pytest.raises(Misused) as caught:
        built(assignment)
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


@pytest.mark.parametrize(
    "content",
    [
        b"a: [1",
        b"- 1\n",
        b"\xff\xfe",
        b"",
        b"[" * 100_000,
        b"a: " * 1 + b"{a: " * 40 + b"1" + b"}" * 40,
        b"\n".join(b"  " * depth + b"a:" for depth in range(400)),
        b"a: &a [1, 2]\nb: &b [*a, *a, *a, *a]\nc: [*b, *b, *b, *b]\n",
        b"a: &a [*a]\n",
        b"a: {b: 1, b: 2}\n",
        b"a: 1\na: 2\n",
        b"a: !!python/object/apply:os.system [true]\n",
        b"a: !!int '3'\n",
        b"[a]: 1\n",
        b"a: 1\n---\na: 2\n",
        b"a: " + b"9" * 5000,
        b"a: [" + b"1, " * 60_000 + b"1]",
        b"# " + b"x" * 300_000,
        b"a: \x00",
    ],
)
def test_a_file_that_is_no_recipe_is_refused(tmp_path, content):
    path = tmp_path / "x.yaml"
    path.write_bytes(content)
    with pytest.raises(Refused, match=r"x\.yaml") as caught:
        recipes.load(path)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400


def test_a_recipe_that_is_a_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "x.yaml")
    with pytest.raises(Refused, match=r"x\.yaml: it is a pipe"):
        recipes.load(tmp_path / "x.yaml")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *(
            (text, text)
            for text in ("yes", "on", "No", "1:30", "0o17", "010", "1_000", "0x1f", "2024-01-31", "１２", "<<")
        ),
        *((text, float(text)) for text in ("1e-3", "1E3", "-1.5e+3", ".5", "3.", "6.02e23")),
        *((text, int(text)) for text in ("0", "-12", "+3", "4096")),
        ("true", True),
        ("FALSE", False),
        ("~", None),
        ("null", None),
        ("'12'", "12"),
        ("[1, [], {a: b c}]", [1, [], {"a": "b c"}]),
    ],
)
def test_words_mean_what_they_look_like(text, value):
    read = recipes.parse(f"a: {text}")["a"]
    assert (type(read), read) == (type(value), value)
    assert recipes.override({}, [f"a={text}"]) == {"a": value}


@settings(deadline=None)
@given(
    st.dictionaries(
        st.text(max_size=8),
        st.recursive(
            st.none()
            | st.booleans()
            | st.integers(-(10**18), 10**18)
            | st.floats(allow_nan=False)
            | st.text()
            | st.from_regex(r"[-+]?[0-9._]{1,5}([eE][-+]?[0-9]{1,4})?", fullmatch=True)
            | st.sampled_from(["yes", "no", "null", "~", "1:30", "2024-01-31", "=", "<<", "a: b", "# c", ".inf"]),
            lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
            max_leaves=8,
        ),
    )
)
def test_what_is_written_comes_back(content):
    assert recipes.parse(recipes.dump(content)) == content
    assert yaml.safe_load(recipes.dump(content)) == content


def test_a_list_that_stands_twice_is_written_twice():
    same = [1, 2]
    assert recipes.parse(recipes.dump({"a": same, "b": same})) == {"a": same, "b": same}


@pytest.mark.parametrize(
    ("text", "value"),
    [("/data/my #1", "/data/my #1"), ("a: b", "a: b"), ("*x", "*x"), ("!!python/x y", "!!python/x y"), ("=", "=")],
)
def test_a_value_that_is_a_text_is_taken_as_it_stands(text, value):
    assert recipes.override({}, [f"a.b={text}"]) == {"a": {"b": value}}


@pytest.mark.parametrize("read", [recipes.load, recipes.headline, recipes.paper])
def test_a_file_that_cannot_be_read_is_refused_in_one_line(tmp_path, read):
    (tmp_path / "raw.yaml").write_bytes(b"# caf\xe9\n")
    (tmp_path / "dangling.yaml").symlink_to("nowhere")
    for name in ("raw", "dangling"):
        with pytest.raises(Refused, match=rf"{name}\.yaml.*remove it") as caught:
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
