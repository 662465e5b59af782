import pytest
from hypothesis import given
from hypothesis import strategies as st

from avsr_bench.corpora.lrs_text import Word, is_lrs, seconds, spoken, timed_words
from avsr_bench.records import Unusable

LRS3 = """Text:  SO {THE} FIRST THING
Conf:  4
Ref:   00j9bKdiOjk

FRAME  X \tY \tW \tH
000000 0.402 \t0.141 \t0.188 \t0.335
000001 0.402 \t0.141 \t0.188 \t0.335

WORD START END ASDSCORE
SO 0.11 0.29 5.2
{THE} 0.29 0.40 3.0
FIRST 0.5 0.8 1.1
THING 0.8 1.3 -2.5
"""
LRS2 = """Text:  WHEN YOU'RE COOKING
Conf:  5

WORD START END ASDSCORE
WHEN 0.1 0.2 1
YOU'RE 0.2 0.3 1
COOKING 0.3 1 1
"""


def test_both_corpora():
    assert spoken(LRS3) == "SO THE FIRST THING"
    assert [word.text for word in timed_words(LRS3)] == ["SO", "THE", "FIRST", "THING"]
    assert timed_words(LRS3)[0] == Word("SO", 0.11, 0.29)
    assert seconds(LRS3) == 2 / 25
    assert spoken(LRS2) == "WHEN YOU'RE COOKING"
    assert len(timed_words(LRS2)) == 3
    assert seconds(LRS2) is None


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", " \t\n", "\n\n"])
def test_line_ends_tabs_and_spaces(end):
    text = end.join(LRS2.replace(" ", "\t  ").splitlines())
    assert spoken(text) == "WHEN YOU'RE COOKING"
    assert len(timed_words(text)) == 3


def test_a_header_alone_is_enough_where_no_times_are_needed():
    assert spoken("Text: HELLO") == "HELLO"
    assert seconds("Text: HELLO") is None
    assert seconds("Text: HELLO\nFRAME X Y W H\n") is None


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "empty"),
        ("   \n\n", "empty"),
        ("HELLO THERE", "begins 'HELLO THERE'"),
        ("Conf: 4\nText: HELLO", "begins 'Conf: 4'"),
        ("Text:\nConf: 4", "is empty"),
        ("Text:   {} \nConf: 4", "is empty"),
        ("<html>not found", "begins '<html>"),
    ],
)
def test_a_wrong_head_has_a_reason(content, says):
    with pytest.raises(Unusable, match="bad-text") as caught:
        spoken(content)
    assert says in caught.value.reason.detail


@pytest.mark.parametrize(
    ("rows", "code"),
    [
        ("", "bad-text"),
        ("HELLO", "bad-text"),
        ("HELLO one two", "bad-text"),
        ("HELLO 1.0 0.5", "bad-times"),
        ("HELLO -1 0.5", "bad-times"),
        ("HELLO nan 0.5", "bad-times"),
        ("HELLO 0.1 inf", "bad-times"),
        ("HELLO 1 2\nTHERE 0.5 3", "bad-times"),
        ("HELLO 1 2\nTHERE 1.1 1.5", "bad-times"),
    ],
)
def test_a_wrong_table_has_a_reason(rows, code):
    with pytest.raises(Unusable) as caught:
        timed_words(f"Text: HELLO\n\nWORD START END ASDSCORE\n{rows}\n")
    assert caught.value.reason.code == code


def test_no_table_at_all_has_a_reason():
    with pytest.raises(Unusable, match="no table"):
        timed_words("Text: HELLO\nConf: 4\n")


def test_overlapping_words_without_a_score_are_words():
    assert timed_words("WORD START END\nA 0 1\nB 0.9 1.5") == [Word("A", 0, 1), Word("B", 0.9, 1.5)]


def test_words_that_sound_like_a_header_are_words():
    text = "Text:  ONE WORD START END OF FRAME X\n\nWORD START END ASDSCORE\nWORD 0 1 1\nSTART 1 2 1\n"
    assert [word.text for word in timed_words(text)] == ["WORD", "START"]
    assert seconds(text) is None


@given(st.text())
def test_any_text_is_read_or_has_a_reason(content):
    for parse in (spoken, timed_words):
        try:
            assert parse(content)
        except Unusable as error:
            assert error.reason.code in ("bad-text", "bad-times")
    assert is_lrs("Text: " + content)
