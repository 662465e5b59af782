import itertools
from dataclasses import replace
from functools import partial

import pytest
import torch
from mouths import make_shards

from avsr_bench import data
from avsr_bench.data import BatchSettings, Planner, Position, Stream, loader, plan

SETTINGS = BatchSettings(frames=80, group=2)


def augmented(example, tokens, epoch, settings):
    return data.augmented(example, tokens, 24, settings, seed=0, epoch=epoch)


def show(example, tokens, epoch):
    """Undisturbed, with the epoch as its one token."""
    return data.tested(example, (epoch,), 24)


def stream_of(corpus, modality="video", ranks=1, **curriculum):
    places = data.places(corpus, "train", modality)
    frames, shards = tuple(p.entry.frames for p in places), tuple(p.shard for p in places)
    planner = Planner(frames, shards, SETTINGS, seed=3, ranks=ranks, **curriculum)
    return Stream(corpus, places, [()] * len(places), modality, planner, (show,))


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return make_shards(tmp_path_factory.mktemp("data") / "small", {"train": 20, "valid": 4})


def take(stream, count, workers=0, rank=0, start=None):
    return [batch for (batch,) in data.Loader(stream, rank, start or Position(), count, workers)]


@pytest.mark.parametrize("workers", [1, 3])
def test_the_order_is_the_plans_whatever_the_number_of_workers(corpus, workers):
    stream = stream_of(corpus, "av")
    for alone, together in zip(take(stream, 9), take(stream, 9, workers), strict=True):
        assert alone.keys == together.keys
        assert torch.equal(alone.video, together.video) and torch.equal(alone.audio, together.audio)


def test_from_any_position_on_come_the_same_batches(corpus):
    stream = stream_of(corpus)
    length = len(stream.planner.plan(0)[0])
    whole = [batch.keys for batch in take(stream, 2 * length + 2)]
    for done in (1, length - 1, length, length + 3):
        start = stream.planner.after(Position(), done)
        assert [batch.keys for batch in take(stream, len(whole) - done, 2, start=start)] == whole[done:]
    assert stream.planner.after(Position(), length) == Position(1, 0)


def test_views_show_the_same_clips_in_the_same_order(corpus):
    settings = data.AugmentSettings(flip=1.0, crop=False, video_mask=0.0)
    stream = replace(stream_of(corpus), views=(show, partial(augmented, settings=settings)))
    for plain, mirrored in data.Loader(stream, 0, Position(), 5, workers=1):
        assert plain.keys == mirrored.keys and torch.equal(plain.lengths, mirrored.lengths)
        assert torch.equal(plain.video.flip(3), mirrored.video)


def test_an_epoch_has_every_clip_once_and_knows_its_number(corpus):
    stream = stream_of(corpus)
    batches = take(stream, stream.planner.batches(2))
    seen = {epoch: [] for epoch in (0, 1)}
    for batch in batches:
        seen[int(batch.tokens[0, 0])] += batch.keys
    assert sorted(seen[0]) == sorted(seen[1]) == [f"train{k:03d}" for k in range(20)]
    assert seen[0] != seen[1]


def test_ranks_share_an_epoch(corpus):
    stream = stream_of(corpus, ranks=2)
    each = stream.planner.batches(1)
    keys = [key for rank in (0, 1) for batch in take(stream, each, rank=rank) for key in batch.keys]
    assert sorted(keys) == [f"train{k:03d}" for k in range(20)]


def test_the_curriculum_begins_with_short_clips(corpus):
    stream = stream_of(corpus, short_epochs=1, short_frames=18)
    first = take(stream, stream.planner.batches(1))
    assert max(int(batch.lengths.max()) for batch in first) <= 18
    later = take(stream, 20, start=Position(1, 0))
    assert max(int(batch.lengths.max()) for batch in later) > 18


def test_validation_reads_every_clip(corpus):
    places = data.places(corpus, "valid", "video")
    found = list(data.examples(corpus, places, "video", about=True, together=3))
    assert [example.key for example in found] == [place.entry.key for place in places]
    assert {example.source for example in found} == {"tape0", "tape1"}
    assert all(len(example.mouth) == example.frames for example in found)
    assert all(example.sound is None for example in found)


def test_making_batches_takes_no_number_from_the_networks_dropout(corpus):
    torch.manual_seed(0)
    before = torch.get_rng_state()
    take(stream_of(corpus), 3, workers=1)
    assert torch.equal(before, torch.get_rng_state())


def test_a_group_is_read_forward_and_once(corpus, monkeypatch):
    asked = []
    read = data.Prepared.read_ranges

    def watch(self, name, ranges):
        asked.append((name, list(ranges)))
        return read(self, name, ranges)

    monkeypatch.setattr(data.Prepared, "read_ranges", watch)
    stream = stream_of(corpus)
    take(stream, stream.planner.batches(1))
    for _, ranges in asked:
        assert all(a[0] + a[1] <= b[0] for a, b in itertools.pairwise(ranges))
    assert len(asked) == len({name for name, _ in asked}) == 4


@pytest.mark.parametrize("modality", ["video", "av"])
@pytest.mark.parametrize("few", [0, 5])
def test_clips_that_stay_in_memory_are_shown_as_those_that_are_decoded_again(corpus, monkeypatch, modality, few):
    settings = data.AugmentSettings(flip=0.5, video_mask=0.4, mask_fill="mean", noise=True)
    stream = replace(stream_of(corpus, modality), views=(show, partial(augmented, settings=settings)))
    count = stream.planner.batches(3)
    decoded = []
    decode = loader.decode
    monkeypatch.setattr(
        loader, "decode", lambda corpus, place, members: decoded.append(place) or decode(corpus, place, members)
    )
    kept = list(data.Loader(stream, 0, Position(), count, 0))
    assert len(decoded) == 20
    decoded.clear()
    sizes = sorted(example.nbytes for example in data.examples(corpus, stream.places, modality))
    monkeypatch.setattr(loader, "KEPT", sum(sizes[-few:]) if few else 0)
    again = list(data.Loader(stream, 0, Position(), count, 0))
    assert len(decoded) == 60 if not few else 20 < len(decoded) <= 60 - 2 * few
    for one, other in zip(kept, again, strict=True):
        for a, b in zip(one, other, strict=True):
            assert a.keys == b.keys and torch.equal(a.video, b.video)
            assert modality == "video" or torch.equal(a.audio, b.audio)


def test_where_an_update_stands_is_known_without_planning_again(corpus, monkeypatch):
    planner = stream_of(corpus).planner
    total = planner.batches(30)
    monkeypatch.setattr(plan, "plan_epoch", lambda *_: pytest.fail("planned again"))
    assert planner.after(Position(), total - 1).epoch == 29
    assert planner.after(Position(), 1) == Position(0, 1)
