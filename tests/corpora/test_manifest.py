import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avsr_bench.corpora import manifest
from avsr_bench.records import Refused


def read(tmp_path, content, name="m.csv"):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return manifest.read(path)


def cells(table):
    return [row.cells for row in table.rows]


@pytest.mark.parametrize(
    "content",
    [
        'path,text\na.mp4,"hello, world"\n',
        '\ufeffpath,text\r\na.mp4,"hello, world"\r\n\r\n',
        '\n\n Path , TEXT \n\n"a.mp4" ,"hello, world"',
        "path;text\na.mp4;hello, world\n",
        "path\ttext\ra.mp4\thello, world\r",
    ],
)
def test_csv_in_all_its_forms(tmp_path, content):
    if content.startswith("\n\n"):
        content = content.replace('"a.mp4" ', '"a.mp4"')
    assert cells(read(tmp_path, content)) == [{"path": "a.mp4", "text": "hello, world"}]


def test_quotes_lines_and_unknown_columns(tmp_path):
    table = read(tmp_path, 'id,path,text\n7,a.mp4,"she said ""no""\nand left"\n8,b.mp4\n')
    assert cells(table) == [
        {"id": "7", "path": "a.mp4", "text": 'she said "no"\nand left'},
        {"id": "8", "path": "b.mp4"},
    ]
    assert table.rows[1].line == 4


def test_text_with_commas_and_no_quotes_is_noticed(tmp_path):
    assert read(tmp_path, "path,text\na.mp4,one, two\n").rows[0].surplus == ("two",)


def test_jsonl(tmp_path):
    lines = ['{"path": "a.mp4", "text": "caf\\u00e9 \u2028 x", "start": 1.5, "end": null}', "", '{"path": "b.mp4"}']
    table = read(tmp_path, "\n".join(lines), "m.jsonl")
    assert cells(table) == [{"path": "a.mp4", "text": "café \u2028 x", "start": "1.5"}, {"path": "b.mp4"}]
    assert table.rows[1].line == 3


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("m.csv", "file,text\na.mp4,hello\n", r"no column `path`: its columns are file, text"),
        ("m.csv", "path,text\n", "it has no rows"),
        ("m.csv", "", "it has no rows"),
        ("m.csv", 'path,text\na.mp4,"hello\nb.mp4,world\n', "line 3"),
        ("m.csv", b"path,text\na.mp4,caf\xe9\n", "not UTF-8"),
        ("m.jsonl", '{"file": "a.mp4"}', "its columns are file"),
        ("m.jsonl", '{"path": "a.mp4"}\n{"path": ', "line 2 is not JSON"),
        ("m.jsonl", '["a.mp4"]', "line 1 is not an object"),
        ("m.jsonl", "[" * 100_000, "line 1 is not JSON"),
        ("m.jsonl", '{"path": "\\ud800.mp4"}', "half of a surrogate pair"),
    ],
)
def test_a_file_that_is_no_manifest_is_refused_with_the_place(tmp_path, name, content, says):
    with pytest.raises(Refused, match=says) as caught:
        read(tmp_path, content, name)
    assert "\n" not in str(caught.value)
    assert name in str(caught.value)


def test_two_manifests_in_the_root_are_refused(tmp_path):
    assert manifest.inside(tmp_path) is None
    (tmp_path / "manifest.jsonl").touch()
    assert manifest.inside(tmp_path) == tmp_path / "manifest.jsonl"
    (tmp_path / "manifest.csv").touch()
    with pytest.raises(Refused, match=r"corpus\.manifest="):
        manifest.inside(tmp_path)


@given(st.lists(st.dictionaries(st.sampled_from(["path", "text", "split"]), st.text(max_size=9)), max_size=5))
def test_what_json_writes_is_read(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("m") / "m.jsonl"
    rows = [{"path": "a.mp4"}, *rows]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    expected = [{key: value.strip() for key, value in row.items() if value.strip()} for row in rows]
    assert cells(manifest.read(path)) == expected
