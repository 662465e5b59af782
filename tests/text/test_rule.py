import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avsr_bench.text import TEXT_VERSION, plain, spell

# Whoever changes what these give changes every figure that was ever measured: raise TEXT_VERSION with it.
VERSION_1 = [
    ("", ""),
    (" \t\n", ""),
    ("IT'S  A\tTEST\n", "it's a test"),
    ("Don’t — “stop” me, now…", "don't stop me now"),
    ("don`t don´t donʼt don‘t", "don't don't don't don't"),
    ("well-known, 3.5% of $20 & more_or_less", "well known 3 5 of 20 more or less"),
    ("ＦＵＬＬ ﬁne ½", "full fine 1 2"),
    ("soft\u00adhyphen zero\u200bwidth", "softhyphen zerowidth"),
    ("Straße ÀÉ", "straße àé"),
    ("हिन्दी में", "हिन्दी में"),
    ("你好，世界", "你好 世界"),
    ("'cause rock 'n' roll", "'cause rock 'n' roll"),
    ("\x00\ud800☺", ""),
    ("a\u200d\u0301", "á"),  # what a dropped character held apart joins
]


@pytest.mark.parametrize(("text", "expected"), VERSION_1)
def test_golden(text, expected):
    assert TEXT_VERSION == 1
    assert plain(text) == expected


@settings(deadline=None)
@given(st.text(), st.sampled_from(["lower", "upper", "kept"]))
def test_the_plain_form_is_its_own(text, case):
    once = plain(text, case)
    assert plain(once, case) == once
    assert once == once.strip() and "  " not in once
    assert all(c in " '" or unicodedata.category(c)[0] in "LMN" for c in once)


@settings(deadline=None)
@given(st.text(alphabet="aB é’'-,.1 "))
def test_case_is_all_that_parts_the_cases(text):
    assert plain(text, "kept").lower() == plain(text) == plain(plain(text, "upper"))


def test_accents_go_only_where_the_alphabet_lacks_the_letter():
    assert spell("café", "lower", set("acfeé")) == "café"
    assert spell("café", "lower", set("acfe")) == "cafe"
    assert spell("café", "lower", set("acf")) == "café"  # no e either: nothing is replaced by another letter
    assert spell("naïve Ångström", "upper", set("ABCDEFGHIJKLMNOPQRSTUVWXYZ")) == "NAIVE ANGSTROM"
    assert spell("ø 7", "upper", set("O")) == "Ø 7"


@settings(deadline=None)
@given(st.text(), st.sampled_from(["lower", "upper", "kept"]), st.frozensets(st.sampled_from("abceéABC1'")))
def test_spelling_twice_is_spelling_once(text, case, alphabet):
    once = spell(text, case, alphabet)
    assert spell(once, case, alphabet) == once
