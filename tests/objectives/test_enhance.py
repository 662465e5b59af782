from dataclasses import replace

import numpy as np
import pytest
import torch
from methods.loop import LOSS, SETTINGS

from avsr_bench import objectives
from avsr_bench.data import Example, InterferenceSettings, disturbed
from avsr_bench.nn import Batch, Enhancer, EnhancerSettings
from avsr_bench.noise.sound import source_of
from avsr_bench.objectives.enhance import Enhance, EnhanceSettings
from avsr_bench.records import Misused

LENGTHS = torch.tensor([9, 6])
ENHANCER = replace(SETTINGS, enhancer=EnhancerSettings(left=8), dropout=0.0)


def batches(seed: int = 0) -> dict[str, tuple[Batch, ...]]:
    noise = torch.Generator().manual_seed(seed)
    video = torch.randint(0, 256, (2, 9, 16, 16), generator=noise, dtype=torch.uint8)
    clean, added = 0.1 * torch.randn(2, 2, 9 * 640, generator=noise)
    clean[1, 6 * 640 :] = added[1, 6 * 640 :] = 0
    tokens, keys = torch.full((2, 1), -1), ("a", "b")
    return {"clips": (Batch(LENGTHS, tokens, video, clean + added, keys), Batch(LENGTHS, tokens, None, clean, keys))}


def make() -> Enhance:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return Enhance(Enhancer("av", ENHANCER), LOSS, EnhanceSettings())


def test_a_few_updates_bring_the_output_nearer_to_the_clean_sound() -> None:
    objective, given_batches = make(), batches()
    optimiser = torch.optim.Adam(objective.parameters(), lr=0.01)
    losses = []
    for _ in range(25):
        found = objective(given_batches)
        optimiser.zero_grad()
        found["total"].backward()
        optimiser.step()
        losses.append(found["loss"].item())
    assert losses[-1] < losses[0] - 1  # dB


def test_everything_that_is_trained_has_a_gradient() -> None:
    objective = make()
    objective(batches())["total"].backward()
    lacking = [name for name, each in objective.named_parameters() if each.grad is None or not each.grad.any()]
    assert lacking == []


def test_what_lies_behind_a_clip_counts_nothing() -> None:
    objective, ((noisy, clean),) = make().eval(), batches().values()
    assert noisy.audio is not None and noisy.video is not None
    before = objective.validation_figures((noisy, clean))
    noisy.video[1, 6:] = 200
    after = objective.validation_figures((noisy, clean))
    for name in objective.figures:
        torch.testing.assert_close(before[name], after[name], atol=1e-4, rtol=0)
    noisy.video[1, :6] = 200
    assert abs(objective.validation_figures((noisy, clean))["loss"][1] - before["loss"][1]) > 1e-4


def test_each_frame_is_counted_once_and_each_view_has_losses() -> None:
    objective, given_batches = make(), batches()
    trained, beside = objective.frames(given_batches)
    assert int(trained) == 15 and int(beside) == 0
    assert len(objective(given_batches)["clips"]) == 4  # two clips, noisy and clean


def test_validation_says_how_much_nearer_to_the_clean_sound_the_output_is() -> None:
    objective = make().eval()
    ((noisy, clean),) = batches().values()
    assert noisy.audio is not None and clean.audio is not None
    output = objective.enhanced(noisy)
    for clip, gain in enumerate(objective.validation_figures((noisy, clean))["si_sdr_gain"].tolist()):
        ratios = []
        for heard in (output, noisy.audio):
            one, other = heard[clip].double(), clean.audio[clip].double()
            wanted = other * (one @ other) / (other @ other)
            ratios.append(10 * torch.log10(wanted.square().sum() / (one - wanted).square().sum()).item())
        assert gain == pytest.approx(ratios[0] - ratios[1], abs=0.01)


def test_silence_gives_numbers() -> None:
    objective = make()
    ((noisy, clean),) = batches().values()
    assert noisy.audio is not None and clean.audio is not None
    noisy.audio[0], clean.audio[0] = 0, 0
    found = objective({"clips": (noisy, clean)})
    found["total"].backward()
    assert torch.isfinite(found["total"])
    assert all(torch.isfinite(each.grad).all() for each in objective.parameters() if each.grad is not None)
    figures = objective.validation_figures((noisy, clean))
    assert all(torch.isfinite(of).all() for of in figures.values())


def example(seed: int = 0, loud: float = 3000) -> Example:
    sound = (loud * np.random.default_rng(seed).standard_normal(16000)).astype(np.int16)
    return Example("clip", "", "", "", 25, None, sound)


def test_both_views_of_a_clip_have_one_level_and_noise_in_one_alone() -> None:
    said = InterferenceSettings(("white",), lowest=-3, highest=-3, level=6)
    sources = [source_of("white")]
    noisy, clean = disturbed(example(), sources, said, 0, 0)
    gain = clean / (example().sound.astype(np.float32) / 32768).clip(min=1e-9)  # type: ignore[union-attr]
    assert np.ptp(gain[example().sound > 0]) < 1e-3  # type: ignore[operator]
    added = noisy - clean
    assert 10 * np.log10((clean @ clean) / (added @ added)) == pytest.approx(-3, abs=0.01)
    again, _ = disturbed(example(), sources, said, 0, 0)
    later, _ = disturbed(example(), sources, said, 0, 1)
    assert np.array_equal(noisy, again) and not np.array_equal(noisy, later)


def test_a_silent_clip_stays_silent() -> None:
    noisy, clean = disturbed(example(loud=0), [source_of("pink")], InterferenceSettings(("pink",)), 0, 0)
    assert not noisy.any() and not clean.any()


def test_settings_that_make_no_sense() -> None:
    with pytest.raises(Misused, match=r"lowest is 5 dB and highest -5: it must not be below lowest"):
        InterferenceSettings(lowest=5, highest=-5)
    with pytest.raises(Misused, match="trains an enhancer: give network"):
        objectives.check_network({"name": "enhance"}, SETTINGS, "here")
    with pytest.raises(Misused, match=r"network.enhancer is for objective.name=enhance, not recognise"):
        objectives.check_network({}, ENHANCER, "here")
