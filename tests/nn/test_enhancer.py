import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from avsr_bench import nn
from avsr_bench.nn import (
    Enhancer,
    EnhancerSettings,
    EnhancerState,
    FrontendSettings,
    NetworkSettings,
    VocoderSettings,
)
from avsr_bench.nn.causal import Pasts, RunningMean
from avsr_bench.nn.vocoder import LogMel, Vocoder

SMALL = NetworkSettings(
    mouth=16,
    width=16,
    heads=2,
    feed_forward=32,
    encoder_blocks=2,
    centre=True,
    video=FrontendSettings("plain", (4, 8)),
    audio=FrontendSettings(channels=(4, 4, 8, 8), blocks=1),
    enhancer=EnhancerSettings(left=12, still=6),
)
FRAMES = 20
VOCODER = EnhancerSettings(left=12, still=6, head="vocoder", vocoder=VocoderSettings(16, (3, 5), (1, 3)))
HEADS: dict[str, Any] = {"mask": SMALL.enhancer, "vocoder": VOCODER}


def make(modality: str = "av", **changes: Any) -> Enhancer:
    """One whose batch norms have figures of their own, as after training."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        network = Enhancer(modality, replace(SMALL, **changes))  # type: ignore[arg-type]
        for name, buffer in network.named_buffers():
            if name.endswith(("running_mean", "running_var")):
                buffer.uniform_(0.5, 1.5)
    return network.eval()


def clips(frames: int = FRAMES, count: int = 2, seed: int = 0) -> tuple[Tensor, Tensor]:
    noise = torch.Generator().manual_seed(seed)
    video = torch.randint(0, 256, (count, frames, 16, 16), generator=noise, dtype=torch.uint8)
    return video, 0.1 * torch.randn(count, 640 * frames, generator=noise)


@torch.no_grad()
def whole(network: Enhancer, video: Tensor, sound: Tensor) -> Tensor:
    seen = video if network.modality == "av" else None
    clean: Tensor = network(seen, sound, torch.full((len(sound),), video.shape[1]))
    return clean


def streamed(network: Enhancer, video: Tensor, sound: Tensor, pieces: list[int]) -> Tensor:
    state: EnhancerState | None = None
    found, place = [], 0
    for frames in pieces:
        seen = video[:, place : place + frames] if network.modality == "av" else None
        clean, state = network.step(seen, sound[:, 640 * place : 640 * (place + frames)], state)
        found.append(clean)
        place += frames
    assert state is not None and place == video.shape[1]
    return torch.cat((*found, network.finish(state)), dim=1)[:, network.delay :]


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=8), st.sampled_from(["av", "audio"]), st.sampled_from([*HEADS]))
def test_a_stream_gives_what_the_whole_clip_gives(pieces: list[int], modality: str, head: str) -> None:
    network = make(modality, enhancer=HEADS[head])
    video, sound = clips(sum(pieces))
    torch.testing.assert_close(streamed(network, video, sound, pieces), whole(network, video, sound), atol=1e-5, rtol=0)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, FRAMES - 1), st.sampled_from(["av", "audio"]), st.integers(1, 9), st.sampled_from([*HEADS]))
def test_nothing_that_comes_later_changes_what_was_said(frame: int, modality: str, seed: int, head: str) -> None:
    network = make(modality, enhancer=HEADS[head])
    (video, sound), (other_video, other_sound) = clips(), clips(seed=seed)
    before = whole(network, video, sound)
    video[:, frame:], sound[:, 640 * frame :] = other_video[:, frame:], 5 * other_sound[:, 640 * frame :]
    after = whole(network, video, sound)
    same = 640 * frame - network.delay
    assert torch.equal(before[:, :same], after[:, :same])
    assert not torch.equal(before[:, same:], after[:, same:])


def test_the_control_that_sees_the_whole_clip_is_changed_by_what_comes_later() -> None:
    """So the test above can fail."""
    network = make(enhancer=EnhancerSettings(causal=False))
    video, sound = clips()
    before = whole(network, video, sound)
    sound[:, 640 * 15 :] = 0
    assert not torch.equal(before[:, : 640 * 10], whole(network, video, sound)[:, : 640 * 10])
    with pytest.raises(ValueError, match="whole clips"):
        network.step(video, sound)


def test_lips_and_sound_are_both_listened_to() -> None:
    network = make()
    video, sound = clips()
    clean = whole(network, video, sound)
    assert not torch.equal(clean, whole(network, video.flip(0), sound))
    assert not torch.equal(clean, whole(network, video, sound.flip(0)))


@pytest.mark.parametrize("head", [*HEADS])
def test_what_a_stream_keeps_is_of_one_size_however_long_it_is(head: str) -> None:
    network = make(enhancer=HEADS[head])
    video, sound = clips(1)
    sizes = []
    state: EnhancerState | None = None
    for _ in range(40):
        _, state = network.step(video, sound, state)
        sizes.append([of.numel() for of in (*state.pasts, *(each for layer in state.context for each in layer))])
    assert all(size == sizes[0] for size in sizes)


@pytest.mark.parametrize("head", [*HEADS])
@pytest.mark.parametrize("causal", [True, False])
def test_a_shorter_clip_of_a_batch_is_as_if_it_were_alone(causal: bool, head: str) -> None:
    network = make(enhancer=replace(HEADS[head], causal=causal))
    video, sound = clips()
    video[1, 13:], sound[1, 640 * 13 :] = 0, 0
    with torch.no_grad():
        together = network(video, sound, torch.tensor([FRAMES, 13]))
    alone = whole(network, video[1:, :13], sound[1:, : 640 * 13])
    torch.testing.assert_close(together[1:, : 640 * 13], alone, atol=1e-5, rtol=0)


def test_gains_of_one_give_the_sound_back() -> None:
    network = make("audio")
    video, sound = clips()
    torch.nn.init.zeros_(network.head.gains.weight)
    torch.nn.init.constant_(network.head.gains.bias, 30.0)
    torch.testing.assert_close(whole(network, video, sound), sound, atol=1e-5, rtol=0)


@pytest.mark.parametrize("modality", ["av", "audio"])
@pytest.mark.parametrize("kind", ["plain", "resnet"])
@pytest.mark.parametrize("head", [*HEADS])
def test_its_parameters_are_counted_before_it_is_made(modality: Any, kind: Any, head: str) -> None:
    channels = (4, 8) if kind == "plain" else (4, 4, 8, 8)
    said = replace(
        SMALL,
        video=FrontendSettings(kind, channels, blocks=2),
        audio=FrontendSettings(channels=(4, 4, 8, 8)),
        enhancer=HEADS[head],
    )
    network = nn.make(modality, said, 0)
    assert isinstance(network, Enhancer)
    assert sum(each.numel() for each in network.parameters()) == nn.parameters_of(modality, said, 0)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 30), st.integers(1, 12))
def test_the_running_mean_is_the_mean_so_far_and_then_forgets(frames: int, memory: int) -> None:
    video = torch.randn(2, frames, 3, 3, generator=torch.Generator().manual_seed(frames), dtype=torch.float64)
    mean = video - RunningMean(memory)(video, Pasts())
    for t in range(min(frames, memory)):
        torch.testing.assert_close(mean[:, t], video[:, : t + 1].mean(1))
    if frames > memory:
        expected = mean[:, memory - 1] + (video[:, memory] - mean[:, memory - 1]) / memory
        torch.testing.assert_close(mean[:, memory], expected)


def test_log_mels_of_a_tone_are_highest_where_the_tone_is() -> None:
    """Bands of 0 to 8 kHz on the mel scale, of the 40 ms that end with each token."""
    tone = (0.5 * torch.sin(2 * torch.pi * 1000 / 16_000 * torch.arange(16_000)))[None]
    mels = LogMel()(tone, Pasts())
    assert mels.shape == (1, 100, 80)
    mel_of = [2595 * math.log10(1 + hertz / 700) for hertz in (1000, 8000)]
    assert abs(int(mels[0, 50].argmax()) - 81 * mel_of[0] / mel_of[1] + 1) < 1.5
    assert float(mels[0, 50].max().exp()) == pytest.approx(0.5, rel=0.5)
    assert float(LogMel()(torch.zeros(1, 640), Pasts()).exp().max()) == pytest.approx(1e-5)
    tone[:, 8_000:] = 0  # tokens 50, 51 and 52 still have some of it
    assert [bool(mel.max() > -8) for mel in LogMel()(tone, Pasts())[0, 49:54]] == [True, True, True, True, False]


@pytest.mark.parametrize("channels", [16, 48, 50])
def test_a_vocoder_makes_a_token_of_sound_of_each_mel(channels: int) -> None:
    vocoder = Vocoder(VocoderSettings(channels, (3,), (1,)))
    made = vocoder(torch.randn(2, 9, 80), Pasts())
    assert made.shape == (2, 9 * 160) and float(made.detach().abs().max()) <= 1
