import json
from pathlib import Path

import pytest

from avsr_bench.locks import hold_part
from avsr_bench.records import Refused
from avsr_bench.shards import (
    ShardSettings,
    clear_store,
    is_whole,
    make_plan,
    missing_shards,
    open_store,
    read_prep,
    take_part,
)


def open_with(out, plan, versions=None, notes=()):
    with hold_part(out, 1, 1):
        open_store(out, plan, versions or {"av": "18.1.0"}, notes)


def test_the_same_plan_is_welcome_again(small, tmp_path):
    open_with(tmp_path, small.make_small_plan(), notes=["a"])
    before = (tmp_path / "prep.json").read_bytes()
    open_with(tmp_path, small.make_small_plan(), notes=["a"])
    assert (tmp_path / "prep.json").read_bytes() == before


def test_a_second_set_of_versions_is_listed_beside_the_first(small, tmp_path):
    open_with(tmp_path, small.make_small_plan(), {"av": "18.1.0"}, ["a"])
    open_with(tmp_path, small.make_small_plan(), {"av": "18.2.0"}, ["a", "b"])
    prep = read_prep(tmp_path)
    assert prep["versions"] == [{"av": "18.1.0"}, {"av": "18.2.0"}]
    assert prep["notes"] == ["a", "b"]


def test_splits_may_come_one_after_another(small, tmp_path):
    clips = small.make_clips()
    open_with(tmp_path, small.make_small_plan([clip for clip in clips if clip.split == "test"]))
    assert list(read_prep(tmp_path)["splits"]) == ["test"]
    open_with(tmp_path, small.make_small_plan(clips))
    assert list(read_prep(tmp_path)["splits"]) == ["test", "train", "val"]
    open_with(tmp_path, small.make_small_plan([clip for clip in clips if clip.split == "val"]))
    assert list(read_prep(tmp_path)["splits"]) == ["test", "train", "val"]


def test_other_clips_are_refused_with_both_counts(small, tmp_path):
    open_with(tmp_path, small.make_small_plan())
    fewer = small.make_small_plan(small.make_clips({"test": 4, "train": 9, "val": 2}))
    with pytest.raises(
        Refused, match=r"test had 5 clips, now 4\): choose another --out, or start it over with --force"
    ):
        open_with(tmp_path, fewer)


def test_other_keys_and_other_files_are_told_apart(small, tmp_path):
    clips = small.make_clips()
    open_with(tmp_path, small.make_small_plan(clips))
    with pytest.raises(Refused, match="test has as many clips but not the same ones"):
        open_with(tmp_path, small.make_small_plan([small.make_clip("test", 77), *clips[1:]]))
    with pytest.raises(Refused, match="files, texts, times, speakers, faces or landmarks of test changed"):
        open_with(tmp_path, small.make_small_plan(clips, sizes={clips[0].video: 9}))


def test_other_settings_are_refused_by_name_even_for_a_new_split(small, tmp_path):
    clips = small.make_clips()
    open_with(tmp_path, small.make_small_plan([clip for clip in clips if clip.split == "test"]))
    recipe = {"corpus": "folder", "mouth": {"size": 88, "crf": 10, "lossless": True}}
    other = small.make_small_plan([clip for clip in clips if clip.split == "val"], recipe, ShardSettings(4))
    with pytest.raises(Refused) as refused:
        open_with(tmp_path, other)
    line = str(refused.value)
    assert "mouth.lossless was not set, now true; mouth.size was 96, now 88; shards.max_samples was 3, now 4" in line
    assert "\n" not in line


def test_refusal_changes_nothing(small, tmp_path):
    small.prepare(tmp_path)
    before = small.contents(tmp_path)
    with pytest.raises(Refused):
        open_with(tmp_path, small.make_small_plan(small.make_clips({"test": 1})))
    assert small.contents(tmp_path) == before


def test_tars_of_somebody_else_are_not_overwritten(small, tmp_path):
    (tmp_path / "test").mkdir()
    (tmp_path / "test" / "test-000000.tar").write_bytes(b"precious")
    with pytest.raises(Refused, match=r"test/test-000000\.tar but no prep\.json"):
        open_with(tmp_path, small.make_small_plan())


@pytest.mark.parametrize("content", ["", "{", "[]", '{"format": 99}', "\udcff"])
def test_a_prep_json_that_is_not_ours_is_refused(small, tmp_path, content):
    (tmp_path / "prep.json").write_bytes(content.encode(errors="surrogateescape"))
    with pytest.raises(Refused, match=r"prep\.json"):
        open_with(tmp_path, small.make_small_plan())
    with pytest.raises(Refused, match=r"prep\.json"):
        clear_store(tmp_path, small.make_small_plan())


def test_a_folder_without_prep_json_is_refused_by_readers(tmp_path):
    with pytest.raises(Refused, match="not a folder made by"):
        read_prep(tmp_path)


def test_notes_that_utf8_cannot_hold_are_kept(small, tmp_path):
    note = "file \udcff.mp4 lies twice"
    open_with(tmp_path, small.make_small_plan(), notes=[note])
    assert read_prep(tmp_path)["notes"] == [note]


@pytest.mark.parametrize("gone", ["jsonl", "tar", "tracks.npz"])
def test_a_shard_without_one_of_its_files_is_made_again(small, tmp_path, gone):
    small.prepare(tmp_path)
    before = small.contents(tmp_path)
    (tmp_path / "train" / f"train-000001.{gone}").unlink()
    assert small.prepare(tmp_path) == ["train-000001"]
    assert small.contents(tmp_path) == before


def test_clear_removes_what_prep_made_and_nothing_else(small, tmp_path):
    small.prepare(tmp_path)
    ours = small.contents(tmp_path)
    others = [
        "notes.txt",
        "test/readme.txt",
        "test/test-000000.tar.bak",
        "train/other-000000.tar",
        "test-000000.tar",
        "mine/a",
    ]
    for name in others:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("precious")
    (tmp_path / "val" / f".val-000000.tar.{'0' * 32}.tmp").write_text("left by a kill")
    clear_store(tmp_path, small.make_small_plan())
    assert sorted(small.contents(tmp_path)) == sorted(others)
    assert not (tmp_path / "val").exists()
    for name in others:
        (tmp_path / name).unlink()
    small.prepare(tmp_path)
    assert small.contents(tmp_path) == ours


def test_clear_of_one_split_leaves_the_others(small, tmp_path):
    small.prepare(tmp_path)
    before = small.contents(tmp_path)
    clear_store(tmp_path, small.make_small_plan(), ["test"])
    left = small.contents(tmp_path)
    assert {name: data for name, data in before.items() if name.startswith(("train", "val"))} == {
        name: data for name, data in left.items() if name != "prep.json"
    }
    assert list(json.loads(left["prep.json"])["splits"]) == ["train", "val"]
    assert small.prepare(tmp_path) == ["test-000000", "test-000001"]
    assert small.contents(tmp_path) == before


def test_clear_of_nothing_is_fine(small, tmp_path):
    clear_store(tmp_path / "nowhere", small.make_small_plan())
    assert not (tmp_path / "nowhere").exists()


def test_clear_of_a_part_leaves_the_other_parts(small, tmp_path):
    small.prepare(tmp_path)
    before = small.contents(tmp_path)
    plan = small.make_small_plan()
    clear_store(tmp_path, plan, part=(1, 2))
    mine = take_part(plan.shards, 1, 2)
    assert missing_shards(tmp_path, plan.shards) == mine
    assert 0 < len(mine) < len(plan.shards)
    assert small.prepare(tmp_path, part=(1, 2)) == [shard.name for shard in mine]
    assert small.contents(tmp_path) == before


@pytest.mark.parametrize("kept", [{"splits": ["test"]}, {"part": (1, 2)}])
def test_clear_that_would_leave_shards_of_another_plan_removes_nothing(small, tmp_path, kept):
    small.prepare(tmp_path)
    before = small.contents(tmp_path)
    other = small.make_small_plan(recipe={"corpus": "folder", "mouth": {"size": 88, "crf": 10}})
    with pytest.raises(Refused, match=r"mouth\.size was 96, now 88.*start all of it over"):
        clear_store(tmp_path, other, **kept)
    assert small.contents(tmp_path) == before
    clear_store(tmp_path, other)
    assert not small.contents(tmp_path)


def test_missing_shards_keeps_plan_order(small, tmp_path):
    plan = small.make_small_plan()
    small.write_shard(tmp_path, plan.shards[1])
    assert is_whole(tmp_path, plan.shards[1])
    assert missing_shards(tmp_path, plan.shards) == (plan.shards[0], *plan.shards[2:])


def test_a_plan_of_a_whole_benchmark_is_small(tmp_path):
    # LRS3 has 150,000 clips: prep.json, which every command opens, stays small.
    from avsr_bench.records import Clip

    clips = [Clip(f"{i:06d}", Path(f"/c/{i}"), "train", "s", "a b c") for i in range(20_000)]
    open_with(tmp_path, make_plan(clips, ShardSettings(), {}, Path("/c"), {}))
    assert (tmp_path / "prep.json").stat().st_size < 4_000


@pytest.mark.parametrize("name", ["skipped.jsonl", "train/train-000001.tar", "train/train-000000.jsonl"])
def test_files_that_prep_did_not_make_stay(small, tmp_path, name):
    theirs = tmp_path / name
    theirs.parent.mkdir(exist_ok=True)
    theirs.write_text("theirs")
    with pytest.raises(Refused, match=rf"has {name} but no prep\.json, so prep did not make it"):
        open_with(tmp_path, small.make_small_plan())
    assert theirs.read_text() == "theirs"
