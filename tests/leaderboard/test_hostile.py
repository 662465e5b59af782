"""Results from anybody: what is wrong with one is said, and nothing else suffers."""

import csv
import json
import math
import os
import re
import subprocess
from contextlib import suppress
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest
import warm
from archives import members, put, text, write
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from avsr_bench.inert import inert
from avsr_bench.leaderboard import read_published, read_rows, render, row_name, verify
from avsr_bench.leaderboard.boards import file_name
from avsr_bench.leaderboard.curves import read_gradients, read_layers
from avsr_bench.records import Misused, Refused
from avsr_bench.scoring import archive, parse_result

GOOD = "synth/dense-tiny-s0/test/clean"
ODD = [
    *(None, True, -1, 0, 1, 5, 10**11, 10**15, 10**400, -0.5, 0.5, 1e308, [], {}, [[]], {"a": {}}, "5", "nan"),
    *("", " ", "/", "..", "../../x", "/etc/passwd", "a/b", "-h", "--out=/x", "=cmd()", "@x", "+1", "_x", "a|b"),
    *("<script>alert(1)</script>", "]]>", "&amp;", "$x", "$\\frac{$", "`x`", "a" * 10**6, "\\", '"', "嘴 naïve"),
    *("\x1b[31m", "\0", "\n", "\r", "\x85", "\x9b31m", "\u202e", "\u2028", "\ud800", "\ufffe", "\U0001f600"),
    *("gaussian:5", "gaussian:99", "babble:-5", "x:1e400", "video", "av", "mouth", "sound", "frame", "tiny", "beam"),
    *(math.nan, math.inf, -math.inf),
]


@pytest.fixture
def nothing(tmp_path):
    """A file of papers without a number, so that pages are made quickly."""
    path = tmp_path / "published.yaml"
    path.write_text("tables: []")
    return path


def fields(content, path=()):
    for name, value in content.items():
        yield (*path, name)
        if isinstance(value, dict):
            yield from fields(value, (*path, name))


def changed(content, path, value):
    name, *rest = path
    return {**content, name: changed(content[name], rest, value) if rest else value}


def whole_pages(out):
    """Whether the pages hold the good row and are valid, with every figure."""

    class Strict(HTMLParser):
        def handle_starttag(self, tag, attrs):
            if tag not in ("meta", "br", "link", "input", "img"):
                self.open.append(tag)

        def handle_endtag(self, tag):
            assert self.open.pop() == tag

    page = (out / "index.html").read_text()
    checked = Strict()
    checked.open = []
    checked.feed(page)
    assert not checked.open and page.count("<script") == 2
    json.loads(re.search(r'id="rows">(.*?)</script>', page, re.S)[1])
    text = (out / "README.md").read_text()
    for block in re.findall(r"(?:^\|.*\n)+", text, re.M):
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}) == 1
    rows = list(csv.DictReader((out / "results.csv").open(newline="")))
    for said in (page, text, *(cell for row in rows for cell in row.values())):
        assert inert(said, lines=True) == said
    assert GOOD in page and GOOD in text and GOOD in {row["row"] for row in rows if not row["apart"]}
    for figure in (out / "figures").glob("*.svg"):
        assert re.fullmatch(r"[a-z0-9-]+", figure.stem)
        ElementTree.parse(figure)
    assert not any(
        cell.startswith(("=", "+", "@")) or (cell.startswith("-") and not re.fullmatch(r"-[\d.e+-]+", cell))
        for row in rows
        for cell in row.values()
    )


def test_every_field_with_every_odd_value_at_once(results, make):
    few = make.sentences(5, 2)
    make.measure(results, texts=few)
    good = json.loads(text(make.measure(results / "more", "synth/odd", "gaussian:5", 0.3, few, sparsity=0.5)))
    head = members(next(results.rglob("*.zip")))[archive.HEAD]
    changes = {archive.HEAD: head}
    odd = [(path, value) for path in fields(good) for value in ODD]
    for number, (path, value) in enumerate(odd):
        content = changed({**good, "run": f"synth/odd{number}"}, path, value)
        changes[f"odd{number}.json"] = json.dumps(content)
    write(results / "odd.zip", changes)
    found = read_rows([results])
    assert GOOD in {row.name for row in found.rows}
    assert len(found.notes) > 2000 and all(len(note) < 600 and inert(note) == note for note in found.notes)
    assert len(found.rows) + len(found.apart) + len(found.notes) == len(odd) + 2
    for row in (*found.rows, *(each.row for each in found.apart)):
        assert inert(row.name) == row.name and ".." not in (row.result.corpus, row.result.split)
        assert not {"..", "."} & set(row.result.run.split("/"))


def test_odd_names_that_are_names_stand_on_the_pages(results, make, nothing, tmp_path):
    few = make.sentences(5, 2)
    make.measure(results, texts=few)
    odd = ["a|b", "_x", "$\\frac{$", "=cmd()", "嘴 naïve"]
    abouts = [{"run": f"synth/{name}", "system": name, "commit": name} for name in odd]
    abouts += [{"size": "$_$"}, {"corpus": "_=x|y"}, {"decoding": {"kind": "a/../b"}}]
    for number, about in enumerate(abouts):
        more = {"run": f"synth/odd{number}", "system": "odd", "sparsity": 0.1 + 0.1 * number, **about}
        make.measure(results / str(number), errors=0.3, texts=few, **more)
    rendered = render([results], nothing, tmp_path / "out")
    assert (rendered.rows, rendered.notes, rendered.figures) == (1 + len(abouts), (), 4)
    whole_pages(tmp_path / "out")


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_result_that_is_taken_has_nothing_in_it_that_acts(results, make, data):
    path = results / "synth__dense-tiny-s0/test.zip/clean"
    if not path.parent.exists():
        make.measure(results, texts=make.sentences(3, 1))
    good = json.loads(text(path))
    anything = st.one_of(st.text(), st.integers(), st.floats(), st.sampled_from(ODD), st.lists(st.none()))
    content = good
    for where in data.draw(st.lists(st.sampled_from(list(fields(good))), min_size=1, max_size=3, unique=True)):
        with suppress(TypeError, KeyError):  # a field of a section that was replaced
            content = changed(content, where, data.draw(anything))
    try:
        result = parse_result(json.dumps(content), "it")
    except Refused as refused:
        assert str(refused).startswith("it")
        return
    texts = [value for value in (getattr(result, name) for name in good if hasattr(result, name)) if type(value) is str]
    assert all(inert(text) == text for text in (*texts, row_name(result)))
    for name in (result.corpus, result.split, result.size, *result.run.split("/")):
        assert "/" not in name and name not in (".", "..")
    assert math.isfinite(result.sparsity) and all(math.isfinite(each.value) for each in result.metrics.values())


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"wer": 0, "wer": 0}', "the key 'wer' twice"),
        ('{"wer": Infinity, "cer": 0}', "Infinity is not a number"),
        ("[" * 100_000, "32 deep"),
        ('{"wer": ' + "9" * 5000 + "}", "is not a result"),
        ('["wer", "cer"]', "not list"),
        ("", "is not a result"),
    ],
)
def test_texts_that_are_no_results(text, says):
    with pytest.raises(Refused, match=says):
        parse_result(text, "it")


def test_files_that_are_no_files(results, make, nothing, tmp_path):
    make.measure(results, texts=make.sentences(5, 2))
    os.mkfifo(results / "pipe.zip")
    (results / "folder.zip").mkdir()
    (results / "gone.zip").symlink_to("nowhere")
    (results / "round.zip").symlink_to("round.zip")
    with (results / "large.zip").open("w") as file:
        file.truncate(2**28 + 1)
    Path(os.fsdecode(bytes(results) + b"/latin-\xe9\x1b[2J.zip")).write_text("{}")
    rendered = render([results], nothing, tmp_path / "out")
    said = "\n".join(rendered.notes)
    assert len(rendered.notes) == 6
    for name in ("pipe.zip: it is a pipe", "folder.zip", "gone.zip: No such file"):
        assert name in said
    assert "large.zip: it has more than the 268,435,456 bytes" in said and "round.zip" in said
    assert "latin-\\udce9\\u001b[2J.zip" in said
    whole_pages(tmp_path / "out")


def test_hypotheses_that_are_no_file_do_not_hang(results, make):
    make.measure(results)
    (row,) = read_rows([results]).rows
    row.path.parent.unlink()
    os.mkfifo(row.path.parent)
    with pytest.raises(Refused, match="it is a pipe"):
        verify(row)


@pytest.mark.parametrize("lines", ["[" * 5000, '{"key": 1e400}', '{"key": "a"', "null", "[]"])
def test_hypotheses_that_are_damaged(results, make, nothing, tmp_path, lines):
    make.measure(results, texts=make.sentences(5, 2))
    for condition in ("gaussian:1", "gaussian:2"):
        path = make.measure(results, condition=condition, texts=make.sentences(5, 2))
        put(path, f"{text(path, '.jsonl').splitlines()[0]}\n{lines}\n", ".jsonl")
        with pytest.raises(Refused):
            verify(next(row for row in read_rows([results]).rows if row.result.condition == condition))
    render([results], nothing, tmp_path / "out")
    whole_pages(tmp_path / "out")


names = st.text(st.characters(codec="utf-8"), max_size=12)


@given(st.lists(names, min_size=1, max_size=5), st.lists(names, min_size=1, max_size=5))
def test_file_names_are_safe_and_tell_everything_apart(one, other):
    assert re.fullmatch(r"[a-z0-9][a-z0-9-]*", file_name(*one)) and len(file_name(*one)) < 120
    assert (file_name(*one) == file_name(*other)) == (one == other)


def test_figures_of_names_that_look_alike_do_not_overwrite_one_another(results, make, nothing, tmp_path):
    few = make.sentences(5, 2)
    for number, corpus in enumerate(("a_b", "a.b", "A-b", "δοκιμή", "испытание")):
        make.measure(results / str(number), f"{corpus}/dense", corpus=corpus, texts=few)
        make.measure(results / str(number), f"{corpus}/msrs", corpus=corpus, texts=few, sparsity=0.5, system="msrs")
    rendered = render([results], nothing, tmp_path / "out")
    assert rendered.figures == 5 == len(list((tmp_path / "out/figures").glob("*.svg")))


@pytest.mark.parametrize("value", ["1e400", "nan", "-1", "x", "1e300", ""])
def test_kept_curves_and_layers_that_cannot_be_drawn(results, make, nothing, tmp_path, value):
    few = make.sentences(5, 2)
    make.measure(results, texts=few)
    folder = make.measure(results, "synth/msrs-tiny-s0", texts=few, sparsity=0.5).parent.parent
    (folder / "gradients.csv").write_text(f"step,norm\n1,2\n{value},{value}\n")
    (folder / "layers.csv").write_text(f"group,weights,zeros\nattention,{value},{value}\n")
    for read in (read_gradients, read_layers):
        with pytest.raises(Refused, match="is damaged"):
            read(folder)
    rendered = render([results], nothing, tmp_path / "out")
    assert any("is damaged" in note for note in rendered.notes)
    whole_pages(tmp_path / "out")


@pytest.mark.parametrize(
    "text",
    [
        *("[" * 2000, "tables: 2021-13-45", "tables: [1]", "tables: {a: 1}", "tables: [{rows: [{1: 2}]}]", "tables: x"),
        *('tables: [{rows: [{"\\x1b": 1}]}]', "? [a]\n: 1", "tables: [{rows: [{wer: .inf}]}]", "{1: 2}", "\0", "- a"),
        "statements: [{paper: p, arxiv: 'x) <img>', table: t, says: s}]\ntables: []",
        "tables: []\nstatements: [{paper: p, arxiv: 'a b', table: t, says: s}]",
        *("tables: [*a]", "tables: &a [*a]", "tables: [{rows: " + "[" * 300 + "]" * 300 + "}]"),
    ],
)
def test_a_file_of_papers_that_is_none_is_refused_in_one_line(tmp_path, text):
    path = tmp_path / "published.yaml"
    path.write_text(text)
    with pytest.raises((Refused, Misused), match=r"published\.yaml"):
        read_published(path)


def test_what_the_pages_say_of_others_does_not_act_on_the_terminal(make, tmp_path):
    local = tmp_path / "leaderboards/local"
    few = make.sentences(5, 2)
    make.measure(local, texts=few)
    bad = make.measure(local / "bad", "synth/bad", texts=few)
    put(bad, text(bad).replace('"synth/bad"', '"\\u001b]0;owned\\u0007\\nmade"'))
    folder = local / "\x1b[31mred"
    folder.mkdir()
    (folder / "x\nnote: fine.zip").write_text("{}")
    for words in ((), ("verify",)):
        done = subprocess.run([*warm.avsr(), "leaderboard", *words], cwd=tmp_path, capture_output=True, check=False)
        out = done.stdout.decode()
        assert inert(out, lines=True) == out and not done.stderr
        assert "\\u001b[31mred" in out and "\nnote: fine" not in out
