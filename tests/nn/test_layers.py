"""Dropout, whose draws on a processor are our own."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from avsr_bench.nn.layers import Dropout, dropout


@given(st.floats(0, 0.99), st.integers(0, 2**16))
def test_what_stays_is_scaled_up_so_that_the_mean_stays(fraction, seed):
    torch.manual_seed(seed)
    numbers = 10_000
    dropped = dropout(torch.ones(numbers), fraction, training=True)
    stay = dropped != 0
    assert dropped[stay] == pytest.approx(1 / (1 - fraction), rel=1e-2)
    # Six deviations of the mean of so many draws, and what rounding to 16 bits can move.
    spread = 6 * (fraction * (1 - fraction) / numbers) ** 0.5 + 2**-16
    assert abs(float((~stay).float().mean()) - fraction) <= spread


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 1023])
def test_any_number_of_numbers_is_drawn_for(count):
    torch.manual_seed(0)
    times = torch.stack([dropout(torch.ones(count), 0.5, training=True) for _ in range(400)]).mean(0)
    assert torch.allclose(times, torch.ones(count), atol=0.35)  # each of them, and 0.05 is a deviation
    assert len(times.unique()) > min(count, 5) // 2


def test_draws_are_those_of_the_seed_and_of_no_other():
    layer, x = Dropout(0.3), torch.randn(7, 13)

    def drawn(seed):
        torch.manual_seed(seed)
        return layer(x)

    assert torch.equal(drawn(1), drawn(1)) and not torch.equal(drawn(1), drawn(2))
    assert torch.equal(layer.eval()(x), x) and torch.equal(Dropout(0.0)(x), x)


def test_gradients_pass_where_numbers_do():
    torch.manual_seed(0)
    x = torch.randn(1000, requires_grad=True)
    y = dropout(x, 0.4, training=True)
    y.sum().backward()
    assert torch.allclose(x.grad * x.detach(), y.detach())


def test_half_precision_keeps_its_type():
    assert dropout(torch.ones(64, dtype=torch.bfloat16), 0.5, training=True).dtype == torch.bfloat16
