import os
from collections import Counter
from pathlib import Path

import pytest

from avsr_bench import corpora, recipes
from avsr_bench.corpora import Vox2Settings
from avsr_bench.records import Misused, Refused

CLIP = "id00012/21Uxsk56VDQ/00001"
META = "VoxCeleb2 ID ,VGGFace2 ID ,Gender ,Set \nid00012 ,n000001 ,m ,dev \nid00017 ,n000012 ,m ,test \n"


def read(root, **settings):
    return corpora.read("vox2", root, Vox2Settings(**settings))


def splits(corpus):
    return {clip.key: clip.split for clip in corpus.clips}


def test_the_layout(tree):
    root = tree(
        {
            f"dev/mp4/{CLIP}.mp4": "",
            f"dev/aac/{CLIP}.m4a": "",
            f"dev/txt/{CLIP}.txt": "Identity  :  id00012\n",
            "dev/mp4/id00012/_-mJR0mTPBk/00004.mp4": "",
            "test/mp4/id00017/01dfn2spqyE/00001.mp4": "",
        }
    )
    corpus = read(root)
    first, second, test = corpus.clips
    assert first.key == "dev%2Fid00012%2F21Uxsk56VDQ%2F00001"
    assert (first.split, first.speaker, first.source, first.text) == ("train", "id00012", "21Uxsk56VDQ", None)
    assert (first.video, first.audio) == (root / f"dev/mp4/{CLIP}.mp4", root / f"dev/aac/{CLIP}.m4a")
    assert (first.start, first.end, first.face, first.problem) == (0.0, None, None, None)
    assert (second.source, second.audio) == ("_-mJR0mTPBk", None)
    assert (test.key, test.split, test.speaker) == ("test%2Fid00017%2F01dfn2spqyE%2F00001", "test", "id00017")
    assert "dev has 2 of 1,092,009 clips, test has 1 of 36,237 clips; none has a transcript" in corpus.notes
    assert any(note.startswith("1 clips have their sound from a file of its own") for note in corpus.notes)
    assert not any("passed over" in note for note in corpus.notes)


@pytest.mark.parametrize("below", ["dev", "dev/mp4", "VoxCeleb2/vox2/dev/mp4"])
def test_levels_may_be_missing_where_it_is_plain_what_is_meant(tree, below):
    assert splits(read(tree({f"{below}/{CLIP}.mp4": ""}))) == {"dev%2Fid00012%2F21Uxsk56VDQ%2F00001": "train"}


@pytest.mark.parametrize(("inside", "split"), [("dev", "train"), ("test", "test"), ("test/mp4", "test")])
def test_the_root_may_be_one_of_the_levels(tree, inside, split):
    root = tree({f"{inside}/{CLIP}.mp4": ""})
    assert list(splits(read(root / inside)).values()) == [split]


@pytest.mark.parametrize("separator", [",", "\t"])
def test_without_dev_and_test_the_metadata_say_which_it_is(tree, separator):
    meta = META.replace(",", separator)
    root = tree({f"mp4/{CLIP}.mp4": "", "mp4/id00017/x/1.mp4": "", f"aac/{CLIP}.m4a": "", "vox2_meta.csv": meta})
    corpus = read(root)
    assert splits(corpus) == {"dev%2Fid00012%2F21Uxsk56VDQ%2F00001": "train", "test%2Fid00017%2Fx%2F1": "test"}
    assert corpus.clips[0].audio == root / f"aac/{CLIP}.m4a"


@pytest.mark.parametrize(
    ("meta", "says"),
    [
        (None, "vox2_meta.csv is not there"),
        (META, "does not have its speaker"),
        ("", "does not have its speaker"),
        (b"\x00\xff\x13", "is not UTF-8"),
        (b"id00099\x00,dev", "zero bytes"),
    ],
)
def test_what_could_be_dev_or_test_is_refused_in_one_line(tree, meta, says):
    files = {"mp4/id00099/x/1.mp4": ""} | ({} if meta is None else {"vox2_meta.csv": meta})
    with pytest.raises(Refused, match=says) as caught:
        read(tree(files))
    assert "{dev,test}/mp4/<speaker>/<recording>/<clip>.mp4" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_validation_is_held_out_by_speaker_and_never_from_test(tree):
    files = {f"dev/mp4/id{speaker:05d}/r{n}/1.mp4": "" for speaker in range(40) for n in range(5)}
    files |= {f"test/mp4/id{speaker:05d}/t/1.mp4": "" for speaker in range(100, 110)}
    corpus = read(tree(files), valid_share=0.1)
    assert Counter(clip.split for clip in corpus.clips) == {"train": 180, "valid": 20, "test": 10}
    speakers = {split: {clip.speaker for clip in corpus.clips if clip.split == split} for split in ("train", "valid")}
    assert not speakers["train"] & speakers["valid"] and len(speakers["valid"]) == 4
    assert "valid: 20 clips of dev, 4 speakers held out by a fixed hash" in corpus.notes
    assert "no speaker has clips in two splits" in corpus.notes
    assert read(tree({}), valid_share=0.1) == corpus


LINES = [
    "dev/mp4/id00012/21Uxsk56VDQ/00001",
    "dev/mp4/id00012/21Uxsk56VDQ/00001.mp4\ten 0.9",
    "\ufeffid00012/21Uxsk56VDQ/00001",
    "id00012/21Uxsk56VDQ",
    "id00012",
    "/data/vox2/dev/mp4/id00012/21Uxsk56VDQ/00001.mp4",
]


@pytest.mark.parametrize("line", LINES)
def test_a_list_keeps_the_clips_that_it_names(tree, line):
    files = {f"dev/mp4/{CLIP}.mp4": "", "dev/mp4/id00013/x/1.mp4": "", "test/mp4/id00017/x/1.mp4": ""}
    corpus = read(tree(files | {"en.id": f"{line}\n\nid99999/gone/00001\n"}), only_ids=Path("en.id"))
    assert list(splits(corpus)) == ["dev%2Fid00012%2F21Uxsk56VDQ%2F00001"]
    assert "only what en.id names is read: 1 of 3 clips" in corpus.notes
    assert "1 names of en.id are not on disk (the first: id99999/gone/00001)" in corpus.notes


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("id00013\n", "names none of the 1 clips"),
        (None, "there is no such file"),
        ("", "no line names"),
        ("hello\n", "no line names"),
        (b"\xff\xfe\x00", "UTF-8"),
    ],
)
def test_a_list_that_names_nothing_is_refused(tree, content, says):
    root = tree({f"dev/mp4/{CLIP}.mp4": ""} | ({} if content is None else {"en.id": content}))
    with pytest.raises(Refused, match=rf"corpus\.only_ids = .*en\.id:? .*{says}"):
        read(root, only_ids=Path("en.id"))


@pytest.mark.parametrize("text", ["", "FRAME X Y W H\n000001 nan 1e308 -1 x\n", b"\x00\xff" * 500, "Offset : -"])
def test_face_tracks_are_not_opened(tree, text):
    corpus = read(tree({f"dev/mp4/{CLIP}.mp4": "", f"dev/txt/{CLIP}.txt": text}))
    assert [clip.problem for clip in corpus.clips] == [None]


def test_what_is_left_over_is_said(tree):
    notes = read(
        tree(
            {
                f"dev/mp4/{CLIP}.mp4": "",
                "dev/aac/id00012/gone/00001.m4a": "",
                "dev/txt/id00012/gone/00001.txt": "",
                "dev/mp4/id00012/astray.mp4": "",
                "dev/mp4/id12/x/1.mp4": "",
                "dev/part.zip": "",
                f"dev/mp4/{CLIP}.mp4.part": "",
            }
        )
    ).notes
    assert any("2 videos do not lie in <speaker>/<recording>/" in note and "astray" in note for note in notes)
    assert "1 sound files have no video (the first: id00012/gone/00001)" in notes
    assert "1 face tracks (.txt) have no video (the first: id00012/gone/00001)" in notes
    assert any("2 files passed over" in note for note in notes)


def test_one_clip_in_two_places_is_taken_once(tree):
    corpus = read(tree({f"dev/mp4/{CLIP}.mp4": "", f"dev/{CLIP}.mp4": "", f"dev/mp4/{CLIP}.mkv": ""}))
    assert [clip.problem and clip.problem.code for clip in corpus.clips] == [None, "duplicate-key", "duplicate-key"]


def test_odd_names_and_links_in_circles(tree):
    root = tree({"dev/mp4/id00012/a b%ü\n/嘴 .v2.mp4": "", f"dev/mp4/{CLIP}.mp4": ""})
    (root / "dev/mp4/id00012/again").symlink_to(root / "dev")
    (root / "dev/mp4/id00012/itself").symlink_to("itself")
    (root / "dev/mp4/id00012/21Uxsk56VDQ/00009.mp4").symlink_to("nowhere.mp4")
    (root / os.fsdecode(b"dev/mp4/id00012/\xff")).mkdir()
    (root / os.fsdecode(b"dev/mp4/id00012/\xff/1.mp4")).touch()
    corpus = read(root)
    assert len(corpus.clips) == 4 and not any(clip.problem for clip in corpus.clips)
    assert all("\n" not in clip.key for clip in corpus.clips)


def test_a_folder_that_may_not_be_read_is_on_file(tree, reachable, read_as_nobody):
    root = tree({f"dev/mp4/{CLIP}.mp4": "", "dev/mp4/id00013/x/1.mp4": ""}, reachable / "root")
    (root / "dev/mp4/id00013").chmod(0)
    found = read_as_nobody("vox2", root)
    assert found["clips"]["dev%2Fmp4%2Fid00013"] == "unreadable"


def test_a_share_that_leaves_nothing_is_refused():
    with pytest.raises(Misused, match="corpus: valid_share"):
        recipes.build(Vox2Settings, {"valid_share": 1.0}, "corpus")
