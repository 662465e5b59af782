import pickle
import re
from urllib.parse import quote, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avsr_bench.records import LONGEST_KEY, REASONS, Reason, Unusable, make_key


@given(st.text(), st.text())
def test_keys_are_plain_and_never_collide(a, b):
    assert re.fullmatch(r"[A-Za-z0-9_%-]*", make_key(a))
    if len(quote(a, safe="")) + 2 * sum(map(a.count, ".~")) <= LONGEST_KEY:
        assert unquote(make_key(a)) == a
    assert len(make_key(a)) <= LONGEST_KEY
    assert (make_key(a) == make_key(b)) == (a == b)


def test_a_reason_is_one_of_those_that_are_known():
    with pytest.raises(ValueError, match="unknown reason"):
        Reason("bad-luck", "")
    for code, (kind, meaning) in REASONS.items():
        assert Reason(code, "x").kind == kind
        assert meaning and "|" not in meaning


def test_an_unusable_clip_travels_between_processes():
    sent = Unusable("no-face", "in 3 frames")
    assert pickle.loads(pickle.dumps(sent)).reason == sent.reason


@given(st.text(min_size=1, max_size=400), st.text(min_size=1, max_size=400))
def test_keys_of_long_names_are_short_and_never_collide(one, other):
    keys = [make_key(name) for name in (one, other, f"{one * 300}.", f"{one * 300}-")]
    assert all(len(f"{key}.mouth.mp4") < 255 and re.fullmatch(r"(?:[A-Za-z0-9_-]|%[0-9A-F]{2})+", key) for key in keys)
    assert len(set(keys)) == 4 - (one == other)
