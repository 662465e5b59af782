import random

import jiwer
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avsr_bench.records import Refused
from avsr_bench.scoring import (
    Edits,
    Utterance,
    interval,
    merge,
    score,
    show,
    total,
    worst,
)

TEXT = st.text(alphabet="abé' ,.A", max_size=12)
UTTERANCES = st.lists(
    st.builds(
        Utterance,
        key=st.text(max_size=6),
        reference=st.one_of(TEXT, st.text(max_size=6)),
        hypothesis=TEXT,
        speaker=st.sampled_from(["s1", "s2", "s3"]),
        source=TEXT,
        score=st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False)),
    ),
    unique_by=lambda utterance: utterance.key,
    max_size=12,
)


def test_case_and_punctuation_do_not_count():
    scored = score(Utterance("k", "Don’t stop, NOW!", "don't stop now", "s1", "v1"))
    assert (scored.key, scored.speaker, scored.source) == ("k", "s1", "v1")
    assert scored.parts["wer"] == Edits(hits=3) and scored.parts["cer"] == Edits(hits=14)


def test_what_is_said_counts():
    scored = score(Utterance("k", "the CAFÉ", "the cafe <unk>"))
    assert scored.parts["wer"] == Edits(hits=1, substitutions=1, insertions=1)


@settings(deadline=None)
@given(UTTERANCES, st.randoms(use_true_random=False))
def test_a_shared_evaluation_merges_to_the_numbers_of_the_whole(utterances, draw):
    whole = merge(map(score, utterances))
    shuffled = draw.sample(utterances, len(utterances))
    cuts = sorted(draw.choices(range(len(utterances) + 1), k=2))
    parts = [shuffled[: cuts[0]], shuffled[cuts[0] : cuts[1]], shuffled[cuts[1] :]]
    merged = merge(*(map(score, part) for part in parts))
    assert merged == whole
    assert total(merged) == total(whole)
    if utterances:
        assert interval([merged], draws=20) == interval([draw.sample(whole, len(whole))], draws=20)


def test_wer_and_cer_of_a_corpus_as_jiwer_has_them():
    draw = random.Random(0)
    texts = [[" ".join(draw.choices(["a", "bb", "ccc"], k=draw.randint(0, 6))) for _ in range(200)] for _ in "rh"]
    found = total(score(Utterance(str(n), *pair)) for n, pair in enumerate(zip(*texts, strict=True)))
    assert found["wer"].rate == pytest.approx(jiwer.wer(*texts))
    assert found["cer"].rate == pytest.approx(jiwer.cer(*texts))


def test_nothing_was_evaluated():
    assert total(()) == {"wer": Edits(), "cer": Edits()}
    with pytest.raises(Refused, match="not one utterance was decoded"):
        interval([()])


def test_the_same_part_twice_is_refused():
    part = [score(Utterance("k1", "a", "a")), score(Utterance("k2", "a", "a"))]
    with pytest.raises(Refused, match="k2 was scored twice"):
        merge(part, part[1:])


def test_the_worst_come_first_with_their_alignment():
    utterances = [
        Utterance("fine", "a b c", "a b c"),
        Utterance("bad", "A b c", "x b"),
        Utterance("awful", "a b c", ""),
        Utterance("also bad", "a", "b c"),
    ]
    found = worst(utterances, 3)
    assert [utterance.key for utterance, _ in found] == ["awful", "also bad", "bad"]
    assert show(found[2][1]) == "REF: a b c\nHYP: x b *\n     S   D"
    assert len(worst(utterances, 9)) == 4
