"""What update_speed.py compares with is the same network: the same weights, answers and gradients."""

import torch

from avsr_bench.nn import AVSR, Batch, LossSettings, NetworkSettings, published_name
from benchmarks.plain_network import PlainNetwork

NARROW = NetworkSettings(
    width=32,
    heads=4,
    feed_forward=64,
    encoder_blocks=2,
    decoder_blocks=2,
    dropout=0.0,
    attention_dropout=0.0,
    ctc_dropout=0.0,
    mask_padding=False,
)


def test_it_is_our_network_with_the_published_names():
    torch.manual_seed(0)
    ours, plain = AVSR("video", NARROW, 20), PlainNetwork(NARROW, 20)
    plain.load_state_dict({published_name(name, "video"): value for name, value in ours.state_dict().items()})
    batch = Batch(torch.tensor([9, 6]), torch.tensor([[1, 2, 3], [4, 5, -1]]), torch.randn(2, 9, 88, 88))
    losses = [network.train().loss(batch, LossSettings()) for network in (ours, plain)]
    torch.testing.assert_close(losses[1].clips, losses[0].clips, rtol=1e-5, atol=0)
    for each in losses:
        each.total.backward()
    theirs = dict(plain.named_parameters())
    pairs = [(weight.grad, theirs[published_name(name, "video")].grad) for name, weight in ours.named_parameters()]
    found, wanted = (torch.cat([gradient.flatten() for gradient in side]) for side in zip(*pairs, strict=True))
    assert (found - wanted).norm() < 1e-4 * wanted.norm()
