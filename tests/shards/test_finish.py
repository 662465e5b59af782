import json

import pytest

from avsr_bench.records import Reason, Refused, Sample, Skipped
from avsr_bench.shards import finish, iterate, read_index, read_prep, shard_indexes, summarise


def test_counts_add_up_over_the_plan(small, tmp_path):
    plan = small.make_small_plan()
    small.prepare(tmp_path, plan)
    outcomes = {
        split: [small.make_outcome(clip) for clip in small.make_clips() if clip.split == split] for split in plan.splits
    }
    for split, summary in summarise(tmp_path).splits.items():
        samples = [outcome for outcome in outcomes[split] if isinstance(outcome, Sample)]
        assert summary.clips == plan.splits[split].clips == summary.samples + sum(summary.skipped.values())
        assert summary.samples == len(samples) and summary.waiting == 0
        assert summary.frames == sum(sample.frames for sample in samples)
        assert summary.words == sum(len(sample.text.split()) for sample in samples)
        assert set(summary.speakers) == {sample.speaker for sample in samples}
        assert len(summary.detected) == len(samples) and all(0 <= rate <= 1 for rate in summary.detected)
        assert summary.finished == summary.shards == len(plan.splits[split].shards)


def test_counts_stand_in_prep_json_and_skips_in_skipped_jsonl(small, tmp_path):
    small.prepare(tmp_path)
    summary = summarise(tmp_path)
    assert summary.skipped, "the made-up clips should hold some without a face"
    lines = [json.loads(line) for line in (tmp_path / "skipped.jsonl").read_text().splitlines()]
    assert [(line["split"], line["key"]) for line in lines] == [(clip.split, clip.key) for clip in summary.skipped]
    assert all((line["kind"], line["code"], line["detail"]) == ("clip", "no-face", "0 of 75 frames") for line in lines)
    for split, known in read_prep(tmp_path)["splits"].items():
        assert known["counts"] == summary.splits[split].to_json()
        assert known["counts"]["hours"] == pytest.approx(summary.splits[split].frames / 90_000, abs=1e-4)


def test_a_machine_reason_is_counted_and_its_shard_waits(small, tmp_path):
    plan = small.make_small_plan(small.make_clips({"test": 5}))

    def outcome(clip):
        if clip == plan.shards[0].clips[0]:
            return Skipped(clip.key, clip.split, Reason("time-limit", "90 s"))
        return Sample(clip.key, clip.split, 10, None, "s", {})

    small.prepare(tmp_path, plan, outcome_of=outcome)
    summary = summarise(tmp_path).splits["test"]
    assert summary.skipped == {"time-limit": 1} and summary.finished == 1 and summary.whole == {"test-000001": 2}
    assert summary.samples == 2 and summary.waiting == 3 and summary.words == 0
    assert json.loads((tmp_path / "skipped.jsonl").read_text())["kind"] == "machine"


def test_a_half_made_folder_is_counted_as_it_is(small, tmp_path):
    small.prepare(tmp_path, part=(1, 2))
    summary = summarise(tmp_path).splits
    assert 0 < sum(split.finished for split in summary.values()) < sum(split.shards for split in summary.values())
    assert all(split.clips == split.samples + split.waiting + sum(split.skipped.values()) for split in summary.values())
    for name, split in summary.items():
        entries = {path.stem: read_index(path) for path in shard_indexes(tmp_path, name)}
        samples = {shard: sum(entry.reason is None for entry in found) for shard, found in entries.items()}
        assert split.whole == samples and sum(samples.values()) == split.samples


@pytest.mark.parametrize("described", [b"{}", b'{"faces": null}', b'{"faces": {}}', b'{"faces": {"detected": null}}'])
def test_samples_that_say_nothing_of_faces_are_counted_all_the_same(small, tmp_path, described):
    plan = small.make_small_plan(small.make_clips({"test": 2}))
    small.prepare(tmp_path, plan, outcome_of=lambda clip: Sample(clip.key, "test", 10, "a", "s", {"json": described}))
    summary = summarise(tmp_path).splits["test"]
    assert summary.samples == 2 and summary.detected == () and summary.to_json()["detected"] is None


def test_a_damaged_record_is_one_line_naming_the_clip(small, tmp_path):
    plan = small.make_small_plan(small.make_clips({"test": 1}))
    with pytest.raises(Refused, match=r"clip%2000%2Emp4\.json .*validate"):
        small.prepare(tmp_path, plan, outcome_of=lambda clip: Sample(clip.key, "test", 1, "a", "s", {"json": b"{\xff"}))


def test_finish_twice_changes_nothing(small, tmp_path):
    small.prepare(tmp_path)
    before = small.contents(tmp_path)
    finish(tmp_path)
    assert small.contents(tmp_path) == before


def test_iterate_gives_samples_in_plan_order_with_the_members_asked_for(small, tmp_path):
    plan = small.make_small_plan()
    small.prepare(tmp_path, plan)
    keys = [clip.key for shard in plan.splits["train"].shards for clip in shard.clips]
    found = list(iterate(tmp_path, "train", "flac"))
    assert [entry.key for entry, _ in found] == [key for key in keys if key in {entry.key for entry, _ in found}]
    assert found and all(set(members) == {"flac"} for _, members in found)
    assert list(iterate(tmp_path, "nowhere")) == []


def test_shards_past_a_million_keep_their_order(tmp_path):
    (tmp_path / "test").mkdir()
    for number in (1_000_000, 999_999, 2):
        (tmp_path / "test" / f"test-{number:06d}.jsonl").touch()
    (tmp_path / "test" / "test-000002.unfinished.jsonl").touch()
    names = [path.name for path in shard_indexes(tmp_path, "test")]
    assert names == ["test-000002.jsonl", "test-999999.jsonl", "test-1000000.jsonl"]
