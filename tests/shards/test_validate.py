import json
import shutil

import numpy as np
import pytest

from avsr_bench.records import Reason, Refused, Sample, Skipped
from avsr_bench.shards import Report, check_shard, join_reports, planned_shards, read_index, read_tracks, validate
from avsr_bench.shards.tracks import pack_tracks
from avsr_bench.shards.validate import Problem


@pytest.fixture
def folder(small, tmp_path):
    small.prepare(tmp_path / "out")
    return tmp_path / "out"


def first_sample(folder):
    return next(entry for entry in read_index(folder / "train" / "train-000001.jsonl") if entry.reason is None)


def flip(path, place):
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)


def test_a_sound_folder_has_no_problem(small, folder):
    report = validate(folder, lambda entry, members: None)
    assert report.problems == () and report.repair == ()
    assert report.shards == len(small.make_small_plan().shards)
    assert report.samples + report.skipped == sum(small.SPLITS.values())
    assert json.loads(json.dumps(report.to_json()))["whole"] is True


def test_a_shard_that_could_not_be_checked_is_not_to_be_deleted():
    report = Report(1, 0, 0, (Problem("val-000000", "could not be checked", checked=False),))
    assert not report.to_json()["whole"]
    (line,) = report.repair
    assert "delete" not in line and "run validate again" in line


def test_shards_may_be_checked_apart_and_joined(folder):
    flip(folder / "val" / "val-000000.tar", 600)
    assert join_reports(check_shard(folder, *shard) for shard in planned_shards(folder)) == validate(folder)


@pytest.mark.parametrize("extension", ["mouth.mp4", "flac", "json"])
@pytest.mark.parametrize("where", ["first", "last", "header"])
def test_one_damaged_bit_is_found_with_its_shard_clip_and_member(folder, extension, where):
    entry = first_sample(folder)
    member = entry.members[extension]
    place = {"first": member.offset, "last": member.offset + member.bytes - 1, "header": member.offset - 500}[where]
    flip(folder / "train" / "train-000001.tar", place)
    report = validate(folder)
    (problem,) = report.problems
    assert (problem.shard, problem.key, problem.member) == ("train-000001", entry.key, extension)
    assert report.repair == (
        "train-000001: delete train/train-000001.jsonl and run the same prep command again: "
        "this shard is made anew and no other",
    )
    assert str(problem).startswith(f"train-000001, {entry.key}, {extension}: ")


def test_every_bit_of_the_tar_counts(folder):
    tar = folder / "val" / "val-000000.tar"
    whole = tar.read_bytes()
    for place in range(0, len(whole), 97):
        flip(tar, place)
        assert validate(folder).problems, f"byte {place}"
        tar.write_bytes(whole)
    assert not validate(folder).problems


@pytest.mark.parametrize("share", [0, 0.5, 0.999])
def test_a_cut_tar_is_found(folder, share):
    tar = folder / "train" / "train-000001.tar"
    tar.write_bytes(tar.read_bytes()[: int(tar.stat().st_size * share)])
    assert {problem.shard for problem in validate(folder).problems} == {"train-000001"}


def test_missing_files_and_shards_are_named(folder):
    (folder / "train" / "train-000000.tar").unlink()
    (folder / "train" / "train-000001.tracks.npz").unlink()
    (folder / "train" / "train-000002.jsonl").unlink()
    shutil.rmtree(folder / "val")
    found = {problem.shard: problem.what for problem in validate(folder).problems}
    assert list(found) == ["train-000000", "train-000001", "train-000002", "val-000000"]
    assert "tar" in found["train-000000"] and "tracks" in found["train-000001"]
    assert found["train-000002"] == found["val-000000"] == "is not made yet"


def test_an_unfinished_shard_is_told_from_one_not_begun(small, tmp_path):
    lost = Reason("worker-died", "signal 11 twice")
    small.prepare(tmp_path, outcome_of=lambda clip: Skipped(clip.key, clip.split, lost))
    assert {problem.what for problem in validate(tmp_path).problems} == {"was tried and is not whole yet"}


def edit_index(folder, change):
    path = folder / "train" / "train-000001.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    change(lines)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


INDEX_CHANGES = {
    "line lost": lambda lines: lines.pop(),
    "line doubled": lambda lines: lines.append(lines[-1]),
    "lines exchanged": lambda lines: lines.reverse(),
    "key": lambda lines: lines[0].update(key="other"),
    "text": lambda lines: _sample(lines).update(text="other"),
    "frames": lambda lines: _sample(lines).update(frames=1),
    "offset": lambda lines: _sample(lines)["members"]["flac"].update(offset=512),
    "bytes": lambda lines: _sample(lines)["members"]["flac"].update(bytes=7),
    "sha256": lambda lines: _sample(lines)["members"]["flac"].update(sha256="0" * 64),
    "track": lambda lines: _sample(lines).update(track=False),
    "no members": lambda lines: _sample(lines).pop("members"),
    "reason": lambda lines: lines[0].update(reason={"code": "bad-mood", "detail": ""}),
}


def _sample(lines):
    return next(line for line in lines if "members" in line)


@pytest.mark.parametrize("change", INDEX_CHANGES)
def test_an_index_that_does_not_agree_is_found(folder, change):
    edit_index(folder, INDEX_CHANGES[change])
    assert {problem.shard for problem in validate(folder).problems} == {"train-000001"}


def test_tracks_that_do_not_agree_are_found(folder):
    path = folder / "train" / "train-000001.tracks.npz"
    tracks, entry = read_tracks(path), first_sample(folder)
    path.write_bytes(
        pack_tracks({"stranger": tracks[entry.key]} | {key: tracks[key] for key in tracks if key != entry.key})
    )
    assert [(problem.key, problem.member) for problem in validate(folder).problems] == [
        ("stranger", "tracks.npz"),
        (entry.key, "tracks.npz"),
    ]
    short = type(tracks[entry.key])(np.zeros((2, 4)), np.zeros((2, 4, 2)), np.ones(2), 8, 6)
    path.write_bytes(pack_tracks(tracks | {entry.key: short}))
    (problem,) = validate(folder).problems
    assert problem.what == f"its face track has 2 frames, not {entry.frames}"


@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 0.9])
def test_damaged_tracks_are_found(folder, share):
    path = folder / "train" / "train-000001.tracks.npz"
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    assert [problem.shard for problem in validate(folder).problems] == ["train-000001"]
    path.write_bytes(whole)
    data = np.load(path)["boxes"].tobytes()
    flip(path, whole.index(data) + len(data) // 2)
    assert "cannot be read" in validate(folder).problems[0].what


@pytest.mark.parametrize("described", [b"", b"[]", b"3", b"null", b"\xff\xfe", b'{"frames": 9}', b'{"text": "b"}'])
def test_a_record_that_does_not_agree_is_found(small, tmp_path, described):
    plan = small.make_small_plan(small.make_clips({"test": 1}))
    with small.hold_part(tmp_path, 1, 1):
        small.open_store(tmp_path, plan, {})
        small.write_shard(
            tmp_path, plan.shards[0], lambda clip: Sample(clip.key, "test", 10, "a", "s", {"json": described})
        )
    (problem,) = validate(tmp_path).problems
    assert problem.member == "json"


def test_decode_hears_every_sample_and_its_complaint_is_kept(folder):
    bad = first_sample(folder).key
    seen = []

    def decode(entry, members):
        seen.append(entry.key)
        assert set(members) == {"mouth.mp4", "flac", "json"}
        return "639 sound samples in the last frame" if entry.key == bad else None

    report = validate(folder, decode)
    assert len(seen) == report.samples
    assert report.problems == (Problem("train-000001", "639 sound samples in the last frame", bad),)


def test_decode_is_spared_bytes_that_are_known_to_be_damaged(folder):
    entry = first_sample(folder)
    flip(folder / "train" / "train-000001.tar", entry.members["flac"].offset)
    seen = []
    validate(folder, lambda sample, members: seen.append(sample.key))
    assert seen and entry.key not in seen


def test_a_folder_that_is_none_of_ours_is_refused(tmp_path):
    with pytest.raises(Refused, match=r"no prep\.json"):
        validate(tmp_path)
