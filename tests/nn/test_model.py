from dataclasses import replace

import pytest
import torch
from torch import Tensor

from avsr_bench import recipes
from avsr_bench.nn import AVSR, Batch, FrontendSettings, LossSettings, NetworkSettings
from avsr_bench.nn.inputs import centred, normalised
from avsr_bench.records import Misused

MODALITIES = ("video", "audio", "av")
PLAIN = FrontendSettings("plain", (4, 6, 8), stem=(3, 5, 5))


def alone(batch: Batch, clip: int) -> Batch:
    """One clip of a batch, without padding."""
    frames, tokens = int(batch.lengths[clip]), int((batch.tokens[clip] >= 0).sum())
    return Batch(
        lengths=batch.lengths[clip : clip + 1],
        tokens=batch.tokens[clip : clip + 1, :tokens],
        video=None if batch.video is None else batch.video[clip : clip + 1, :frames],
        audio=None if batch.audio is None else batch.audio[clip : clip + 1, : 640 * frames],
    )


@pytest.mark.parametrize(("modality", "count"), [("video", 250_383_410), ("audio", 243_049_202), ("av", 443_977_138)])
def test_the_large_network_has_the_published_number_of_parameters(modality, count):
    with torch.device("meta"):
        network = AVSR(modality, NetworkSettings(), 5049)
    assert sum(parameter.numel() for parameter in network.parameters()) == count


@pytest.mark.parametrize("modality", MODALITIES)
def test_a_clip_gets_the_same_answer_alone_and_padded_among_others(modality, make_network, make_batch):
    network, batch = make_network(modality).eval(), make_batch(modality)
    with torch.no_grad():
        memory, lengths = network.encode(batch.inputs, batch.lengths)
        losses = network.loss(batch, LossSettings())
        for clip in range(3):
            single = alone(batch, clip)
            expected, _ = network.encode(single.inputs, single.lengths)
            torch.testing.assert_close(memory[clip : clip + 1, : lengths[clip]], expected, atol=1e-5, rtol=0)
            torch.testing.assert_close(losses.clips[clip], network.loss(single, LossSettings()).total)


@pytest.mark.parametrize("video", [PLAIN, replace(PLAIN, channels=(5,))])
def test_a_clip_gets_the_same_answer_alone_from_centred_pictures_and_a_plain_frontend(video, make_network, make_batch):
    network, batch = make_network(video=video, centre=True, block_norm=False).eval(), make_batch()
    with torch.no_grad():
        memory, lengths = network.encode(batch.inputs, batch.lengths)
        for clip in range(3):
            expected, _ = network.encode(alone(batch, clip).inputs, batch.lengths[clip : clip + 1])
            torch.testing.assert_close(memory[clip : clip + 1, : lengths[clip]], expected, atol=1e-5, rtol=0)


def test_centring_takes_away_what_a_clip_shows_all_the_time(make_network, make_batch):
    """The same from bytes and from floats; a face, its light and its place may differ between two clips."""
    network, lengths = make_network(centre=True).eval(), torch.tensor([9, 6])
    moving = torch.randint(40, 200, (2, 9, 16, 16), dtype=torch.uint8)
    brighter = moving + torch.randint(0, 40, (2, 1, 16, 16), dtype=torch.uint8)
    with torch.no_grad():
        first, second = (network.encode(video, lengths)[0] for video in (moving, brighter))
        floats = network.encode(normalised(moving, lengths), lengths)[0]
    torch.testing.assert_close(first[0], second[0], atol=1e-4, rtol=0)
    torch.testing.assert_close(first[1, :6], second[1, :6], atol=1e-4, rtol=0)
    torch.testing.assert_close(first, floats)


@pytest.mark.parametrize("frames", [1, 9])
def test_a_clip_without_motion_is_zero_and_finite_when_it_is_centred(frames, make_network):
    still = torch.full((2, frames, 16, 16), 77, dtype=torch.uint8)
    lengths = torch.tensor([frames, frames])
    assert centred(normalised(still, lengths), lengths).abs().max() < 1e-5
    network = make_network(centre=True)
    assert network.eval().encode(still, lengths)[0].isfinite().all()
    losses = network.train().loss(Batch(lengths, torch.tensor([[3], [5]]), still), LossSettings())
    losses.total.backward()
    assert all(each.grad is None or each.grad.isfinite().all() for each in network.parameters())


@pytest.mark.parametrize("modality", MODALITIES)
def test_without_mask_padding_neighbours_leak_in_as_in_the_public_code(modality, make_network, make_batch):
    network, batch = make_network(modality, mask_padding=False).eval(), make_batch(modality)
    with torch.no_grad():
        memory, _ = network.encode(batch.inputs, batch.lengths)
        single = alone(batch, 1)
        expected, _ = network.encode(single.inputs, single.lengths)
    assert (memory[1:2, :6] - expected).abs().max() > 1e-4


@pytest.mark.parametrize("modality", MODALITIES)
@pytest.mark.parametrize("layer_scale", [None, 0.1])
def test_every_parameter_gets_a_finite_gradient(modality, layer_scale, make_network, make_batch):
    network = make_network(modality, layer_scale=layer_scale).train()
    network.loss(make_batch(modality), LossSettings()).total.backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        # The bias of a key moves all scores of a query alike and so cancels out; biases before a norm likewise.
        if not name.endswith(("key.bias", "depthwise.bias", "fusion.expand.bias")):
            assert parameter.grad.abs().max() > 0, name


def test_the_joint_loss_is_the_weighted_mean_over_clips(make_network, make_batch):
    network, batch = make_network().eval(), make_batch()
    losses = network.loss(batch, LossSettings(ctc=0.3))
    torch.testing.assert_close(losses.total, 0.3 * losses.ctc + 0.7 * losses.attention)
    torch.testing.assert_close(losses.total, losses.clips.mean())
    assert not losses.clips.requires_grad
    weights = torch.linspace(0, 2, len(losses.clips))
    heavier = network.loss(replace(batch, weights=weights), LossSettings(ctc=0.3))
    torch.testing.assert_close(heavier.total, (weights * losses.clips).mean())
    torch.testing.assert_close(heavier.clips, losses.clips)


def test_with_ctc_alone_the_decoder_is_not_trained(make_network, make_batch):
    network = make_network().train()
    losses = network.loss(make_batch(), LossSettings(ctc=1))
    losses.total.backward()
    assert losses.attention == 0
    assert all(parameter.grad is None for parameter in network.decoder.parameters())
    assert network.ctc.weight.grad is not None


def test_gradient_steps_learn_a_batch_by_heart(make_network, make_batch):
    network, batch = make_network(dropout=0.0, ctc_dropout=0.0).train(), make_batch()
    optimiser = torch.optim.Adam(network.parameters(), 5e-3)
    for _ in range(80):
        optimiser.zero_grad()
        network.loss(batch, LossSettings(ctc=0.5)).total.backward()
        optimiser.step()
    memory, lengths = network.encode(batch.inputs, batch.lengths)
    best = network.ctc_log_probs(memory).argmax(-1)
    for clip in range(3):
        path = best[clip, : lengths[clip]].unique_consecutive()
        assert path[path > 0].tolist() == batch.tokens[clip][batch.tokens[clip] >= 0].tolist()


def test_checkpointing_changes_neither_loss_nor_gradients_nor_statistics(make_network, make_batch):
    plain = make_network("av", dropout=0.3, checkpointing=False).train()
    lean = make_network("av", dropout=0.3, checkpointing=True).train()
    for network in (plain, lean):
        torch.manual_seed(5)
        network.loss(make_batch("av"), LossSettings()).total.backward()
    for (name, one), other in zip(plain.named_parameters(), lean.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, msg=name)
    for (name, one), other in zip(plain.named_buffers(), lean.buffers(), strict=True):
        if not name.endswith("num_batches_tracked"):
            torch.testing.assert_close(one, other, msg=name)


def test_layer_scale_leaves_the_names_of_everything_else_alone(make_network):
    plain, scaled = make_network().state_dict(), make_network(layer_scale=0.1).state_dict()
    added = set(scaled) - set(plain)
    assert set(plain) < set(scaled)
    assert all(name.endswith(".factors") and (scaled[name] == 0.1).all() for name in added)
    assert len(added) == 2 * 4 + 2 * 3


def test_layer_scale_of_one_is_no_layer_scale(make_network, make_batch):
    batch = make_batch()
    plain, scaled = make_network().eval(), make_network(layer_scale=1.0).eval()
    scaled.load_state_dict(plain.state_dict(), strict=False)
    torch.testing.assert_close(
        plain.encode(batch.inputs, batch.lengths)[0], scaled.encode(batch.inputs, batch.lengths)[0]
    )


@pytest.mark.parametrize("modality", MODALITIES)
def test_bfloat16_is_near_float32(modality, make_network, make_batch):
    network, batch = make_network(modality).eval(), make_batch(modality)
    exact = network.loss(batch, LossSettings())
    with torch.autocast("cpu", torch.bfloat16):
        rough = network.loss(batch, LossSettings())
    assert rough.total.dtype == torch.float32
    torch.testing.assert_close(rough.total, exact.total, rtol=0.02, atol=0)


@pytest.mark.parametrize("modality", MODALITIES)
@torch.no_grad()
def test_a_network_in_bfloat16_is_near_one_in_float32(modality, make_network, make_batch):
    def answer(kind: torch.dtype) -> Tensor:
        network, batch = make_network(modality, layer_scale=0.5).eval().to(kind), make_batch(modality)
        inputs = batch.inputs
        inputs = inputs.to(kind) if isinstance(inputs, Tensor) else tuple(one.to(kind) for one in inputs)
        memory, lengths = network.encode(inputs, batch.lengths)
        assert memory.dtype == kind
        state = network.start(memory, lengths)
        for token in (11, 3, 5):
            log_probs, state = network.step(torch.full((3, 1), token), state)
        return torch.cat((log_probs, network.ctc_log_probs(memory)), dim=1)

    rough = answer(torch.bfloat16)
    assert rough.dtype == torch.float32
    torch.testing.assert_close(rough, answer(torch.float32), atol=0.2, rtol=0)


def test_a_single_frame_is_a_clip(make_network):
    network = make_network("av").eval()
    memory, lengths = network.encode((torch.zeros(1, 1, 16, 16), torch.zeros(1, 640)), torch.tensor([1]))
    assert memory.shape == (1, 1, 16)
    assert memory.isfinite().all()
    assert lengths.tolist() == [1]


def test_samples_behind_the_last_whole_frame_are_left_out(make_network):
    network, sound = make_network("audio").eval(), torch.randn(1, 2000)
    longer, _ = network.encode(sound, torch.tensor([3]))
    exact, _ = network.encode(sound[:, :1920], torch.tensor([3]))
    torch.testing.assert_close(longer, exact)


def test_a_batch_moves_whole(make_batch):
    moved = make_batch("av").to("meta")
    assert {moved.video.device.type, moved.audio.device.type, moved.tokens.device.type} == {"meta"}
    assert moved.keys == ("a", "b", "c")
    assert make_batch("video").to("meta").audio is None


def test_a_batch_without_pictures_and_sound_is_an_error():
    with pytest.raises(ValueError, match="video, audio or both"):
        _ = Batch(torch.tensor([1]), torch.tensor([[1]])).inputs


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"heads": 5}, "multiple of heads"),
        ({"heads": 256}, "multiple of heads"),
        ({"kernel": 30}, "kernel must be odd"),
        ({"audio": PLAIN}, "only the front-end for video can be plain"),
    ],
)
def test_settings_that_cannot_be_are_refused(change, message):
    with pytest.raises(Misused, match=message):
        replace(NetworkSettings(), **change)


@pytest.mark.parametrize(
    ("kind", "channels", "message"),
    [("resnet", [8, 8, 8], "four stages"), ("plain", [], "1 to 6"), ("plain", [8] * 7, "1 to 6")],
)
def test_a_frontend_of_another_number_of_layers_is_refused(kind, channels, message):
    with pytest.raises(Misused, match=message):
        recipes.build(FrontendSettings, {"kind": kind, "channels": channels}, "network.video")


def test_the_encoder_exports_with_a_free_number_of_frames(make_network):
    class Reader(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = make_network().eval()

        def forward(self, video: Tensor, lengths: Tensor) -> Tensor:
            return self.network.ctc_log_probs(self.network.encode(video, lengths)[0])

    reader = Reader()
    frames = torch.export.Dim("frames", min=3, max=4096)
    program = torch.export.export(
        reader, (torch.randn(1, 9, 16, 16), torch.tensor([9])), dynamic_shapes=({1: frames}, None)
    )
    video, lengths = torch.randn(1, 23, 16, 16), torch.tensor([20])
    torch.testing.assert_close(program.module()(video, lengths), reader(video, lengths), atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_decoding_under_autocast_from_memory_in_float32(make_network, make_batch):
    network, batch = make_network().eval(), make_batch()
    memory, lengths = network.encode(batch.inputs, batch.lengths)
    answers = []
    for enabled in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            state = network.start(memory, lengths)
            for token in (11, 3, 5):
                log_probs, state = network.step(torch.full((3, 1), token), state)
        answers.append(log_probs)
    torch.testing.assert_close(*answers, atol=0.2, rtol=0)


def test_grey_levels_become_the_units_of_published_networks_and_padding_is_zero():
    video = torch.tensor([0, 255, 90, 90]).to(torch.uint8).view(2, 2, 1, 1)
    levels = normalised(video, torch.tensor([2, 1])).flatten()
    expected = [(0 - 0.421) / 0.165, (1 - 0.421) / 0.165, (90 / 255 - 0.421) / 0.165, 0]
    torch.testing.assert_close(levels, torch.tensor(expected))
    assert normalised(levels, torch.tensor([2])) is levels
