import json
import os
from contextlib import suppress

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from avsr_bench.corpora import manifest
from avsr_bench.records import Refused


def read(tmp_path, content, name="m.csv"):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return manifest.read(path)


def cells(table):
    """The filled cells of each row."""
    return [{name: cell for name in manifest.COLUMNS if (cell := getattr(row, name))} for row in table.rows]


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
        {"path": "a.mp4", "text": 'she said "no"\nand left'},
        {"path": "b.mp4"},
    ]
    assert [row.line for row in table.rows] == [2, 4]
    assert table.notes == (
        "columns of the manifest that are not read: `id`",
        "1 rows of the manifest have fewer cells than its header (line 4 first)",
    )


def test_text_with_commas_and_no_quotes_is_noticed(tmp_path):
    assert read(tmp_path, "path,text\na.mp4,one, two\n").rows[0].surplus == 1


def test_jsonl(tmp_path):
    lines = ['{"path": "a.mp4", "text": "caf\\u00e9 \u2028 x", "start": 1.5, "end": null}', "", '{"path": "b.mp4"}']
    table = read(tmp_path, "\n".join(lines), "m.jsonl")
    assert cells(table) == [{"path": "a.mp4", "text": "café \u2028 x", "start": "1.5"}, {"path": "b.mp4"}]
    assert table.rows[1].line == 3


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        (
            "m.csv",
            "file,text\na.mp4,hello\n",
            r"no column `path`: its columns are `file` \(is `path` meant\?\), `text`",
        ),
        ("m.csv", "path,text\n", "it has no rows"),
        ("m.csv", "", "it has no rows"),
        ("m.csv", 'path,text\na.mp4,"hello\nb.mp4,world\n', "begins on line 2: a quote is opened and not closed"),
        ("m.csv", 'path,text\na.mp4,"hello\n' + "b.mp4,x\n" * 99_999, "begins on line 2: a quote is opened"),
        ("m.csv", 'path,text\n\na.mp4,x\n"b.mp4" z,y\n', "begins on line 4: ',' expected"),
        ("m.csv", "path,text\na.mp4," + "x" * 200_000, "line 2: a quote .* more than 131,072 characters"),
        ("m.csv", "path,text\na.mp4," + "x" * 2_000_000, "line 2 is longer than 1,048,576 characters"),
        ("m.csv", b"path,text\na.mp4,\0\n", "line 2 holds zero bytes"),
        ("m.csv", "path,text\na.mp4,hi\n".encode("utf-16"), "line 1 is not UTF-8"),
        ("m.csv", "path,text\na.mp4,hi\n".encode("utf-16-le"), "line 1 holds zero bytes"),
        ("m.csv", bytes(10_000_000), "longer than 1,048,576"),
        ("m.csv", "path,text;speaker\na.mp4,hi;ann\n", "'text;speaker' is one column"),
        ("m.csv", "path|text\na.mp4|hi\n", "line 1: 'path|text' is one column"),
        ("m.csv", b"path,text\na.mp4,caf\xe9\n", "not UTF-8"),
        ("m.jsonl", '{"file": "a.mp4"}', "its columns are `file`"),
        ("m.jsonl", '{"path": "a.mp4"}\n{"path": ', "line 2 is not JSON"),
        ("m.jsonl", '["a.mp4"]', "line 1 is not an object"),
        ("m.jsonl", "[" * 100_000, "line 1 is not JSON"),
        ("m.jsonl", '{"path": "\\ud800.mp4"}', "half of a surrogate pair"),
        ("m.jsonl", '{"path": "a.mp4", "audio": "\\u0000"}', "line 1: audio holds a zero byte"),
        ("m.jsonl", '{"path": "a.mp4"}\n{"path": ["a.mp4"]}', "line 2: path is a list"),
        ("m.jsonl", '{"path": "a.mp4", "text": {"en": "hi"}}', "line 1: text is an object"),
        ("m.jsonl", '{"path": "a.mp4", "text": true}', "line 1: text is true or false"),
        ("m.jsonl", '{"path": "a.mp4", "start": [1.5]}', "line 1: start is a list"),
        ("m.jsonl", '{"path": "a.mp4", "text": "x", "text": "y"}', "line 1: the column `text` stands there more than"),
        ("m.jsonl", '{"path": "a.mp4", "Text ": "x", "text": null}', "line 1: the column `text`"),
    ],
)
def test_a_file_that_is_no_manifest_is_refused_with_the_place(tmp_path, name, content, says):
    with pytest.raises(Refused, match=says) as caught:
        read(tmp_path, content, name)
    assert "\n" not in str(caught.value)
    assert name in str(caught.value)


def test_two_manifests_in_the_root_are_refused(tmp_path):
    assert manifest.inside(tmp_path) is None
    (tmp_path / "Manifest.JSONL").touch()
    assert manifest.inside(tmp_path) == tmp_path / "Manifest.JSONL"
    (tmp_path / "manifest.csv").touch()
    with pytest.raises(Refused, match=r"corpus\.manifest="):
        manifest.inside(tmp_path)


@given(st.lists(st.dictionaries(st.sampled_from(["path", "text", "split"]), st.text(max_size=9)), max_size=5))
def test_what_json_writes_is_read(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("m") / "m.jsonl"
    rows = [{"path": "a.mp4"}, *rows]
    assume("\0" not in "".join(cell for row in rows for cell in row.values()))
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    expected = [{key: value.strip() for key, value in row.items() if value.strip()} for row in rows]
    assert cells(manifest.read(path)) == expected


@pytest.mark.parametrize("column", manifest.COLUMNS)
@pytest.mark.parametrize("again", ["{}", " {} ", "{upper}"])
def test_a_column_that_stands_twice_is_refused_by_its_name(tmp_path, column, again):
    other = again.format(column, upper=column.upper())
    with pytest.raises(Refused, match=f"line 1: the column `{column}` stands there more than once"):
        read(tmp_path, f"path,{column},{other}\na.mp4,x,y\n" if column != "path" else f"path,{other}\na.mp4,b.mp4\n")


def test_columns_without_a_name_may_stand_twice(tmp_path):
    assert cells(read(tmp_path, "path,text,,\na.mp4,hi,,\n")) == [{"path": "a.mp4", "text": "hi"}]


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [
        ("txt", "text"),
        ("transcript", "text"),
        ("speakr", "speaker"),
        ("speaker_id", "speaker"),
        ("splits", "split"),
        ("subset", "split"),
        ("begin", "start"),
        ("ends", "end"),
    ],
)
@pytest.mark.parametrize("name", ["m.csv", "m.jsonl"])
def test_a_column_that_is_nearly_ours_is_named_with_ours(tmp_path, wrong, meant, name):
    rows = {"path": "a.mp4", "mood": "sad", wrong: "1"}
    content = json.dumps(rows) if name == "m.jsonl" else ",".join(rows) + "\n" + ",".join(rows.values())
    (note,) = read(tmp_path, content, name).notes
    assert note == f"columns of the manifest that are not read: `{wrong}` (is `{meant}` meant?), `mood`"


def test_a_near_miss_is_none_where_the_column_is_there(tmp_path):
    (note,) = read(tmp_path, "path,text,transcript\na.mp4,hi,HI\n").notes
    assert note == "columns of the manifest that are not read: `transcript`"


def test_of_many_columns_the_near_misses_are_named(tmp_path):
    header = ",".join(f"x{number}" for number in range(50))
    (note,) = read(tmp_path, f"path,{header},speakr\na.mp4\n{'' * 51}").notes[:1]
    assert note.startswith("columns of the manifest that are not read: `speakr` (is `speaker` meant?), `x0`,")
    assert note.endswith("and 43 more")


def test_numbers_of_json_stay_as_they_are_written(tmp_path):
    table = read(tmp_path, '{"path": "a.mp4", "text": 007.0, "start": 1e3}'.replace("007.0", "7.0"), "m.jsonl")
    assert cells(table) == [{"path": "a.mp4", "text": "7.0", "start": "1e3"}]
    long = read(tmp_path, '{"path": "a.mp4", "start": ' + "9" * 5000 + "}", "m.jsonl")
    assert long.rows[0].start == "9" * 5000


def test_lines_may_end_in_any_way_in_jsonl_too(tmp_path):
    for end in ("\n", "\r\n", "\r"):
        rows = end.join(['{"path": "a.mp4"}', "", '{"path": "b.mp4"}'])
        assert cells(read(tmp_path, "\ufeff" + rows, "m.jsonl")) == [{"path": "a.mp4"}, {"path": "b.mp4"}]


def test_a_manifest_over_16_megabytes_is_read(tmp_path):
    row = "a.mp4," + "x" * 100_000 + "\n"
    assert len(read(tmp_path, "path,text\n" + row * 170).rows) == 170


@pytest.mark.parametrize("name", ["m.csv", "m.jsonl"])
def test_a_manifest_that_is_no_file_is_refused_and_not_waited_for(tmp_path, name):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / name).mkdir()
    os.mkfifo(tmp_path / name)
    (tmp_path / "gone.csv").symlink_to("nowhere")
    for path, says in ((f"folder/{name}", "a folder"), (name, "not a regular file"), ("gone.csv", "No such file")):
        with pytest.raises(Refused, match=says):
            manifest.read(tmp_path / path)


CELLS = st.sampled_from(
    [*manifest.COLUMNS, "Text", " path ", "speakr", "", "a.mp4", '"', 'a"b', "1,5", "\t", ";", "\r", "é"]
)


@given(
    st.lists(st.lists(CELLS, min_size=1, max_size=6), max_size=6),
    st.sampled_from(",;\t"),
    st.sampled_from(["\n", "\r\n", "\r"]),
)
def test_any_csv_is_read_or_refused_in_one_line(tmp_path_factory, rows, separator, end):
    path = tmp_path_factory.mktemp("m") / "m.csv"
    path.write_bytes(end.join(separator.join(row) for row in rows).encode())
    try:
        table = manifest.read(path)
    except Refused as refused:
        assert str(path) in str(refused)
        return
    assert table.rows
    assert all(row.line >= 2 for row in table.rows)
    assert "path" in table.columns


@given(st.binary(max_size=60), st.sampled_from(["m.csv", "m.jsonl"]))
def test_any_bytes_are_read_or_refused(tmp_path_factory, content, name):
    path = tmp_path_factory.mktemp("m") / name
    path.write_bytes(b'path,text\na.mp4,"' + content if name == "m.csv" else b'{"path": "' + content)
    with suppress(Refused):
        manifest.read(path)
