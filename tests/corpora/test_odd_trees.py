"""Trees as no corpus should be: many files, long and odd names, equal rows without end, columns in a wrong place."""

import json
import os
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from avsr_bench import corpora, shards
from avsr_bench.corpora import FolderSettings
from avsr_bench.records import Refused, Sample


def test_ten_thousand_files_in_one_folder(tree):
    root = tree({"0.mp4": "", "0.txt": "hi"})
    for number in range(1, 5000):
        (root / f"{number}.mp4").hardlink_to(root / "0.mp4")
        (root / f"{number}.txt").hardlink_to(root / "0.txt")
    corpus = corpora.read("folder", root)
    assert len(corpus.clips) == 5000
    assert all(clip.text == "hi" for clip in corpus.clips)


def test_one_row_without_end(tree):
    """Each of the equal rows gets a name of its own; to try them one by one from the first would take minutes."""
    corpus = corpora.read("folder", tree({"a.mp4": "", "manifest.csv": "path\n" + "a.mp4\n" * 20_000}))
    assert len({clip.key for clip in corpus.clips}) == 20_000
    assert sum(clip.problem is None for clip in corpus.clips) == 1


def test_a_column_that_is_no_split_is_refused(tree):
    rows = "".join(f"a.mp4,{number},speaker{number}\n" for number in range(20_000))
    with pytest.raises(Refused, match=r"has 20,000 splits \(speaker0, speaker1, speaker10, \.\.\.\)"):
        corpora.read("folder", tree({"a.mp4": "", "manifest.csv": "path,start,split\n" + rows}))


def test_a_hundred_splits_are_taken_and_compared(tree):
    rows = "".join(f"a.mp4,{number},s{number % 100}\n" for number in range(200))
    corpus = corpora.read("folder", tree({"a.mp4": "", "manifest.csv": "path,start,split\n" + rows}))
    assert sum(note.startswith("overlap: 1 recording") for note in corpus.notes) == 100 * 99 // 2


def test_a_manifest_that_lists_itself_and_a_folder_and_a_text(tree):
    rows = "manifest.csv\n.\na.txt\na.mp4\n"
    corpus = corpora.read("folder", tree({"a.mp4": "", "a.txt": "hi", "manifest.csv": "path\n" + rows}))
    assert {clip.video.name: clip.problem and clip.problem.code for clip in corpus.clips} == {
        "manifest.csv": None,  # what it is, decoding says: not-video
        "root": "not-video",
        "a.txt": None,
        "a.mp4": None,
    }


def test_sound_that_a_manifest_names_and_that_is_not_there(tree):
    rows = "a.mp4,a.wav\nb.mp4,gone.wav\nc.mp4,\n"
    files = dict.fromkeys(("a.mp4", "b.mp4", "c.mp4", "a.wav"), "")
    clips = corpora.read("folder", tree(files | {"manifest.csv": "path,audio\n" + rows})).clips
    assert [clip.audio and clip.audio.name for clip in clips] == ["a.wav", None, None]
    assert [clip.problem and clip.problem.detail for clip in clips] == [
        None,
        "gone.wav is in the manifest and not on disk",
        None,
    ]


@pytest.mark.parametrize("name", ["manifest.csv", "Manifest.Csv", "manifest.tsv", "manifest.jsonl", "MANIFEST.NDJSON"])
def test_a_manifest_by_its_name_in_any_case(tree, name):
    content = '{"path": "a.mp4", "text": "hi"}' if "json" in name.lower() else "path\ttext\na.mp4\thi\n"
    assert corpora.read("folder", tree({"a.mp4": "", name: content})).clips[0].text == "hi"


def test_a_manifest_that_is_a_pipe_or_a_folder_is_refused(tree):
    root = tree({"a.mp4": ""})
    (root / "manifest.csv").mkdir()
    with pytest.raises(Refused, match="is a folder"):
        corpora.read("folder", root)
    (root / "manifest.csv").rmdir()
    os.mkfifo(root / "manifest.csv")
    with pytest.raises(Refused, match="not a regular file"):
        corpora.read("folder", root)
    with pytest.raises(Refused, match=r"corpus\.manifest = manifest\.csv: it is not a file"):
        corpora.read("folder", root, FolderSettings(manifest=Path("manifest.csv")))


def test_a_manifest_that_may_not_be_read_is_refused(tree, reachable, read_as_nobody):
    root = tree({"a.mp4": "", "manifest.csv": "path\na.mp4\n"}, reachable / "root")
    (root / "manifest.csv").chmod(0)
    assert "manifest.csv cannot be read: Permission denied" in read_as_nobody("folder", root)["refused"]


LONG = ("x" * 251, "é" * 125, "日" * 83, os.fsdecode(b"\xe9" * 251), "\x1b[31m" * 50, "new\nline" * 31)


@pytest.mark.parametrize("name", LONG, ids=lambda name: ascii(name[:6]))
def test_names_of_255_bytes_go_into_shards_and_come_back(tree, tmp_path, name):
    root = tree({})
    (root / "speaker").mkdir()
    (root / "speaker" / f"{name}.mp4").touch()
    (root / "speaker" / f"{name}.txt").write_text("hi")
    (clip,) = corpora.read("folder", root).clips
    clip = replace(clip, split="train")
    plan = shards.make_plan([clip], shards.ShardSettings(), {}, root, shards.file_sizes([clip]))
    (shard,) = plan.shards
    members = {"mouth.mp4": b"mouth", "json": json.dumps({"text": "hi"}).encode()}
    with shards.ShardWriter(tmp_path, shard) as writer:
        writer.add(Sample(clip.key, "train", 5, "hi", clip.speaker, members))
        assert writer.commit()
    with tarfile.open(tmp_path / "train" / "train-000000.tar") as tar:
        assert tar.getnames() == [f"{clip.key}.mouth.mp4", f"{clip.key}.json"]
    (entry,) = shards.read_index(tmp_path / "train" / "train-000000.jsonl")
    assert entry.key == clip.key
