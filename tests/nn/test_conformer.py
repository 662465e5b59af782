import math

import torch
from hypothesis import given
from hypothesis import strategies as st

from avsr_bench.nn.layers import sinusoids
from avsr_bench.nn.relative_attention import RelativeAttention, relative_shift
from avsr_bench.nn.settings import NetworkSettings


@given(frames=st.integers(1, 12), heads=st.integers(1, 3))
def test_the_shift_puts_each_distance_under_its_key(frames, heads):
    distances = torch.arange(frames - 1, -frames, -1).expand(2, heads, frames, -1) + torch.zeros(2, heads, frames, 1)
    there = torch.arange(frames)[:, None] - torch.arange(frames)  # how far query i is behind key j
    assert torch.equal(relative_shift(distances), there.expand(2, heads, -1, -1).float())


def test_attention_is_the_formula_written_out():
    torch.manual_seed(0)
    attention = RelativeAttention(NetworkSettings(width=8, heads=2)).eval()
    x, frames = torch.randn(1, 5, 8), 5
    with torch.no_grad():
        answer = attention(x, sinusoids(torch.arange(4, -5, -1), 8), torch.tensor([[True, True, True, True, False]]))
        normed = attention.norm(x)[0]
        query, key, value = (layer(normed).view(5, 2, 4) for layer in (attention.query, attention.key, attention.value))
        mixed = torch.zeros(5, 2, 4)
        for head in range(2):
            for i in range(frames):
                scores = torch.full((frames,), -torch.inf)
                for j in range(frames - 1):  # the last frame is padding
                    distance = attention.position(sinusoids(torch.tensor([i - j]), 8)).view(2, 4)[head]
                    content = (query[i, head] + attention.content_bias[head]) @ key[j, head]
                    place = (query[i, head] + attention.position_bias[head]) @ distance
                    scores[j] = (content + place) / 2
                mixed[i, head] = scores.softmax(0) @ value[:, head]
        torch.testing.assert_close(answer[0], attention.output(mixed.flatten(1)))


def test_sinusoids_interleave_sine_and_cosine():
    table = sinusoids(torch.tensor([0, 3, -3]), 6)
    assert table[0].tolist() == [0, 1, 0, 1, 0, 1]
    assert math.isclose(table[1, 0], math.sin(3), rel_tol=1e-6)
    assert math.isclose(table[1, 5], math.cos(3 / 10_000 ** (4 / 6)), rel_tol=1e-6)
    torch.testing.assert_close(table[1] * torch.tensor([-1.0, 1] * 3), table[2])
