from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from methods.loop import LOSS, SETTINGS

from avsr_bench.nn import (
    Batch,
    Contest,
    Discriminators,
    DiscriminatorSettings,
    Enhancer,
    EnhancerSettings,
    VocoderSettings,
    persuaded,
)
from avsr_bench.nn.causal import Pasts
from avsr_bench.objectives.enhance import Enhance, EnhanceSettings, VocodeSettings
from avsr_bench.objectives.vocode import Vocode, cut, distance, spectral_distance, taught

VOCODER = EnhancerSettings(left=8, head="vocoder", vocoder=VocoderSettings(16, (3,), (1, 3)))
SMALL = replace(SETTINGS, enhancer=VOCODER, dropout=0.0)
QUICK = VocodeSettings(segment=6, lr=2e-3, mel=1, spectra=1, discriminators=None)
AGAINST = replace(QUICK, spectra=0, discriminators=DiscriminatorSettings(4))


def batches(seed: int = 0) -> dict[str, tuple[Batch, ...]]:
    noise = torch.Generator().manual_seed(seed)
    video = torch.randint(0, 256, (2, 9, 16, 16), generator=noise, dtype=torch.uint8)
    clean, added = 0.1 * torch.randn(2, 2, 9 * 640, generator=noise)
    clean[1, 6 * 640 :] = added[1, 6 * 640 :] = 0
    tokens, lengths = torch.full((2, 1), -1), torch.tensor([9, 6])
    views = (Batch(lengths, tokens, video, clean + added, ("a", "b")), Batch(lengths, tokens, None, clean, ("a", "b")))
    return {"clips": views}


def make(said: VocodeSettings = QUICK) -> Vocode:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        objective = taught(Enhancer("av", SMALL), LOSS, EnhanceSettings(vocoder=said))
    assert isinstance(objective, Vocode)
    return objective


def test_the_head_says_how_an_enhancer_is_taught() -> None:
    gains = taught(Enhancer("av", replace(SMALL, enhancer=EnhancerSettings(left=8))), LOSS, EnhanceSettings())
    assert type(gains) is Enhance and gains.metrics == ("si_sdr_gain",)
    assert make().metrics == ("mel_gain",)


def test_a_few_updates_bring_log_mels_and_sound_nearer() -> None:
    objective, seen = make(), batches()
    optimiser = torch.optim.Adam(objective.parameters(), lr=0.01)
    found = []
    for _ in range(40):
        losses = objective(seen)
        optimiser.zero_grad()
        losses["total"].backward()
        optimiser.step()
        found.append({name: float(loss.detach()) for name, loss in losses.items() if name != "clips"})
    for name in ("loss", "vocoder", "spectra"):
        assert found[-1][name] < 0.8 * found[0][name]


@pytest.mark.parametrize("done", [0.0, 1.0])
def test_what_the_vocoder_is_given_is_clean_first_and_then_predicted(done: float) -> None:
    """The gradient of its loss never reaches what makes the log-mels."""
    objective, seen = make(), batches()
    objective.after_update(done)
    torch.manual_seed(3)
    before = objective(seen)["vocoder"]
    with torch.no_grad():
        objective.network.head.change.bias += 1.0  # type: ignore[union-attr, operator]
    torch.manual_seed(3)
    after = objective(seen)
    assert bool(torch.equal(before, after["vocoder"])) == (done == 0.0)
    (after["total"] - after["loss"]).backward()
    with_gradient = {
        name for name, each in objective.network.named_parameters() if each.grad is not None and each.grad.any()
    }
    assert with_gradient and all(name.startswith("head.vocoder.") for name in with_gradient)


def test_everything_that_is_trained_has_a_gradient_and_one_group() -> None:
    objective = make(AGAINST)
    objective(batches())["total"].backward()
    lacking = [name for name, each in objective.network.named_parameters() if each.grad is None or not each.grad.any()]
    assert lacking == []
    grouped = [id(each) for group in objective.groups() for each in group.parameters]
    assert sorted(grouped) == sorted(id(each) for each in objective.network.parameters())
    assert objective.groups()[1].lr == 2e-3
    assert objective.discriminators is not None
    assert all(each.grad is None for each in objective.discriminators.parameters())
    assert not [name for name in objective.kept() if name.startswith("discriminators.")]


def test_discriminators_learn_to_tell_noise_from_a_tone_and_a_tone_persuades_them() -> None:
    torch.manual_seed(0)
    discriminators = Discriminators(DiscriminatorSettings(4))
    contest = Contest(discriminators)
    times = torch.arange(3200) / 16_000
    tone, noise = (0.3 * torch.sin(2 * torch.pi * 220 * times)).repeat(2, 1), 0.3 * torch.randn(2, 3200)
    optimiser = torch.optim.Adam(discriminators.parameters(), lr=2e-3)
    losses = []
    for _ in range(30):
        loss = contest(noise, tone)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.3 * losses[0]
    of_noise, of_tone = (persuaded(discriminators, made, tone) for made in (noise, tone))
    assert float(of_tone[0]) < 0.3 * float(of_noise[0])
    assert float(of_tone[1]) == pytest.approx(0, abs=1e-6) and float(of_noise[1]) > 0


def test_a_contest_holds_what_was_made_without_a_gradient() -> None:
    objective = make(AGAINST)
    objective(batches())
    made, real = objective.contest
    assert made.shape == real.shape == (2, 6 * 640 - 320) and not made.requires_grad


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 12), st.integers(1, 12), st.integers(1, 8))
def test_log_mels_and_sound_are_cut_at_one_place_within_the_clip(first: int, second: int, frames: int) -> None:
    longest = max(first, second)
    mels = torch.arange(longest * 4.0)[None, :, None].repeat(2, 1, 80)
    sound = torch.arange(longest * 640.0)[None].repeat(2, 1)
    of_mels, of_sound = cut(mels, sound, torch.tensor([first, second]), frames)
    tokens = min(frames, longest) * 4
    assert of_mels.shape == (2, tokens, 80) and of_sound.shape == (2, tokens * 160)
    assert torch.equal(of_mels[:, 0, 0] * 160, of_sound[:, 0])
    for piece, length in zip(of_mels, (first, second), strict=True):
        assert piece[0, 0] == 0 or piece[-1, 0] < length * 4


def test_distances_are_nothing_from_itself_and_blind_behind_the_end() -> None:
    mels, lengths = torch.randn(2, 12, 80), torch.tensor([3, 2])
    other = mels.clone()
    other[1, 8:] = 9
    assert distance(mels, other, lengths).tolist() == [0, 0]
    assert distance(mels + 0.5, mels, lengths).tolist() == pytest.approx([0.5, 0.5])
    sound = 0.1 * torch.randn(2, 960)
    assert float(spectral_distance(sound, sound)) == 0
    assert torch.isfinite(spectral_distance(sound, torch.zeros(2, 960)))
    assert float(spectral_distance(2 * sound, sound)) == pytest.approx(1 + 0.69, abs=0.05)


def test_silence_gives_numbers() -> None:
    objective = make()
    ((noisy, clean),) = batches().values()
    assert noisy.audio is not None and clean.audio is not None
    noisy.audio[:], clean.audio[:] = 0, 0
    found = objective({"clips": (noisy, clean)})
    found["total"].backward()
    assert torch.isfinite(found["total"])
    assert all(torch.isfinite(each.grad).all() for each in objective.parameters() if each.grad is not None)
    assert all(torch.isfinite(of).all() for of in objective.validation_figures((noisy, clean)).values())


@torch.no_grad()
def test_validation_counts_in_decibels_how_much_nearer_log_mels_are() -> None:
    objective = make().eval()
    ((noisy, clean),) = batches().values()
    assert noisy.audio is not None
    figures = objective.validation_figures((noisy, clean))
    log_mel = objective.network.head.log_mel  # type: ignore[union-attr, operator]
    assert clean.audio is not None
    before, wanted = (log_mel(each, Pasts())[0] for each in (noisy.audio, clean.audio))  # type: ignore[operator]
    noisy_off = float((before - wanted).abs().mean())
    assert float(figures["mel_gain"][0]) == pytest.approx(8.6859 * (noisy_off - float(figures["loss"][0])), abs=1e-3)
