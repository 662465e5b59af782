"""The objective `unified`: two streams, three views, and a teacher that follows."""

import copy
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from small_runs import SMALL
from torch import nn

from avsr_bench.nn import PADDING, VIEWS, Batch, LossSettings, Unified, joint_loss
from avsr_bench.objectives.follower import decay, follow, follower, ready
from avsr_bench.objectives.pseudo import collapsed, pseudo_labels
from avsr_bench.objectives.unified import UnifiedObjective, UnifiedSettings, UnlabelledSettings, WeightSettings

STILL = replace(SMALL, decoder_blocks=1, dropout=0.0, ctc_dropout=0.0)  # answers the same when asked again
TOKENS = 9


def network(**changes) -> Unified:
    torch.manual_seed(3)
    return Unified(replace(STILL, **changes), TOKENS)


def clips(seed=1, text=True) -> Batch:
    noise = torch.Generator().manual_seed(seed)
    tokens = torch.tensor([[3, 5, 5], [7, 2, PADDING]]) if text else torch.full((2, 1), PADDING)
    lengths = torch.tensor([10, 7])
    video = torch.randint(0, 256, (2, 10, 16, 16), generator=noise, dtype=torch.uint8)
    return Batch(lengths, tokens, video, torch.randn(2, 6400, generator=noise), ("a", "b"))


def batches() -> dict[str, tuple[Batch, ...]]:
    disturbed, clean = clips(2, text=False), clips(3, text=False)
    return {"unlabelled": (disturbed, clean), "labelled": (clips(1),)}


def objective(**changes) -> UnifiedObjective:
    torch.manual_seed(4)
    return UnifiedObjective(network(), LossSettings(), UnifiedSettings(**{"min_confidence": 0.0, **changes}))


@pytest.mark.parametrize("view", VIEWS)
@torch.no_grad()
def test_a_view_is_the_whole_for_one_modality(view):
    whole = network().eval()
    batch = clips()
    of_all = whole.encode(batch.inputs, batch.lengths).chunk(3)[VIEWS.index(view)]
    alone, lengths = whole.view(view).encode(batch.seen_as(view).inputs, batch.lengths)
    assert torch.equal(lengths, batch.lengths)
    for row, end in enumerate(lengths):
        torch.testing.assert_close(alone[row, :end], of_all[row, :end], atol=1e-5, rtol=0)


@torch.no_grad()
def test_a_view_searches_as_it_answers():
    """Step by step the decoder of a view says what it says of a whole transcript at once."""
    lips = network().eval().view("video")
    batch = clips()
    memory, lengths = lips.encode(batch.seen_as("video").inputs, batch.lengths)
    answers = lips.answers(memory, lengths, batch.tokens)
    state, newest = lips.start(memory, lengths), torch.full((2, 1), lips.sos)
    for place in range(3):
        log_probs, state = lips.step(newest, state)
        torch.testing.assert_close(log_probs[0, 0], answers.attention[0, place].log_softmax(-1), atol=1e-5, rtol=0)
        newest = batch.tokens[:, place : place + 1].clamp(min=0)


def test_transcripts_count_by_view():
    """The loss on transcripts is the weighted sum of what three recognisers have, pseudo-labels apart."""
    learner = objective(weights=WeightSettings(0.2, 0.5, 0.9), unlabelled=UnlabelledSettings(0.75, 0.5, 0.0))
    learner.eval()  # batch norms of a Conformer would see three views at once, and one
    batch = clips()
    expected = 0.0
    for view, share in zip(VIEWS, (0.2 * 0.25, 0.5 * 0.5, 0.9), strict=True):
        each = learner.network.view(view)
        answers = each.answers(*each.encode(batch.seen_as(view).inputs, batch.lengths), batch.tokens)
        expected += share * float(joint_loss(answers, batch.tokens, LossSettings()).total)
    found = learner.on_transcripts(batch)
    assert float(found["total"]) == pytest.approx(expected, rel=1e-4)
    assert float(found["clips"].mean()) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("targets", ["ctc", "attention"])
def test_gradients_reach_all_that_is_trained_and_never_the_teacher(targets):
    learner = objective(targets=targets)
    # A fresh network's CTC is sure of next to nothing; this one reads something.
    with torch.no_grad():
        for view in VIEWS:
            learner.teacher.ctc[view].weight.mul_(30)
    before = copy.deepcopy(learner.teacher.state_dict())
    learner.train()
    found = learner(batches())
    found["total"].backward()
    (group,) = learner.groups()
    assert all(parameter.grad is not None for parameter in group.parameters)
    own = {id(parameter) for module in (learner.network, learner.frame_heads, learner.token_heads)
           for parameter in module.parameters()}  # fmt: skip
    assert {id(parameter) for parameter in group.parameters} == own
    assert all(parameter.grad is None for parameter in learner.teacher.parameters())
    learned = dict(learner.teacher.named_parameters())
    assert all(torch.equal(before[name], value) for name, value in learned.items())
    assert float(found["pseudo/frames/video"]) > 0 and float(found["pseudo/tokens/av"]) > 0
    assert len(found["clips"]) == 6  # two of the unlabelled stream in two views, and two of the labelled one
    assert float(found["clips"].sum()) == pytest.approx(2 * float(found["total"]), rel=1e-4)


def test_the_teacher_follows_by_its_decay():
    learner = objective(decay=0.9)
    start = follower(learner.network)
    with torch.no_grad():
        for parameter in learner.network.parameters():
            parameter.add_(1.0)
    learner.after_update(0.0)
    for was, now in zip(start.parameters(), learner.teacher.parameters(), strict=True):
        torch.testing.assert_close(now, was + 0.1)
    learner.after_update(1.0)  # after the last update it keeps all of itself
    for was, now in zip(start.parameters(), learner.teacher.parameters(), strict=True):
        torch.testing.assert_close(now, was + 0.1)


def test_the_teacher_answers_without_dropout_and_with_the_figures_of_its_batch():
    learner = UnifiedObjective(network(dropout=0.5), LossSettings(), UnifiedSettings())
    learner.train()
    batch = clips()
    one, other = (learner.labels(batch) for _ in range(2))
    assert torch.equal(one.sure_frames, other.sure_frames)
    norms = [module for module in learner.teacher.modules() if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d)]
    assert norms and all(norm.training and int(norm.num_batches_tracked) == 2 for norm in norms)


def test_without_pseudo_labels_there_is_no_teacher():
    learner = objective(unlabelled=UnlabelledSettings(0, 0, 0))
    learner.train()
    found = learner({"labelled": (clips(),)})
    assert not hasattr(learner, "teacher") and set(learner.recognisers()) == set(VIEWS)
    assert UnifiedSettings(unlabelled=UnlabelledSettings(0, 0, 0)).streams().keys() == {"labelled"}
    assert float(found["total"]) > 0 and not any(name.startswith("pseudo") for name in found)


def test_what_the_teacher_is_not_sure_of_counts_nothing():
    learner = objective(min_confidence=1.0)
    learner.train()
    found = learner(batches())
    assert float(found["pseudo/sure_frames"]) == float(found["pseudo/sure_tokens"]) == 0
    assert all(float(found[f"pseudo/{kind}/{view}"]) == 0 for kind in ("frames", "tokens") for view in VIEWS)
    assert float(found["total"]) == pytest.approx(float(learner.on_transcripts(clips())["total"]), rel=1e-4)


@torch.no_grad()
def test_a_clip_in_which_nothing_is_read_has_no_labels():
    teacher = network().eval()
    teacher.ctc["av"].bias[0] += 100  # blank everywhere
    batch = clips()
    memory = teacher.encode(batch.inputs, batch.lengths, ("av",))
    for greedy in (False, True):
        labels = pseudo_labels(teacher, memory, batch.lengths, greedy)
        assert bool((labels.frames == PADDING).all()) and bool((labels.after == PADDING).all())


def test_a_pass_in_which_the_teacher_reads_nothing_is_said_once():
    learner = objective()
    with torch.no_grad():
        learner.teacher.ctc["av"].bias[0] += 100
    learner.train()
    said = []
    for epoch in (0, 0, 1, 1, 2):
        learner(batches())
        said.append(learner.remarks(epoch))
    assert [len(lines) for lines in said] == [0, 0, 1, 0, 1]
    assert "pass 0" in said[2][0] and "init.run" in said[2][0]


@torch.no_grad()
def test_the_decoder_is_given_what_ctc_reads():
    teacher = network().eval()
    teacher.ctc["av"].weight.mul_(30)
    batch = clips()
    memory = teacher.encode(batch.inputs, batch.lengths, ("av",))
    labels = pseudo_labels(teacher, memory, batch.lengths, greedy=False)
    written = collapsed(labels.frames)
    assert torch.equal(labels.before[:, 0], torch.full((2,), TOKENS - 1))
    for row, answered in zip(written, labels.after, strict=True):
        length = int((row != PADDING).sum())
        assert int((answered != PADDING).sum()) == length + 1  # one answer behind each token, and behind sos


frames = st.lists(st.integers(0, 4), min_size=1, max_size=12)


@given(st.lists(frames, min_size=1, max_size=4))
def test_repeats_and_blanks_go(rows):
    longest = max(map(len, rows))
    given_ = torch.tensor([row + [PADDING] * (longest - len(row)) for row in rows])
    found = collapsed(given_)
    for row, line in zip(rows, found.tolist(), strict=True):
        expected = [token for place, token in enumerate(row) if token and (not place or row[place - 1] != token)]
        assert [token for token in line if token != PADDING] == expected
        assert line[: len(expected)] == expected


@given(st.floats(0, 0.999), st.floats(0, 1), st.floats(0, 1))
def test_decay_rises_from_the_first_to_one(first, one, other):
    low, high = sorted((one, other))
    assert first - 1e-9 <= decay(first, low) <= decay(first, high) <= 1
    assert decay(first, 0) == pytest.approx(first) and decay(first, 1) == 1


def test_follow_leaves_running_figures_alone():
    one, other = nn.BatchNorm1d(3), nn.BatchNorm1d(3)
    average = follower(one)
    other.running_mean += 5
    other.weight.data += 1
    follow(average, other, 0.5)
    assert torch.equal(average.running_mean, one.running_mean)
    torch.testing.assert_close(average.weight, one.weight + 0.5)
    ready(average)
    assert average.training
