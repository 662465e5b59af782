import pytest
from hypothesis import given
from hypothesis import strategies as st

from avsr_bench.data import BatchSettings, left_out, plan_epoch, plan_split
from avsr_bench.records import Refused

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
