"""The published networks' decoder gave these hypotheses and scores; ours gives the same."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from avsr_bench.decoding import DecodeSettings, decode
from avsr_bench.nn import AVSR, NetworkSettings
from avsr_bench.nn.published_weights import published_name

PARITY = Path(__file__).parents[2] / "../shared/parity"
NARROW = NetworkSettings(width=64, heads=4, feed_forward=128, encoder_blocks=2, decoder_blocks=2)
EOS = 59


def refill(network, modality):
    """The weights that the figures were made with: drawn by a rule, in the order of the published names."""
    ours = {published_name(name, modality): value for name, value in network.state_dict().items()}
    for seed, (name, value) in enumerate(sorted(ours.items())):
        if value.is_floating_point():
            drawn = torch.randn(value.shape, generator=torch.Generator().manual_seed(seed))
            if name.endswith("running_var"):
                drawn = drawn.abs() * 0.1 + 1
            elif value.ndim == 1:
                drawn = drawn * 0.05 + (1 if name.endswith("weight") else 0)
            else:
                drawn = drawn / value[0].numel() ** 0.5
            value.copy_(drawn)


@pytest.mark.skipif(not PARITY.is_dir(), reason=f"{PARITY} is missing")
@pytest.mark.parametrize("modality", ["video", "audio"])
def test_the_same_hypotheses_and_scores_as_the_published_decoder(modality):
    network = AVSR(modality, NARROW, tokens=EOS + 1).eval()
    refill(network, modality)
    clips = load_file(PARITY / f"auto_avsr_{modality}_tiny.safetensors")
    memory = torch.nn.utils.rnn.pad_sequence([clips["encoder_0"], clips["encoder_1"]], batch_first=True)
    lengths = torch.tensor([29, 17])
    figures = json.loads((PARITY / f"auto_avsr_{modality}_tiny_beams.json").read_text())
    assert {figure["beam"] for figure in figures} == {1, 5, 10, 40}
    for figure in figures:
        how = DecodeSettings(beam=figure["beam"], ctc_weight=figure["ctc_weight"], nbest=3)
        found = decode(network, memory, lengths, how)[figure["utterance"]]
        expected = figure["nbest"]
        # What ended in the last possible step got a second eos there.
        said = [tuple(token for token in each["tokens"] if token != EOS) for each in expected]
        assert [hypothesis.tokens for hypothesis in found[: len(expected)]] == said
        scores = [each["score"] for each in expected]
        assert [hypothesis.score for hypothesis in found[: len(expected)]] == pytest.approx(scores, abs=1e-3)
