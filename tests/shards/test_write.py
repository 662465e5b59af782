import hashlib
import io
import json
import subprocess
import tarfile

import numpy as np
import pytest

from avsr_bench.records import FaceTrack, Reason, Refused, Sample, Skipped, make_key
from avsr_bench.shards import ShardWriter, is_whole, iterate, read_index, read_member, read_tracks, unfinished_indexes


@pytest.fixture
def shard(small):
    return small.make_small_plan().splits["train"].shards[0]


def test_index_says_where_every_byte_lies(small, tmp_path, shard):
    assert small.write_shard(tmp_path, shard)
    entries = read_index(tmp_path / "train" / "train-000000.jsonl")
    outcomes = [small.make_outcome(clip) for clip in shard.clips]
    assert [entry.key for entry in entries] == [clip.key for clip in shard.clips]
    assert any(isinstance(outcome, Sample) for outcome in outcomes)
    for entry, outcome, clip in zip(entries, outcomes, shard.clips, strict=True):
        assert (entry.text, entry.speaker) == (clip.text, clip.speaker)
        if isinstance(outcome, Skipped):
            assert entry.reason == outcome.reason and not entry.members
            continue
        assert entry.frames == outcome.frames and list(entry.members) == ["mouth.mp4", "flac", "json"]
        for extension, data in outcome.members.items():
            assert read_member(tmp_path / "train" / "train-000000.tar", entry, extension) == data
            assert entry.members[extension].sha256 == hashlib.sha256(data).hexdigest()


def test_tar_has_no_clock_and_no_user(small, tmp_path, shard):
    small.write_shard(tmp_path, shard)
    with tarfile.open(tmp_path / "train" / "train-000000.tar") as tar:
        for info in tar:
            assert (info.mtime, info.uid, info.gid, info.uname, info.gname, info.mode) == (0, 0, 0, "", "", 0o644)
            assert info.isreg()


def test_bytes_are_fixed(small, tmp_path, shard):
    # Golden values: the bytes of a shard are a promise from one version to the next. (Those of the tracks are numpy's.)
    def outcome(clip):
        members = {"mouth.mp4": b"picture", "flac": b"sound" * 200, "json": b"{}"}
        return Sample(clip.key, "train", 3, "one two", clip.speaker, members)

    small.write_shard(tmp_path, shard, outcome)
    files = [tmp_path / "train" / f"train-000000.{extension}" for extension in ("tar", "jsonl")]
    assert [hashlib.sha256(path.read_bytes()).hexdigest()[:16] for path in files] == [
        "1404002dffd6a11c",
        "3825b17736a6b689",
    ]


def test_tar_is_byte_for_byte_what_tarfile_writes(small, tmp_path, shard):
    small.write_shard(tmp_path, shard)
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for outcome in map(small.make_outcome, shard.clips):
            for extension, data in outcome.members.items() if isinstance(outcome, Sample) else ():
                info = tarfile.TarInfo(f"{outcome.key}.{extension}")
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    assert (tmp_path / "train" / "train-000000.tar").read_bytes() == made.getvalue()


def test_tar_program_lists_and_extracts_long_and_odd_keys(small, tmp_path):
    names = ["a.b c/../d", "~x", "嘴" * 20, "x" * 99, "y" * 100, "z" * 101, "w" * 240, "-rf"]
    clips = [small.make_clip("test", 0, key=make_key(name)) for name in names]
    (shard,) = small.make_small_plan(clips, settings=type(small.SETTINGS)(20)).shards

    def outcome(clip):
        return Sample(clip.key, "test", 1, None, "s1", {"json": b'{"frames": 1}'})

    assert small.write_shard(tmp_path, shard, outcome)
    tar = tmp_path / "test" / "test-000000.tar"
    listed = subprocess.run(["tar", "tf", tar], capture_output=True, text=True, check=True).stdout.splitlines()
    assert listed == [f"{clip.key}.json" for clip in shard.clips]
    subprocess.run(["tar", "xf", tar, "-C", tmp_path], check=True)
    assert all((tmp_path / name).read_bytes() == b'{"frames": 1}' for name in listed)
    for entry, found in iterate(tmp_path, "test"):
        assert found == {"json": b'{"frames": 1}'} and entry.text is None and not entry.track


def test_tracks_come_back_as_they_were(small, tmp_path, shard):
    small.write_shard(tmp_path, shard)
    expected = {
        outcome.key: outcome.track for outcome in map(small.make_outcome, shard.clips) if isinstance(outcome, Sample)
    }
    found = read_tracks(tmp_path / "train" / "train-000000.tracks.npz")
    assert list(found) == list(expected)
    for key, track in found.items():
        for field in ("boxes", "points", "scores"):
            assert np.array_equal(getattr(track, field), getattr(expected[key], field))
            assert getattr(track, field).dtype == np.float32
        assert (track.width, track.height) == (640, 480)


def test_tracks_of_both_landmark_schemes_and_of_no_frames_share_a_file(small, tmp_path):
    shard = small.make_small_plan().splits["train"].shards[0]
    tracks = [
        small.make_track(np.random.default_rng(7), frames, points) for frames, points in ((5, 68), (0, 4), (3, 4))
    ]
    by_key = dict(zip((clip.key for clip in shard.clips), tracks, strict=True))
    small.write_shard(tmp_path, shard, lambda clip: Sample(clip.key, "train", 3, "", "", {}, by_key[clip.key]))
    found = read_tracks(tmp_path / "train" / "train-000000.tracks.npz")
    assert [track.points.shape for track in found.values()] == [(5, 68, 2), (0, 4, 2), (3, 4, 2)]
    assert all(np.array_equal(found[key].points, track.points) for key, track in by_key.items())


def test_a_shard_of_skipped_clips_alone_is_whole(small, tmp_path, shard):
    assert small.write_shard(tmp_path, shard, lambda clip: Skipped(clip.key, clip.split, Reason("no-face", "0 of 9")))
    assert list(iterate(tmp_path, "train")) == []
    assert read_tracks(tmp_path / "train" / "train-000000.tracks.npz") == {}
    listed = subprocess.run(["tar", "tf", tmp_path / "train" / "train-000000.tar"], capture_output=True, check=True)
    assert listed.stdout == b""


def test_a_machine_reason_leaves_the_shard_to_the_next_run(small, tmp_path):
    plan = small.make_small_plan()
    victim = plan.splits["train"].shards[1].clips[0]

    def run_out_of_memory(clip):
        lost = Skipped(clip.key, clip.split, Reason("out-of-memory", "3.1 GB asked"))
        return lost if clip == victim else small.make_outcome(clip)

    small.prepare(tmp_path, plan, outcome_of=run_out_of_memory)
    assert not (tmp_path / "train" / "train-000001.jsonl").exists()
    (unfinished,) = unfinished_indexes(tmp_path, "train")
    assert read_index(unfinished)[0].reason == Reason("out-of-memory", "3.1 GB asked")
    assert small.prepare(tmp_path, plan) == ["train-000001"]
    assert unfinished_indexes(tmp_path, "train") == ()
    small.prepare(tmp_path / "undisturbed", plan)
    undisturbed = small.contents(tmp_path / "undisturbed")
    assert {name: data for name, data in small.contents(tmp_path).items() if "undisturbed" not in name} == undisturbed


def test_clips_come_in_plan_order_only(small, tmp_path, shard):
    outcomes = [Skipped(clip.key, clip.split, Reason("no-face", "")) for clip in shard.clips]
    with pytest.raises(ValueError, match="continues with"), ShardWriter(tmp_path, shard) as writer:
        writer.add(outcomes[1])
    with pytest.raises(ValueError, match="of which 2 were added"), ShardWriter(tmp_path, shard) as writer:
        writer.add(outcomes[0])
        writer.add(outcomes[1])
        writer.commit()
    with pytest.raises(ValueError, match="no place"), ShardWriter(tmp_path, shard) as writer:
        for outcome in [*outcomes, outcomes[-1]]:
            writer.add(outcome)
    with pytest.raises(ValueError, match="continues with"), ShardWriter(tmp_path, shard) as writer:
        writer.add(Skipped(outcomes[0].key, "test", Reason("no-face", "")))
    assert list(small.contents(tmp_path)) == []


def test_leaving_without_commit_leaves_nothing(small, tmp_path, shard):
    with pytest.raises(KeyboardInterrupt), ShardWriter(tmp_path, shard) as writer:
        writer.add(small.make_outcome(shard.clips[0]))
        raise KeyboardInterrupt
    with ShardWriter(tmp_path, shard) as writer:
        writer.add(small.make_outcome(shard.clips[0]))
    assert list(small.contents(tmp_path)) == []
    assert not is_whole(tmp_path, shard)


def test_leftovers_of_a_killed_run_are_swept_but_no_other_file(small, tmp_path, shard):
    folder = tmp_path / "train"
    folder.mkdir()
    leftovers = [f".train-000000.{kind}.{'a' * 32}.tmp" for kind in ("tar", "jsonl", "tracks.npz", "unfinished.jsonl")]
    others = [f".train-000001.tar.{'a' * 32}.tmp", "train-000000.txt", ".hidden"]
    for name in leftovers + others:
        (folder / name).write_bytes(b"x")
    small.write_shard(tmp_path, shard)
    ours = [f"train-000000.{kind}" for kind in ("jsonl", "tar", "tracks.npz")]
    assert sorted(path.name for path in folder.iterdir()) == sorted(ours + others)


def test_texts_that_break_lines_or_utf8_stay_on_their_line(small, tmp_path):
    texts = ["a\u2028b\x85c\rd\ne", "half \ud83d", "", 'quote " \\ {', None]
    clips = [small.make_clip("test", number, text=text) for number, text in enumerate(texts)]
    (shard,) = small.make_small_plan(clips, settings=type(small.SETTINGS)(20)).shards
    small.write_shard(tmp_path, shard, lambda clip: Skipped(clip.key, "test", Reason("bad-text", str(clip.text))))
    entries = read_index(tmp_path / "test" / "test-000000.jsonl")
    assert [entry.text for entry in entries] == [clip.text for clip in shard.clips]
    assert [entry.reason.detail for entry in entries] == [str(clip.text) for clip in shard.clips]
    assert (tmp_path / "test" / "test-000000.jsonl").read_bytes().decode().count("\n") == len(texts)


@pytest.mark.parametrize("change", [lambda data: data[:-1], lambda data: data[:-30], lambda data: b"{}\n" + data])
def test_a_damaged_index_is_refused_by_name(small, tmp_path, shard, change):
    small.write_shard(tmp_path, shard)
    path = tmp_path / "train" / "train-000000.jsonl"
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(Refused, match=r"train-000000\.jsonl is damaged: .*line.*; delete it and run the same prep"):
        read_index(path)


def test_plain_webdataset_reads_every_sample(small, tmp_path):
    webdataset = pytest.importorskip("webdataset")
    names = ["s1/a.b", "s1/a b", "ünï", "x" * 150]
    clips = [small.make_clip("test", number, key=make_key(name)) for number, name in enumerate(names)]
    plan = small.make_small_plan(clips)

    def outcome(clip):
        members = {
            "mouth.mp4": b"m" + clip.key.encode(),
            "flac": b"f",
            "json": json.dumps({"text": clip.text}).encode(),
        }
        return Sample(clip.key, "test", 1, clip.text, "s1", members)

    small.prepare(tmp_path, plan, outcome_of=outcome)
    urls = [str(path) for path in sorted((tmp_path / "test").glob("*.tar"))]
    samples = list(webdataset.WebDataset(urls, shardshuffle=False).decode())
    assert [sample["__key__"] for sample in samples] == sorted(make_key(name) for name in names)
    for sample in samples:
        assert sample["mouth.mp4"] == b"m" + sample["__key__"].encode()
        assert sample["flac"] == b"f" and set(sample["json"]) == {"text"}


def test_npz_holds_no_clock(small):
    from avsr_bench.shards.tracks import pack_tracks

    track = FaceTrack(np.zeros((2, 4)), np.zeros((2, 4, 2)), np.zeros(2), 8, 6)
    with np.load(io.BytesIO(pack_tracks({"a": track}))) as file:
        assert {info.date_time for info in file.zip.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert file["boxes"].dtype == np.float32
