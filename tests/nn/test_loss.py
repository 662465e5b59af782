import math

import pytest
import torch
from torch.nn import functional as F

from avsr_bench.nn.loss import attention_loss, ctc_loss
from avsr_bench.nn.recogniser import framed


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.4])
def test_the_attention_loss_is_the_divergence_from_the_smoothed_transcript(smoothing):
    logits, following = torch.randn(2, 4, 7), torch.tensor([[3, 1, 6, -1], [2, 6, -1, -1]])
    expected = torch.zeros(2)
    for clip in range(2):
        for position, token in enumerate(following[clip].tolist()):
            if token >= 0:
                target = torch.full((7,), smoothing / 6)
                target[token] = 1 - smoothing
                log_probs = logits[clip, position].log_softmax(0)
                expected[clip] += F.kl_div(log_probs, target, reduction="sum")
    torch.testing.assert_close(attention_loss(logits, following, smoothing), expected)


def test_perfect_logits_have_no_divergence():
    target = torch.full((1, 1, 5), 0.1 / 4)
    target[..., 2] = 0.9
    assert abs(attention_loss(target.log(), torch.tensor([[2]]), 0.1).item()) < 1e-6


def test_ctc_sums_over_all_paths():
    probs = torch.tensor([[[0.5, 0.3, 0.2], [0.1, 0.6, 0.3]]])  # two frames, blank and two tokens
    paths = 0.3 * 0.6 + 0.5 * 0.6 + 0.3 * 0.1  # aa, -a, a-
    loss = ctc_loss(probs.log(), torch.tensor([2]), torch.tensor([[1, -1]]))
    assert math.isclose(loss.item(), -math.log(paths), rel_tol=1e-5)


def test_a_transcript_longer_than_its_clip_counts_as_nothing():
    log_probs = torch.randn(2, 3, 5).log_softmax(-1).requires_grad_()
    loss = ctc_loss(log_probs, torch.tensor([3, 3]), torch.tensor([[1, 1, 1], [1, 2, 3]]))  # 111 needs blanks between
    loss.sum().backward()
    assert loss[0] == 0
    assert loss[1] > 0
    assert log_probs.grad.isfinite().all()


def test_transcripts_are_framed_for_the_decoder():
    before, after = framed(torch.tensor([[4, 5, 6], [7, -1, -1], [-1, -1, -1]]), sos=9, eos=9)
    assert before.tolist() == [[9, 4, 5, 6], [9, 7, 9, 9], [9, 9, 9, 9]]
    assert after.tolist() == [[4, 5, 6, 9], [7, 9, -1, -1], [9, -1, -1, -1]]
