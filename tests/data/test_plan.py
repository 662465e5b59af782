import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from avsr_bench.data import BatchSettings, Pass, Planner, left_out, plan_epoch, plan_split
from avsr_bench.records import Refused, rng_for

clips = st.lists(st.tuples(st.integers(1, 100), st.integers(0, 9)), min_size=1, max_size=80)


@given(clips, st.integers(0, 3), st.integers(0, 5), st.integers(1, 3), st.integers(1, 6), st.none() | st.integers(1, 5))
def test_every_clip_is_in_one_batch_and_ranks_have_equally_many(clips, seed, epoch, ranks, group, most):
    frames, shards = [length for length, _ in clips], [shard for _, shard in clips]
    settings = BatchSettings(frames=200, clips=most, group=group)
    try:
        plan = plan_epoch(frames, shards, settings, seed, epoch, ranks)
    except Refused:
        (alone,) = plan_epoch(frames, shards, settings, seed, epoch)
        assert len(clips) < -(-len(alone) // ranks) * ranks  # halving until each is a batch does not suffice
        return
    assert sorted(clip for rank in plan for batch in rank for clip in batch.clips) == list(range(len(clips)))
    assert len({len(rank) for rank in plan}) == 1
    for batch in (batch for rank in plan for batch in rank):
        assert len(batch.clips) * max(frames[clip] for clip in batch.clips) <= 200
        assert most is None or len(batch.clips) <= most
        assert len({shards[clip] for clip in batch.clips}) <= group
    assert plan == plan_epoch(frames, shards, settings, seed, epoch, ranks)


def plainly(frames, shards, settings, seed, epoch, ranks):
    """The plan as it is defined, with a look at every clip for each group and at every batch for each halving."""
    rng, lengths = rng_for(seed, "epoch", str(epoch)), np.asarray(frames)
    order, batches = rng.permutation(np.unique(shards)), []
    for group, start in enumerate(range(0, len(order), settings.group)):
        clips = np.flatnonzero(np.isin(shards, order[start : start + settings.group]))
        clips = clips[rng.permutation(len(clips))]
        batches.append((group, []))
        for clip in clips[np.argsort(lengths[clips], kind="stable")].tolist():
            number = len(batches[-1][1])
            if number and ((number + 1) * lengths[clip] > settings.frames or number == settings.clips):
                batches.append((group, []))
            batches[-1][1].append(clip)
    while len(batches) % ranks:
        place = max(range(len(batches)), key=lambda k: (len(batches[k][1]), sum(frames[i] for i in batches[k][1])))
        group, clips = batches[place]
        if len(clips) == 1:
            return None
        batches[place : place + 1] = [(group, clips[: len(clips) // 2]), (group, clips[len(clips) // 2 :])]
    steps = [batches[place : place + ranks] for place in range(0, len(batches), ranks)]
    chance = rng.permutation(len(steps))
    steps = [steps[k] for k in sorted(range(len(steps)), key=lambda k: (steps[k][0][0], chance[k]))]
    return [[(step[rank][0], tuple(step[rank][1])) for step in steps] for rank in range(ranks)]


@given(clips, st.integers(0, 3), st.integers(1, 9), st.integers(1, 6), st.none() | st.integers(1, 5))
def test_the_plan_is_the_one_that_the_definition_gives(clips, seed, ranks, group, most):
    frames, shards = [length for length, _ in clips], [shard for _, shard in clips]
    settings = BatchSettings(frames=200, clips=most, group=group)
    expected = plainly(frames, shards, settings, seed, 1, ranks)
    if expected is None:
        with pytest.raises(Refused, match="cannot be shared among"):
            plan_epoch(frames, shards, settings, seed, 1, ranks)
        return
    plan = plan_epoch(frames, shards, settings, seed, 1, ranks)
    assert [[(batch.group, batch.clips) for batch in rank] for rank in plan] == expected


def test_an_epoch_of_some_clips_is_planned_as_if_there_were_no_others():
    frames, shards = tuple(20 + k % 30 for k in range(120)), tuple(k // 10 for k in range(120))
    planner = Planner(frames, shards, BatchSettings(frames=200, group=4), seed=0)
    everything = planner.everything(0)
    assert planner.plan(0) == planner.plan(0, everything)
    some = np.arange(0, 120, 3)
    weights = np.zeros(120, np.float32)
    weights[some] = 1
    [planned] = planner.plan(0, Pass(weights, everything.frames))
    [alone] = plan_epoch([frames[k] for k in some], [shards[k] for k in some], planner.settings, 0, 0)
    assert [batch.clips for batch in planned] == [tuple(some[list(batch.clips)].tolist()) for batch in alone]


def test_epochs_and_seeds_differ_and_groups_come_one_after_another():
    frames, shards = [20 + k % 30 for k in range(120)], [k // 10 for k in range(120)]
    settings = BatchSettings(frames=200, group=4)
    plans = {plan_epoch(frames, shards, settings, seed, epoch)[0] for seed in range(2) for epoch in range(2)}
    assert len(plans) == 4
    for plan in plans:
        order = [batch.group for batch in plan]
        assert order == sorted(order) and set(order) == {0, 1, 2}


def test_little_is_padding():
    frames = [25 + (k * 37) % 200 for k in range(400)]
    plan = plan_epoch(frames, [0] * 400, BatchSettings(frames=1600), 0, 0)[0]
    padded = sum(len(batch.clips) * max(frames[clip] for clip in batch.clips) for batch in plan)
    assert sum(frames) / padded > 0.93


def test_a_clip_longer_than_a_batch_is_refused_with_what_to_do():
    with pytest.raises(Refused, match=r"^b has 300 frames \(12 s\), and a batch takes data\.frames=200: raise"):
        left_out([100, 300], ["a", "b"], BatchSettings(frames=200))
    assert left_out([100, 300], ["a", "b"], BatchSettings(frames=200, longest=200)) == (1,)


def test_too_few_clips_for_so_many_ranks():
    with pytest.raises(Refused, match="3 clips, each a batch of its own, cannot be shared among 4 devices"):
        plan_epoch([10, 20, 30], [0, 0, 0], BatchSettings(), 0, 0, ranks=4)


def test_a_split_that_is_looked_at_is_the_same_every_time():
    plan = plan_split([30, 10, 20], BatchSettings(frames=40), ranks=2)
    assert [batch.clips for rank in plan for batch in rank] == [(1, 2), (0,)]
