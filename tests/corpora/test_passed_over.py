"""Files of which nothing is made: counted and named, unless they plainly belong to what is taken."""

import os

import pytest

from avsr_bench import corpora
from avsr_bench.prepare_clip import ClipJob, SampleSettings, make_sample
from avsr_bench.records import Refused

BELONG = (
    "a/x.mp4",
    "a/x.txt",
    "a/x.wav",
    "a/x.srt",
    "a/x.jpg",
    "a/x.npz",
    "a/README",
    "LICENSE",
    "README.md",
    "list.csv",
    "info.json",
    ".DS_Store",
    "a/._x.mp4",
    "Thumbs.db",
)
LRS = {
    "lrs3": {"trainval/a/1.mp4": "", "trainval/a/1.txt": "Text: A"},
    "lrs2": {"main/a/1.mp4": "", "main/a/1.txt": "Text: A", "train.txt": "a/1"},
}


def passed_over(corpus):
    return [note for note in corpus.notes if "passed over" in note]


def test_what_plainly_belongs_is_no_noise(tree):
    notes = corpora.read("folder", tree(dict.fromkeys(BELONG, "hi"))).notes
    assert not [note for note in notes if "passed over" in note or "no video" in note]


def test_what_is_not_taken_is_counted_and_named(tree):
    names = [*(f"b/{n}.xyz" for n in range(7)), "a/sound.wav", "a/x.m4a", "frames.ZIP", "a/clip", "a/1. Intro (long)"]
    corpus = corpora.read("folder", tree(dict.fromkeys([*BELONG, *names], "hi")))
    assert len(corpus.clips) == 1
    assert passed_over(corpus) == [
        "12 files passed over: 7 .xyz, 2 without a suffix, 1 .m4a, 1 .wav, 1 .zip, such as a/1. Intro (long)"
    ]


def test_many_suffixes_are_cut_short(tree):
    files = {f"{n}.odd{n}": "" for n in range(9)} | {"a.mp4": ""}
    (note,) = passed_over(corpora.read("folder", tree(files)))
    assert note.endswith("1 .odd4, 4 others, such as 0.odd0")


def test_one_file_is_one(tree):
    assert passed_over(corpora.read("folder", tree({"a.mp4": "", "b.xyz": ""}))) == [
        "1 file passed over: 1 .xyz, such as b.xyz"
    ]


def test_texts_without_a_video_are_said(tree):
    notes = corpora.read("folder", tree({"a/x.mp4": "", "t/x.txt": "hi", "t/y.TXT": "hi", "a/readme.txt": ""})).notes
    assert "2 .txt files have no video of their name beside them (the first: t/x.txt)" in notes


def test_two_videos_of_one_name_are_said(tree):
    notes = corpora.read("folder", tree({"a/x.mp4": "", "a/x.mov": "", "a/x.txt": "hi", "b/x.mp4": ""})).notes
    (note,) = [note for note in notes if "but for its suffix" in note]
    assert note.startswith("2 videos have the name of another but for its suffix, a/x.mov and a/x.mp4 first")


def test_a_pipe_with_the_name_of_a_video_has_its_reason_and_one_of_a_text_is_not_waited_for(tree):

    root = tree({"a/x.mp4": ""})
    os.mkfifo(root / "a/x.txt")
    os.mkfifo(root / "a/y.mp4")
    clips = {clip.key: clip for clip in corpora.read("folder", root).clips}
    assert clips["a%2Fx"].problem.code == "unreadable"
    assert make_sample(ClipJob(clips["a%2Fy"], "a/y.mp4"), SampleSettings()).reason.code == "not-video"


@pytest.mark.parametrize("name", sorted(LRS))
def test_lrs_and_what_else_lies_there(tree, name):
    folder = next(iter(LRS[name])).rpartition("/")[0]
    more = {f"{folder}/1.pkl": "", f"{folder}/1.wav": "", f"{folder}/1.mkv": "", f"{folder}/2.xyz": ""}
    corpus = corpora.read(name, tree(LRS[name] | more))
    assert [clip.video.name for clip in corpus.clips] == ["1.mp4"]
    assert passed_over(corpus) == [f"2 files passed over: 1 .mkv, 1 .xyz, such as {folder}/1.mkv"]


@pytest.mark.parametrize("name", sorted(LRS))
@pytest.mark.parametrize(("video", "text"), [("1.MP4", "1.TXT"), ("1.mkv", "1.txt")])
def test_lrs_by_another_suffix_or_case(tree, name, video, text):
    files = {
        path.replace("1.mp4", video).replace("1.txt", text) if "/a/" in path else path: content
        for path, content in LRS[name].items()
    }
    (clip,) = corpora.read(name, tree(files)).clips
    assert (clip.video.name, clip.text, clip.problem) == (video, "A", None)
    assert clip.video.is_file()


def test_grid_and_what_else_lies_there(tree):
    files = {"s1/bbaf2n.mpg": "", "align/s1/bbaf2n.align": "0 1 bin", "audio/s1/bbaf2n.wav": "", "s2.zip": ""}
    assert passed_over(corpora.read("grid", tree(files))) == ["1 file passed over: 1 .zip, such as s2.zip"]


@pytest.mark.parametrize("name", sorted(corpora.READERS))
def test_where_there_is_no_clip_what_is_there_is_said(tree, name):
    root = tree({"deep/er/a.xyz": "", "deep/b.xyz": "", "c.wav": ""})
    with pytest.raises(Refused, match=r"it holds c\.wav, deep, in all 2 \.xyz, 1 \.wav"):
        corpora.read(name, root)
