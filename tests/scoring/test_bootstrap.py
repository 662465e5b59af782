import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avsr_bench.records import Refused
from avsr_bench.scoring import Edits, Score, compare, interval, relative_loss


def make(errors, length=10, speaker="", source="", key=""):
    edits = Edits(hits=length - errors, substitutions=errors)
    return Score(key, speaker, source, {"wer": edits, "cer": edits})


def split(count, seed=0, rate=0.3, speakers=20, spread=0.0):
    """Utterances of some speakers, each with an error rate of its own."""
    draw = np.random.default_rng(seed)
    rates = np.clip(rate + spread * draw.standard_normal(speakers), 0, 1)
    return [
        make(int(draw.binomial(10, rates[n % speakers])), speaker=f"s{n % speakers}", key=f"{n:05d}")
        for n in range(count)
    ]


def test_golden():
    """Whoever changes how draws are made changes every interval: raise SCORER_VERSION with it."""
    found = interval([[make(n * 7 % 5, speaker=f"s{n % 20}", key=f"{n:03d}") for n in range(190)]])
    assert (found.over, found.groups, found.draws, found.seed) == ("speakers", 20, 2000, 0)
    assert (found.low, found.high) == (pytest.approx(0.13849248790425261), pytest.approx(0.26063324464360726))


def test_speakers_are_drawn_as_wholes():
    """Two draws by hand: whose numbers come up, and the ratio of the sums of their errors and lengths."""
    scores = [
        make(1, 4, "s1", key="a"),
        make(3, 6, "s1", key="b"),
        make(5, 5, "s2", key="c"),
        make(0, 9, "s3", key="d"),
    ]
    sums = np.array([[4, 10], [5, 5], [0, 9]])
    picked = np.random.default_rng(7).integers(0, 3, (2, 3))
    rates = [sums[row].sum(0)[0] / sums[row].sum(0)[1] for row in picked]
    found = interval([scores], draws=2, seed=7)
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(rates, [0.025, 0.975])))


def test_what_is_drawn():
    both = [make(n % 3, speaker=f"s{n % 4}", source=f"v{n}", key=str(n)) for n in range(8)]
    one_speaker = [Score(each.key, "s1", each.source, each.parts) for each in both]
    unknown = [Score(each.key, "", each.source, each.parts) for each in both]
    nothing = [Score(each.key, "", "", each.parts) for each in both]
    found = [interval([scores], draws=9) for scores in (both, one_speaker, unknown, nothing)]
    assert [each.over for each in found] == ["speakers", "utterances", "sources", "utterances"]
    assert [each.groups for each in found] == [4, 8, 8, 8]


def test_speakers_who_differ_widen_the_interval():
    """Utterances of one speaker are no independent evidence: drawing them alone would promise too much."""
    scores = split(400, speakers=10, spread=0.2)
    alone = [Score(each.key, "", "", each.parts) for each in scores]
    by_speaker, by_utterance = interval([scores]), interval([alone])
    assert by_speaker.high - by_speaker.low > 2 * (by_utterance.high - by_utterance.low)


def test_the_interval_holds_the_truth_about_as_often_as_it_says():
    held = [
        found.low <= 0.3 <= found.high
        for found in (interval([split(300, seed, 0.3, 60)], draws=300) for seed in range(200))
    ]
    assert 0.88 <= np.mean(held) <= 0.99


def test_of_a_single_group_nothing_can_be_learnt():
    found = interval([[make(3, key="a")]])
    assert (found.low, found.high, found.groups) == (0.3, 0.3, 1)


def test_a_draw_without_a_word_in_its_references():
    found = interval([[make(0, 0, key="a"), make(0, 0, key="b"), make(1, 2, key="c")]], draws=500)
    assert 0 <= found.low <= found.high <= 0.5


@settings(deadline=None, max_examples=30)
@given(st.randoms(use_true_random=False), st.integers(0, 99))
def test_order_does_not_matter_and_the_seed_does(draw, seed):
    scores = split(60, speakers=6, spread=0.1)
    found = interval([scores], draws=200, seed=seed)
    assert found == interval([draw.sample(scores, len(scores))], draws=200, seed=seed)
    assert found != interval([scores], draws=200, seed=seed + 1)


def test_many_groups_are_drawn_in_turns_with_the_same_result(monkeypatch):
    whole = interval([split(300, speakers=30)], draws=100)
    monkeypatch.setattr("avsr_bench.scoring.bootstrap.AT_ONCE", 7 * 30)
    assert interval([split(300, speakers=30)], draws=100) == whole


def test_a_mean_over_conditions_draws_the_same_speakers_in_all():
    clean, noisy = split(200, 0, spread=0.2), split(200, 0, spread=0.2)
    assert interval([clean, noisy]).low == pytest.approx(interval([clean]).low)  # as if it were one
    others = split(200, 1, spread=0.2)
    mean = interval([clean, others])
    assert mean.high - mean.low < interval([clean]).high - interval([clean]).low


def test_conditions_of_different_utterances_are_refused():
    with pytest.raises(Refused, match="00009 is in only one of them"):
        interval([split(10), split(9)])
    with pytest.raises(Refused, match="00009 is in only one of them"):
        compare([split(10)], [split(9)])


def test_a_system_against_itself():
    found = compare([split(100)], [split(100)])
    assert (found.difference, found.interval.low, found.interval.high, found.p) == (0, 0, 0, 1)


def test_a_small_difference_that_is_everywhere_is_sure():
    """Intervals of both overlap by far; the pairs tell."""
    first = split(300, spread=0.2)
    second = [
        make(each.parts["wer"].errors + (n // 20 % 4 == 0), 10 + (n // 20 % 4 == 0), each.speaker, key=each.key)
        for n, each in enumerate(first)
    ]
    one, two = interval([first]), interval([second])
    assert one.low < two.low < one.high < two.high
    found = compare([first], [second])
    rates = [
        sum(each.parts["wer"].errors for each in scores) / sum(each.parts["wer"].length for each in scores)
        for scores in (first, second)
    ]
    assert found.difference == pytest.approx(rates[1] - rates[0])
    assert 0 < found.interval.low < found.difference < found.interval.high
    assert found.p == pytest.approx(2 / 2001)
    back = compare([second], [first])
    assert back.difference == -found.difference and back.p == found.p


@pytest.mark.parametrize("speakers", [1, 2, 3, 5, 10])
def test_few_speakers_cannot_make_sure(speakers):
    """Of two systems that are alike, all of G speakers say the same in 2 of 2 ** G cases."""
    first = [make(1, 10, f"s{n}", key=f"{n:03d}") for n in range(speakers)]
    second = [make(2, 10, f"s{n}", key=f"{n:03d}") for n in range(speakers)]
    found = compare([first], [second])
    assert found.difference == pytest.approx(0.1)
    assert found.p == pytest.approx(max(2.0 ** (1 - speakers), 2 / 2001))


def test_a_difference_that_is_chance_is_not_sure():
    sure = [compare([split(200, seed)], [split(200, seed + 1000)], draws=200).p < 0.05 for seed in range(100)]
    assert np.mean(sure) < 0.15


def test_characters_have_their_own():
    words, characters = Edits(hits=1, substitutions=1), Edits(hits=9, deletions=1)
    first = Score("a", "", "", {"wer": words, "cer": characters})
    scores = [first, Score("b", "", "", {"wer": Edits(hits=2), "cer": Edits(hits=10)})]
    assert interval([scores], "wer").high == 0.5 and interval([scores], "cer").high == 0.1
    assert compare([scores], [scores], "cer").difference == 0


class TestRelativeLoss:
    def test_by_hand(self):
        """20 % wrong when clean; 60 and 80 % under two noises: of 80 % right, 50 % points are lost."""
        clean, first, second = ([make(errors, key="a"), make(errors, key="b")] for errors in (2, 6, 8))
        value, span = relative_loss(clean, [first, second])
        assert value == pytest.approx((0.7 - 0.2) / (1 - 0.2))
        assert span.low == pytest.approx(value) == span.high  # both clips say the same

    @given(st.integers(0, 1000), st.floats(0.0, 0.8), st.floats(0.0, 1.0))
    @settings(max_examples=20, deadline=None)
    def test_nothing_is_lost_where_noise_does_nothing_and_all_where_nothing_is_left(self, seed, rate, noisy):
        clean = split(60, seed, rate, spread=0.1)
        value, span = relative_loss(clean, [clean, clean])
        assert value == span.low == span.high == 0
        silent = [make(10, speaker=each.speaker, key=each.key) for each in clean]
        value, span = relative_loss(clean, [silent])
        assert value == pytest.approx(1) == span.low == span.high
        value, span = relative_loss(clean, [split(60, seed + 1, noisy)])
        assert value <= 1 and span.low <= span.high <= 1 + 1e-9
