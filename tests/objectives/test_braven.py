import math
from dataclasses import asdict, replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from methods.loop import LOSS, SETTINGS
from torch import Tensor
from torch.nn import functional as F

from avsr_bench import objectives
from avsr_bench.data import DataSettings, StreamSettings
from avsr_bench.nn import AVSR, Batch
from avsr_bench.nn.inputs import shown, without
from avsr_bench.objectives import Braven
from avsr_bench.objectives.braven import BravenSettings, HearingSettings, MaskSettings, TwoPredictorsSettings
from avsr_bench.objectives.follower import decay
from avsr_bench.objectives.prediction import masks, over_time, spread, unlikeness
from avsr_bench.records import Misused

LENGTHS = torch.tensor([9, 6, 7])
BRAVEN = BravenSettings(predictor=TwoPredictorsSettings(width=8, heads=2, feed_forward=16), decay=0.9)
RAVEN = replace(
    BRAVEN,
    blocks="last",
    masks=MaskSettings(audio=0.2),
    predictor=replace(BRAVEN.predictor, video=2),
    weights=HearingSettings(0.5, 0.5),
)


def make_objective(said: BravenSettings = BRAVEN, **changes: Any) -> Braven:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        network = AVSR("av", replace(SETTINGS, fusion=16, dropout=0.0, **changes), 12)
        return Braven(network, LOSS, said)


def make_batch(seed: int = 2, tokens: tuple[tuple[int, ...], ...] = ((3, 5), (7, -1), (-1, -1))) -> Batch:
    noise = torch.Generator().manual_seed(seed)
    video = torch.randint(0, 256, (3, 9, 16, 16), generator=noise, dtype=torch.uint8)
    audio = torch.randn(3, 9 * 640, generator=noise)
    for clip, length in enumerate(LENGTHS.tolist()):
        video[clip, length:], audio[clip, 640 * length :] = 0, 0
    return Batch(LENGTHS, torch.tensor(tokens), video, audio, ("a", "b", "c"))


def gradients(module: torch.nn.Module) -> dict[str, Tensor]:
    return {name: of.grad for name, of in module.named_parameters() if of.grad is not None}


@settings(max_examples=25)
@given(st.floats(0.05, 0.9), st.integers(1, 6), st.integers(0, 2**31))
def test_masks_cover_what_starts_of_their_length_cover(start: float, length: int, seed: int) -> None:
    lengths = torch.tensor([300] * 100 + [40])
    hidden = masks(lengths, 300, start, length, torch.Generator().manual_seed(seed))
    covered = hidden[:100, length - 1 :].float().mean().item()
    assert covered == pytest.approx(1 - (1 - start) ** length, abs=0.03)
    assert not hidden[100, 40:].any()
    ends = F.pad(hidden[:100], (1, 1))
    begin, end = (ends[:, 1:] & ~ends[:, :-1]).nonzero(), (~ends[:, 1:] & ends[:, :-1]).nonzero()
    whole = end[:, 1] < 300  # one that begins at the end of a clip is cut off by it
    assert ((end - begin)[whole, 1] >= length).all()


def test_hidden_frames_are_zeros_of_pictures_and_of_all_their_samples() -> None:
    batch = make_batch()
    hidden = torch.zeros(3, 9, dtype=torch.bool)
    hidden[0, 2] = hidden[1, 0] = True
    assert batch.audio is not None and batch.video is not None
    sound, pictures = without(batch.audio, hidden), without(shown(batch.video, LENGTHS, True), hidden)
    assert not sound[0, 1280:1920].any() and not sound[1, :640].any()
    assert not pictures[0, 2].any() and not pictures[1, 0].any()
    assert torch.equal(sound[2], batch.audio[2]) and torch.equal(sound[0, 1920:], batch.audio[0, 1920:])
    assert torch.equal(pictures[0, 3:], shown(batch.video, LENGTHS, True)[0, 3:])


def test_targets_are_normalised_over_the_valid_frames_of_each_clip_alone() -> None:
    raw = torch.randn(3, 9, 5) * 3 + 7
    found = over_time(raw, LENGTHS)
    for clip, length in enumerate(LENGTHS.tolist()):
        alone = F.instance_norm(raw[clip, :length].T[None])[0].T
        assert torch.allclose(found[clip, :length], alone, atol=1e-5) and not found[clip, length:].any()
    other = raw.clone()
    other[1, 6:] = 99.0
    assert torch.equal(over_time(other, LENGTHS), found)


def test_hidden_frames_alone_count() -> None:
    predicted, targets = torch.randn(2, 3, 9, 5)
    hidden = masks(LENGTHS, 9, 0.3, 2, torch.Generator().manual_seed(3))
    loss, clips = unlikeness(predicted, targets, hidden, None)
    other = torch.where(hidden[..., None], targets, torch.randn(3, 9, 5))
    moved = torch.where(hidden[..., None], predicted, torch.randn(3, 9, 5))
    again, again_clips = unlikeness(moved, other, hidden, None)
    assert torch.equal(loss, again) and torch.equal(clips, again_clips)
    by_hand = [-F.cosine_similarity(predicted[b, t], targets[b, t], dim=0) for b, t in hidden.nonzero().tolist()]
    assert loss.item() == pytest.approx(torch.stack(by_hand).mean().item(), abs=1e-6)
    counted = clips * hidden.sum(1)
    assert counted.sum().item() == pytest.approx(torch.stack(by_hand).sum().item(), abs=1e-5)
    threefold, _ = unlikeness(predicted, targets, hidden, torch.tensor([3.0, 0.0, 0.0]))
    assert threefold.item() == pytest.approx(3 * counted[0].item() / hidden.sum().item(), abs=1e-6)
    nothing, none = unlikeness(predicted, targets, torch.zeros(3, 9, dtype=torch.bool), None)
    assert nothing == 0 and not none.any()


@pytest.mark.parametrize("said", [BRAVEN, RAVEN], ids=["braven", "raven"])
def test_the_loss_is_what_the_papers_say(said: BravenSettings) -> None:
    objective, batch = make_objective(said).eval(), make_batch()
    hidden = objective.masks(batch, torch.Generator().manual_seed(5))
    assert batch.video is not None and batch.audio is not None
    inputs = {"video": shown(batch.video, LENGTHS, False), "audio": batch.audio}
    expected = 0.0
    with torch.no_grad():
        found = objective.losses(batch, hidden)
        for (student, teacher), weight in {
            ("video", "audio"): 1.0,
            ("audio", "audio"): said.weights.audio,
            ("audio", "video"): said.weights.video,
        }.items():
            encoder = objective.network.encoders[teacher]  # a teacher begins as its student
            blocks = torch.stack(encoder.outputs(inputs[teacher], LENGTHS)).mean(0)
            raw = blocks if said.blocks == "all" else encoder(inputs[teacher], LENGTHS)
            seen = objective.network.encoders[student](without(inputs[student], hidden[student]), LENGTHS)
            predictor = objective.predictors[f"{student}_to_{teacher}"]
            assert len(predictor.blocks) == getattr(said.predictor, student)
            predicted = predictor(seen, hidden[student], LENGTHS)
            cosines = [
                F.cosine_similarity(predicted[b, t], F.instance_norm(raw[b, : LENGTHS[b]].T[None])[0].T[t], dim=0)
                for b, t in hidden[student].nonzero().tolist()
            ]
            expected -= weight * torch.stack(cosines).mean().item()
    assert found["loss"].item() == pytest.approx(expected, abs=1e-4)
    assert found["total"].item() == pytest.approx(
        expected + found["probe/video"].item() + found["probe/audio"].item(), abs=1e-4
    )


def test_what_a_student_makes_of_hidden_frames_is_not_seen_by_its_predictor() -> None:
    predictor = make_objective().eval().predictors["video_to_audio"]
    x, hidden = torch.randn(3, 9, 16), masks(LENGTHS, 9, 0.3, 3)
    other = torch.where(hidden[..., None], torch.randn(3, 9, 16), x)
    assert torch.equal(predictor(x, hidden, LENGTHS), predictor(other, hidden, LENGTHS))


def test_gradients_reach_what_is_trained_and_nothing_else() -> None:
    objective = make_objective().train()
    before = {name: of.clone() for name, of in objective.teachers.named_parameters()}
    objective({"unlabelled": (make_batch(),)})["total"].backward()
    trained = {id(each) for group in objective.groups() for each in group.parameters}
    for name, parameter in objective.named_parameters():
        assert (id(parameter) in trained) == (parameter.grad is not None) == parameter.requires_grad, name
    roots = {name.split(".")[1] for name in gradients(objective) if name.startswith("network.")}
    assert roots == {"encoders"} and gradients(objective.predictors)["audio_to_video.token"].any()
    assert all(torch.equal(of, before[name]) for name, of in objective.teachers.named_parameters())


def test_what_is_said_teaches_the_probes_alone() -> None:
    found = []
    for tokens in (((3, 5), (7, -1), (-1, -1)), ((-1,), (-1,), (-1,))):
        objective = make_objective().train()
        torch.manual_seed(0)
        losses = objective({"unlabelled": (make_batch(tokens=tokens),)})
        losses["total"].backward()
        found.append((losses, gradients(objective.network) | gradients(objective.predictors), objective.groups()))
    (spoken, ours, groups), (mute, theirs, _) = found
    assert ours.keys() == theirs.keys() and all(torch.equal(of, theirs[name]) for name, of in ours.items())
    assert spoken["loss"] == mute["loss"] and spoken["probe/video"] > 0 and mute["probe/video"] == 0
    assert [group.name for group in groups] == ["network", "probes"]


def test_a_probe_learns_from_the_clips_that_have_text() -> None:
    objective, batch = make_objective().train(), make_batch()
    _, answer = objective.taught("audio", batch.audio, LENGTHS)
    both = objective.misread(batch, {"video": answer, "audio": answer})["probe/audio"]
    some = replace(batch, lengths=LENGTHS[:2], tokens=batch.tokens[:2])
    alone = objective.misread(some, {"video": answer[:2], "audio": answer[:2]})["probe/audio"]
    assert both.item() == pytest.approx(alone.item(), rel=1e-5)
    assert not answer.requires_grad


def test_teachers_follow_by_exactly_the_decay() -> None:
    objective = make_objective()
    before = {name: of.clone() for name, of in objective.teachers.named_parameters()}
    with torch.no_grad():
        for parameter in objective.network.encoders.parameters():
            parameter.add_(1.0)
    students = dict(objective.network.encoders.named_parameters())
    objective.after_update(0.5)
    kept = decay(0.9, 0.5)
    assert kept == pytest.approx(0.95)
    for name, teacher in objective.teachers.named_parameters():
        assert torch.allclose(teacher, kept * before[name] + (1 - kept) * students[name], atol=1e-6), name
    objective.after_update(1.0)
    now = {name: of.clone() for name, of in objective.teachers.named_parameters()}
    objective.after_update(1.0)
    assert all(torch.equal(of, now[name]) for name, of in objective.teachers.named_parameters())


def test_masks_come_from_torchs_generator_and_those_of_validation_are_always_the_same() -> None:
    objective, batch = make_objective().train(), make_batch()
    torch.manual_seed(4)
    first, second = (objective.masks(batch)["audio"] for _ in range(2))
    torch.manual_seed(4)
    assert torch.equal(objective.masks(batch)["audio"], first) and not torch.equal(first, second)
    objective.eval()
    state = torch.get_rng_state()
    with torch.no_grad():
        once, twice = (objective.validation_figures((batch,))["loss"] for _ in range(2))
    assert torch.equal(once, twice) and torch.equal(torch.get_rng_state(), state)


def test_a_collapse_is_seen_in_the_targets_as_they_are_before_they_are_normalised() -> None:
    lengths = torch.tensor([200, 150])
    alike = torch.randn(8).expand(2, 200, 8) + 0.01 * torch.randn(2, 200, 8)
    deviation, cosine = spread(alike, lengths)
    assert deviation < 0.05 and cosine > 0.99
    free = torch.randn(2, 200, 8)
    deviation, cosine = spread(free, lengths)
    assert deviation.item() == pytest.approx(1, abs=0.1) and abs(cosine.item()) < 0.05
    frames = F.normalize(torch.cat((free[0], free[1, :150])), dim=-1)
    pairs = frames @ frames.T
    by_hand = (pairs.sum() - pairs.diagonal().sum()) / (350 * 349)
    assert cosine.item() == pytest.approx(by_hand.item(), abs=1e-4)
    assert over_time(alike, lengths)[0].std() > 0.9  # there it would not be seen


def test_a_pass_of_collapsed_targets_is_remarked_on() -> None:
    objective = make_objective().train()
    with torch.no_grad():
        for teacher in objective.teachers.values():
            for block in teacher.blocks:
                block.norm.weight.zero_()
                block.norm.bias.fill_(1.0)
    said = []
    for epoch in (0, 0, 1, 1, 2):
        objective({"unlabelled": (make_batch(),)})
        said.append(objective.remarks(epoch))
    assert [len(each) for each in said] == [0, 0, 1, 0, 1]
    assert "cosine above 0.95 in all of pass 0: they have collapsed" in said[2][0] and "lower train.lr" in said[2][0]
    objective.newest = 0.5
    objective.remarks(2)
    assert objective.remarks(3) == []


def test_both_streams_of_frames_are_counted_once() -> None:
    assert [int(of) for of in make_objective().frames({"unlabelled": (make_batch(),)})] == [22, 22]


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"masks": {"video": 0}}, "masks.video = 0"),
        ({"masks": {"audio": 1}}, "masks.audio = 1"),
        ({"masks": {"length": 0}}, "masks.length = 0"),
        ({"predictor": {"heads": 3}}, r"predictor.width 512 must be an even multiple of predictor.heads \(3\)"),
        ({"predictor": {"video": 0}}, "predictor.video = 0"),
        ({"targets": "first"}, "targets"),
        ({"weights": {"lips": 1}}, "unknown setting weights.lips"),
        ({"decay": 1}, "decay = 1"),
    ],
)
def test_settings_that_mean_nothing_are_refused(said: dict[str, Any], message: str) -> None:
    with pytest.raises(Misused, match=message):
        objectives.settings_of({"name": "braven", **said}, "models/x.yaml")


def test_it_has_one_stream() -> None:
    section = {"name": "braven", **asdict(BRAVEN)}
    objectives.check_streams(section, DataSettings(streams={"unlabelled": StreamSettings(take="unlabelled")}), "x")
    with pytest.raises(Misused, match="braven has the streams unlabelled, and no other"):
        objectives.check_streams(section, DataSettings(streams={"labelled": StreamSettings()}), "x")


def test_the_cosine_of_the_decay_ends_at_one() -> None:
    assert decay(0.97, 1.0) == 1.0 and math.isclose(decay(0.97, 0.0), 0.97)
