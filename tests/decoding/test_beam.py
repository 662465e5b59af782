"""The beam search against a straightforward one, and against trying every string, on small networks."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from avsr_bench import recipes
from avsr_bench.decoding import DecodeSettings, decode
from avsr_bench.nn import AVSR, FrontendSettings, NetworkSettings
from avsr_bench.records import Misused, Refused

WIDTH = 8
LOG_ZERO = -1e10
SMALL = NetworkSettings(
    width=WIDTH,
    heads=2,
    feed_forward=16,
    encoder_blocks=1,
    decoder_blocks=2,
    audio=FrontendSettings(channels=(1, 1, 1, 1), blocks=1),
)


def make_network(seed, tokens, sharpness):
    torch.manual_seed(seed)
    network = AVSR("audio", SMALL, tokens).eval()
    with torch.no_grad():
        for layer in (network.decoder.output, network.ctc):
            layer.weight *= sharpness
    return network


def make_memory(seed, lengths):
    memory = torch.randn(len(lengths), max(lengths), WIDTH, generator=torch.Generator().manual_seed(seed))
    return memory, torch.tensor(lengths)


class Counting:
    """The same network; how often the decoder was asked, and about how many utterances and hypotheses."""

    def __init__(self, network):
        self.ctc_log_probs, self.start, self.asked = network.ctc_log_probs, network.start, []
        self.network = network

    def step(self, tokens, state):
        self.asked.append(tuple(tokens.shape))
        return self.network.step(tokens, state)


class SlowCtc:
    """Forward probabilities of one prefix at a time, frame by frame."""

    def __init__(self, log_probs):
        self.x = log_probs.double().numpy()
        silent = [0.0, *np.cumsum(self.x[:, 0])]
        self.known = {(): ([-np.inf] * len(silent), silent)}  # ends in its last token, ends in a blank

    def forward(self, prefix):
        if prefix not in self.known:
            enter, token = self.before(prefix), prefix[-1]
            spoken, silent = [-np.inf], [-np.inf]
            for t, frame in enumerate(self.x):
                silent.append(np.logaddexp(spoken[t], silent[t]) + frame[0])
                spoken.append(np.logaddexp(spoken[t], enter[t]) + frame[token])
            self.known[prefix] = spoken, silent
        return self.known[prefix]

    def before(self, prefix):
        """After each number of frames, whether the last token may come."""
        spoken, silent = self.forward(prefix[:-1])
        return silent if prefix[-2:-1] == prefix[-1:] else np.logaddexp(spoken, silent)

    def begins(self, prefix):
        return max(np.logaddexp.reduce(self.before(prefix)[:-1] + self.x[:, prefix[-1]]), LOG_ZERO)

    def whole(self, prefix):
        spoken, silent = self.forward(prefix)
        return max(np.logaddexp(spoken[-1], silent[-1]), LOG_ZERO)


@torch.no_grad()
def attention(network, memory, prefixes):
    """Log-probabilities of what follows some prefixes of one length, by the decoder as it is trained."""
    tokens = torch.tensor([[network.sos, *prefix] for prefix in prefixes])
    memory = memory.expand(len(tokens), -1, -1)
    logits = network.decoder(tokens, memory, torch.full((len(tokens),), memory.shape[1]))
    return logits[:, -1].log_softmax(-1).double().numpy()


def slow_search(network, memory, how):
    """One utterance (T, D), one hypothesis at a time, as the rules read; what ended, best first, and the steps."""
    frames, eos, c = len(memory), network.eos, how.ctc_weight
    ctc = SlowCtc(network.ctc_log_probs(memory[None]).detach()[0])
    running, ended = [((), 0.0, 0.0)], []  # tokens, score, CTC's score of them
    for step in range(frames):
        pairs = []
        for (tokens, score, parent), log_probs in zip(
            running, attention(network, memory, [tokens for tokens, _, _ in running]), strict=True
        ):
            selected = set(range(eos + 1))
            if 0 < c < 1 and int(1.5 * how.beam) < eos + 1:
                selected = set(np.argsort(-log_probs)[: int(1.5 * how.beam)].tolist())
            for token in range(1, eos + 1):  # never blank
                if c == 0:
                    prefix_score = parent
                elif token == eos:
                    prefix_score = ctc.whole(tokens)
                else:
                    prefix_score = ctc.begins((*tokens, token)) if token in selected else LOG_ZERO
                total = score + (1 - c) * log_probs[token] + c * (prefix_score - parent) + how.length_bonus
                pairs.append(((*tokens, token), total, prefix_score))
        best = sorted(pairs, key=lambda pair: -pair[1])[: how.beam]
        ends = [pair for pair in best if pair[0][-1] == eos or step == frames - 1]
        running = [pair for pair in best if pair not in ends]
        ended += [(tokens[:-1] if tokens[-1] == eos else tokens, score) for tokens, score, _ in ends]
        hopeless = 0
        for length in (step, step - 1, step - 2):
            same = [score for tokens, score in ended if len(tokens) + 2 == length]
            hopeless += bool(same) and max(same) - max(score for _, score in ended) < -10
        if hopeless == 3 or all(score < LOG_ZERO / 100 for _, score, _ in running):  # only impossible ones are left
            break
    return sorted(ended, key=lambda hypothesis: -hypothesis[1]), step + 1


@settings(deadline=None, max_examples=120, derandomize=True)  # two candidates may be equal but for the last bit
@given(
    seed=st.integers(0, 10_000),
    tokens=st.integers(3, 12),
    lengths=st.lists(st.integers(1, 14), min_size=1, max_size=3),
    sharpness=st.sampled_from([1.0, 6.0, 20.0]),
    how=st.builds(
        DecodeSettings,
        beam=st.integers(1, 6),
        ctc_weight=st.sampled_from([0.0, 0.1, 0.5, 1.0]),
        length_bonus=st.sampled_from([0.0, 0.5]),
        nbest=st.integers(1, 4),
    ),
)
def test_the_same_hypotheses_and_scores_as_the_straightforward_search(seed, tokens, lengths, sharpness, how):
    network = make_network(seed, tokens, sharpness)
    memory, lengths = make_memory(seed, lengths)
    steps, counting = [], Counting(network)
    for number, found in enumerate(decode(counting, memory, lengths, how)):
        slow, taken = slow_search(network, memory[number, : lengths[number]], how)
        steps.append(taken)
        possible = [hypothesis for hypothesis in slow if hypothesis[1] > LOG_ZERO / 100]
        assert [hypothesis.tokens for hypothesis in found] == [said for said, _ in possible[: how.nbest]]
        assert [hypothesis.score for hypothesis in found] == pytest.approx(
            [score for _, score in possible[: how.nbest]], abs=1e-3
        )

    assert len(counting.asked) == (max(steps) if how.ctc_weight < 1 else 0)


@settings(deadline=None, max_examples=40, derandomize=True)
@given(
    seed=st.integers(0, 10_000),
    lengths=st.lists(st.integers(1, 4), min_size=1, max_size=3),
    ctc_weight=st.sampled_from([0.0, 0.1, 0.5, 1.0]),
    sharpness=st.sampled_from([1.0, 6.0]),
)
def test_a_beam_that_holds_everything_finds_the_best_of_all_strings(seed, lengths, ctc_weight, sharpness):
    """Every string of up to as many tokens as frames, scored without any search."""
    network = make_network(seed, 4, sharpness)  # blank, two tokens, eos
    memory, lengths = make_memory(seed, lengths)
    how = DecodeSettings(beam=100, ctc_weight=ctc_weight, nbest=100)
    for number, found in enumerate(decode(network, memory, lengths, how)):
        frames = int(lengths[number])
        ctc = SlowCtc(network.ctc_log_probs(memory[number : number + 1, :frames]).detach()[0])
        scores = {}
        for count in range(frames + 1):
            for string in itertools.product((1, 2), repeat=count):
                said = string if count == frames else (*string, network.eos)
                told = sum(
                    attention(network, memory[number, :frames], [said[:place]])[0][token]
                    for place, token in enumerate(said)
                )
                heard = ctc.begins(string) if count == frames else ctc.whole(string)
                if ctc_weight == 0 or heard > LOG_ZERO:
                    scores[string] = (1 - ctc_weight) * told + ctc_weight * heard
        assert {hypothesis.tokens: hypothesis.score for hypothesis in found} == pytest.approx(scores, abs=1e-3)
        assert [hypothesis.score for hypothesis in found] == sorted((h.score for h in found), reverse=True)


def test_the_search_stops_where_nothing_better_is_to_be_expected():
    network = make_network(3, 12, 6.0)
    memory, lengths = make_memory(3, [60])
    how = DecodeSettings(beam=5, ctc_weight=0.1, nbest=3)
    counting = Counting(network)
    found = decode(counting, memory, lengths, how)[0]
    slow, steps = slow_search(network, memory[0], how)
    assert len(counting.asked) == steps < 60
    assert all(width > 0 for _, width in counting.asked)  # hypotheses were left
    assert [hypothesis.tokens for hypothesis in found] == [tokens for tokens, _ in slow[:3]]


def test_an_utterance_is_read_alike_alone_and_in_company_and_leaves_when_it_is_finished():
    network = make_network(0, 30, 6.0)
    memory, lengths = make_memory(0, [5, 25, 1, 12, 25])
    how = DecodeSettings(beam=8, nbest=3)
    counting = Counting(network)
    together = decode(counting, memory, lengths, how)
    for number, length in enumerate(lengths):
        alone = decode(network, memory[number : number + 1, :length], lengths[number : number + 1], how)[0]
        assert [hypothesis.tokens for hypothesis in alone] == [hypothesis.tokens for hypothesis in together[number]]
        scores = [hypothesis.score for hypothesis in alone]
        assert [hypothesis.score for hypothesis in together[number]] == pytest.approx(scores, abs=1e-4)
    utterances = [asked for asked, _ in counting.asked]
    assert utterances[:2] == [5, 4] and utterances[-1] < 4 and utterances == sorted(utterances, reverse=True)


def test_what_padding_holds_changes_nothing():
    network = make_network(0, 30, 6.0)
    memory, lengths = make_memory(0, [5, 9])
    other = memory.clone()
    other[0, 5:] = 100.0
    for kind in ("beam", "ctc", "attention"):
        how = DecodeSettings(kind=kind, beam=4)
        assert decode(network, memory, lengths, how) == decode(network, other, lengths, how)


@pytest.mark.parametrize("seed", range(5))
def test_greedy_attention_takes_the_best_token_each_time(seed):
    network = make_network(seed, 10, 6.0)
    memory, lengths = make_memory(seed, [7, 12])
    for number, (found,) in enumerate(decode(network, memory, lengths, DecodeSettings(kind="attention"))):
        said, score = (), 0.0
        while len(said) < lengths[number]:
            log_probs = attention(network, memory[number, : lengths[number]], [said])[0]
            best = 1 + int(log_probs[1:].argmax())  # never blank
            score += log_probs[best]
            if best == network.eos:
                break
            said += (best,)
        assert found.tokens == said
        assert found.score == pytest.approx(score, abs=1e-4)


def test_blank_is_never_said_even_where_attention_likes_it_best():
    network = make_network(0, 6, 1.0)
    with torch.no_grad():
        network.decoder.output.bias[0] = 50.0
    memory, lengths = make_memory(0, [9, 4])
    for how in (DecodeSettings(beam=2), DecodeSettings(beam=2, ctc_weight=0), DecodeSettings(kind="attention")):
        for found in decode(network, memory, lengths, how):
            assert found and 0 not in found[0].tokens


def test_half_precision_of_the_network_changes_scores_by_little():
    network = make_network(0, 10, 6.0)
    memory, lengths = make_memory(0, [7, 12])
    how = DecodeSettings(beam=4)
    full = decode(network, memory, lengths, how)
    half = decode(network.bfloat16(), memory.bfloat16(), lengths, how)
    assert [best.score for (best,) in half] == pytest.approx([best.score for (best,) in full], rel=0.05)


def test_the_answer_has_as_many_hypotheses_as_were_asked_for_and_there_are():
    network = make_network(0, 4, 1.0)
    memory, lengths = make_memory(0, [1, 6])
    short, long = decode(network, memory, lengths, DecodeSettings(beam=9, nbest=7))
    assert {hypothesis.tokens for hypothesis in short} == {(), (1,), (2,)}  # all that one frame can say
    assert len(long) == 7 and len({hypothesis.tokens for hypothesis in long}) == 7


@pytest.mark.parametrize("kind", ["beam", "ctc", "attention"])
def test_a_network_that_answers_nan_is_refused(kind):
    network = make_network(0, 6, 1.0)
    memory, lengths = make_memory(0, [5, 5])
    memory[1] = math.nan
    with pytest.raises(Refused, match=r"not a number \(NaN\): its weights are damaged, or training diverged"):
        decode(network, memory, lengths, DecodeSettings(kind=kind, beam=3))


def test_nan_in_the_middle_of_a_search_is_refused_too():
    network = make_network(0, 6, 1.0)
    memory, lengths = make_memory(0, [9])
    counting = Counting(network)
    step = counting.step

    def late(tokens, state):
        log_probs, state = step(tokens, state)
        return (log_probs * math.nan if len(counting.asked) == 3 else log_probs), state

    counting.step = late
    with pytest.raises(Refused, match="not a number"):
        decode(counting, memory, lengths, DecodeSettings(beam=3, nbest=3))


@pytest.mark.parametrize("kind", ["beam", "attention"])
def test_an_utterance_without_frames(kind):
    network = make_network(0, 6, 1.0)
    memory, _ = make_memory(0, [5, 5])
    with pytest.raises(ValueError, match="without frames"):
        decode(network, memory, torch.tensor([5, 0]), DecodeSettings(kind=kind))


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"beam": 0}, "beam = 0: it should be a whole number from 1 to 1,000"),
        ({"nbest": 0}, "nbest = 0"),
        ({"ctc_weight": 1.1}, "ctc_weight = 1.1: it should be a number from 0 to 1"),
        ({"ctc_weight": -0.1}, "ctc_weight = -0.1"),
        ({"ctc_weight": math.nan}, "ctc_weight = nan"),
    ],
)
def test_settings_that_make_no_sense(wrong, says):
    with pytest.raises(Misused, match=says):
        recipes.checked(replace(DecodeSettings(), **wrong), "decode")
