import jiwer
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avsr_bench.scoring import Edits, align, count, show

WORDS = st.lists(st.sampled_from(["a", "b", "ab", "c", "dd"]), max_size=12)


def of_jiwer(output):
    return Edits(output.hits, output.substitutions, output.deletions, output.insertions)


@settings(deadline=None)
@given(WORDS, WORDS)
def test_words_and_characters_as_jiwer_counts_them(reference, hypothesis):
    said, heard = " ".join(reference), " ".join(hypothesis)
    words, characters = jiwer.process_words(said, heard), jiwer.process_characters(said, heard)
    assert count(reference, hypothesis) == of_jiwer(words)
    assert count(reference, hypothesis).rate == pytest.approx(words.wer)
    assert count(said, heard) == of_jiwer(characters)
    assert count(said, heard).rate == pytest.approx(characters.cer)


def distance(one, other):
    """Levenshtein's distance, row by row from its definition."""
    row = list(range(len(other) + 1))
    for number, unit in enumerate(one, start=1):
        before, row = row, [number]
        for place, against in enumerate(other):
            row.append(min(before[place] + (unit != against), before[place + 1] + 1, row[place] + 1))
    return row[-1]


ODD = st.text(st.sampled_from("ab \t\u00a0\u0301'\n嘴"), max_size=12)  # spaces of every kind, at the ends too


@settings(deadline=None)
@given(st.one_of(st.tuples(WORDS, WORDS), st.tuples(ODD, ODD)))
def test_edits_are_a_shortest_way_from_one_text_to_the_other(pair):
    reference, hypothesis = pair
    edits = count(reference, hypothesis)
    assert edits.errors == distance(reference, hypothesis)
    assert edits.length == len(reference)
    assert edits.hits + edits.substitutions + edits.insertions == len(hypothesis)
    steps = align(reference, hypothesis).steps
    assert [step.reference for step in steps if step.reference] == list(reference)
    assert [step.hypothesis for step in steps if step.hypothesis] == list(hypothesis)
    assert sum(step.kind != "hit" for step in steps) == edits.errors


def test_spaces_are_characters_wherever_they_stand():
    assert count("  a ", "a") == Edits(hits=1, deletions=3)  # jiwer's own transforms would strip them
    assert count(" ", "") == Edits(deletions=1) and count("", " ") == Edits(insertions=1)


@given(WORDS, WORDS)
def test_an_alignment_is_both_of_its_sides_and_its_counts(reference, hypothesis):
    steps = align(reference, hypothesis).steps
    assert [step.reference for step in steps if step.reference] == reference
    assert [step.hypothesis for step in steps if step.hypothesis] == hypothesis
    kinds = [step.kind for step in steps]
    assert count(reference, hypothesis) == Edits(
        *(kinds.count(kind) for kind in ("hit", "substitution", "deletion", "insertion"))
    )
    for step in steps:
        assert (step.kind == "hit") == (step.reference == step.hypothesis)
        assert (step.kind == "deletion") == (not step.hypothesis) and (step.kind == "insertion") == (not step.reference)


@pytest.mark.parametrize(
    ("reference", "hypothesis", "edits", "rate"),
    [
        ([], [], Edits(), 0.0),
        ([], ["a", "b"], Edits(insertions=2), 2.0),  # nothing was said: the errors themselves
        (["a", "b"], [], Edits(deletions=2), 1.0),
        (["a"], ["b", "c", "d"], Edits(substitutions=1, insertions=2), 3.0),
    ],
)
def test_empty_references_and_hypotheses(reference, hypothesis, edits, rate):
    assert count(reference, hypothesis) == edits
    assert edits.rate == rate
    assert edits.rate == jiwer.process_words(" ".join(reference), " ".join(hypothesis)).wer


def test_edits_add_up():
    total = Edits(3, 1, 0, 2) + Edits(1, 0, 1, 0) + Edits()
    assert total == Edits(4, 1, 1, 2)
    assert (total.errors, total.length, total.rate) == (4, 6, 4 / 6)


def test_an_alignment_is_shown_in_columns():
    assert show(align(["is", "it", "the", "black", "cat"], ["it", "the", "blackest", "of", "cat"])) == (
        "REF: is it the ******** black cat\nHYP: ** it the blackest of    cat\n     D         I        S"
    )
    assert show(align([], [])) == "REF:\nHYP:"
    assert show(align(["a"], [])) == "REF: a\nHYP: *\n     D"


@given(WORDS, WORDS, st.integers(0, 40))
def test_long_alignments_are_broken_between_words(reference, hypothesis, width):
    shown = show(align(reference, hypothesis), width)
    said, heard = [], []
    for block in shown.split("\n\n"):
        rows = block.split("\n")
        assert len(rows) in (2, 3)  # without marks where all are hits
        said += rows[0].split()[1:]
        heard += rows[1].split()[1:]
        assert max(map(len, rows)) <= width or len(rows[0].split()) <= 2
    assert [word for word in said if "*" not in word] == reference
    assert [word for word in heard if "*" not in word] == hypothesis
