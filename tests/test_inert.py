"""Nothing that a terminal acts on is left in text of others, and nothing else is changed."""

import json
import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from avsr_bench.inert import LONGEST, inert, line

TURNS = "\u061c\u200e\u200f" + "".join(map(chr, (*range(0x202A, 0x202F), *range(0x2066, 0x206A))))  # Bidi_Control
anything = st.text(st.characters(exclude_categories=()) | st.sampled_from("\x1b\x9b\n\t\r\x7f" + TURNS))


def acts(char):
    return unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") or char in TURNS


@given(anything)
def test_what_is_left_does_not_act(text):
    assert not any(map(acts, inert(text)))
    assert not any(acts(char) for char in inert(text, lines=True) if char not in "\n\t")
    assert inert(inert(text)) == inert(text)


@given(anything)
def test_what_does_not_act_stays(text):
    kept = "".join(char for char in text if not acts(char) and char not in "\ufffe\uffff")
    assert inert(kept) == kept


def test_letters_of_every_script_stay():
    for text in (
        "naïve Ελληνικά русский 嘴唇 עברית فارسی\u200cها हिन्दी क\u094d\u200dष 👩\u200d🏫 e\u0301 ﬁ ＡＢ",
        "a b-c_d/e.mp4",
    ):
        assert inert(text) == text


@given(st.recursive(anything | st.integers(), lambda inner: st.dictionaries(anything, inner) | st.lists(inner)))
def test_json_stays_the_same_json(content):
    text = json.dumps(content, ensure_ascii=False, indent=1)
    assert json.loads(inert(text, lines=True)) == json.loads(text)


@given(anything | st.text(min_size=LONGEST))
def test_a_line_is_one_line_that_ends_as_it_did(text):
    found = line(text)
    assert not any(map(acts, found)) and len(found) <= LONGEST + 10
    if len(text) > LONGEST:
        assert found.endswith(inert(text[-10:].replace("\n", " ")))
