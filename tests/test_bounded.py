"""Files and JSON of others: what is odd about them ends in one line, and nothing waits or grows without end."""

import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avsr_bench import bounded
from avsr_bench.bounded import MOST_DEPTH, parse_json, read_bytes, read_text
from avsr_bench.records import Refused

numbers = st.integers(-(10**30), 10**30) | st.floats(allow_nan=False, allow_infinity=False)
plain = st.recursive(
    st.none() | st.booleans() | numbers | st.text(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=5),
    max_leaves=50,
)


@given(plain)
def test_what_json_wrote_comes_back(value):
    assert parse_json(json.dumps(value)) == value
    assert parse_json(json.dumps(value).encode()) == value


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "Expecting value"),
        ("{", "Expecting"),
        ("[" * 100_000, "deep"),
        ('{"a":' * 100_000, "deep"),
        ("[" * (MOST_DEPTH + 1) + "]" * (MOST_DEPTH + 1), "deep"),
        ('{"a": ' * (MOST_DEPTH + 1) + "1" + "}" * (MOST_DEPTH + 1), "deep"),
        ('{"a": 1, "b": {"c": 1, "c": 2}}', "'c' twice"),
        ("[NaN]", "NaN is not a number"),
        ("-Infinity", "-Infinity is not a number"),
        ("1e999", "more than a number can be"),
        ("9" * 5000, "a number of 5,000 digits"),
        (b"\xff\xff\xff", "decode"),
    ],
)
def test_json_that_is_none_of_ours_is_a_value_error_of_one_line(text, says):
    with pytest.raises(ValueError, match=says) as caught:
        parse_json(text)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 200


def test_json_may_be_as_deep_as_it_says():
    text = "[" * MOST_DEPTH + "]" * MOST_DEPTH
    assert parse_json(text) == json.loads(text)
    assert parse_json('["' + "[" * 100 + '"]') == ["[" * 100]


def test_what_is_no_file_is_refused_before_it_is_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    (tmp_path / "loop").symlink_to("loop")
    for name, says in {
        "pipe": "a pipe, a socket or a device, not a file",
        "link": "a pipe",
        "loop": "symbolic links",
        ".": "a folder, not a file",
        "none": "No such file",
        "a\0b": "null",
    }.items():
        with pytest.raises(Refused, match=says) as caught:
            read_bytes(tmp_path / name)
        assert "\n" not in str(caught.value)


def test_no_more_is_read_than_a_file_may_have(tmp_path):
    path = tmp_path / "large"
    path.write_bytes(b"x" * 100)
    assert read_bytes(path, 100) == b"x" * 100
    with pytest.raises(Refused, match="more than the 99 bytes"):
        read_bytes(path, 99)
    with path.open("r+b") as file:
        file.truncate(2**40)  # a terabyte of nothing
    with pytest.raises(Refused, match=f"{bounded.MOST_BYTES:,} bytes"):
        read_text(path)


def test_text_is_utf_8(tmp_path):
    (tmp_path / "x").write_bytes(b"caf\xe9")
    with pytest.raises(Refused, match="UTF-8"):
        read_text(tmp_path / "x")
