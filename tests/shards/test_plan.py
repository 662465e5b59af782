from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avsr_bench.records import Clip, Reason, Refused, make_key
from avsr_bench.shards import ShardSettings, file_sizes, make_plan, parse_part, summarise, take_part, validate
from avsr_bench.shards.plan import PlannedShard


def test_clips_are_sorted_by_key_and_cut_without_a_hole(small):
    clips = small.make_clips({"train": 10})
    plan = small.make_small_plan(clips[::-1])
    shards = plan.splits["train"].shards
    assert [shard.name for shard in shards] == ["train-000000", "train-000001", "train-000002", "train-000003"]
    assert [len(shard.clips) for shard in shards] == [3, 3, 3, 1]
    keys = [clip.key for shard in shards for clip in shard.clips]
    assert keys == sorted(clip.key for clip in clips)
    assert plan.splits["train"].clips == 10


def test_plan_does_not_depend_on_the_order_of_listing(small):
    clips = small.make_clips()
    assert small.make_small_plan(clips) == small.make_small_plan(clips[7:] + clips[:7])


def test_plan_of_one_split_agrees_with_the_plan_of_all(small):
    clips = small.make_clips()
    alone = small.make_small_plan([clip for clip in clips if clip.split == "test"])
    assert alone.splits["test"] == small.make_small_plan(clips).splits["test"]


def test_fingerprint_is_fixed(small):
    # A golden value: if it moves, every folder that people have already made is refused.
    clips = [
        Clip("a", Path("/c/a.mp4"), "test", "s1", "one two"),
        Clip("b", Path("/c/b.mp4"), "test", "s2", None, end=2.5),
    ]
    plan = make_plan(clips, ShardSettings(250), {"size": 96}, Path("/c"), {Path("/c/a.mp4"): 10})
    assert plan.splits["test"].fingerprint == "685e49644b3b7a7be3e8b3f419c803f2625717ce06113beb292ab9da034341ec"


CHANGES = {
    "text": {"text": "other"},
    "start": {"start": 0.04},
    "end": {"end": 1.0},
    "speaker": {"speaker": "s9"},
    "video": {"video": Path("/corpus/elsewhere.mp4")},
    "audio": {"audio": Path("/corpus/sound.wav")},
    "face": {"face": (0.25, 0.5)},
    "problem": {"problem": Reason("bad-text", "empty")},
}


@pytest.mark.parametrize("change", CHANGES)
def test_fingerprint_follows_every_part_of_a_clip_and_only_its_own_split(small, change):
    clips = small.make_clips()
    before, changed = small.make_small_plan(clips), [small.make_clip("test", 0, **CHANGES[change]), *clips[1:]]
    after = small.make_small_plan(changed)
    assert after.splits["test"].fingerprint != before.splits["test"].fingerprint
    assert after.splits["train"].fingerprint == before.splits["train"].fingerprint


def test_fingerprint_follows_settings_recipe_and_file_sizes(small):
    clips = small.make_clips()
    sizes = {clips[0].video: 1}
    plans = [
        small.make_small_plan(clips),
        small.make_small_plan(clips, settings=ShardSettings(4)),
        small.make_small_plan(clips, recipe={"mouth": {"size": 88}}),
        small.make_small_plan(clips, sizes=sizes),
    ]
    assert len({plan.splits["test"].fingerprint for plan in plans}) == 4


def test_fingerprint_follows_the_landmarks_of_its_own_clips(small):
    clips = small.make_clips()

    def plan(landmarks):
        return make_plan(clips, small.SETTINGS, small.RECIPE, Path("/corpus"), {}, landmarks)

    key = next(clip.key for clip in clips if clip.split == "test")
    plans = [plan({}), plan({key: "40 ab"}), plan({key: "40 cd"})]
    assert len({made.splits["test"].fingerprint for made in plans}) == 3
    assert len({made.splits["train"].fingerprint for made in plans}) == 1
    assert plans[0] == small.make_small_plan(clips)


def test_a_corpus_may_move(small, tmp_path):
    def plan(root):
        clips = [Clip("a", root / "s1" / "a.mp4", "test", "s1", "one")]
        return make_plan(clips, ShardSettings(), {}, root, {clips[0].video: 5})

    assert plan(tmp_path / "here").splits["test"].fingerprint == plan(tmp_path / "there").splits["test"].fingerprint


def test_file_sizes_leaves_missing_files_out(tmp_path):
    there, gone = tmp_path / "a.mp4", tmp_path / "b.mp4"
    there.write_bytes(b"12345")
    clips = [Clip("a", there, "test", "s1", audio=gone), Clip("b", gone, "test", "s1")]
    assert file_sizes(clips) == {there: 5}


def test_a_duplicate_set_aside_stands_behind_the_clip_it_repeats(small):
    good = small.make_clip("test", 0)
    twice = small.make_clip("test", 0, video=Path("/corpus/0"), problem=Reason("duplicate-key", "also /corpus/1"))
    (shard,) = small.make_small_plan([twice, good]).shards
    assert shard.clips == (good, twice)


def test_two_usable_clips_with_one_key_are_the_readers_mistake(small):
    with pytest.raises(ValueError, match="share the key"):
        small.make_small_plan([small.make_clip("test", 0), small.make_clip("test", 0)])


@pytest.mark.parametrize("key", ["", "a.b", "a/b", "../x", "naïve", "a b"])
def test_a_key_that_is_no_file_name_is_refused(small, key):
    with pytest.raises(ValueError, match="make_key"):
        small.make_small_plan([small.make_clip("test", 0, key=key)])


@pytest.mark.parametrize("split", ["", "..", "a/b", "/etc", "mon split", "été", "x" * 101, "x" * 300])
def test_a_split_that_cannot_name_a_folder_is_refused(small, split):
    with pytest.raises(Refused, match="cannot name a folder"):
        small.make_small_plan([small.make_clip("test", 0, split=split)])


@pytest.mark.parametrize("text", ["", "1", "0/2", "3/2", "1/0", "-1/2", "1/2/3", "a/b", "1.5/2", "²/3", "1/99999999"])
def test_bad_parts_are_refused_with_an_example(text):
    with pytest.raises(Refused, match="2/4"):
        parse_part(text)


counts = st.dictionaries(
    st.sampled_from(["train", "val", "test", "pretrain", "unseen"]), st.integers(0, 40), min_size=1
)


@given(counts, st.integers(1, 12))
def test_parts_are_disjoint_and_together_the_whole(counts, parts):
    shards = [PlannedShard(split, number, ()) for split, count in counts.items() for number in range(count)]
    taken = [shard for part in range(1, parts + 1) for shard in take_part(shards, part, parts)]
    assert len(taken) == len(shards) and set(taken) == set(shards)


@given(counts, st.integers(1, 12))
def test_parts_are_balanced_within_each_split(counts, parts):
    for split, count in counts.items():
        shards = [PlannedShard(split, number, ()) for number in range(count)]
        sizes = sorted(len(take_part(shards, part, parts)) for part in range(1, parts + 1))
        assert sizes[-1] - sizes[0] <= 1


def test_splits_of_one_shard_do_not_all_fall_to_one_part():
    shards = [PlannedShard(split, 0, ()) for split in ("train", "val", "test")]
    assert all(0 < len(take_part(shards, part, 2)) < 3 for part in (1, 2))


@given(st.lists(st.text(max_size=12), unique=True, max_size=60), st.integers(1, 9))
def test_every_clip_is_in_exactly_one_shard(names, size):
    clips = [Clip(make_key(name), Path("/c") / f"{i}.mp4", "test", "s") for i, name in enumerate(names) if name]
    shards = make_plan(clips, ShardSettings(size), {}, Path("/c"), {}).shards
    keys = [clip.key for shard in shards for clip in shard.clips]
    assert len(keys) == len(clips) and all(a < b for a, b in pairwise(keys))
    assert all(len(shard.clips) == size for shard in shards[:-1])


def test_a_split_with_the_longest_name_is_written_and_read(small, tmp_path):
    split = "x" * 100
    small.prepare(tmp_path, small.make_small_plan(small.make_clips({split: 4})))
    assert list(summarise(tmp_path).splits) == [split] and not validate(tmp_path).problems


def test_splits_that_differ_in_case_alone_are_refused(small):
    with pytest.raises(Refused, match="'Test' and 'test' differ in case alone"):
        small.make_small_plan(small.make_clips({"test": 1, "Test": 1}))
