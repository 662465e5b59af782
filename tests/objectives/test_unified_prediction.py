"""The objective `unified-prediction`: one mask, three views, and the whole clip as its average has it."""

import copy
from dataclasses import asdict, replace
from typing import Any

import pytest
import torch
from small_runs import SMALL
from torch import Tensor
from torch.nn import functional as F

from avsr_bench import objectives
from avsr_bench.data import DataSettings, StreamSettings
from avsr_bench.nn import PADDING, VIEWS, Batch, LossSettings, Unified
from avsr_bench.nn.inputs import shown, without
from avsr_bench.objectives import UnifiedPrediction
from avsr_bench.objectives.follower import decay
from avsr_bench.objectives.prediction import masks
from avsr_bench.objectives.unified import WeightSettings
from avsr_bench.objectives.unified_prediction import OnePredictorSettings, UnifiedPredictionSettings
from avsr_bench.records import Misused

LENGTHS = torch.tensor([10, 7])
NARROW = UnifiedPredictionSettings(predictor=OnePredictorSettings(width=8, heads=2, feed_forward=16), decay=0.9)
MUTE = ((PADDING,), (PADDING,))


def make_objective(said: UnifiedPredictionSettings = NARROW) -> UnifiedPrediction:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        still = replace(SMALL, decoder_blocks=1, dropout=0.0, ctc_dropout=0.0)
        return UnifiedPrediction(Unified(still, 9), LossSettings(), said)


def make_batch(tokens: tuple[tuple[int, ...], ...] = ((3, 5, 5), (7, 2, PADDING)), seed: int = 1) -> Batch:
    noise = torch.Generator().manual_seed(seed)
    video = torch.randint(0, 256, (2, 10, 16, 16), generator=noise, dtype=torch.uint8)
    audio = torch.randn(2, 6400, generator=noise)
    video[1, 7:], audio[1, 4480:] = 0, 0
    return Batch(LENGTHS, torch.tensor(tokens), video, audio, ("a", "b"))


def some_hidden() -> Tensor:
    hidden = torch.zeros(2, 10, dtype=torch.bool)
    hidden[0, 2:5] = hidden[1, 6] = True
    return hidden


def gradients(module: torch.nn.Module) -> dict[str, Tensor]:
    return {name: of.grad for name, of in module.named_parameters() if of.grad is not None}


def test_the_mask_covers_as_much_as_the_published_one() -> None:
    """Spans of 3 in a number of 0.4 T / 3, at random places, cover 1 - exp(-0.4) of a long clip, a third."""
    settings = UnifiedPredictionSettings().masks
    hidden = masks(torch.full((200,), 300), 300, settings.start, settings.length, torch.Generator().manual_seed(1))
    assert hidden.float().mean().item() == pytest.approx(0.35, abs=0.01)
    assert 0.33 < 1 - (1 - settings.start) ** settings.length < 0.36
    assert hidden.any(1).all()


@torch.no_grad()
def test_picture_and_sound_are_hidden_together_in_all_three_views() -> None:
    objective, batch, hidden = make_objective().eval(), make_batch(), some_hidden()
    assert batch.video is not None and batch.audio is not None
    memory = objective.network.encode(batch.inputs, LENGTHS, VIEWS, hidden)
    # What floats are is not touched again, so the same holes made by hand give the same.
    by_hand = without(shown(batch.video, LENGTHS, False), hidden), without(batch.audio, hidden)
    torch.testing.assert_close(memory, objective.network.encode(by_hand, LENGTHS))
    video, audio = batch.video.clone(), batch.audio.clone()
    video[0, 2:5], audio[0, 1280:3200] = 17, 4.0
    other = objective.network.encode((video, audio), LENGTHS, VIEWS, hidden)
    assert torch.equal(other, memory)
    assert not torch.equal(
        objective.network.encode((video, audio), LENGTHS), objective.network.encode(batch.inputs, LENGTHS)
    )


@torch.no_grad()
def test_the_loss_is_what_the_public_code_says() -> None:
    weights = WeightSettings(0.2, 0.5, 0.9)
    objective, batch, hidden = make_objective(replace(NARROW, weights=weights)).eval(), make_batch(), some_hidden()
    found = objective.losses(batch, hidden)
    outputs = objective.network.block_outputs(batch.inputs, LENGTHS, ("av",))  # the teacher begins as the student
    raw = torch.stack(outputs).mean(0)
    expected, of_first = 0.0, 0.0
    for view, weight in zip(VIEWS, (0.2, 0.5, 0.9), strict=True):
        inputs = shown(batch.video, LENGTHS, False), batch.audio
        holes = tuple(without(of, hidden) for of in inputs)
        seen = {"video": holes[0], "audio": holes[1], "av": holes}[view]
        student = objective.network.encode(seen, LENGTHS, (view,))
        predicted = objective.predictor(student, hidden, LENGTHS)
        cosines = [
            F.cosine_similarity(predicted[b, t], F.instance_norm(raw[b, : LENGTHS[b]].T[None])[0].T[t], dim=0).item()
            for b, t in hidden.nonzero().tolist()
        ]
        assert found[f"prediction/{view}"].item() == pytest.approx(-sum(cosines) / 4, abs=1e-4)
        expected -= weight * sum(cosines) / 4
        of_first -= weight * sum(cosines[:3]) / 3
    assert len(objective.predictor.blocks) == 2
    assert found["loss"].item() == pytest.approx(expected, abs=1e-4)
    assert found["clips"][0].item() == pytest.approx(of_first, abs=1e-4)
    probes = sum(found[f"probe/{view}"].item() for view in VIEWS)
    assert found["total"].item() == pytest.approx(expected + probes, abs=1e-4)


@torch.no_grad()
def test_targets_come_of_the_whole_clip() -> None:
    objective, batch = make_objective().eval(), make_batch()
    whole, answers = objective.taught(batch)
    again = objective.network.encode(batch.inputs, LENGTHS, ("av",))
    torch.testing.assert_close(answers["av"], again)
    for view in ("video", "audio"):
        alone = objective.network.encode(batch.seen_as(view).inputs, LENGTHS, (view,))
        torch.testing.assert_close(answers[view][0], alone[0])
    other = replace(batch, audio=torch.where(torch.arange(6400) < 640, 0.0, batch.audio))
    assert not torch.allclose(objective.taught(other)[0], whole)  # heard
    other = replace(batch, video=batch.video.flip(1))
    assert not torch.allclose(objective.taught(other)[0], whole)  # and seen
    assert torch.equal(objective.taught(batch)[0], whole)


def test_gradients_reach_every_view_and_never_the_teacher() -> None:
    objective = make_objective().train()
    before = copy.deepcopy(dict(objective.teacher.named_parameters()))
    torch.manual_seed(1)
    objective({"unlabelled": (make_batch(),)})["total"].backward()
    trained = {id(each) for group in objective.groups() for each in group.parameters}
    for name, parameter in objective.named_parameters():
        assert (id(parameter) in trained) == (parameter.grad is not None) == parameter.requires_grad, name
    reached = gradients(objective.network)
    assert {name.split(".")[0] for name in reached} == {"frontends", "entrances", "blocks", "norm"}
    assert all(reached[f"entrances.{view}.weight"].any() for view in VIEWS)
    assert all(torch.equal(of, before[name]) for name, of in objective.teacher.named_parameters())


@pytest.mark.parametrize("view", VIEWS)
def test_a_view_that_counts_nothing_teaches_its_entrance_nothing(view: str) -> None:
    objective = make_objective(replace(NARROW, weights=replace(WeightSettings(), **{view: 0.0})))
    objective.eval()  # batch norms of a Conformer see three views at once
    objective.losses(make_batch(), some_hidden())["total"].backward()
    reached = gradients(objective.network)
    assert {each: bool(reached[f"entrances.{each}.weight"].any()) for each in VIEWS} == {
        each: each != view for each in VIEWS
    }


def test_what_is_said_teaches_the_probes_alone() -> None:
    found = []
    for tokens in (((3, 5, 5), (7, 2, PADDING)), MUTE):
        objective = make_objective().train()
        losses = objective.losses(make_batch(tokens), some_hidden())
        losses["total"].backward()
        found.append((losses, gradients(objective.network) | gradients(objective.predictor), objective.groups()))
    (spoken, ours, groups), (mute, theirs, _) = found
    assert ours.keys() == theirs.keys() and all(torch.equal(of, theirs[name]) for name, of in ours.items())
    assert spoken["loss"] == mute["loss"]
    assert all(spoken[f"probe/{view}"] > 0 == mute[f"probe/{view}"] for view in VIEWS)
    assert [group.name for group in groups] == ["network", "probes"]


def test_the_teacher_follows_by_exactly_the_decay() -> None:
    objective = make_objective()
    before = {name: of.clone() for name, of in objective.teacher.named_parameters()}
    with torch.no_grad():
        for parameter in objective.network.parameters():
            parameter.add_(1.0)
    objective.after_update(0.5)
    moved = 1 - decay(0.9, 0.5)
    for name, of in objective.teacher.named_parameters():
        torch.testing.assert_close(of, before[name] + moved)


@torch.no_grad()
def test_the_teacher_is_read_by_its_probes() -> None:
    objective, batch = make_objective(), make_batch()
    for parameter in objective.network.parameters():
        parameter.zero_()  # it is not the student that is read
    objective.eval()
    _, answers = objective.taught(batch)
    for view, reader in objective.recognisers().items():
        memory, lengths = reader.encode(batch.seen_as(view).inputs, batch.lengths)
        torch.testing.assert_close(memory[0], answers[view][0])
        torch.testing.assert_close(reader.ctc(memory), objective.probes[view](memory))
        assert torch.equal(lengths, LENGTHS) and reader.modality == view
    assert list(objective.recognisers()) == list(VIEWS)


@torch.no_grad()
def test_masks_of_validation_are_always_the_same_and_draw_nothing() -> None:
    objective, batch = make_objective().eval(), make_batch()
    state = torch.get_rng_state()
    once, twice = (objective.validation_figures((batch,))["loss"] for _ in range(2))
    assert torch.equal(once, twice) and torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(4)
    first, second = (objective.mask(batch) for _ in range(2))
    torch.manual_seed(4)
    assert torch.equal(objective.mask(batch), first) and not torch.equal(first, second)


def test_a_clip_without_a_hidden_frame_counts_nothing() -> None:
    objective, batch, hidden = make_objective().eval(), make_batch(), some_hidden()
    hidden[1] = False
    found = objective.losses(batch, hidden)
    assert found["clips"][1] == 0 and found["clips"][0] != 0
    assert found["loss"].item() == pytest.approx(found["clips"][0].item(), abs=1e-5)
    nothing = objective.losses(batch, torch.zeros_like(hidden))
    assert nothing["loss"] == 0 and torch.isfinite(nothing["total"])


def test_a_pass_of_collapsed_targets_is_remarked_on() -> None:
    objective = make_objective().train()
    with torch.no_grad():
        for block in objective.teacher.blocks:
            block.norm.weight.zero_()
            block.norm.bias.fill_(1.0)
    said = []
    for epoch in (0, 1, 2):
        found = objective({"unlabelled": (make_batch(),)})
        said.append(objective.remarks(epoch))
    assert found["target_cosine/av"] > 0.99 and found["target_deviation/av"] < 0.05
    assert [len(each) for each in said] == [0, 1, 1]
    assert "cosine above 0.95 in all of pass 0: they have collapsed" in said[1][0]


def test_frames_are_counted_once() -> None:
    assert [int(of) for of in make_objective().frames({"unlabelled": (make_batch(),)})] == [17, 17]


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"masks": {"start": 0}}, "masks.start = 0"),
        ({"masks": {"video": 0.2}}, "unknown setting masks.video"),
        ({"masks": {"length": 0}}, "masks.length = 0"),
        ({"predictor": {"heads": 3}}, r"predictor.width 512 must be an even multiple of predictor.heads \(3\)"),
        ({"predictor": {"blocks": 0}}, "predictor.blocks = 0"),
        ({"predictor": {"video": 1}}, "unknown setting predictor.video"),
        ({"weights": {"lips": 1}}, "unknown setting weights.lips"),
        ({"decay": 1}, "decay = 1"),
    ],
)
def test_settings_that_mean_nothing_are_refused(said: dict[str, Any], message: str) -> None:
    with pytest.raises(Misused, match=message):
        objectives.settings_of({"name": "unified-prediction", **said}, "models/x.yaml")


def test_it_has_one_stream() -> None:
    section = {"name": "unified-prediction", **asdict(NARROW)}
    objectives.check_streams(section, DataSettings(streams={"unlabelled": StreamSettings(take="unlabelled")}), "x")
    with pytest.raises(Misused, match="unified-prediction has the streams unlabelled, and no other"):
        objectives.check_streams(section, DataSettings(streams={"labelled": StreamSettings()}), "x")
