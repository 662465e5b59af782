"""Folders that others made, or changed: each ends in a line of `validate` or one of the command that reads it."""

import io
import json
import os
import stat
import tarfile
import threading
import tracemalloc
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from avsr_bench.records import Refused, Sample
from avsr_bench.shards import (
    clear_store,
    iterate,
    parse_about,
    parse_index,
    parse_prep,
    read_index,
    read_member,
    read_prep,
    read_tracks,
    summarise,
    validate,
)

SHARD = "train/train-000001"
DEEP = b"[" * 100_000 + b"]" * 100_000


@pytest.fixture
def folder(small, tmp_path):
    small.prepare(tmp_path / "out")
    return tmp_path / "out"


def shards_of(report):
    return {problem.shard for problem in report.problems}


def refused(call, *arguments):
    with pytest.raises(Refused) as caught:
        call(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def member(line, **changes):
    line["members"]["flac"].update(changes)


LINES = {
    "no object": lambda line: [1],
    "negative frames": lambda line: line.update(frames=-1),
    "frames beyond any clip": lambda line: line.update(frames=10**12),
    "part of a frame": lambda line: line.update(frames=7.5),
    "frames that are true": lambda line: line.update(frames=True),
    "frames that are no number": lambda line: line.update(frames=float("nan")),
    "text in a list": lambda line: line.update(text=["a"]),
    "no text": lambda line: line.pop("text") and None,
    "no speaker": lambda line: line.update(speaker=None),
    "a key that leads out": lambda line: line.update(key="../../x"),
    "a key with a slash": lambda line: line.update(key="/etc/passwd"),
    "an empty key": lambda line: line.update(key=""),
    "a key that is a number": lambda line: line.update(key=5),
    "members in a list": lambda line: line.update(members=[]),
    "a member that leads out": lambda line: line["members"].update({"../x": line["members"]["flac"]}),
    "no record": lambda line: line["members"].pop("json"),
    "a member that is a number": lambda line: line["members"].update(flac=3),
    "a negative offset": lambda line: member(line, offset=-1),
    "an endless offset": lambda line: member(line, offset=10**30),
    "an offset of text": lambda line: member(line, offset="0"),
    "a member of terabytes": lambda line: member(line, bytes=2**42),
    "no digest": lambda line: member(line, sha256="0"),
    "a digest in capitals": lambda line: member(line, sha256="A" * 64),
    "a track that is 1": lambda line: line.update(track=1),
    "a reason of text": lambda line: line.update(reason="no-face"),
    "a reason that is unknown": lambda line: line.update(reason={"code": "bad-mood", "detail": ""}),
}


@pytest.mark.parametrize("what", LINES)
def test_a_line_of_an_index_is_checked(folder, what):
    path = folder / f"{SHARD}.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    place = next(i for i, line in enumerate(lines) if "members" in line)
    lines[place] = LINES[what](lines[place]) or lines[place]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(ValueError, match=f"^line {place + 1} cannot be read"):
        parse_index(path.read_bytes())
    assert shards_of(validate(folder)) == {"train-000001"}
    assert f"{SHARD}.jsonl is damaged: line {place + 1}" in refused(summarise, folder)


def test_an_index_nested_without_end_or_with_a_clip_twice_is_damaged(folder):
    path = folder / f"{SHARD}.jsonl"
    sample = next(line for line in path.read_bytes().splitlines() if b'"members"' in line)
    for line, says in ((DEEP, "32 deep"), (b'{"key":' + DEEP + b"}", "32 deep"), (sample + b"\n" + sample, "twice")):
        path.write_bytes(line + b"\n")
        assert says in refused(read_index, path)
        assert shards_of(validate(folder)) == {"train-000001"}


PREPS = {
    "no splits": lambda prep: prep.pop("splits"),
    "splits in a list": lambda prep: prep.update(splits=[]),
    "a split that leads out": lambda prep: prep["splits"].update({"../../etc": prep["splits"]["test"]}),
    "a split that is the folder above": lambda prep: prep["splits"].update({"..": prep["splits"]["test"]}),
    "a split with a slash": lambda prep: prep["splits"].update({"/etc": prep["splits"]["test"]}),
    "a split of 300 characters": lambda prep: prep["splits"].update({"x" * 300: prep["splits"]["test"]}),
    "a thousand million shards": lambda prep: prep["splits"]["test"].update(shards=10**9),
    "shards that are text": lambda prep: prep["splits"]["test"].update(shards="2"),
    "fewer clips than none": lambda prep: prep["splits"]["test"].update(clips=-1),
    "clips that are no number": lambda prep: prep["splits"]["test"].update(clips=float("inf")),
    "no keys": lambda prep: prep["splits"]["test"].pop("keys"),
    "keys that are numbers": lambda prep: prep["splits"]["test"].update(keys=[1, 2]),
    "no fingerprint": lambda prep: prep["splits"]["test"].pop("fingerprint"),
    "counts in a list": lambda prep: prep["splits"]["test"].update(counts=[1]),
    "no recipe": lambda prep: prep.pop("recipe"),
    "a recipe of text": lambda prep: prep.update(recipe="grid"),
    "a note that is none": lambda prep: prep.update(notes=[None]),
    "versions of text": lambda prep: prep.update(versions=["1"]),
    "another format": lambda prep: prep.update(format=2),
}


@pytest.mark.parametrize("what", PREPS)
def test_prep_json_is_checked_before_anything_is_read_or_removed_by_it(small, folder, what):
    path = folder / "prep.json"
    prep = json.loads(path.read_bytes())
    PREPS[what](prep)
    path.write_text(json.dumps(prep))
    before = small.contents(folder)
    for call in (read_prep, summarise, validate):
        assert "prep.json is damaged" in refused(call, folder)
    refused(clear_store, folder, small.make_small_plan())
    assert small.contents(folder) == before


NESTED = b'{"format": 1, "recipe":' + b'{"a":' * 500 + b"1" + b"}" * 501


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"null", b"\xff", DEEP, NESTED])
def test_prep_json_that_is_none_is_refused(folder, data):
    (folder / "prep.json").write_bytes(data)
    assert "prep.json is damaged" in refused(read_prep, folder)


NAMES = [
    "key",
    "text",
    "speaker",
    "frames",
    "members",
    "track",
    "reason",
    "splits",
    "source",
    "faces",
    "notes",
    "recording",
    "path",
    "bytes",
    "detected",
    "start",
    "flac",
    "offset",
    "sha256",
    "code",
]
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES) | st.text(), inner, max_size=6),
    max_leaves=12,
)


@given(anything)
def test_whatever_is_in_a_file_is_read_or_said_to_be_wrong(value):
    data = json.dumps(value).encode(errors="surrogatepass")
    for parse in (parse_index, parse_prep, parse_about):
        try:
            parse(data + b"\n")
        except ValueError as error:
            assert "\n" not in str(error) and len(str(error)) < 300


@pytest.mark.parametrize(
    "record",
    [
        {"source": "tape"},
        {"source": {"recording": ["tape"]}},
        {"source": {"path": 3}},
        {"source": {"path": "a.mp4", "bytes": "7"}},
        {"source": {"path": "a.mp4", "bytes": 7, "start": float("nan")}},
        {"faces": [1]},
        {"faces": {"detected": "all"}},
        {"faces": {"detected": 17}},
        {"notes": ["cut"]},
    ],
)
def test_a_record_of_other_types_is_one_line(small, tmp_path, record):
    plan = small.make_small_plan(small.make_clips({"test": 1}))
    data = {"json": json.dumps(record).encode()}
    with small.hold_part(tmp_path, 1, 1):
        small.open_store(tmp_path, plan, {})
        small.write_shard(tmp_path, plan.shards[0], lambda clip: Sample(clip.key, "test", 10, "a", "s", data))
    (problem,) = validate(tmp_path).problems
    assert problem.member == "json"
    assert ".json is damaged" in refused(summarise, tmp_path)


def stored(path, kind=zipfile.ZIP_STORED, **arrays):
    with zipfile.ZipFile(path, "w", kind) as file:
        for name, data in arrays.items():
            file.writestr(f"{name}.npy", data)


def array_bytes(array, pickled=False):
    data = io.BytesIO()
    np.lib.format.write_array(data, array, version=(1, 0), allow_pickle=pickled)
    return data.getvalue()


TRACKS = {
    "frames below none": {"frames": np.array([-1, 1])},
    "more frames than rows": {"frames": np.array([2**62, 2**62])},
    "more points than rows": {"landmarks": np.array([2**62, 4])},
    "whole numbers for places": {"boxes": np.zeros((4, 4), np.int32)},
    "boxes of three": {"boxes": np.zeros((4, 3), np.float32)},
    "scores in a table": {"scores": np.zeros((4, 1), np.float32)},
    "places that are no numbers": {"boxes": np.full((4, 4), np.nan, np.float32)},
    "a key twice": {"keys": np.array([b"a", b"a"])},
    "keys of other letters": {"keys": np.array([b"\xff", b"a"])},
    "no face was found": {"scores": np.array([0.9, np.nan, 0.0, np.nan], np.float32)},
    "a confidence above 1": {"scores": np.array([0.9, np.inf, 0.0, 0.8], np.float32)},
    "one key": {"keys": np.array([b"a"])},
    "objects": {"boxes": np.array([[{}] * 4] * 4, dtype=object)},
}


def write_tracks(path, kind=zipfile.ZIP_STORED, **changes):
    sound = {
        "keys": np.array([b"a", b"b"]),
        "frames": np.array([1, 3]),
        "landmarks": np.array([4, 4]),
        "sizes": np.array([[8, 6], [8, 6]]),
        "boxes": np.zeros((4, 4), np.float32),
        "points": np.zeros((16, 2), np.float32),
        "scores": np.array([0.9, np.nan, 0.0, 0.8], np.float32),
    }
    made = {name: array_bytes(value, pickled=True) for name, value in sound.items()}
    made |= {name: each if isinstance(each, bytes) else array_bytes(each, True) for name, each in changes.items()}
    stored(path, kind, **made)


@pytest.mark.parametrize("what", TRACKS)
def test_tracks_of_other_types_and_lengths_are_refused(tmp_path, what):
    path = tmp_path / "x.tracks.npz"
    write_tracks(path)
    assert [len(track) for track in read_tracks(path).values()] == [1, 3]
    write_tracks(path, **TRACKS[what])
    with pytest.raises(ValueError, match=r"\w"):
        read_tracks(path)


def test_tracks_take_no_more_memory_than_the_file_has_bytes(tmp_path):
    path = tmp_path / "x.tracks.npz"
    empty = array_bytes(np.zeros(0, np.float32))
    shapes = (b"(10000000000,), }", b"(-1,), }", b"(1 << 40,), }", b"(__import__('os'),), }", b"(")
    bombs = [
        {"kind": zipfile.ZIP_DEFLATED, "scores": array_bytes(np.zeros(2**26, np.float32))},  # 256 MB in 256 kB
        *({"scores": empty.replace(b"(0,), }".ljust(len(shape)), shape)} for shape in shapes),
        {"scores": b""},
        {"more": b"x"},
    ]
    assert all(bomb.get("scores") != empty for bomb in bombs)
    for bomb in bombs:
        write_tracks(path, **bomb)
        tracemalloc.start()
        with pytest.raises(ValueError, match=r"\w"):
            read_tracks(path)
        assert tracemalloc.get_traced_memory()[1] < 2**22
        tracemalloc.stop()


def rewritten(path, change):
    """The tar with every member's header changed and its bytes kept in their places."""
    data = bytearray(path.read_bytes())
    with tarfile.open(path) as tar:
        members = tar.getmembers()
    for info in members:
        change(info)
        data[info.offset_data - 512 : info.offset_data] = info.tobuf(tarfile.USTAR_FORMAT)[:512]
    path.write_bytes(data)


TARS = {
    "members outside": lambda info: setattr(info, "name", "../../outside"),
    "members from the root": lambda info: setattr(info, "name", "/etc/passwd"),
    "members of one name": lambda info: setattr(info, "name", "same.json"),
    "longer than said": lambda info: setattr(info, "size", info.size + 10**9),
    "symbolic links": lambda info: (setattr(info, "type", tarfile.SYMTYPE), setattr(info, "linkname", "/etc/passwd")),
    "hard links": lambda info: (setattr(info, "type", tarfile.LNKTYPE), setattr(info, "linkname", "/etc/passwd")),
    "devices": lambda info: setattr(info, "type", tarfile.CHRTYPE),
    "folders": lambda info: setattr(info, "type", tarfile.DIRTYPE),
    "sparse files": lambda info: setattr(info, "type", tarfile.GNUTYPE_SPARSE),
    "programs": lambda info: setattr(info, "mode", 0o4777),
}


@pytest.mark.parametrize("what", TARS)
def test_a_tar_with_other_members_is_damaged(folder, what):
    rewritten(folder / f"{SHARD}.tar", TARS[what])
    report = validate(folder)
    assert shards_of(report) == {"train-000001"}
    assert any("header" in problem.what for problem in report.problems)


def test_a_tar_with_a_terabyte_behind_its_end_is_damaged_and_not_read(folder):
    os.truncate(folder / f"{SHARD}.tar", 2**40)  # a hole: it takes no room
    assert [problem.what for problem in validate(folder).problems] == ["the end of its tar is damaged or missing"]


@pytest.mark.parametrize("name", ["prep.json", f"{SHARD}.jsonl", f"{SHARD}.tar", f"{SHARD}.tracks.npz"])
def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(folder, name):
    (folder / name).unlink()
    os.mkfifo(folder / name)
    assert stat.S_ISFIFO((folder / name).stat().st_mode)
    if name == "prep.json":
        assert "it is a pipe" in refused(validate, folder)
    else:
        assert shards_of(validate(folder)) == {"train-000001"}
    if not name.endswith("npz"):
        refused(summarise, folder)


def test_bytes_that_are_not_those_of_the_index_are_not_used(folder):
    entry = next(entry for entry in read_index(folder / f"{SHARD}.jsonl") if entry.reason is None)
    tar = folder / f"{SHARD}.tar"
    data = bytearray(tar.read_bytes())
    data[entry.members["flac"].offset] ^= 1
    tar.write_bytes(data)
    assert "is not what its index says" in refused(read_member, tar, entry, "flac")
    assert "is not what its index says" in refused(list, iterate(folder, "train"))
    tar.unlink()
    assert "cannot read" in refused(read_member, tar, entry, "flac")


def test_readers_of_a_folder_that_is_made_anew_end_with_one_line_or_the_truth(small, tmp_path):
    plans = [small.make_small_plan(recipe={"turn": turn}) for turn in range(2)]
    outcomes = [small.make_outcome, lambda clip: small.make_outcome(replace(clip, text=f"{clip.text} again"))]
    out = tmp_path / "out"
    small.prepare(out, plans[0], outcome_of=outcomes[0])
    truths = {0: {entry.text for entry, _ in iterate(out, "train")}}
    truths[1] = {f"{text} again" for text in truths[0]}
    over = threading.Event()
    failed = []

    def write():
        try:
            for turn in range(1, 13):
                with small.hold_part(out, 1, 1):
                    clear_store(out, plans[turn % 2])
                small.prepare(out, plans[turn % 2], outcome_of=outcomes[turn % 2])
        except BaseException as error:
            failed.append(error)
            raise
        finally:
            over.set()

    writer = threading.Thread(target=write)
    writer.start()
    while not over.is_set():
        try:
            summarise(out)
            for entry, members in iterate(out, "train"):
                assert json.loads(members["json"])["text"] == entry.text
            assert all(problem.what == "is not made yet" for problem in validate(out).problems if problem.checked)
        except Refused as refusal:
            assert "\n" not in str(refusal)
    writer.join()
    assert not failed and not validate(out).problems
    assert {entry.text for entry, _ in iterate(out, "train")} == truths[0]
