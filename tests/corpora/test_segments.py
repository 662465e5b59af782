import itertools
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from avsr_bench.corpora.lrs_text import Word
from avsr_bench.corpora.segments import LONGEST_PAUSE, ROOM, cut, segments

MILLISECOND = 0.001 + 1e-9  # segments are rounded to it


def table(lengths_and_pauses):
    """Words from pairs of hundredths of a second: how long each is, and the pause (or overlap) before it."""
    words, now = [], 0.0
    for number, (length, pause) in enumerate(lengths_and_pauses):
        start = max(now + pause / 100, words[-1].start if words else 0.0)
        end = max(start + length / 100, words[-1].end if words else 0.0)
        words.append(Word(f"W{number}", start, end))
        now = end
    return words


# A word may take half a minute and a pause may too; 1 % of pauses are overlaps, as in forced alignments.
tables = st.lists(
    st.tuples(
        st.integers(1, 60) | st.integers(1, 3000),
        st.integers(0, 30) | st.integers(-20, 0) | st.integers(0, 3000),
    ),
    min_size=1,
    max_size=80,
).map(table)


def greedy(words, longest):
    """How many segments it takes to fill one after the other."""
    count, begin = 0, None
    for before, word in zip([None, *words], words, strict=False):
        if begin is None or word.end - begin > longest or word.start - before.end > LONGEST_PAUSE:
            count, begin = count + 1, word.start
    return count


@given(tables, st.sampled_from([1.0, 4.0, 16.0, 24.0]))
def test_laws(words, longest):
    cuts = [*cut(words, longest), len(words)]
    parts = segments(words, longest)
    assert " ".join(part.text for part in parts) == " ".join(word.text for word in words)
    assert len(parts) == len(cuts) - 1
    for part, (first, stop) in zip(parts, pairwise(cuts), strict=True):
        inside = words[first:stop]
        assert 0 <= part.start < part.end + MILLISECOND
        assert len(inside) == 1 or part.end - part.start <= longest + MILLISECOND
        assert all(b.start - a.end <= LONGEST_PAUSE for a, b in pairwise(inside))
    for before, after in pairwise(parts):
        assert before.end <= after.start


@given(tables, st.sampled_from([4.0, 16.0]))
def test_as_few_segments_as_greedy_packing(words, longest):
    assert len(cut(words, longest)) <= greedy(words, longest)


@given(tables)
def test_words_that_do_not_overlap_are_whole(words):
    apart = [word for before, word in pairwise([Word("", 0, 0), *words]) if word.start >= before.end]
    for part in segments(apart, 16.0):
        for word in apart:
            if word.text in part.text.split():
                assert part.start <= word.start + MILLISECOND
                assert part.end >= word.end - MILLISECOND


def test_it_cuts_at_the_longest_pause():
    words = table([(50, 1)] * 20 + [(50, 40)] + [(50, 1)] * 18)  # 20 s in all; greedy would cut at 16 s
    assert cut(words, 16.0) == [0, 20]


def test_the_first_word_may_end_late():
    (part,) = segments([Word("LATE", 2.0, 19.5)], 16.0, seconds=30.0)
    assert (part.text, part.start, part.end) == ("LATE", 2.0, 19.5)
    parts = segments([Word("LATE", 0.5, 17.5), Word("ON", 17.5, 17.8)], 16.0)
    assert [part.text for part in parts] == ["LATE", "ON"]


def test_a_long_pause_is_left_out_and_the_tail_is_kept():
    words = [Word("A", 0.0, 1.0), Word("B", 1.2, 2.0), Word("C", 30.0, 31.0), Word("D", 31.1, 32.0)]
    first, last = segments(words, 16.0, seconds=40.0)
    assert (first.text, first.start, first.end) == ("A B", 0.0, 2.0 + ROOM)
    assert (last.text, last.start, last.end) == ("C D", 30.0 - ROOM, 32.0 + ROOM)


def test_room_ends_with_the_clip():
    assert segments([Word("A", 0.1, 1.0)], 16.0, seconds=1.08)[0].end == 1.08
    assert segments([Word("A", 0.1, 1.0)], 16.0)[0].end == 1.0  # how long the clip is, is not known
    assert segments([Word("A", 0.1, 1.0)], 16.0, seconds=0.5)[0].end == 1.0  # a table of frames that breaks off
    assert segments([Word("A", 0.1, 1.0)], 16.0)[0].start == 0.0


def test_words_that_overlap_meet_in_the_middle():
    words = [Word("A", 0.0, 10.0), Word("B", 9.8, 18.0)]
    first, second = segments(words, 16.0)
    assert first.end == second.start == 9.9


def every_way(words, longest):
    """All ways to cut a few words, as tuples of first words, that break no limit."""
    for cuts in itertools.product([False, True], repeat=len(words) - 1):
        firsts = [0, *(number for number, here in enumerate(cuts, 1) if here)]
        for first, stop in pairwise([*firsts, len(words)]):
            pauses = [b.start - a.end for a, b in pairwise(words[first:stop])]
            if stop - first > 1 and words[stop - 1].end - words[first].start > longest:
                break
            if max(pauses, default=0.0) > LONGEST_PAUSE:
                break
        else:
            yield firsts


@given(tables.map(lambda words: words[:9]), st.sampled_from([1.0, 4.0, 16.0]))
def test_no_other_way_needs_fewer_segments_or_cuts_at_longer_pauses(words, longest):
    def cost(firsts):
        return len(firsts), -sum(words[first].start - words[first - 1].end for first in firsts[1:])

    count, pauses = cost(cut(words, longest))
    best_count, best_pauses = min(cost(firsts) for firsts in every_way(words, longest))
    assert count == best_count
    assert pauses <= best_pauses + 1e-9
